package disk

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma/cell/journal"
)

func TestReadersShareTheStateUntilAnEntryChangesIt(t *testing.T) {
	j, err := Place{Dir: t.TempDir(), FreeBytesMin: 1, BallastBytes: 1 << 20}.Open(t.Context(), func(e journal.Entry, _ journal.Reader) (journal.Changes, any, error) {
		c := e.Commands[0]
		return journal.Changes{Writes: []journal.Write{{Key: []byte(c.Name), Value: c.Body}}}, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	write := func(value string) {
		t.Helper()
		done := make(chan error, 1)
		if err := j.Append(journal.Entry{Fence: 1, Time: time.Now(), Commands: []journal.Command{{Name: "k", Body: []byte(value)}}}, func(_ uint64, _ any, err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	read := func() *snapshot {
		t.Helper()
		s, err := j.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.(*snapshot)
	}
	want := func(s *snapshot, value string, position uint64) {
		t.Helper()
		got, _, err := s.Get([]byte("k"))
		if err != nil || string(got) != value || s.Position() != position {
			t.Errorf("got %q at %d (%v), want %q at %d", got, s.Position(), err, value, position)
		}
	}
	write("one")
	first, second := read(), read()
	if first.base != second.base {
		t.Error("got two states, want one: nothing has changed between them")
	}
	at := first.Position()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	want(second, "one", at)
	third := read()
	if third.base != second.base {
		t.Error("got another state after a reader left, want the one that rests")
	}
	write("two")
	fourth := read()
	want(second, "one", at)
	want(third, "one", at)
	want(fourth, "two", at+1)
	for _, s := range []*snapshot{second, third, fourth} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Errorf("got %v, want the store to be closed with no state held", err)
	}
}
