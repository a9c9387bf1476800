package queue

import (
	"context"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	expireMax = 64  // messages one step lets expire
	lookMax   = 256 // messages one step looks at for that
)

// expireSome removes messages that are older than they are kept: those that
// are older than their numbers tell first, then by number. What is in flight
// stays until it is visible again.
func (w *work) expireSome(q *live) error {
	if q.expires > w.now {
		return nil
	}
	q.changed = true
	keep, done := int64(q.is.keep()), 0
	next := int64(never)
	for key := range w.tx.Scan(cell.Prefix(of(spaceSent, q.is.ID, 0))) {
		if t := timeIn(key) + keep; t > w.now || done == expireMax {
			next = t
			break
		}
		done++
		again, err := w.expire(q, int64(last(key)))
		if err != nil {
			return err
		}
		next = min(next, again)
	}
	looked := 0
	for key, raw := range w.tx.Scan(cell.Range{Lower: at(spaceMessage, q.is.ID, uint64(q.oldest)), Upper: cell.Prefix(of(spaceMessage, q.is.ID, 0)).Upper}) {
		n := int64(last(key))
		if looked == 0 {
			q.oldest = n
		}
		r, err := decodeRecord(raw)
		if err != nil {
			return err
		}
		t := r.sent + keep
		if t <= w.now && looked == lookMax && done == 0 {
			t = w.now + int64(time.Second) // all of these are in flight
		}
		if t > w.now || looked == lookMax || done == expireMax {
			next = min(next, t)
			break
		}
		looked++
		if r.indexed {
			continue
		}
		again, err := w.expire(q, n)
		if err != nil {
			return err
		}
		if again == never {
			done++
		}
		next = min(next, again)
	}
	q.expires = next
	return nil
}

// expire removes one message, or says when to look at it again.
func (w *work) expire(q *live, n int64) (again int64, err error) {
	r, err := w.record(q, n)
	if err != nil || r == nil {
		return never, err
	}
	s, err := w.state(q, n)
	if err != nil {
		return 0, err
	}
	fresh := s == nil
	if fresh {
		s = r.state()
	}
	if s.is(flagInFlight) {
		return max(s.due, w.now+int64(time.Second)), nil
	}
	if err := w.withdraw(q, n, s, fresh); err != nil {
		return 0, err
	}
	q.Expired++
	w.drop(q, n, s)
	return never, nil
}

// Purge removes all messages of a queue, those in flight too, forgets what was
// sent, and says how many there were. Failures of dead letters stay open in the ledger, which has their events.
// KindThrottled ([ErrPurged]) when it was done less than a minute ago.
func (q *Queues) Purge(ctx context.Context, name string) (messages int64, err error) {
	got, err := q.do(ctx, commandPurge, named{name}, true)
	if err != nil {
		return 0, daruma.Wrap("purge", name, err)
	}
	return got.(int64), nil
}

func (w *work) purge(c named) (any, error) {
	q, err := w.queue(c.Name)
	if err != nil {
		return nil, err
	}
	if q.purged != 0 && w.now < q.purged+int64(purgeEvery) {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Err: ErrPurged}
	}
	for i := range len(content) {
		w.tx.DeleteRange(cell.Prefix(of(content[i], q.is.ID, 0)))
	}
	all := q.Messages()
	q.changed = true
	q.Purged += all
	q.Visible, q.Delayed, q.InFlight, q.Bytes = 0, 0, 0, 0
	q.plain, q.ring, q.head, q.end, q.oldest = 0, 0, q.Sent+1, never, q.Sent+1
	q.due, q.expires, q.forget, q.purged = never, never, never, w.now
	return all, nil
}
