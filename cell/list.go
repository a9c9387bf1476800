package cell

import "sync/atomic"

// A List is the records a machine keeps in memory for readers that do not wait
// for the disk: as the last command applied has left them, which may be on its
// way to the disk still. The machine loads it in its own Load (see [Loader]),
// and has it follow at the end of each Apply.
//
// All may be called from any goroutine.
type List[T any] struct {
	read func(State) []*T
	now  atomic.Pointer[[]*T] // replaced, never changed
}

// NewList returns a list of what read finds in the machine's part of a state.
// It is empty until it is loaded.
func NewList[T any](read func(State) []*T) *List[T] { return &List[T]{read: read} }

// All returns the records in the order in which they were read. Neither they
// nor the slice must be changed.
func (l *List[T]) All() []*T {
	if all := l.now.Load(); all != nil {
		return *all
	}
	return nil
}

// Load reads the records anew.
func (l *List[T]) Load(r *Reader) {
	all := l.read(r)
	l.now.Store(&all)
}

// Follow reads the records as the command so far has left them. All returns
// them when the whole command has been applied, and not at all when it is undone.
func (l *List[T]) Follow(tx *Tx) {
	all := l.read(tx)
	tx.Then(func() { l.now.Store(&all) })
}
