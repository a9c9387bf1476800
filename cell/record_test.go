package cell_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

type note struct{ Text string }

var notes = cell.Format[note]{Kind: "note", Version: 2, Older: map[byte]func([]byte) (*note, error){
	1: func(body []byte) (*note, error) { return &note{Text: string(body)}, nil },
}}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	b, err := notes.Encode(&note{"hello"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := notes.Decode(b)
	if diff := cmp.Diff(&note{"hello"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, err = notes.Decode(cell.Seal(1, []byte("old"))); err != nil || got.Text != "old" {
		t.Errorf("got %v, %v, want the earlier version to be read", got, err)
	}
}

func TestAnUnknownVersionIsRefused(t *testing.T) {
	if _, err := notes.Decode(cell.Seal(3, []byte(`{"Text":"new"}`))); daruma.KindOf(err) != daruma.KindUnsupported || daruma.HintOf(err) == "" {
		t.Errorf("got %v, want it to be refused with a hint", err)
	}
}

func TestAnyFlippedBitOfARecordIsFound(t *testing.T) {
	good, err := notes.Encode(&note{"hello"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := notes.Decode(bad); daruma.KindOf(err) != daruma.KindCorrupt {
			t.Errorf("bit %d: got %v, want corrupt", i, err)
		}
	}
}

// keeper keeps notes; "damage" writes one that is none.
type keeper struct{}

func (keeper) Name() string { return "keeper" }

func (keeper) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	switch cmd.Name {
	case "put":
		notes.Put(tx, []byte("k"), &note{string(cmd.Body)})
	case "damage":
		tx.Set([]byte("k"), []byte("no note"))
	case "get":
		tx.Set([]byte("read"), nil)
		if n := notes.Get(tx, []byte("k")); n != nil {
			return n.Text, nil
		}
		return "none", nil
	}
	return nil, nil
}

func TestARecordThatCannotBeReadEndsTheCommandAndTheView(t *testing.T) {
	c := open(t, new(memory.Medium), keeper{})
	do := func(name string) (any, error) {
		return c.Do(t.Context(), cell.Command{Machine: "keeper", Name: name, Body: []byte("text")})
	}
	if _, err := do("put"); err != nil {
		t.Fatal(err)
	}
	if got, err := do("get"); got != "text" || err != nil {
		t.Errorf("got %v, %v, want text", got, err)
	}
	if _, err := do("damage"); err != nil {
		t.Fatal(err)
	}
	if got, err := do("get"); daruma.KindOf(err) != daruma.KindCorrupt || got != nil {
		t.Errorf("got %v, %v, want corrupt", got, err)
	}
	err := c.View(t.Context(), "keeper", func(r *cell.Reader) error {
		for range notes.All(r, cell.Range{}) {
			t.Error("a record that cannot be read was yielded")
		}
		return nil
	})
	if daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("got %v, want corrupt", err)
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add([]byte{})
	f.Add(cell.Seal(1, []byte("body")))
	f.Fuzz(func(t *testing.T, record []byte) {
		version, body, err := cell.Unseal(record)
		if err == nil && !bytes.Equal(cell.Seal(version, body), record) {
			t.Errorf("%x was taken for a record", record)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(2), []byte(`{"Text":"a"}`))
	f.Fuzz(func(t *testing.T, version byte, body []byte) {
		if n, err := notes.Decode(cell.Seal(version, body)); (n == nil) == (err == nil) {
			t.Errorf("got %v and %v", n, err)
		}
	})
}
