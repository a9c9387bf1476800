package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/route"
)

// Deliveries is package delivery as a source.
type Deliveries struct {
	d     *delivery.Deliveries
	facts func(t daruma.Target, o daruma.Outcome) route.Facts
	log   HealingLog
	guard *Guard
	heal  *heal.Governor // nil: no function declares what its events depend on

	mu     sync.Mutex // guards the rest
	keys   map[delivery.Held]*once.Entry
	mine   uint64 // leases with lower numbers are somebody else's; 0 before the first Lease
	taken  bool   // none of these is left
	lost   int64  // how many they were
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
	return &Deliveries{d: d, facts: facts, log: log, keys: map[delivery.Held]*once.Entry{}}
}

// Guarded has events of one idempotency key run once.
func (s *Deliveries) Guarded(g *Guard) *Deliveries {
	s.guard = g
	return s
}

// Governed has events of one dependency key run as its breaker and its limiter say.
func (s *Deliveries) Governed(g *heal.Governor) *Deliveries {
	s.heal = g
	return s
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
	var off []delivery.Off
	for _, l := range got.Events {
		runs, err := s.admit(ctx, &l)
		if err != nil {
			return b, s.giveBack(ctx, got.Events, b.Items, err)
		}
		if !runs {
			b.More = true // there is room for others
			continue
		}
		permit, wait := s.permit(&l)
		if wait > 0 {
			s.let(l.Held())
			off = append(off, delivery.Off{Held: l.Held(), After: wait})
			continue
		}
		b.Items = append(b.Items, Item{Number: l.Number, Lease: l.Lease, Invocation: invocation(&l), Alone: ledger.Alone(l.Tried), Permit: permit})
	}
	if len(off) > 0 {
		b.More = true
		if err := s.d.PutOff(ctx, off...); err != nil {
			return b, s.giveBack(ctx, got.Events, b.Items, err)
		}
	}
	return b, nil
}

// permit asks for the permit of an event whose function declares what its events
// depend on; wait is when to ask again, if there is no room.
func (s *Deliveries) permit(l *delivery.Leased) (p heal.Permit, wait time.Duration) {
	if u, keyed := s.heal.UnitOf(l.Target.Function, func() []byte { return l.Payload }); keyed {
		return s.heal.Admit(u)
	}
	return p, 0
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

// admit says whether a leased event runs. One whose key is done is settled with
// what is kept, one whose key runs waits, and one whose key was another event's
// is given up.
func (s *Deliveries) admit(ctx context.Context, l *delivery.Leased) (bool, error) {
	how, entry, is, err := s.guard.ask(ctx, l.Target.Function, func() []byte { return l.Payload })
	if err != nil || how == free {
		return err == nil, err
	}
	r := delivery.Report{Held: delivery.Held{Function: l.Target.Function, Number: l.Number, Lease: l.Lease}, Once: entry, Outcome: daruma.Done.String(), Status: 200, Verdict: delivery.Success}
	var result []byte
	switch how {
	case fresh:
		s.mu.Lock()
		s.keys[r.Held] = entry
		s.mu.Unlock()
		return true, nil
	case answered:
		result = is.Result
	case busy:
		r.Once, r.Verdict, r.Outcome, r.After, r.Message = nil, delivery.Wait, daruma.Held.String(), busyPause, "another event with its idempotency key runs"
	case clashing:
		r.Verdict, r.Outcome, r.Status, r.ErrorType, r.Message = delivery.Never, daruma.Refused.String(), 400, clashType, errClash.Error()
	}
	_, err = s.d.Settle(ctx, r, result)
	return false, err
}

// giveBack gives back what was leased when it is not known what runs.
func (s *Deliveries) giveBack(ctx context.Context, leased []delivery.Leased, items []Item, why error) error {
	for _, i := range items {
		s.let(heldOf(i))
		s.heal.Cancel(i.Permit)
	}
	all := make([]delivery.Held, len(leased))
	for i, l := range leased {
		all[i] = delivery.Held{Function: l.Target.Function, Number: l.Number, Lease: l.Lease}
	}
	return errors.Join(why, s.d.Release(ctx, all...))
}

// let lets the key of an event go, if it has one.
func (s *Deliveries) let(h delivery.Held) {
	s.mu.Lock()
	entry := s.keys[h]
	delete(s.keys, h)
	s.mu.Unlock()
	s.guard.let(entry)
}

// Settle says what came of an event, by the table of package route.
func (s *Deliveries) Settle(ctx context.Context, i Item, o daruma.Outcome, started time.Time) error {
	s.mu.Lock()
	entry := s.keys[heldOf(i)]
	s.mu.Unlock()
	_, err := route.Settle(ctx, s.d, heldOf(i), o, s.facts(i.Invocation.Target, o), started, entry)
	if err == nil || final(err) {
		s.let(heldOf(i))
	}
	return err
}

// Release gives events back that have not been run.
func (s *Deliveries) Release(ctx context.Context, items []Item) error {
	for _, i := range items {
		s.let(heldOf(i))
	}
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
