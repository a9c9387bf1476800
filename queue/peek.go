package queue

import (
	"context"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// PeekMax is how many messages one look returns.
const PeekMax = 1_000

// States of a message.
const (
	StateVisible  = "visible"
	StateDelayed  = "delayed"
	StateInFlight = "in flight"
)

// A Peeked is a message as it lies in its queue.
type Peeked struct {
	Received
	State string
	Tried string // of the last try the platform knows of, in words
}

// Peek returns up to n messages with numbers above after, in the order in which
// they were taken, and touches nothing: no receive is counted.
func (q *Queues) Peek(ctx context.Context, name string, after uint64, n int) (list []Peeked, err error) {
	err = q.view(ctx, "peek", name, func(r *cell.Reader) error {
		is := queues().Get(r, queueKey(name))
		if is == nil {
			return noQueue(name)
		}
		return each(r, is, after, func(n2 int64, rec *record, s *state) (bool, error) {
			m, err := rec.message()
			if err != nil {
				return false, err
			}
			p := Peeked{State: StateVisible, Received: Received{Message: m, Held: Held{Number: uint64(n2), Lease: s.lease}, Sent: moment(rec.sent), Count: s.count, From: rec.from}}
			if s.first != 0 {
				p.First = moment(s.first)
			}
			switch {
			case s.is(flagInFlight):
				p.State, p.Until = StateInFlight, moment(s.due)
			case s.is(flagDelayed):
				p.State, p.Until = StateDelayed, moment(s.due)
			}
			if k := len(s.tries.Each); k > 0 {
				p.Tried = s.tries.Each[k-1].ErrorType + ": " + s.tries.Each[k-1].Message
			}
			list = append(list, p)
			return len(list) < min(max(n, 1), PeekMax), nil
		})
	})
	return list, err
}

// each has f look at messages with numbers above after until it returns false.
func each(r *cell.Reader, is *Queue, after uint64, f func(n int64, rec *record, s *state) (bool, error)) error {
	b, err := readBook(r, is.ID)
	if err != nil {
		return err
	}
	for key, raw := range r.Scan(cell.Range{Lower: at(spaceMessage, is.ID, max(after+1, uint64(b.oldest))), Upper: cell.Prefix(of(spaceMessage, is.ID, 0)).Upper}) {
		rec, err := decodeRecord(raw)
		if err != nil {
			return err
		}
		n := int64(last(key))
		s := rec.state()
		if raw, ok := r.Get(at(spaceState, is.ID, uint64(n))); ok {
			if s, err = decodeState(raw); err != nil {
				return err
			}
		}
		if more, err := f(n, rec, s); err != nil || !more {
			return err
		}
	}
	return nil
}

// Ages is how long messages have waited.
type Ages struct {
	Untried time.Time // when the oldest message was sent that was never received; zero: there is none
	Tried   time.Time // when the oldest one was sent that was
}

// Ages says how long the oldest messages have waited, as far as can be told
// from the first thousand.
func (q *Queues) Ages(ctx context.Context, name string) (a Ages, err error) {
	err = q.view(ctx, "read ages", name, func(r *cell.Reader) error {
		is := queues().Get(r, queueKey(name))
		if is == nil {
			return noQueue(name)
		}
		looked := 0
		return each(r, is, 0, func(_ int64, rec *record, s *state) (bool, error) {
			looked++
			at := &a.Untried
			if s.count > rec.count {
				at = &a.Tried
			}
			if sent := moment(rec.sent); at.IsZero() || sent.Before(*at) {
				*at = sent
			}
			return looked < PeekMax && (a.Untried.IsZero() || a.Tried.IsZero()), nil
		})
	})
	return a, err
}

// Oldest returns when the oldest message of a queue was sent, the zero time when there is none.
func (q *Queues) Oldest(ctx context.Context, name string) (at time.Time, err error) {
	err = q.view(ctx, "read the oldest message", name, func(r *cell.Reader) error {
		is := queues().Get(r, queueKey(name))
		if is == nil {
			return noQueue(name)
		}
		return each(r, is, 0, func(_ int64, rec *record, _ *state) (bool, error) {
			at = moment(rec.sent)
			return false, nil
		})
	})
	return at, err
}
