package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of moves.
const (
	MoveRateMax = 500 // messages a second
	MovesKept   = 10  // of a queue that are remembered
)

const (
	moveEvery    = 100 * time.Millisecond // between two steps of a move, or longer when it is slow
	moveRate     = 500                    // messages a second when nothing else is asked for
	moveBytesMax = 8 << 20
	moveLookMax  = 10_000 // messages one step looks at
)

// What a move can be.
const (
	MoveRunning    = "running"
	MoveDone       = "completed"
	MoveCancelling = "cancelling"
	MoveCancelled  = "cancelled"
	MoveFailed     = "failed"
)

// A Move moves the messages of a dead-letter queue to another queue, or each
// to the queue it is a dead letter of. Moved messages are new ones.
type Move struct {
	Number  int64     `json:"number"` // of its queue's moves
	Queue   string    `json:"queue"`
	To      string    `json:"to,omitempty"`   // "": where they came from
	Rate    int       `json:"rate,omitempty"` // messages a second at most; 0: as fast as is good
	State   string    `json:"state"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Moved   int64     `json:"moved"`
	Count   int64     `json:"count"` // messages there were when it began
	Failure string    `json:"failure,omitempty"`
}

// How moves are written. Version 1 is the first.
func moves() cell.Format[Move] { return cell.Format[Move]{Kind: "move of messages", Version: 1} }

// What a move refuses. Match with errors.Is.
var (
	ErrNoDeadLetters = errors.New("it is no other queue's dead-letter queue")
	ErrMoving        = errors.New("a move of its messages is under way already")
	ErrNoMove        = errors.New("there is no such move under way")
)

type moving struct {
	Queue string `json:"queue"`
	To    string `json:"to,omitempty"`
	Rate  int    `json:"rate,omitempty"`
}

type cancelling struct {
	Queue  string `json:"queue"`
	Number int64  `json:"number"`
}

// Move begins to move the messages of a dead-letter queue.
//
// Errors: KindNotFound ([ErrNoQueue]), KindInvalid ([ErrNoDeadLetters]),
// KindConflict ([ErrMoving]).
func (q *Queues) Move(ctx context.Context, name, to string, rate int) (*Move, error) {
	got, err := q.do(ctx, commandMove, moving{name, to, rate}, false)
	if err != nil {
		return nil, daruma.Wrap("move messages", name, err)
	}
	return got.(*Move), nil
}

// CancelMove ends a move, which keeps what it has moved. KindNotFound ([ErrNoMove]) when it is over.
func (q *Queues) CancelMove(ctx context.Context, name string, number int64) (*Move, error) {
	got, err := q.do(ctx, commandCancel, cancelling{name, number}, false)
	if err != nil {
		return nil, daruma.Wrap("cancel move", name, err)
	}
	return got.(*Move), nil
}

// Moves returns the moves of a queue, the newest first.
func (q *Queues) Moves(ctx context.Context, name string) (list []*Move, err error) {
	err = q.view(ctx, "read moves", name, func(r *cell.Reader) error {
		is := queues().Get(r, queueKey(name))
		if is == nil {
			return noQueue(name)
		}
		for key := range r.ScanBack(cell.Prefix(of(spaceMove, is.ID, 0))) {
			if m := moves().Get(r, key); m != nil {
				list = append(list, m)
			}
		}
		return nil
	})
	return list, err
}

// DeadLetterSources returns the queues whose dead letters a queue takes.
func (q *Queues) DeadLetterSources(name string) (sources []*Queue) {
	for _, is := range q.All() {
		if is.DeadLetter != nil && is.DeadLetter.Queue == name {
			sources = append(sources, is)
		}
	}
	return sources
}

func (w *work) startMove(c moving) (any, error) {
	q, err := w.queue(c.Queue)
	if err != nil {
		return nil, err
	}
	if c.Rate < 0 || c.Rate > MoveRateMax {
		return nil, daruma.InvalidAt(c.Queue, "%d messages a second: from 1 to %d", c.Rate, MoveRateMax)
	}
	is := false
	for _, o := range queues().All(w.tx, cell.Prefix([]byte{spaceQueue})) {
		is = is || o.DeadLetter != nil && o.DeadLetter.Queue == c.Queue
	}
	if !is {
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Err: ErrNoDeadLetters}
	}
	if q.moving != never {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Err: ErrMoving}
	}
	if c.To != "" {
		to, err := w.queue(c.To)
		if err != nil {
			return nil, err
		}
		if to.is.FIFO != q.is.FIFO || to == q {
			return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: c.To, Err: ErrDeadLetterKind}
		}
	}
	q.changed = true
	q.moves++
	q.moving = w.now
	m := &Move{Number: q.moves, Queue: c.Queue, To: c.To, Rate: c.Rate, State: MoveRunning, Started: w.tx.Now(), Count: q.Visible + q.Delayed}
	moves().Put(w.tx, at(spaceMove, q.is.ID, uint64(m.Number)), m)
	if m.Number > MovesKept {
		w.tx.Delete(at(spaceMove, q.is.ID, uint64(m.Number-MovesKept)))
	}
	return m, nil
}

func (w *work) cancelMove(c cancelling) (any, error) {
	q, err := w.queue(c.Queue)
	if err != nil {
		return nil, err
	}
	m := moves().Get(w.tx, at(spaceMove, q.is.ID, uint64(c.Number)))
	if m == nil || m.State != MoveRunning {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Err: ErrNoMove}
	}
	w.endMove(q, m, MoveCancelled, "")
	return m, nil
}

func (w *work) endMove(q *live, m *Move, state, why string) {
	q.changed, q.moving = true, never
	m.State, m.Ended, m.Failure = state, w.tx.Now(), why
	moves().Put(w.tx, at(spaceMove, q.is.ID, uint64(m.Number)), m)
}

// moveSome goes on with the move of a queue, if one is due.
func (w *work) moveSome(q *live) error {
	if q.moving > w.now {
		return nil
	}
	m := moves().Get(w.tx, at(spaceMove, q.is.ID, uint64(q.moves)))
	if m == nil || m.State != MoveRunning {
		q.changed, q.moving = true, never
		return nil
	}
	rate := m.Rate
	if rate == 0 {
		rate = moveRate
	}
	n, pause := rate*int(moveEvery)/int(time.Second), int64(moveEvery)
	if n < 1 {
		n, pause = 1, int64(time.Second)/int64(rate)
	}
	bytes, looked := 0, 0
	for key, raw := range w.tx.Scan(cell.Range{Lower: at(spaceMessage, q.is.ID, uint64(q.oldest)), Upper: cell.Prefix(of(spaceMessage, q.is.ID, 0)).Upper}) {
		if looked++; n == 0 || bytes > moveBytesMax || looked > moveLookMax || q.Visible == 0 {
			break
		}
		size, why, err := w.moveOne(q, m, int64(last(key)), raw)
		if err != nil {
			return err
		}
		if why != "" {
			w.endMove(q, m, MoveFailed, why)
			return nil
		}
		if size > 0 {
			bytes += size
			n--
		}
	}
	if q.Visible == 0 {
		w.endMove(q, m, MoveDone, "")
		return nil
	}
	q.changed, q.moving = true, w.now+pause
	moves().Put(w.tx, at(spaceMove, q.is.ID, uint64(m.Number)), m)
	return nil
}

// moveOne moves one message if it is visible, and returns its size. why says what keeps it from being moved.
func (w *work) moveOne(q *live, m *Move, n int64, raw []byte) (size int, why string, err error) {
	r, err := decodeRecord(raw)
	if err != nil {
		return 0, "", err
	}
	s, err := w.state(q, n)
	if err != nil {
		return 0, "", err
	}
	fresh := s == nil
	if fresh {
		s = r.state()
	}
	if s.due != 0 {
		return 0, "", nil
	}
	name := m.To
	if name == "" {
		name = r.from
	}
	if name == "" {
		return 0, "it is not known where the message " + r.id.String() + " came from", nil
	}
	to, err := w.queue(name)
	switch {
	case errors.Is(err, ErrNoQueue):
		return 0, "the queue " + name + " is gone", nil
	case err != nil:
		return 0, "", err
	case to.is.FIFO != q.is.FIFO || to == q || r.size > to.is.bytesMax():
		return 0, "the queue " + name + " does not take the message " + r.id.String(), nil
	}
	if err := w.withdraw(q, n, s, fresh); err != nil {
		return 0, "", err
	}
	q.Moved++
	w.drop(q, n, s)
	m.Moved++
	if r.failure != 0 {
		_, _, _, err := ledger.Redrive(w.tx, ledger.ID(r.failure))
		if k := daruma.KindOf(err); err != nil && k != daruma.KindNotFound && k != daruma.KindConflict { // dropped, or resolved by a person
			return 0, "", err
		}
	}
	moved := &record{sent: w.now, failure: r.failure, id: w.newID(), group: r.group, once: r.once, size: r.size}
	moved.rest = append(append(make([]byte, 0, len(r.rest)), moved.id[:]...), r.rest[len(moved.id):]...)
	_, err = w.enqueue(to, moved, 0)
	return r.size + 1, "", err
}

// newID returns a random ID, the same in every replay.
func (w *work) newID() (id ID) {
	r := w.tx.Random()
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id.stamped()
}
