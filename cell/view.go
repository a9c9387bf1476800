package cell

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// View has f read the state between two commands: the one that includes all
// commands answered before View was called, and only what is durable. It does
// not wait for commands on their way. f may take its time; the state does not
// change under it. It returns the error of
// f, or that of the first read that failed: KindCorrupt for a damaged file.
// KindUnavailable when the cell is closed or its disk has failed.
func (c *Cell) View(ctx context.Context, machine string, f func(r *Reader) error) (err error) {
	s, err := c.journal.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r := newReader(s, machine, s.Position())
	if err := f(r); *r.err == nil {
		return err
	}
	return *r.err
}

// A Reader reads one machine's part of a state that does not change. It may be
// used by one goroutine, until View returns.
type Reader struct {
	source   journal.Reader
	prefix   []byte
	position uint64
	err      *error // the first read that failed
}

func newReader(source journal.Reader, machine string, position uint64) *Reader {
	return &Reader{source: source, prefix: space(spaceMachine, machine), position: position, err: new(error)}
}

// Of returns the reader of another machine's part of the same state.
func (r *Reader) Of(machine string) *Reader {
	other := *r
	other.prefix = space(spaceMachine, machine)
	return &other
}

// Position is that of the last entry in the state.
func (r *Reader) Position() uint64 { return r.position }

// Get returns the value of key, or nil and false.
func (r *Reader) Get(key []byte) ([]byte, bool) {
	v, ok, err := r.source.Get(under(r.prefix, key))
	if err != nil {
		r.fail(err)
		return nil, false
	}
	return v, ok
}

// Scan yields the keys of rg in ascending order.
func (r *Reader) Scan(rg Range) iter.Seq2[[]byte, []byte] { return r.scan(rg, false) }

// ScanBack yields the keys of rg in descending order.
func (r *Reader) ScanBack(rg Range) iter.Seq2[[]byte, []byte] { return r.scan(rg, true) }

func (r *Reader) scan(rg Range, descending bool) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		if err := r.source.Scan(within(r.prefix, rg), descending, cut(r.prefix, yield)); err != nil {
			r.fail(err)
		}
	}
}

func (r *Reader) fail(err error) {
	if *r.err == nil {
		*r.err = err
	}
}

// Changed waits until a machine's part of the state is no longer what it was
// when after was returned, and returns a mark of the last change, to be given
// the next time. Marks grow. With after 0 it returns at once, and with what it
// returns it waits, even if nothing has changed yet. Changes that follow one
// another quickly may be seen as one. It ends with KindExpired when ctx ends, with KindUnavailable
// when the cell is closed.
func (c *Cell) Changed(ctx context.Context, machine string, after uint64) (uint64, error) {
	for {
		mark, changed, closed := c.watch.last(machine)
		switch {
		case mark > after:
			return mark, nil
		case closed:
			return 0, &daruma.Error{Op: "watch", Ref: machine, Kind: daruma.KindUnavailable, Err: errors.New("the cell is closed")}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, &daruma.Error{Op: "watch", Ref: machine, Kind: daruma.KindExpired, Err: context.Cause(ctx)}
		}
	}
}

// Checkpoint writes a copy of the durable state into dir, which must not
// exist; its parent must. The copy can be opened as a cell. Commands go on meanwhile.
func (c *Cell) Checkpoint(ctx context.Context, dir string) error {
	return c.journal.Checkpoint(ctx, dir)
}

// watch knows the position of each machine's last durable change. Who waits for
// one machine is not woken by another.
type watch struct {
	mu       sync.Mutex
	since    uint64 // the position at which the cell was opened
	machines map[string]*watched
	closed   bool
}

type watched struct {
	last    uint64
	changed chan struct{} // closed at the next change; nil when nobody waits
}

func (w *watch) machineLocked(name string) *watched {
	m := w.machines[name]
	if m == nil {
		if w.machines == nil {
			w.machines = map[string]*watched{}
		}
		m = &watched{}
		w.machines[name] = m
	}
	return m
}

// last returns the mark of a machine's last change, one more than its
// position: it is never 0, which is what one asks with who has seen nothing.
func (w *watch) last(machine string) (mark uint64, changed <-chan struct{}, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machineLocked(machine)
	if m.changed == nil && !w.closed {
		m.changed = make(chan struct{})
	}
	return max(m.last, w.since) + 1, m.changed, w.closed
}

// advance notes that the machines touched have changed at position.
func (w *watch) advance(position uint64, touched map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range touched {
		m := w.machineLocked(name)
		m.last = position
		m.wake()
	}
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, m := range w.machines {
		m.wake()
	}
}

// wake is called with the watch locked.
func (m *watched) wake() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}
