package dispatch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/route"
)

// Deliveries is package delivery as a source.
type Deliveries struct {
	d     *delivery.Deliveries
	facts func(t daruma.Target, o daruma.Outcome) route.Facts

	mu    sync.Mutex // guards the rest
	mine  uint64     // leases with lower numbers are somebody else's; 0 before the first Lease
	taken bool       // none of these is left
}

// NewDeliveries returns the source of d. facts says what is known of a target
// and of the version that an outcome comes from.
func NewDeliveries(d *delivery.Deliveries, facts func(t daruma.Target, o daruma.Outcome) route.Facts) *Deliveries {
	return &Deliveries{d: d, facts: facts}
}

// Lease takes events that are due. What was leased before this source began is
// taken back first, no more of it at once than is asked for.
func (s *Deliveries) Lease(ctx context.Context, w Want) (Batch, error) {
	if err := s.recover(ctx, w.N); err != nil {
		return Batch{}, err
	}
	got, err := s.d.Lease(ctx, delivery.Want{N: w.N, For: w.For, Each: w.Each, Limits: w.Limits})
	if err != nil {
		return Batch{}, err
	}
	b := Batch{More: got.More || !s.recovered(), Next: got.Next}
	for _, l := range got.Events {
		b.Items = append(b.Items, Item{Number: l.Number, Lease: l.Lease, Invocation: invocation(&l)})
	}
	return b, nil
}

// invocation is the next attempt of a leased event. It has waited since the attempt before.
func invocation(l *delivery.Leased) daruma.Invocation {
	inv := daruma.Invocation{ID: l.Request, Target: l.Target, Payload: l.Payload, At: l.Accepted, Trace: l.Trace, Source: l.Source, Attempt: l.Attempts + 1}
	if n := len(l.Tried); n > 0 {
		inv.Since = l.Tried[n-1].At.Add(l.Tried[n-1].Duration)
	}
	if l.From != 0 {
		inv.From = l.From.String()
	}
	return inv
}

// recover takes back what others had leased.
func (s *Deliveries) recover(ctx context.Context, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mine == 0 {
		mine, err := s.d.Begin(ctx)
		if err != nil {
			return err
		}
		s.mine = mine
	}
	if s.taken || n == 0 {
		return nil
	}
	left, err := s.d.Reclaim(ctx, s.mine, n)
	s.taken = err == nil && left == 0
	return err
}

func (s *Deliveries) recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// Extend has leases last longer.
func (s *Deliveries) Extend(ctx context.Context, by time.Duration, items []Item) ([]Item, error) {
	var lost []delivery.Held
	for some := range slices.Chunk(held(items), delivery.LeaseMax) {
		l, err := s.d.Extend(ctx, by, some...)
		if err != nil {
			return nil, err
		}
		lost = append(lost, l...)
	}
	var gone []Item
	for _, h := range lost {
		for _, i := range items {
			if heldOf(i) == h {
				gone = append(gone, i)
			}
		}
	}
	return gone, nil
}

// Settle says what came of an event, by the table of package route.
func (s *Deliveries) Settle(ctx context.Context, i Item, o daruma.Outcome, started time.Time) error {
	_, err := route.Settle(ctx, s.d, heldOf(i), o, s.facts(i.Invocation.Target, o), started)
	return err
}

// Release gives events back that have not been run.
func (s *Deliveries) Release(ctx context.Context, items []Item) error {
	for some := range slices.Chunk(held(items), delivery.LeaseMax) {
		if err := s.d.Release(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}

// Wake holds a token when an event may have become due.
func (s *Deliveries) Wake() <-chan struct{} { return s.d.Wake() }

func heldOf(i Item) delivery.Held {
	return delivery.Held{Function: i.Invocation.Target.Function, Number: i.Number, Lease: i.Lease}
}

func held(items []Item) []delivery.Held {
	all := make([]delivery.Held, len(items))
	for n, i := range items {
		all[n] = heldOf(i)
	}
	return all
}
