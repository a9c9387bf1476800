package cell

import (
	"bytes"
	"iter"
	"slices"

	"github.com/daruma-io/daruma/cell/internal/tree"
	"github.com/daruma-io/daruma/cell/journal"
)

// An edit is what became of a key.
type edit struct {
	value   []byte
	deleted bool
}

// An overlay is a state with changes laid over it. It is a value: whoever kept
// an earlier copy can go back to it, and a scan goes on in the copy it began with.
type overlay struct {
	base    journal.Reader
	edits   tree.Map[edit]  // newer than removed
	removed []journal.Range // apart, ascending, never changed in place
	bytes   int             // keys and values written so far, overwritten ones included
}

func (o overlay) get(key []byte) ([]byte, bool, error) {
	if e, ok := o.edits.Get(key); ok {
		return e.value, !e.deleted, nil
	}
	if o.gone(key) {
		return nil, false, nil
	}
	return o.base.Get(key)
}

func (o *overlay) set(key, value []byte) {
	o.edits = o.edits.Set(key, edit{value: value})
	o.bytes += len(key) + len(value)
}

func (o *overlay) delete(key []byte) {
	o.edits = o.edits.Set(key, edit{deleted: true})
	o.bytes += len(key)
}

// deleteRange removes the keys of r, which has an end.
func (o *overlay) deleteRange(r journal.Range) {
	if bytes.Compare(r.Lower, r.Upper) >= 0 {
		return
	}
	o.edits = o.edits.DeleteRange(r.Lower, r.Upper)
	o.bytes += len(r.Lower) + len(r.Upper)
	// The ranges that touch r become one with it.
	from, _ := slices.BinarySearchFunc(o.removed, r.Lower, func(x journal.Range, lower []byte) int { return bytes.Compare(x.Upper, lower) })
	to := from
	for to < len(o.removed) && bytes.Compare(o.removed[to].Lower, r.Upper) <= 0 {
		if bytes.Compare(o.removed[to].Lower, r.Lower) < 0 {
			r.Lower = o.removed[to].Lower
		}
		if bytes.Compare(o.removed[to].Upper, r.Upper) > 0 {
			r.Upper = o.removed[to].Upper
		}
		to++
	}
	o.removed = slices.Concat(o.removed[:from], []journal.Range{r}, o.removed[to:])
}

// gone says whether key of the base was removed with a range.
func (o overlay) gone(key []byte) bool {
	if len(o.removed) == 0 {
		return false
	}
	i, found := slices.BinarySearchFunc(o.removed, key, func(x journal.Range, key []byte) int { return bytes.Compare(x.Lower, key) })
	if found {
		return true
	}
	return i > 0 && bytes.Compare(key, o.removed[i-1].Upper) < 0
}

// scan yields the keys of r as they are now, in either direction.
func (o overlay) scan(r journal.Range, descending bool, yield func(key, value []byte) bool) error {
	edits, order := o.edits.Ascend(r.Lower, r.Upper), 1
	if descending {
		edits, order = o.edits.Descend(r.Lower, r.Upper), -1
	}
	next, stop := pull(o.edits, edits)
	defer stop()
	key, e, more := next()
	stopped := false
	// edited yields the edits that come before upTo, and says whether upTo itself was edited.
	edited := func(upTo []byte) (same bool) {
		for more && !stopped {
			c := -1
			if upTo != nil {
				c = order * bytes.Compare(key, upTo)
			}
			if c > 0 {
				return false
			}
			if !e.deleted && !yield(key, e.value) {
				stopped = true
			}
			key, e, more = next()
			if c == 0 {
				return true
			}
		}
		return false
	}
	err := o.base.Scan(r, descending, func(k, v []byte) bool {
		if edited(k) || stopped {
			return !stopped
		}
		if o.gone(k) {
			return true
		}
		stopped = !yield(k, v)
		return !stopped
	})
	if err == nil && !stopped {
		edited(nil)
	}
	return err
}

// pull turns edits into a function that returns one after another.
func pull(m tree.Map[edit], edits iter.Seq2[[]byte, edit]) (next func() ([]byte, edit, bool), stop func()) {
	if m.Len() == 0 {
		return func() ([]byte, edit, bool) { return nil, edit{}, false }, func() {}
	}
	return iter.Pull2(edits)
}

// changes returns what the overlay does to its base.
func (o overlay) changes() journal.Changes {
	c := journal.Changes{Deleted: o.removed}
	if n := o.edits.Len(); n > 0 {
		c.Writes = make([]journal.Write, 0, n)
		for k, e := range o.edits.Ascend(nil, nil) {
			c.Writes = append(c.Writes, journal.Write{Key: k, Value: e.value, Delete: e.deleted})
		}
	}
	return c
}

// overlayReader reads an overlay as a journal's state.
type overlayReader struct{ overlay }

func (r overlayReader) Get(key []byte) ([]byte, bool, error) { return r.get(key) }

func (r overlayReader) Scan(rg journal.Range, descending bool, yield func(key, value []byte) bool) error {
	return r.scan(rg, descending, yield)
}
