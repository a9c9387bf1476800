package queue

import (
	"context"

	"github.com/daruma-io/daruma"
)

// A message that is put aside (Delay) is as if it had been sent with a delay,
// and never received: nobody may receive it until its time has come, or until
// it is shown. In a FIFO queue those behind it in its group wait for it.

// Show makes messages visible that are delayed, by their numbers, and says how
// many there were. The others are left alone.
//
// Errors: KindNotFound ([ErrNoQueue]), KindInvalid, and those of the cell.
func (q *Queues) Show(ctx context.Context, name string, numbers ...uint64) (shown int, err error) {
	if len(numbers) > SettleMax {
		return 0, daruma.Wrap("show", name, daruma.InvalidAt(name, "%d messages: up to %d", len(numbers), SettleMax))
	}
	got, err := q.do(ctx, commandShow, showing{name, numbers}, true)
	if err != nil {
		return 0, daruma.Wrap("show", name, err)
	}
	return got.(int), nil
}

type showing struct {
	Queue   string   `json:"queue"`
	Numbers []uint64 `json:"numbers"`
}

func (w *work) show(c showing) (any, error) {
	q, err := w.queue(c.Queue)
	if err != nil {
		return nil, err
	}
	if err := w.promote(q); err != nil {
		return nil, err
	}
	shown := 0
	for _, n := range c.Numbers {
		s, err := w.state(q, int64(n))
		if err != nil {
			return nil, err
		}
		if s == nil || !s.is(flagDelayed) {
			continue
		}
		shown++
		if err := w.reveal(q, int64(n), s); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// putAside has a message that is in flight be delayed, as if it had been sent so.
func (w *work) putAside(q *live, n int64, s *state, after int64) error {
	if after <= 0 {
		return &daruma.Error{Kind: daruma.KindInvalid, Ref: q.is.Name, Err: errNoDelay}
	}
	q.changed = true
	w.tx.Delete(timed(spaceDue, q.is.ID, s.due, uint64(n)))
	s.flags = flagDelayed
	w.conceal(q, n, s, w.now+after)
	q.InFlight--
	q.Delayed++
	if !q.is.FIFO {
		return nil
	}
	l, err := w.line(q, s.group)
	if err != nil {
		return err
	}
	l.hidden--
	w.put(q, s.group, l)
	return nil
}
