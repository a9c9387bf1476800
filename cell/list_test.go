package cell_test

import (
	"slices"
	"testing"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// lister keeps notes under their texts, and lists them.
type lister struct{ list *cell.List[note] }

func newLister() lister {
	return lister{cell.NewList(func(s cell.State) []*note { return notes.Slice(s, cell.Prefix([]byte("n/"))) })}
}

func (lister) Name() string { return "lister" }

func (l lister) Load(r *cell.Reader) error {
	l.list.Load(r)
	return nil
}

func (l lister) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	notes.Put(tx, []byte("other/"+string(cmd.Body)), &note{"another"})
	notes.Put(tx, []byte("n/"+string(cmd.Body)), &note{string(cmd.Body)})
	l.list.Follow(tx)
	if cmd.Name == "refuse" {
		return nil, errRefused
	}
	return l.texts(), nil
}

func (l lister) texts() (texts []string) {
	for _, n := range l.list.All() {
		texts = append(texts, n.Text)
	}
	return texts
}

func TestAListShowsWhatWasAppliedAndNothingThatWasUndone(t *testing.T) {
	m, l := new(memory.Medium), newLister()
	if got := l.list.All(); got != nil {
		t.Errorf("got %v before anything was loaded", got)
	}
	c := open(t, m, l)
	do := func(name, text string) any {
		got, _ := c.Do(t.Context(), cell.Command{Machine: "lister", Name: name, Body: []byte(text)})
		return got
	}
	do("put", "b")
	do("refuse", "c")
	before := l.list.All()
	if got := do("put", "a"); !slices.Equal(got.([]string), []string{"b"}) {
		t.Errorf("got %q inside a command, want what was before it", got)
	}
	if want := []string{"a", "b"}; !slices.Equal(l.texts(), want) {
		t.Errorf("got %q, want %q", l.texts(), want)
	}
	if len(before) != 1 || before[0].Text != "b" {
		t.Errorf("a list that was read has changed: %v", before)
	}
	_ = c.Close()
	l = newLister()
	open(t, m, l)
	if want := []string{"a", "b"}; !slices.Equal(l.texts(), want) {
		t.Errorf("got %q after a restart, want %q", l.texts(), want)
	}
}
