package cell_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

func TestACursorReadsWhatWasWrittenAndNothingBehindItsEnd(t *testing.T) {
	b := binary.AppendUvarint(cell.AppendText(nil, "falls"), 300)
	b = append(cell.AppendText(b, []byte{7}), 8, 9)
	whole := cell.Cursor{Rest: b}
	if a, n, x, y := whole.Text(), whole.Small(), whole.Bytes(), whole.Fixed(2); a != "falls" || n != 300 || !bytes.Equal(x, []byte{7}) || !bytes.Equal(y, []byte{8, 9}) || whole.Err != nil || len(whole.Rest) != 0 {
		t.Errorf("got %q, %d, %v, %v, %v", a, n, x, y, whole.Err)
	}
	for n := range len(b) {
		c := cell.Cursor{Rest: b[:n]}
		c.Text()
		c.Number()
		c.Bytes()
		c.Fixed(2)
		if !errors.Is(c.Err, cell.ErrCut) || c.Number() != 0 || c.Text() != "" || len(c.Rest) != 0 {
			t.Errorf("the first %d bytes: got %v", n, c.Err)
		}
	}
}

func TestACommandThatCannotBeReadIsRefused(t *testing.T) {
	var got struct{ A int }
	for _, body := range [][]byte{nil, {5, '{', '}'}, cell.Join([]byte(`[`)), {0xff}} {
		if _, err := cell.Split(body, &got); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%q: got %v", body, err)
		}
	}
	raw, err := cell.Split(cell.Join([]byte(`{"A":1}`), []byte("b"), []byte("c")), &got)
	if err != nil || got.A != 1 || string(raw) != "bc" {
		t.Errorf("got %+v, %q, %v", got, raw, err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cell.AppendText(cell.AppendText(nil, "a"), "b"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := cell.Cursor{Rest: b}
		var again []byte
		for len(c.Rest) > 0 {
			part := c.Bytes()
			if c.Err == nil {
				again = cell.AppendText(again, part)
			}
		}
		if c.Err == nil && len(again) > len(b) {
			t.Errorf("%q was read as %q", b, again)
		}
	})
}
