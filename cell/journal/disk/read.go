package disk

import (
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// reader reads the store, or a snapshot of it.
type reader struct {
	disk *disk
	from pebble.Reader
}

// Get returns the value of key.
func (r reader) Get(key []byte) (value []byte, ok bool, err error) {
	err = protect(func() error {
		v, closer, err := r.from.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, ok = slices.Clone(v), true
		if value == nil {
			value = []byte{}
		}
		return closer.Close()
	})
	if err != nil {
		return nil, false, r.disk.unread(err)
	}
	return value, ok, nil
}

// Scan yields the keys of rg.
func (r reader) Scan(rg journal.Range, descending bool, yield func(key, value []byte) bool) error {
	var it *pebble.Iterator
	err := protect(func() (err error) {
		it, err = r.from.NewIter(&pebble.IterOptions{LowerBound: rg.Lower, UpperBound: rg.Upper})
		return err
	})
	if err != nil {
		return r.disk.unread(err)
	}
	first, next := it.First, it.Next
	if descending {
		first, next = it.Last, it.Prev
	}
	// Only the store's own steps are protected: a panic in yield is its caller's.
	valid := false
	move := func(step func() bool) error { return protect(func() error { valid = step(); return it.Error() }) }
	err = move(first)
	for err == nil && valid {
		var k, v []byte
		err = protect(func() (err error) {
			k = slices.Clone(it.Key())
			v, err = it.ValueAndErr()
			v = append(make([]byte, 0, len(v)), v...)
			return err
		})
		if err != nil || !yield(k, v) {
			break
		}
		err = move(next)
	}
	if closed := protect(it.Close); err == nil {
		err = closed
	}
	if err != nil {
		return r.disk.unread(err)
	}
	return nil
}

// unread says why something could not be read. Damage has been noted with the
// name of the file by the time the store returns the error.
func (d *disk) unread(err error) error {
	if stop, ok := errors.AsType[*stopError](err); ok {
		d.gate.close(stop) // the store is of no use any more
	}
	if pebble.IsCorruptionError(err) {
		d.harm(d.fileIn(err), errors.New(oneLine(err.Error())))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.damage != nil {
		return d.damage
	}
	return &daruma.Error{Op: "read", Ref: d.place.Dir, Kind: daruma.KindUnavailable, Err: err}
}

// Snapshot returns the durable state: what there was before the oldest entry
// in flight, or what there is when nothing is.
func (d *disk) Snapshot(context.Context) (journal.Snapshot, error) {
	d.mu.Lock()
	if err := d.refusalLocked(); err != nil {
		d.mu.Unlock()
		return nil, err
	}
	d.readers.Add(1)
	d.mu.Unlock()
	d.basing.Lock()
	defer d.basing.Unlock()
	b := d.rests
	if len(d.bases) > 0 {
		b = d.bases[0]
	} else if b == nil {
		b = &base{snap: d.db.NewSnapshot(), position: d.Status().Durable, users: 1}
		d.rests = b
	}
	b.users++
	return &snapshot{reader{d, b.snap}, b}, nil
}

// A base is the state before an entry that is in flight, or before the one
// that will come next: readers share it, since the store's own snapshots are
// not free.
type base struct {
	snap     *pebble.Snapshot
	position uint64
	users    int // of it; guarded by basing
}

// putBase keeps the state as it is, before the next entry is handed to the store.
func (d *disk) putBase(position uint64) {
	d.basing.Lock()
	defer d.basing.Unlock()
	b := d.rests
	if d.rests = nil; b == nil {
		b = &base{snap: d.db.NewSnapshot(), position: position, users: 1}
	}
	d.bases = append(d.bases, b)
}

// disturb gives up the state that rests.
func (d *disk) disturb() error {
	d.basing.Lock()
	b := d.rests
	d.rests = nil
	d.basing.Unlock()
	if b == nil {
		return nil
	}
	return d.leave(b)
}

// dropBase gives up the oldest base: the entry after it is durable.
func (d *disk) dropBase() {
	d.basing.Lock()
	b := d.bases[0]
	d.bases = d.bases[1:]
	d.basing.Unlock()
	_ = d.leave(b) // nothing can go wrong that a write would not tell
}

// leave gives up one use of a base.
func (d *disk) leave(b *base) error {
	d.basing.Lock()
	b.users--
	last := b.users == 0
	d.basing.Unlock()
	if !last {
		return nil
	}
	return protect(b.snap.Close)
}

// await waits until position is durable.
func (d *disk) await(ctx context.Context, position uint64) error {
	for {
		d.mu.Lock()
		if d.durable >= position {
			d.mu.Unlock()
			return nil
		}
		if err := d.refusalLocked(); err != nil {
			d.mu.Unlock()
			return err
		}
		if d.moved == nil {
			d.moved = make(chan struct{})
		}
		moved := d.moved
		d.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return &daruma.Error{Op: "wait for durable state", Kind: daruma.KindExpired, Err: context.Cause(ctx)}
		}
	}
}

// snapshot is a state of the store that does not change.
type snapshot struct {
	reader
	base *base
}

// Position is that of the last entry in it.
func (s *snapshot) Position() uint64 { return s.base.position }

// Close gives it up.
func (s *snapshot) Close() error {
	defer s.disk.readers.Done()
	return s.disk.leave(s.base)
}
