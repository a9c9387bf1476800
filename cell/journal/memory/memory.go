// Package memory holds a journal that lies in memory, for simulation and
// tests. A [Medium] plays the part of the disk: it outlives the journals that
// are opened on it, can hold back durability, and can lose what is not durable
// as a crash would.
//
// It promises what every journal promises, for as long as the process lives.
// Nothing in it waits for real time. All methods may be called from any
// goroutine; Append by one at a time.
package memory

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/internal/tree"
	"github.com/daruma-io/daruma/cell/journal"
)

// A Medium is what a memory journal is kept on. The zero value is empty and ready.
type Medium struct {
	mu      sync.Mutex
	durable state
	waiting []waiting // applied and not durable, in order
	held    bool
	owner   *log // the journal opened last; nil when closed or crashed
}

// A state is what a position leads to.
type state struct {
	data     tree.Map[[]byte]
	position uint64
	fence    uint64
	time     time.Time
}

// waiting is an entry that is applied and not durable.
type waiting struct {
	after  state
	result any
	done   journal.Done
}

// Open opens the journal that lies on m. A second opening without a Close
// takes it over, as a new leader takes over from an old one: the entries of
// the former are refused from then on if its fence is lower.
func (m *Medium) Open(_ context.Context, apply journal.Apply) (journal.Journal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &log{medium: m, apply: apply}
	m.owner = l
	return l, nil
}

// Hold keeps entries from becoming durable until Release. They are applied meanwhile.
func (m *Medium) Hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = true
}

// Release ends a Hold and makes everything that waits durable.
func (m *Medium) Release() {
	m.mu.Lock()
	m.held = false
	m.settleLocked()
}

// Crash loses what is not durable, and makes the open journal useless, as the
// death of its process would. What waited ends in doubt. Hold is ended.
func (m *Medium) Crash() {
	m.mu.Lock()
	lost := m.waiting
	if m.owner != nil {
		m.owner.crashed = true
	}
	m.waiting, m.held, m.owner = nil, false, nil
	m.mu.Unlock()
	for _, w := range lost {
		w.done(w.after.position, w.result, &daruma.Error{Op: "sync entry", Kind: daruma.KindDoubtful, Err: errCrashed})
	}
}

var (
	errCrashed = errors.New("the medium has crashed")
	errClosed  = errors.New("the journal is closed")
)

// settleLocked makes what waits durable and tells those who wait for it. It unlocks m.mu.
func (m *Medium) settleLocked() {
	settled := m.waiting
	if n := len(settled); n > 0 {
		m.durable = settled[n-1].after
	}
	m.waiting = nil
	m.mu.Unlock()
	for _, w := range settled {
		w.done(w.after.position, w.result, nil)
	}
}

func (m *Medium) appliedLocked() state {
	if n := len(m.waiting); n > 0 {
		return m.waiting[n-1].after
	}
	return m.durable
}

// log is one opened journal.
type log struct {
	medium  *Medium
	apply   journal.Apply
	closed  bool // guarded by medium.mu
	crashed bool // guarded by medium.mu
}

// Append applies e and makes it durable, unless the medium is held.
func (l *log) Append(e journal.Entry, done journal.Done) error {
	m := l.medium
	m.mu.Lock()
	before := m.appliedLocked()
	err := l.refusesLocked()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if e.Fence < before.fence {
		return overtaken()
	}
	e.Position = before.position + 1
	changes, result, err := l.apply(e, reader{before.data})
	if err != nil {
		return err
	}
	after := before
	if !changes.Empty() {
		after = state{data: change(before.data, changes), position: e.Position, fence: e.Fence, time: e.Time}
	}
	m.mu.Lock()
	if err := l.refusesLocked(); err != nil {
		m.mu.Unlock()
		return err
	}
	if m.appliedLocked().position != before.position {
		m.mu.Unlock()
		return overtaken()
	}
	m.waiting = append(m.waiting, waiting{after, result, done})
	if m.held {
		m.mu.Unlock()
		return nil
	}
	m.settleLocked()
	return nil
}

func overtaken() error {
	return &daruma.Error{Op: "append entry", Kind: daruma.KindConflict, Err: errors.New("a newer leader has taken over")}
}

// refusesLocked says why the journal takes nothing any more.
func (l *log) refusesLocked() error {
	switch {
	case l.closed:
		return &daruma.Error{Op: "use journal", Kind: daruma.KindUnavailable, Err: errClosed}
	case l.crashed:
		return &daruma.Error{Op: "use journal", Kind: daruma.KindUnavailable, Err: errCrashed}
	}
	return nil
}

func change(data tree.Map[[]byte], c journal.Changes) tree.Map[[]byte] {
	for _, r := range c.Deleted {
		data = data.DeleteRange(r.Lower, r.Upper)
	}
	for _, w := range c.Writes {
		if w.Delete {
			data = data.Delete(w.Key)
		} else {
			data = data.Set(w.Key, w.Value)
		}
	}
	return data
}

// Snapshot returns the durable state.
func (l *log) Snapshot(context.Context) (journal.Snapshot, error) {
	m := l.medium
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := l.refusesLocked(); err != nil {
		return nil, err
	}
	return snapshot{reader{m.durable.data}, m.durable.position}, nil
}

// Checkpoint is refused: a memory journal has no files.
func (l *log) Checkpoint(context.Context, string) error {
	return &daruma.Error{Op: "checkpoint", Kind: daruma.KindUnsupported, Err: errors.New("this cell lies in memory"), Hint: "open the cell in a directory"}
}

// Status returns where the journal stands.
func (l *log) Status() journal.Status {
	m := l.medium
	m.mu.Lock()
	defer m.mu.Unlock()
	applied := m.appliedLocked()
	return journal.Status{Applied: applied.position, Durable: m.durable.position, Fence: applied.fence, Time: applied.time, Refuses: l.refusesLocked()}
}

// Close makes what waits durable, held or not, and ends the journal.
func (l *log) Close() error {
	m := l.medium
	m.mu.Lock()
	if l.closed {
		m.mu.Unlock()
		return os.ErrClosed
	}
	l.closed = true
	if m.owner != l {
		m.mu.Unlock()
		return nil
	}
	m.settleLocked()
	return nil
}

// reader reads one state.
type reader struct{ data tree.Map[[]byte] }

func (r reader) Get(key []byte) ([]byte, bool, error) {
	v, ok := r.data.Get(key)
	return v, ok, nil
}

func (r reader) Scan(rg journal.Range, descending bool, yield func(key, value []byte) bool) error {
	seq := r.data.Ascend(rg.Lower, rg.Upper)
	if descending {
		seq = r.data.Descend(rg.Lower, rg.Upper)
	}
	seq(yield)
	return nil
}

type snapshot struct {
	reader
	position uint64
}

func (s snapshot) Position() uint64 { return s.position }
func (s snapshot) Close() error     { return nil }
