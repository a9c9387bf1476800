package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/route"
)

// Deliveries is package delivery as a source.
type Deliveries struct {
	d     *delivery.Deliveries
	facts func(t daruma.Target, o daruma.Outcome) route.Facts
	log   HealingLog

	mu     sync.Mutex // guards the rest
	mine   uint64     // leases with lower numbers are somebody else's; 0 before the first Lease
	taken  bool       // none of these is left
	lost   int64      // how many they were
	repair ledger.RepairID
}

// A HealingLog is where repairs are written down: a *ledger.Ledger.
type HealingLog interface {
	Begin(ctx context.Context, r ledger.Repair) (ledger.RepairID, error)
	Complete(ctx context.Context, id ledger.RepairID, outcome string) error
}

// NewDeliveries returns the source of d. facts says what is known of a target
// and of the version that an outcome comes from. That leases of a process that
// is gone are taken back is written into log before it is done.
func NewDeliveries(d *delivery.Deliveries, facts func(t daruma.Target, o daruma.Outcome) route.Facts, log HealingLog) *Deliveries {
	return &Deliveries{d: d, facts: facts, log: log}
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
	if err := s.begin(ctx); err != nil || s.taken {
		return err
	}
	left, err := s.d.Reclaim(ctx, s.mine, n)
	if err != nil || left > 0 {
		return err
	}
	s.taken = true
	return s.log.Complete(ctx, s.repair, fmt.Sprintf("%d events are due again; each has spent an attempt", s.lost))
}

// begin writes down that leases are taken back, before the first is. s.mu is held.
func (s *Deliveries) begin(ctx context.Context) error {
	if s.repair != 0 {
		return nil
	}
	all, _, err := s.d.Accounts(ctx)
	if err != nil {
		return err
	}
	if s.lost = all.Leased; s.lost == 0 {
		s.taken = true
		return nil
	}
	s.repair, err = s.log.Begin(ctx, ledger.Repair{By: "dispatch", What: "take back the leases of a process that is gone", Why: "it ended while it ran events",
		Evidence: fmt.Sprintf("%d events were leased, under numbers below %d, when this process began", s.lost, s.mine), Undo: "nothing: nobody else can settle them any more"})
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
