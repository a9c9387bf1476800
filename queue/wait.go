package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// A signal says whether a queue may have something to receive, and wakes those
// who wait for it: one for each message that came, and the next one as long as
// there is something left. A queue nobody waits for costs nothing.
type signal struct {
	mu      sync.Mutex
	ready   bool  // there may be something to receive
	due     int64 // something may become visible then, if nothing is ready before
	visible int64
	removed bool
	waiting []*waiter // the first has waited longest; guarded by mu
}

// A waiter waits for a signal until its time is over.
type waiter struct {
	woken chan struct{} // holds a token when it was its turn
	over  chan struct{} // closed when its time is over
	stop  func() bool
}

func (q *Queues) newWaiter(d time.Duration) *waiter {
	w := &waiter{woken: make(chan struct{}, 1), over: make(chan struct{})}
	w.stop = q.clock.AfterFunc(d, func() { close(w.over) })
	return w
}

// mayHave says whether there may be something to receive; false is sure.
func (s *signal) mayHave(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.ready || s.due <= now) && !s.removed
}

func (s *signal) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed
}

// err says that the queue is gone, when it is.
func (s *signal) err(name string) error {
	if s.gone() {
		return noQueue(name)
	}
	return nil
}

// await waits for w's turn. It returns false when there is nothing to wait for any more.
func (s *signal) await(ctx context.Context, w *waiter) (more bool, err error) {
	s.mu.Lock()
	if s.ready || s.removed {
		removed := s.removed
		s.mu.Unlock()
		return !removed, nil
	}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.woken:
		return true, nil
	case <-w.over:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.leave(w)
	if err != nil {
		err = &daruma.Error{Kind: daruma.KindExpired, Err: err}
	}
	return false, err
}

// leave takes w out of those who wait. If it was its turn already, it is that of the next.
func (s *signal) leave(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.waiting {
		if o == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
	s.wakeLocked(1)
}

// set notes whether there may be something to receive, or when, and how much, and wakes up to n who wait if so.
func (s *signal) set(ready bool, due int64, visible int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready, s.due, s.visible = ready, due, visible
	if ready {
		s.wakeLocked(max(1, n))
	}
}

// remove ends all waiting.
func (s *signal) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = true
	s.wakeLocked(len(s.waiting))
}

func (s *signal) wakeLocked(n int) {
	n = min(n, len(s.waiting))
	for _, w := range s.waiting[:n] {
		w.woken <- struct{}{} // it has room: who is in the list has not been woken
	}
	s.waiting = s.waiting[n:]
}

func noQueue(name string) error {
	return &daruma.Error{Kind: daruma.KindNotFound, Ref: name, Err: ErrNoQueue}
}

func tooLarge(format string, args ...any) error {
	return &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf(format, args...)}
}
