package cell_test

import (
	"errors"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

func TestACommandIsAppliedByItsNameWithItsArguments(t *testing.T) {
	errNo := errors.New("no")
	var done []string
	commands := cell.Commands[*[]string]{
		"answer": cell.Answering(func(s *[]string, n int) (int, error) { return n + len(*s), nil }),
		"do": cell.Doing(func(s *[]string, what string) error {
			*s = append(*s, what)
			return nil
		}),
		"read": cell.Reading(func(_ *[]string, body []byte) (string, error) { return string(body), errNo }),
	}
	for _, c := range []struct {
		name, body string
		want       any
		err        error
		kind       daruma.Kind
	}{
		{name: "do", body: `"this"`},
		{name: "answer", body: `41`, want: 42},
		{name: "read", body: `not JSON`, want: "not JSON", err: errNo},
		{name: "answer", body: `"text"`, kind: daruma.KindInvalid},
		{name: "do", body: ``, kind: daruma.KindInvalid},
		{name: "other", body: `1`, kind: daruma.KindUnsupported},
	} {
		got, err := commands.Apply(&done, cell.Command{Machine: "m", Name: c.name, Body: []byte(c.body)})
		if c.kind != 0 && daruma.KindOf(err) != c.kind || c.kind == 0 && !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s %s: got %v, %v; want %v, %v%v", c.name, c.body, got, err, c.want, c.kind, c.err)
		}
	}
	if len(done) != 1 || done[0] != "this" {
		t.Errorf("done: %q", done)
	}
}
