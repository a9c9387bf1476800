package cell

import (
	"context"
	"errors"
	"sync"

	"github.com/daruma-io/daruma"
)

// A request is a command on its way through the cell.
type request struct {
	cmd    Command
	own    bool        // the cell's own: never waits for room
	answer chan answer // takes one answer without a reader
	taken  bool        // no longer in the queue; guarded by intake.mu
}

// An answer is what came of a command.
type answer struct {
	value any
	err   error
}

// intake is the bounded queue of commands that wait to be applied.
type intake struct {
	mu     sync.Mutex
	queue  []*request
	bytes  int
	closed bool
	some   chan struct{} // holds a token when there is something to take, or nothing will ever come
	room   chan struct{} // closed when there is room again; nil when nobody waits for it
}

func newIntake() *intake { return &intake{some: make(chan struct{}, 1)} }

// put queues r, once there is room.
func (q *intake) put(ctx context.Context, r *request) error {
	for {
		q.mu.Lock()
		switch {
		case q.closed:
			q.mu.Unlock()
			return refuse(daruma.KindUnavailable, r.cmd, errors.New("the cell is closed"))
		case r.own || len(q.queue) < QueueMax && (q.bytes == 0 || q.bytes+len(r.cmd.Body) <= QueueBytesMax):
			q.queue = append(q.queue, r)
			q.bytes += len(r.cmd.Body)
			q.mu.Unlock()
			q.wake()
			return nil
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return refuse(daruma.KindThrottled, r.cmd, errors.New("too many commands are waiting"))
		}
	}
}

// take waits for requests and takes as many as one entry holds, in order. It
// returns nil when the queue is closed.
func (q *intake) take() []*request {
	for range q.some {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return nil
		}
		n, bytes := 0, 0
		for n < len(q.queue) && n < entryCommandsMax {
			if bytes += len(q.queue[n].cmd.Body); n > 0 && bytes > entryBodiesMax {
				break
			}
			q.queue[n].taken = true
			q.bytes -= len(q.queue[n].cmd.Body)
			n++
		}
		taken := q.queue[:n:n]
		q.queue = q.queue[n:]
		left := len(q.queue) > 0
		q.makeRoomLocked()
		q.mu.Unlock()
		if left {
			q.wake()
		}
		if n > 0 {
			return taken
		}
	}
	return nil
}

// withdraw takes r out of the queue, and returns false when it is no longer in it.
func (q *intake) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.taken {
		return false
	}
	for i := range q.queue {
		if q.queue[i] == r {
			q.queue = append(q.queue[:i:i], q.queue[i+1:]...)
			q.bytes -= len(r.cmd.Body)
			r.taken = true
			q.makeRoomLocked()
			return true
		}
	}
	return false
}

// close refuses what waits and what is yet to come.
func (q *intake) close() {
	q.mu.Lock()
	q.closed = true
	left := q.queue
	q.queue, q.bytes = nil, 0
	for _, r := range left {
		r.taken = true
	}
	q.makeRoomLocked()
	q.mu.Unlock()
	q.wake()
	for _, r := range left {
		r.answer <- answer{err: refuse(daruma.KindUnavailable, r.cmd, errors.New("the cell is closed"))}
	}
}

// len is how many requests wait.
func (q *intake) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

func (q *intake) wake() {
	select {
	case q.some <- struct{}{}:
	default:
	}
}

func (q *intake) makeRoomLocked() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}
