package heal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

const learnMax = 1000 // limits that are kept in one step

// A Status is what is known of one unit: a function, or one key of it.
type Status struct {
	Function   string          `json:"function"`
	Key        string          `json:"key,omitempty"`
	State      State           `json:"state"`
	Force      hold.Force      `json:"force,omitempty"`
	Reason     string          `json:"reason,omitempty"` // of Force
	Since      time.Time       `json:"since,omitzero"`   // of the hold
	Why        string          `json:"why,omitempty"`
	Dependency string          `json:"dependency,omitempty"` // what it cannot reach
	Repair     ledger.RepairID `json:"repair,omitempty"`
	Next       time.Time       `json:"next,omitzero"` // when one event is tried next
	Probes     int             `json:"probes,omitempty"`
	Running    int             `json:"running"` // events of queues and for later; not calls
	Limit      int             `json:"limit"`   // of these at once; of a function with keys: of all of them
	Most       int             `json:"most"`
	Good       int64           `json:"good"` // since the platform was started
	Bad        int64           `json:"bad"`
	InDoubt    int             `json:"inDoubt,omitempty"`
}

// Held says whether nothing of the unit is handed out but probes.
func (s Status) Held() bool { return s.State != Closed }

// Statuses returns what is known of every function that ever ran here or is
// forced, by name, each with those of its keys that are not idle.
func (g *Governor) Statuses() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	list := []Status{}
	for _, f := range g.valves {
		for v := range f.all() {
			if v == f || !v.idle() {
				list = append(list, g.status(v, now))
			}
		}
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Key, b.Key))
	})
	return list
}

func (g *Governor) status(v *valve, now time.Time) Status {
	n, next := g.allows(v, now)
	if v.of != nil {
		n = v.limiter.Limit()
		if tries, at := v.breaker.Allows(now); tries < n {
			n, next = tries, at
		}
	}
	s := Status{Function: v.Function, Key: v.Key, State: v.breaker.State(), Force: v.force, Reason: v.reason, Since: v.since, Why: v.why, Dependency: v.dependency, Repair: v.repair,
		Probes: v.breaker.probes, Running: v.out, Limit: n, Most: g.cfg.Most, Good: v.good, Bad: v.bad, InDoubt: len(v.doubts)}
	switch v.force {
	case hold.Open:
		s.State, s.Why = Open, cmp.Or(v.why, "a person has opened it: "+v.reason)
	case hold.Closed:
		s.State = Closed
	}
	if s.State == Closed {
		s.Dependency = ""
	} else {
		s.Next = next
	}
	return s
}

// Force has a unit held, never held, or left to its events, once that is written
// down. What is wanted of a function goes for its keys, but for those of which
// something else is. KindUnsupported when nothing is ever held here.
func (g *Governor) Force(ctx context.Context, u hold.Unit, f hold.Force, reason string) (id ledger.RepairID, err error) {
	if g.cfg.Strict {
		return 0, &daruma.Error{Op: "force the breaker", Ref: u.String(), Kind: daruma.KindUnsupported, Hint: "start the node without --semantics strict",
			Err: errors.New("nothing is held with strict semantics")}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.known(u, g.clock.Now())
	if v.Unit != u {
		return 0, &daruma.Error{Op: "force the breaker", Ref: u.String(), Kind: daruma.KindThrottled, Err: fmt.Errorf("there are %d keys already that are held or run", keysMax), Hint: "force the function"}
	}
	if v.writing {
		return 0, &daruma.Error{Op: "force the breaker", Ref: u.String(), Kind: daruma.KindConflict, Err: errors.New("it is changing at this moment"), Hint: "try again"}
	}
	err = g.write(v, func() (err error) {
		if g.cfg.Store != nil {
			id, err = g.cfg.Store.Force(ctx, u, f, reason, g.cfg.Owner(u.Function))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	v.force, v.reason = f, reason
	switch f {
	case hold.Closed:
		v.released()
		fallthrough
	case hold.Open:
		now := g.clock.Now()
		for one := range v.all() {
			if one.forced() == f {
				one.decide(now, f == hold.Open, now)
			}
		}
	}
	g.wake.Ring()
	return id, nil
}

// Run keeps what limits have been learnt until ctx ends, and then once more.
func (g *Governor) Run(ctx context.Context) error {
	for g.clock.Sleep(ctx, learnEvery) == nil {
		g.keep(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	g.keep(last)
	return nil
}

// keep writes the limits down that have changed.
func (g *Governor) keep(ctx context.Context) {
	if g.cfg.Store == nil || g.cfg.Strict {
		return
	}
	g.mu.Lock()
	g.clear(ctx)
	changed := map[hold.Unit]int{}
	for u := range g.gone {
		if len(changed) < learnMax {
			changed[u] = 0
		}
	}
	for _, f := range g.valves {
		for v := range f.all() {
			is := v.limiter.Limit()
			if v.of != nil && v.kept == 0 && is == limitFirst {
				continue // nothing was learnt of it, and there are many
			}
			if v.kept != is && math.Abs(float64(is-v.kept)) >= learnChange*float64(v.kept) && v.breaker.State() == Closed && len(changed) < learnMax {
				changed[v.Unit] = is
			}
		}
	}
	g.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	if err := g.cfg.Store.Learn(ctx, changed); err != nil {
		g.log.Warn("heal: limits are not kept", "functions", len(changed), "err", err)
		return
	}
	g.mu.Lock()
	for u, limit := range changed {
		if v := g.find(u); v.Unit == u {
			v.kept = limit
		} else {
			g.gone[u] = limit > 0 // it was forgotten meanwhile
		}
	}
	maps.DeleteFunc(g.gone, func(_ hold.Unit, kept bool) bool { return !kept })
	g.mu.Unlock()
}

// clear forgets the keys of functions that do not declare any more that they have
// some, and ends their holds. What a person has forced stays until it is left to
// its events.
func (g *Governor) clear(ctx context.Context) {
	for _, f := range maps.Clone(g.valves) {
		if len(f.keys) == 0 || g.dependency(f.Function) != "" {
			continue
		}
		for _, v := range maps.Clone(f.keys) {
			if v.force == hold.Auto && !v.writing && v.breaker.State() != Closed {
				if err := g.end(ctx, v, "its function does not declare any more what its events depend on"); err != nil {
					g.log.Warn("heal: a hold is not ended, because that cannot be written down", "function", v.String(), "err", err)
				}
			}
			if v.idle() {
				g.drop(v)
			}
		}
	}
}
