// Package journaltest is the exam every journal takes.
package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/internal/tree"
	"github.com/daruma-io/daruma/cell/journal"
)

// Exam asks of a journal what the contract promises. fresh returns an empty
// place, another one at each call.
func Exam(t *testing.T, fresh func(t *testing.T) journal.Place) {
	for name, ask := range map[string]func(*testing.T, journal.Place){
		"entries are durable in the order they were appended":   inOrder,
		"what was durable is there after opening again":         persists,
		"an entry that cannot be applied leaves nothing":        refused,
		"an entry that changes nothing is answered in its turn": unchanged,
		"an entry with a lower fence is refused":                fenced,
		"a snapshot does not change":                            isolated,
		"a closed journal takes nothing":                        closedJournal,
		"large values come back as they were":                   large,
	} {
		t.Run(name, func(t *testing.T) { ask(t, fresh(t)) })
	}
	t.Run("any changes lead to the state they say", func(t *testing.T) { model(t, fresh) })
}

// changes is an Apply that takes what to do from the entry itself.
func changes(e journal.Entry, before journal.Reader) (journal.Changes, any, error) {
	var c journal.Changes
	for _, cmd := range e.Commands {
		key := []byte(cmd.Machine)
		switch cmd.Name {
		case "set":
			c.Writes = append(c.Writes, journal.Write{Key: key, Value: cmd.Body})
		case "delete":
			c.Writes = append(c.Writes, journal.Write{Key: key, Delete: true})
		case "range":
			c.Deleted = append(c.Deleted, journal.Range{Lower: key, Upper: cmd.Body})
		case "fail":
			return journal.Changes{}, nil, errRefused
		}
	}
	slices.SortFunc(c.Writes, func(a, b journal.Write) int { return bytes.Compare(a.Key, b.Key) })
	return c, e.Position, nil
}

var errRefused = errors.New("refused")

func set(key, value string) journal.Command {
	return journal.Command{Machine: key, Name: "set", Body: []byte(value)}
}

func entry(fence uint64, cmds ...journal.Command) journal.Entry {
	return journal.Entry{Fence: fence, Time: time.Unix(1, 2).UTC(), Commands: cmds}
}

func open(t *testing.T, p journal.Place) journal.Journal {
	t.Helper()
	j, err := p.Open(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

type end struct {
	position uint64
	result   any
	err      error
}

// put appends an entry and waits until it is durable.
func put(t *testing.T, j journal.Journal, e journal.Entry) end {
	t.Helper()
	ended := make(chan end, 1)
	if err := j.Append(e, func(p uint64, r any, err error) { ended <- end{p, r, err} }); err != nil {
		t.Fatalf("append: %v", err)
	}
	got := <-ended
	if got.err != nil {
		t.Fatalf("durable: %v", got.err)
	}
	return got
}

// dump reads the whole state, but for the journal's own keys.
func dump(t testing.TB, j journal.Journal) map[string]string {
	t.Helper()
	s, err := j.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	state := dumpFrom(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return state
}

func dumpFrom(t testing.TB, r journal.Reader) map[string]string {
	t.Helper()
	state := map[string]string{}
	err := r.Scan(journal.Range{Lower: []byte{1}}, false, func(k, v []byte) bool {
		state[string(k)] = string(v)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func shut(t *testing.T, j journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func inOrder(t *testing.T, p journal.Place) {
	j := open(t, p)
	const n = 500
	ends := make(chan end, n)
	for i := range n {
		e := entry(1, set(fmt.Sprintf("k%d", i), "v"))
		if err := j.Append(e, func(p uint64, r any, err error) { ends <- end{p, r, err} }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(n) {
		got := <-ends
		if got.err != nil || got.position != i+1 || got.result != i+1 {
			t.Fatalf("got %+v, want position and result %d", got, i+1)
		}
	}
	if s := j.Status(); s.Applied != n || s.Durable != n {
		t.Errorf("got %+v, want %d applied and durable", s, n)
	}
	shut(t, j)
}

func persists(t *testing.T, p journal.Place) {
	j := open(t, p)
	put(t, j, entry(7, set("a", "1"), set("b", "2")))
	put(t, j, entry(7, set("a", "3"), journal.Command{Machine: "b", Name: "delete"}))
	shut(t, j)
	j = open(t, p)
	s := j.Status()
	if s.Applied != 2 || s.Durable != 2 || s.Fence != 7 || !s.Time.Equal(time.Unix(1, 2)) {
		t.Errorf("got %+v, want position 2, fence 7 and the time of the last entry", s)
	}
	if diff := cmp.Diff(map[string]string{"a": "3"}, dump(t, j)); diff != "" {
		t.Error(diff)
	}
	if got := put(t, j, entry(8, set("c", "4"))); got.position != 3 {
		t.Errorf("got position %d, want 3", got.position)
	}
	shut(t, j)
}

func refused(t *testing.T, p journal.Place) {
	j := open(t, p)
	put(t, j, entry(1, set("a", "1")))
	err := j.Append(entry(1, set("a", "2"), journal.Command{Name: "fail"}), func(uint64, any, error) { t.Error("done was called") })
	if !errors.Is(err, errRefused) {
		t.Errorf("got %v, want the error of Apply", err)
	}
	if got := put(t, j, entry(1, set("b", "1"))); got.position != 2 {
		t.Errorf("got position %d, want 2", got.position)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1"}, dump(t, j)); diff != "" {
		t.Error(diff)
	}
	shut(t, j)
}

func unchanged(t *testing.T, p journal.Place) {
	j := open(t, p)
	put(t, j, entry(1, set("a", "1")))
	if got := put(t, j, entry(1)); got.position < 1 || got.position > 2 {
		t.Errorf("got position %d, want 1 or 2", got.position)
	}
	shut(t, j)
}

func fenced(t *testing.T, p journal.Place) {
	j := open(t, p)
	put(t, j, entry(5, set("a", "1")))
	err := j.Append(entry(4, set("a", "2")), func(uint64, any, error) { t.Error("done was called") })
	if daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1"}, dump(t, j)); diff != "" {
		t.Error(diff)
	}
	shut(t, j)
}

func isolated(t *testing.T, p journal.Place) {
	j := open(t, p)
	put(t, j, entry(1, set("a", "1")))
	s, err := j.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(t, j, entry(1, set("a", "2"), set("b", "2")))
	if diff := cmp.Diff(map[string]string{"a": "1"}, dumpFrom(t, s)); diff != "" {
		t.Error(diff)
	}
	if s.Position() != 1 {
		t.Errorf("got position %d, want 1", s.Position())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	shut(t, j)
}

func closedJournal(t *testing.T, p journal.Place) {
	j := open(t, p)
	shut(t, j)
	err := j.Append(entry(1, set("a", "1")), func(uint64, any, error) { t.Error("done was called") })
	if daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := j.Snapshot(t.Context()); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := j.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want it to be closed already", err)
	}
}

func large(t *testing.T, p journal.Place) {
	j := open(t, p)
	want := map[string]string{}
	for i := range 3 {
		v := strings.Repeat(string(rune('a'+i)), journal.ValueBytesMax)
		want[fmt.Sprint("large", i)] = v
		put(t, j, entry(1, set(fmt.Sprint("large", i), v)))
	}
	shut(t, j)
	j = open(t, p)
	if got := dump(t, j); !cmp.Equal(want, got) {
		t.Error("got other values than were written")
	}
	shut(t, j)
}

// model has a journal and a map do the same, with closings in between.
func model(t *testing.T, fresh func(t *testing.T) journal.Place) {
	rapid.Check(t, func(rt *rapid.T) {
		p := fresh(t)
		j := open(t, p)
		var want tree.Map[[]byte]
		key := rapid.StringMatching(`[a-d]{1,3}`)
		for range rapid.IntRange(1, 6).Draw(rt, "entries") {
			var cmds []journal.Command
			used := map[string]bool{}
			if rapid.Bool().Draw(rt, "range") {
				low, high := key.Draw(rt, "low"), key.Draw(rt, "high")
				if low < high {
					cmds = append(cmds, journal.Command{Machine: low, Name: "range", Body: []byte(high)})
					want = want.DeleteRange([]byte(low), []byte(high))
				}
			}
			for range rapid.IntRange(1, 6).Draw(rt, "commands") {
				k := key.Draw(rt, "key")
				if used[k] {
					continue
				}
				used[k] = true
				if rapid.Bool().Draw(rt, "delete") {
					cmds = append(cmds, journal.Command{Machine: k, Name: "delete"})
					want = want.Delete([]byte(k))
				} else {
					v := rapid.StringN(0, 10, 20).Draw(rt, "value")
					cmds = append(cmds, set(k, v))
					want = want.Set([]byte(k), []byte(v))
				}
			}
			put(t, j, entry(1, cmds...))
			if rapid.IntRange(0, 5).Draw(rt, "reopen") == 0 {
				shut(t, j)
				j = open(t, p)
			}
		}
		compare(rt, j, want)
		shut(t, j)
	})
}

func compare(rt *rapid.T, j journal.Journal, want tree.Map[[]byte]) {
	s, err := j.Snapshot(context.Background())
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, descending := range []bool{false, true} {
		var got, model []string
		r := journal.Range{Lower: []byte("aa"), Upper: []byte("d")}
		if err := s.Scan(r, descending, func(k, v []byte) bool { got = append(got, string(k)+"="+string(v)); return true }); err != nil {
			rt.Fatal(err)
		}
		for k, v := range want.Ascend(r.Lower, r.Upper) {
			model = append(model, string(k)+"="+string(v))
		}
		if descending {
			slices.Reverse(model)
		}
		if diff := cmp.Diff(model, got); diff != "" {
			rt.Fatalf("descending %v: %s", descending, diff)
		}
	}
	for k, v := range want.Ascend(nil, nil) {
		if got, ok, err := s.Get(k); err != nil || !ok || !bytes.Equal(got, v) {
			rt.Fatalf("%q: got %q, %v, %v, want %q", k, got, ok, err, v)
		}
	}
}
