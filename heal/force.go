package heal

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

const learnMax = 1000 // limits that are kept in one step

// A Status is what is known of one function.
type Status struct {
	Function   string          `json:"function"`
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
	Limit      int             `json:"limit"`   // of these at once
	Most       int             `json:"most"`
	Good       int64           `json:"good"` // since the platform was started
	Bad        int64           `json:"bad"`
	InDoubt    int             `json:"inDoubt,omitempty"`
}

// Held says whether nothing of the function is handed out but probes.
func (s Status) Held() bool { return s.State != Closed }

// Statuses returns what is known of every function that ever ran here or is forced, by name.
func (g *Governor) Statuses() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	list := []Status{}
	for _, v := range g.valves {
		n, next := v.allows(now, g.cfg.Most)
		s := Status{Function: v.name, State: v.breaker.State(), Force: v.force, Reason: v.reason, Since: v.since, Why: v.why, Dependency: v.dependency, Repair: v.repair,
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
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Function, b.Function) })
	return list
}

// Force has a function held, never held, or left to its events, once that is
// written down. KindUnsupported when nothing is ever held here.
func (g *Governor) Force(ctx context.Context, function string, f hold.Force, reason string) (id ledger.RepairID, err error) {
	if g.cfg.Strict {
		return 0, &daruma.Error{Op: "force the breaker", Ref: function, Kind: daruma.KindUnsupported, Hint: "start the node without --semantics strict",
			Err: errors.New("nothing is held with strict semantics")}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.valve(function)
	if v.writing {
		return 0, &daruma.Error{Op: "force the breaker", Ref: function, Kind: daruma.KindConflict, Err: errors.New("it is changing at this moment"), Hint: "try again"}
	}
	err = g.write(v, func() (err error) {
		if g.cfg.Store != nil {
			id, err = g.cfg.Store.Force(ctx, function, f, reason, g.cfg.Owner(function))
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
		v.decide(false, g.clock.Now())
	case hold.Open:
		v.decide(true, g.clock.Now())
	}
	g.stir()
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
	changed := map[string]int{}
	g.mu.Lock()
	for _, v := range g.valves {
		is := v.limiter.Limit()
		if v.kept != is && math.Abs(float64(is-v.kept)) >= learnChange*float64(v.kept) && v.breaker.State() == Closed && len(changed) < learnMax {
			changed[v.name] = is
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
	for name, limit := range changed {
		g.valves[name].kept = limit
	}
	g.mu.Unlock()
}
