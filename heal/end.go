package heal

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// An Attempt is a run that has ended.
type Attempt struct {
	Permit        // as Begin or Admit gave it
	Event  string // what it ran for: the same for the same event in each attempt
	Alone  bool   // it has failed before, while most others went well
	// Apart are the events of a batch that failed while most others of it went well.
	Apart   []string
	Began   time.Time
	Outcome daruma.Outcome
	NotRun  bool // it could not run, and others of the function could not either
}

// End takes note of a run that has ended. It returns nil when what came of it is
// what it is, and a doubt when a failure may be one of many: it is settled when
// the doubt has ended.
func (g *Governor) End(ctx context.Context, a Attempt) *Doubt {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	v := g.find(a.Unit)
	f, own := v.function(), v.own()
	v.leave(a.Permit)
	good, failed := a.Outcome.Kind == daruma.Done, failed(a.Outcome.Kind)
	if failed && a.Alone {
		v.breaker.Known(a.Event)
	}
	switch {
	case a.NotRun:
		f.brake.hit(f.out, g.cfg.Most, after(a.Outcome), now)
	case a.Outcome.Kind.Ran():
		f.brake.ran(g.cfg.Most)
	}
	if g.cfg.Strict {
		return nil
	}
	switch {
	case good:
		v.limiter.Good(now, cmp.Or(a.Outcome.Duration, now.Sub(a.Began)), own)
	case failed && (a.Outcome.Kind == daruma.TimedOut || throttled(a.Outcome)):
		v.limiter.Congested(now)
	}
	for u := range v.and() {
		switch {
		case good:
			u.good++
			u.worked = now
		case failed:
			u.bad++
			u.note(now, a)
		}
	}
	if f.force == hold.Auto && f.breaker.State() != Closed {
		return g.endHeld(ctx, f, now, a)
	}
	if why := v.told(now, a, good, failed); why != "" {
		defer g.openWhole(ctx, f, why)
	}
	switch {
	case v.forced() == hold.Closed:
		v.decide(now, false, a.Began)
		return nil
	case v.forced() == hold.Open:
		return v.heldIf(failed)
	case v.breaker.State() == Closed:
		return g.endFree(ctx, v, now, a)
	}
	return g.endHeld(ctx, v, now, a)
}

// endFree is the end of a run whose unit is not held.
func (g *Governor) endFree(ctx context.Context, v *valve, now time.Time, a Attempt) *Doubt {
	if !failed(a.Outcome.Kind) {
		if a.Outcome.Kind == daruma.Done {
			v.breaker.Saw(now, a.Event, true)
			v.decide(now, false, a.Began) // it works: what failed before is to blame itself
			for _, event := range a.Apart {
				v.breaker.Blame(now, event)
			}
		}
		return nil
	}
	why := v.breaker.Saw(now, a.Event, false)
	d := g.doubt(v, a.Event, a)
	if why != "" && !v.writing && v.force == hold.Auto {
		g.open(ctx, v, why)
	}
	return d
}

// endHeld is the end of a run whose unit is held.
func (g *Governor) endHeld(ctx context.Context, v *valve, now time.Time, a Attempt) *Doubt {
	good, bad := a.Outcome.Kind == daruma.Done, failed(a.Outcome.Kind)
	probe, event := probeOfKey, a.Event
	if v.of == nil {
		probe, event = probeOfFunction, cmp.Or(a.Key, a.Event)
	}
	if a.probe != probe {
		return v.heldIf(bad) // it began before the outage was known
	}
	over, goesOn := v.breaker.Probed(now, event, good || bad, good)
	switch {
	case good:
		v.decide(now, false, a.Began) // a probe that failed before is to blame itself
	case goesOn:
		v.decide(now, true, now)
	case bad:
		return g.doubt(v, event, a)
	}
	if over && !v.writing {
		g.close(ctx, v)
	}
	if !bad {
		return nil
	}
	g.reaches(v, dependencyOf(a.Outcome), now)
	d := v.heldIf(true)
	d.back = v.backAfter(now, a.Event)
	if v.of == nil && a.Key != "" {
		g.find(a.Unit).away = now.Add(min(v.backAfter(now, a.Key), pauseMax)) // others have their turn: one that is still down must not speak for them
	}
	return d
}

// backAfter is how long an event that was tried in vain stays away: longer each time,
// so that others have their turn and one that is broken does not speak for them;
// but never longer than a share of the time that the outage has lasted.
func (v *valve) backAfter(now time.Time, event string) time.Duration {
	n := v.tried[event]
	if v.tried == nil || len(v.tried) == triedMax {
		v.tried = map[string]int{}
	}
	v.tried[event] = n + 1
	return max(backMin, min(backMin<<min(3*n, 20), now.Sub(v.since)/pauseShare, backMax))
}

// openWhole holds a function most of whose keys fail.
func (g *Governor) openWhole(ctx context.Context, f *valve, why string) {
	if !f.writing && f.force == hold.Auto && f.breaker.State() == Closed {
		g.open(ctx, f, why)
	}
}

// open holds a unit, once that is written down. g.mu is given up meanwhile.
func (g *Governor) open(ctx context.Context, v *valve, why string) {
	o := hold.Opening{Function: v.Function, Key: v.Key, Why: "most events fail, whatever event it is: " + why, Evidence: strings.Join(v.evidence, "\n"), Owner: g.cfg.Owner(v.Function), Dependency: v.dependency}
	var id ledger.RepairID
	err := g.write(v, func() (err error) {
		if g.cfg.Store != nil {
			id, err = g.cfg.Store.Open(context.WithoutCancel(ctx), o)
		}
		return err
	})
	if err != nil {
		g.log.Warn("heal: a function is not held, because that cannot be written down", "function", v.String(), "why", why, "err", err)
		return
	}
	now := g.clock.Now()
	v.breaker.Open(now, now)
	v.since, v.why, v.repair = now, o.Why, id
	g.log.Warn("heal: a function is held", "function", v.String(), "why", why, "repair", id, "dependency", v.dependency)
	for u := range v.all() {
		u.decide(now, true, now)
		u.away = time.Time{}
	}
	g.wake.Ring()
}

// close ends a hold, once that is written down. g.mu is given up meanwhile.
func (g *Governor) close(ctx context.Context, v *valve) {
	lasted := g.clock.Now().Sub(v.since).Round(time.Millisecond)
	how := fmt.Sprintf("it works again after %v: %d of %d events that were tried one at a time went well; the others follow, few at first", lasted, v.breaker.good, v.breaker.probes)
	if err := g.end(ctx, v, how); err != nil {
		g.log.Warn("heal: a function stays held, because its end cannot be written down", "function", v.String(), "err", err)
		return
	}
	g.log.Info("heal: a function is held no longer", "function", v.String(), "after", lasted)
	for u := range v.all() {
		u.limiter.Restart()
	}
}

// end ends a hold, once it is written down how. g.mu is given up meanwhile.
func (g *Governor) end(ctx context.Context, v *valve, how string) error {
	err := g.write(v, func() error {
		if g.cfg.Store == nil {
			return nil
		}
		return g.cfg.Store.Close(context.WithoutCancel(ctx), v.Unit, how)
	})
	if err == nil {
		v.released()
		g.wake.Ring()
	}
	return err
}

// released makes v what it is without a hold.
func (v *valve) released() {
	v.breaker.Close()
	v.back = time.Time{}
	if v.of != nil {
		v.of.breaker.Pardon(v.Key)
	}
	v.since, v.why, v.dependency, v.repair, v.evidence, v.tried = time.Time{}, "", "", 0, nil, nil
}

// write does what writes a transition of v down, one at a time, without g.mu.
func (g *Governor) write(v *valve, f func() error) error {
	v.writing = true
	g.mu.Unlock()
	err := f()
	g.mu.Lock()
	v.writing = false
	return err
}

// note keeps a failure as evidence, the last ones only.
func (v *valve) note(now time.Time, a Attempt) {
	f := a.Outcome.Failure
	if f == nil {
		f = &daruma.Failure{}
	}
	event := a.Event
	if a.Key != "" && v.of == nil {
		event += " (key " + a.Key + ")"
	}
	line := fmt.Sprintf("%s %s %s: %s %s", now.UTC().Format("15:04:05.000"), event, a.Outcome.Kind, f.Type, ledger.Cut(f.Message, messageMax))
	if v.evidence = append(v.evidence, strings.TrimSpace(line)); len(v.evidence) > evidenceMax {
		v.evidence = v.evidence[1:]
	}
	if v.breaker.State() == Closed {
		v.dependency = dependencyOf(a.Outcome)
	}
}

// failed says whether a kind of outcome is a function's failure.
func failed(k daruma.OutcomeKind) bool {
	return k == daruma.FunctionError || k == daruma.TimedOut || k == daruma.Crashed
}

func after(o daruma.Outcome) time.Duration {
	if o.Failure == nil {
		return 0
	}
	return o.Failure.After
}
