package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

// Delete removes messages whose handles are given. Each has an error of its
// own, or none: KindInvalid ([ErrHandle]) for a handle that was not made here,
// and KindConflict ([ErrStale]) in a FIFO queue for one whose time is over. In
// other queues such a handle deletes nothing and is no error, nor is one of a
// message that is gone. It returns err when nothing has happened at all.
func (q *Queues) Delete(ctx context.Context, name string, handles ...string) (each []error, err error) {
	return q.handled(ctx, name, commandDelete, handles, func(int) uint64 { return 0 })
}

// Hide has messages be visible again after a time from now, at once when it is
// 0. Each has an error of its own: those of [Queues.Delete], KindConflict
// ([ErrNotInFlight]) when the message is visible, KindNotFound when it is gone, and KindInvalid
// when it would be hidden for more than [HideMax] in all.
func (q *Queues) Hide(ctx context.Context, name string, hides ...Hiding) (each []error, err error) {
	handles := make([]string, len(hides))
	for i, h := range hides {
		if h.For < 0 || h.For > HideMax {
			return nil, daruma.Wrap("hide", name, daruma.InvalidAt(name, "messages hidden for %v: up to %v", h.For, HideMax))
		}
		handles[i] = h.Handle
	}
	return q.handled(ctx, name, commandHide, handles, func(i int) uint64 { return uint64(hides[i].For) })
}

// A Hiding is how long a message is hidden from now.
type Hiding struct {
	Handle string
	For    time.Duration
}

// handled has a command applied to leases that are named by handles.
func (q *Queues) handled(ctx context.Context, name, command string, handles []string, number func(int) uint64) (each []error, err error) {
	is := q.Queue(name)
	if is == nil {
		return nil, daruma.Wrap(command, name, noQueue(name))
	}
	if len(handles) > SettleMax {
		return nil, daruma.Wrap(command, name, daruma.InvalidAt(name, "%d handles: up to %d", len(handles), SettleMax))
	}
	each = make([]error, len(handles))
	body := cell.AppendText(make([]byte, 0, len(name)+2+len(handles)*16), name)
	var asked []int
	for i, h := range handles {
		held, err := q.seal.open(is.ID, h)
		if err != nil {
			each[i] = err
			continue
		}
		asked = append(asked, i)
		body = appendNumber(appendNumber(appendNumber(body, held.Number), held.Lease), number(i))
	}
	if len(asked) == 0 {
		return each, nil
	}
	got, err := q.cell.Do(ctx, cell.Command{Machine: machineName, Name: command, Body: body, Frees: true})
	if err != nil {
		return nil, daruma.Wrap(command, name, err)
	}
	for k, err := range got.([]error) {
		each[asked[k]] = err
	}
	return each, nil
}

var (
	errStale       = &daruma.Error{Kind: daruma.KindConflict, Err: ErrStale}
	errNotInFlight = &daruma.Error{Kind: daruma.KindConflict, Err: ErrNotInFlight}
	errGone        = &daruma.Error{Kind: daruma.KindNotFound, Err: fmt.Errorf("the message is gone")}
	errNoDelay     = errors.New("a message that is put aside needs a delay")
	errTooLong     = daruma.Invalidf("a message is hidden for up to %v after it was received", HideMax)
)

// eachHeld applies f to the leases a command names.
func (w *work) eachHeld(body []byte, f func(q *live, n int64, lease uint64, number int64) error) (any, error) {
	c := reading(body)
	q, err := w.queue(c.Text())
	if err != nil {
		return nil, err
	}
	if err := w.promote(q); err != nil {
		return nil, err
	}
	var each []error
	for len(c.Rest) > 0 || c.Err != nil {
		n, lease, number := int64(c.Number()), c.Number(), c.Signed()
		if c.Err != nil {
			return nil, daruma.InvalidAt(q.is.Name, "a lease is cut short")
		}
		err := f(q, n, lease, number)
		if k := daruma.KindOf(err); err != nil && (k == daruma.KindCorrupt || k == daruma.KindUnsupported || k == daruma.KindInternal) {
			return nil, err
		}
		each = append(each, err)
	}
	return each, nil
}

func (w *work) delete(body []byte) (any, error) {
	return w.eachHeld(body, func(q *live, n int64, lease uint64, _ int64) error {
		s, err := w.stateHere(q, n)
		if err != nil || s == nil {
			return err // it is gone, as it should be
		}
		if s.lease != lease || q.is.FIFO && !s.is(flagInFlight) {
			if q.is.FIFO {
				return errStale
			}
			return nil
		}
		return w.deleteOne(q, n, s)
	})
}

// stateHere returns the state of a message, or nil when it is gone.
func (w *work) stateHere(q *live, n int64) (*state, error) {
	s, err := w.state(q, n)
	if s != nil || err != nil {
		return s, err
	}
	if _, ok := w.tx.Get(at(spaceMessage, q.is.ID, uint64(n))); ok {
		return &state{}, nil // it is as if nobody had received it
	}
	return nil, nil
}

// deleteOne ends a message that is done.
func (w *work) deleteOne(q *live, n int64, s *state) error {
	if err := w.withdraw(q, n, s, false); err != nil {
		return err
	}
	q.Deleted++
	w.drop(q, n, s)
	if s.failure == 0 {
		return nil
	}
	return ledger.Resolve(w.tx, ledger.ID(s.failure), "its message was taken out of the queue "+q.is.Name+" and deleted")
}

func (w *work) hide(body []byte) (any, error) {
	return w.eachHeld(body, func(q *live, n int64, lease uint64, number int64) error {
		s, err := w.stateHere(q, n)
		switch {
		case err != nil:
			return err
		case s == nil:
			return errGone
		case s.lease != lease && q.is.FIFO:
			return errStale
		case s.lease != lease || !s.is(flagInFlight):
			return errNotInFlight
		case w.now+number > s.taken+int64(HideMax):
			return errTooLong
		}
		return w.giveBack(q, n, s, number)
	})
}

// giveBack has a message that is in flight be visible again after some time.
func (w *work) giveBack(q *live, n int64, s *state, after int64) error {
	q.changed = true
	if after <= 0 {
		q.Returned++
		return w.reveal(q, n, s)
	}
	w.tx.Delete(timed(spaceDue, q.is.ID, s.due, uint64(n)))
	w.conceal(q, n, s, w.now+after)
	return nil
}

// Do is what is done with a message that the platform holds.
type Do string

// The ways to settle a lease.
const (
	Done    Do = "done"    // it is deleted
	Return  Do = "return"  // it is visible again after a time; the receive counts
	Release Do = "release" // it could not be tried: it is visible again after a time, and the receive does not count
	Delay   Do = "delay"   // as Release, and it is delayed meanwhile, as a message that was sent so
	Bury    Do = "bury"    // it is given up: to the dead-letter queue if there is one, and to the ledger
	Extend  Do = "extend"  // it is held for a time from now
)

// A Settlement says what is done with one message.
type Settlement struct {
	Held
	Do     Do            `json:"do"`
	After  time.Duration `json:"afterNs,omitempty"` // of Return, Release, Extend and Delay
	Report *Report       `json:"report,omitempty"`  // of Return and Bury: what is known of the try
	Once   *once.Entry   `json:"once,omitempty"`    // of Done and Bury: the message's idempotency key, which is kept or counted in the same step
}

// A Report is what is known of a try that failed, for the ledger.
type Report struct {
	ledger.Attempt
	Function   string            `json:"function,omitempty"` // which tried it
	Qualifier  string            `json:"qualifier,omitempty"`
	CodeSHA256 string            `json:"codeSha256,omitempty"`
	Revision   string            `json:"revision,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Sensitive  []string          `json:"sensitive,omitempty"` // JSON paths in the body that are not kept
	Correlate  []string          `json:"correlate,omitempty"` // JSON paths in the body to find it by
	Stack      []string          `json:"stack,omitempty"`
	Location   ledger.Location   `json:"location,omitzero"`
	Log        []string          `json:"log,omitempty"`
	Condition  string            `json:"condition,omitempty"` // why it is given up
	Recording  string            `json:"recording,omitempty"` // of its exchanges with hosts outside
}

// A Settled says what a settlement led to. Err is KindConflict ([ErrStale])
// when the lease was not held any more: nothing has happened then.
type Settled struct {
	Err     error
	Failure ledger.ID // of a buried message: its record
}

type settlements struct {
	Queue string       `json:"queue"`
	Each  []Settlement `json:"each"`
}

// Settle says what became of messages the platform holds, in one atomic step.
// A lease that is over leaves the others alone.
func (q *Queues) Settle(ctx context.Context, name string, each ...Settlement) ([]Settled, error) {
	if len(each) > SettleMax {
		return nil, daruma.Wrap("settle", name, daruma.InvalidAt(name, "%d messages: up to %d", len(each), SettleMax))
	}
	got, err := q.do(ctx, commandSettle, settlements{name, each}, true)
	if err != nil {
		return nil, daruma.Wrap("settle", name, err)
	}
	return got.([]Settled), nil
}

func (w *work) settle(all settlements) (any, error) {
	q, err := w.queue(all.Queue)
	if err != nil {
		return nil, err
	}
	if err := w.promote(q); err != nil {
		return nil, err
	}
	settled := make([]Settled, 0, len(all.Each))
	for i := range all.Each {
		is := &all.Each[i]
		s, err := w.state(q, int64(is.Number))
		if err != nil {
			return nil, err
		}
		if s == nil || s.lease != is.Lease || !s.is(flagInFlight) {
			settled = append(settled, Settled{Err: errStale})
			continue
		}
		id, err := w.settleOne(q, is, s)
		if err != nil {
			return nil, err
		}
		settled = append(settled, Settled{Failure: id})
	}
	return settled, nil
}

func (w *work) settleOne(q *live, is *Settlement, s *state) (ledger.ID, error) {
	n := int64(is.Number)
	if is.After < 0 || is.After > HideMax {
		return 0, daruma.InvalidAt(q.is.Name, "a message hidden for %v: up to %v", is.After, HideMax)
	}
	s.note(is.Report)
	if is.Once != nil {
		if err := once.Keep(w.tx, nil, *is.Once); err != nil {
			return 0, err
		}
	}
	switch is.Do {
	case Done:
		return 0, w.deleteOne(q, n, s)
	case Return:
		s.lease = 0 // nobody holds it any more
		return 0, w.giveBack(q, n, s, int64(is.After))
	case Release:
		s.lease = 0
		w.unspend(q, s)
		return 0, w.giveBack(q, n, s, int64(is.After))
	case Delay:
		s.lease = 0
		w.unspend(q, s)
		return 0, w.putAside(q, n, s, int64(is.After))
	case Extend:
		return 0, w.giveBack(q, n, s, max(1, int64(is.After)))
	case Bury:
		return w.bury(q, n, s, is.Report)
	}
	return 0, daruma.InvalidAt(q.is.Name, "%q is no way to settle a message", is.Do)
}

// unspend takes a receive back.
func (w *work) unspend(q *live, s *state) {
	s.count--
	q.Received--
	q.Released++
	if s.count == 0 {
		s.first = 0
	}
}

// Of what is known of a try, a message that waits for the next one carries this much.
const (
	stackBytesMax = 4 << 10
	logBytesMax   = 4 << 10
	logLinesMax   = 50
)

// note keeps what is known of a try.
func (s *state) note(r *Report) {
	if r == nil {
		return
	}
	a := r.Attempt
	a.At, a.Environment, a.Version = a.At.UTC(), ledger.Cut(a.Environment, 128), ledger.Cut(a.Version, 128)
	a.ErrorType, a.Message = ledger.Cut(a.ErrorType, 256), ledger.Cut(a.Message, 512)
	s.tries.Function = ledger.Cut(r.Function, 256)
	last := *r
	last.Attempt, last.Function = ledger.Attempt{Message: ledger.Cut(r.Message, ledger.MessageBytesMax)}, ""
	last.Stack, last.Log = ledger.Head(r.Stack, stackBytesMax), ledger.Tail(r.Log, logLinesMax, logBytesMax)
	s.tries.Last = &last
	s.tries.Each = append(s.tries.Each, a)
	if n := len(s.tries.Each); n > ledger.AttemptsMax {
		s.tries.Each = append(s.tries.Each[:1], s.tries.Each[n-ledger.AttemptsMax+1:]...)
	}
}

type reclamation struct {
	Queue string `json:"queue"`
	Spend bool   `json:"spend,omitempty"`
	N     int    `json:"n"`
}

// Reclaim takes up to n messages back that the platform itself holds: its
// part that held them is gone, as after a restart. They are visible at once.
// spend says whether they may have been tried, so that the receive counts. It
// returns whether there may be more.
func (q *Queues) Reclaim(ctx context.Context, name string, n int, spend bool) (more bool, err error) {
	got, err := q.do(ctx, commandReclaim, reclamation{name, spend, min(n, SettleMax)}, true)
	if err != nil {
		return false, daruma.Wrap("reclaim", name, err)
	}
	return got.(bool), nil
}

func (w *work) reclaim(r reclamation) (any, error) {
	q, err := w.queue(r.Queue)
	if err != nil {
		return nil, err
	}
	type lost struct {
		n int64
		s *state
	}
	var all []lost
	more := false
	for key := range w.tx.Scan(cell.Prefix(of(spaceDue, q.is.ID, 0))) {
		n := int64(last(key))
		s, err := w.state(q, n)
		if err != nil {
			return nil, err
		}
		if s == nil || !s.is(flagInternal) || s.lease == 0 {
			continue
		}
		if len(all) == r.N {
			more = true
			break
		}
		all = append(all, lost{n, s})
	}
	for _, l := range all {
		l.s.lease = 0
		if !r.Spend {
			w.unspend(q, l.s)
		}
		if err := w.giveBack(q, l.n, l.s, 0); err != nil {
			return nil, err
		}
	}
	return more, nil
}

func throttled(name string) error {
	return &daruma.Error{Kind: daruma.KindThrottled, Ref: name, Err: ErrInFlight}
}
