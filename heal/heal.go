// Package heal decides how much of each function may run, and what its failures
// mean: hold, don't fail.
//
//	a run ends ──► did it run? ──no──► brake: fewer of it, and a pause when none runs
//	                   │
//	                  yes ──► how long did it take? ──► limiter: how many at once are right
//	                   │
//	                 failed ──► alone, or with most others? ──► breaker: poison, or an outage
//
// When most events of a function fail, whatever event it is, it is an outage:
// the function is held. Its events keep their place and their attempts, one at a
// time is tried, and when five of them went well the rest follows, few at first.
// When few fail, those are poison: each uses up its attempts, and the others flow.
// What is which is not known at the first failure, so a failure is in doubt for
// a moment before it counts.
//
// The policies are pure: [Breaker] and [Limiter] are told what happened and
// when. A [Governor] keeps one of each per function, writes every hold down
// before it takes effect, and holds nothing durable itself: a [Store] does. Its
// methods may be called from any goroutine.
//
// The key of a breaker is the function. What a function cannot reach, when its
// errors name it ([Dependency]), is part of the evidence, and functions that
// wait for the same share its probes.
package heal

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// A Store keeps holds: a *hold.Holds.
type Store interface {
	Open(ctx context.Context, o hold.Opening) (ledger.RepairID, error)
	Close(ctx context.Context, function, outcome string) error
	Force(ctx context.Context, function string, f hold.Force, reason, owner string) (ledger.RepairID, error)
	Learn(ctx context.Context, limits map[string]int) error
}

// Config is what a Governor needs.
type Config struct {
	Strict bool        // exactly as on AWS: nothing is held, every run that fails counts, and limits are fixed
	Most   int         // runs of one function at once; required
	Store  Store       // nil: holds end with the process
	Known  []hold.Hold // what the store holds already
	Owner  func(function string) string
	Doubt  time.Duration // how long a failure may be in doubt; 2 seconds when 0
	Clock  daruma.Clock  // the machine's own when nil
	Logger *slog.Logger  // nowhere when nil
	Seed   uint64        // of the jitter
}

const (
	doubtFor      = 2 * time.Second
	doubtsMax     = 256              // of one function; the oldest counts when there are more
	evidenceMax   = 20               // failures that are shown as evidence
	learnEvery    = 10 * time.Second // limits are kept that often
	learnChange   = 0.1              // if they have changed so much
	backMin       = time.Second      // before a held event is handed out again
	backMax       = 5 * time.Minute
	triedMax      = 1000 // events of which it is known how often they were tried
	messageMax    = 200
	restoredShare = 2 // a learnt limit is restored at one half
)

// A Governor says how much of each function may run.
type Governor struct {
	cfg   Config
	clock daruma.Clock
	log   *slog.Logger
	wake  chan struct{}

	mu     sync.Mutex // guards the rest
	valves map[string]*valve
}

// A valve is what is known of one function.
type valve struct {
	name       string
	breaker    *Breaker
	limiter    *Limiter // nil when strict
	brake      brake
	out        int // runs under way
	force      hold.Force
	reason     string
	since      time.Time // of the hold
	why        string
	dependency string
	repair     ledger.RepairID
	writing    bool // a transition is being written down
	probedAt   time.Time
	doubts     []*Doubt
	tried      map[string]int // probes of this hold that failed, by event
	evidence   []string
	kept       int // the limit in the store
	good, bad  int64
}

// New returns a governor. It starts nothing.
func New(cfg Config) *Governor {
	cfg.Most, cfg.Doubt = max(cfg.Most, 1), cmp.Or(cfg.Doubt, doubtFor)
	g := &Governor{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, wake: make(chan struct{}, 1), valves: map[string]*valve{}}
	if g.clock == nil {
		g.clock = daruma.SystemClock{}
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Owner == nil {
		g.cfg.Owner = func(string) string { return "" }
	}
	if cfg.Strict {
		return g
	}
	now := g.clock.Now()
	for _, h := range cfg.Known {
		v := g.valve(h.Function)
		v.force, v.reason, v.repair, v.kept = h.Force, h.Reason, h.Repair, h.Limit
		if h.Limit > 0 {
			v.limiter = NewLimiter(h.Limit/restoredShare, cfg.Most)
		}
		if h.Held {
			v.breaker.Open(now, h.Since)
			v.since, v.why, v.dependency = h.Since, h.Why, h.Dependency
		}
	}
	return g
}

func (g *Governor) valve(function string) *valve {
	v := g.valves[function]
	if v == nil {
		h := fnv.New64a()
		_, _ = h.Write([]byte(function)) // cannot fail
		v = &valve{name: function, breaker: NewBreaker(g.cfg.Seed ^ h.Sum64())}
		if !g.cfg.Strict {
			v.limiter = NewLimiter(limitFirst, g.cfg.Most)
		}
		g.valves[function] = v
	}
	return v
}

// Most is how many runs of one function there may be at once, if nothing speaks against it.
func (g *Governor) Most() int { return g.cfg.Most }

// Limits returns the functions of which fewer may run now, with how many, and
// when the first pause of one is over.
func (g *Governor) Limits() (limits map[string]int, next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	limits = map[string]int{}
	probed := map[string]time.Time{} // what is down → when it was last tried
	for _, v := range g.valves {
		if v.dependency != "" && v.probedAt.After(probed[v.dependency]) {
			probed[v.dependency] = v.probedAt
		}
	}
	for name, v := range g.valves {
		n, at := v.allows(now, g.cfg.Most)
		if n > 0 && v.breaker.State() != Closed && v.dependency != "" && v.breaker.good == 0 {
			if free := probed[v.dependency].Add(probeGap); now.Before(free) {
				n, at = 0, free
			}
		}
		if n < g.cfg.Most {
			limits[name] = n
		}
		if n == 0 && !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return limits, next
}

// Tried returns the functions that are held and tried: an event of theirs should
// be as small as can be, so that one that fails by itself does not keep the others.
func (g *Governor) Tried() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var tried map[string]bool
	for name, v := range g.valves {
		if v.force == hold.Auto && v.breaker.State() != Closed {
			if tried == nil {
				tried = map[string]bool{}
			}
			tried[name] = true
		}
	}
	return tried
}

// allows returns how many may run, and when that changes by itself if none may.
func (v *valve) allows(now time.Time, most int) (int, time.Time) {
	n, next := v.brake.allows(most, now)
	if v.limiter == nil { // strict
		return n, next
	}
	if v.force == hold.Open {
		return 0, time.Time{}
	}
	n = min(n, v.limiter.Limit())
	if v.force == hold.Closed {
		return n, next
	}
	tries, at := v.breaker.Allows(now)
	if tries < n {
		if n = tries; at.After(next) {
			next = at
		}
	}
	return n, next
}

// Begin takes note of a run that begins, and says whether it is a probe.
func (g *Governor) Begin(function string) (probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.valve(function)
	v.out++
	if g.cfg.Strict || v.force != hold.Auto || v.breaker.State() == Closed {
		return false
	}
	now := g.clock.Now()
	v.breaker.Probe(now)
	v.probedAt = now
	return true
}

// An Attempt is a run that has ended.
type Attempt struct {
	Function string
	Event    string // what it ran for: the same for the same event in each attempt
	Probe    bool   // as Begin said
	Began    time.Time
	Outcome  daruma.Outcome
	NotRun   bool // it could not run, and others of the function could not either
}

// End takes note of a run that has ended. It returns nil when what came of it is
// what it is, and a doubt when a failure may be one of many: it is settled when
// the doubt has ended.
func (g *Governor) End(ctx context.Context, a Attempt) *Doubt {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	v := g.valve(a.Function)
	out := v.out
	v.out--
	good, failed := a.Outcome.Kind == daruma.Done, failed(a.Outcome.Kind)
	switch {
	case a.NotRun:
		v.brake.hit(v.out, g.cfg.Most, after(a.Outcome), now)
	case a.Outcome.Kind.Ran():
		v.brake.ran(g.cfg.Most)
	}
	if g.cfg.Strict {
		return nil
	}
	switch {
	case good:
		v.good++
		v.limiter.Good(now, cmp.Or(a.Outcome.Duration, now.Sub(a.Began)), out)
	case failed:
		v.bad++
		v.note(now, a)
		if a.Outcome.Kind == daruma.TimedOut || throttled(a.Outcome) {
			v.limiter.Congested(now)
		}
	}
	switch {
	case v.force == hold.Closed:
		v.decide(false, a.Began)
		return nil
	case v.force == hold.Open:
		return heldIf(failed)
	case v.breaker.State() == Closed:
		return g.endFree(ctx, v, now, a)
	}
	return g.endHeld(ctx, v, now, a)
}

// endFree is the end of a run whose function is not held.
func (g *Governor) endFree(ctx context.Context, v *valve, now time.Time, a Attempt) *Doubt {
	if !failed(a.Outcome.Kind) {
		if a.Outcome.Kind == daruma.Done {
			v.breaker.Saw(now, a.Event, true)
			v.decide(false, a.Began) // the function works: what failed before is to blame itself
		}
		return nil
	}
	why := v.breaker.Saw(now, a.Event, false)
	d := g.doubt(v, a.Began)
	if why != "" && !v.writing && v.force == hold.Auto {
		g.open(ctx, v, why)
	}
	return d
}

// endHeld is the end of a run whose function is held.
func (g *Governor) endHeld(ctx context.Context, v *valve, now time.Time, a Attempt) *Doubt {
	good, bad := a.Outcome.Kind == daruma.Done, failed(a.Outcome.Kind)
	if !a.Probe {
		return heldIf(bad) // it began before the outage was known
	}
	over, goesOn := v.breaker.Probed(now, good || bad, good)
	switch {
	case good:
		v.decide(false, a.Began) // a probe that failed before is to blame itself
	case goesOn:
		v.decide(true, now)
	case bad:
		return g.doubt(v, a.Began)
	}
	if over && !v.writing {
		g.close(ctx, v)
	}
	if !bad {
		return nil
	}
	v.dependency = cmp.Or(dependencyOf(a.Outcome), v.dependency)
	d := heldIf(true)
	d.back = v.back(now, a.Event)
	return d
}

// back is how long an event that was tried in vain stays away: longer each time,
// so that others have their turn and one that is broken does not speak for them;
// but never longer than a share of the time that the outage has lasted.
func (v *valve) back(now time.Time, event string) time.Duration {
	n := v.tried[event]
	if v.tried == nil || len(v.tried) == triedMax {
		v.tried = map[string]int{}
	}
	v.tried[event] = n + 1
	return max(backMin, min(backMin<<min(3*n, 20), now.Sub(v.since)/pauseShare, backMax))
}

// open holds a function, once that is written down. g.mu is given up meanwhile.
func (g *Governor) open(ctx context.Context, v *valve, why string) {
	o := hold.Opening{Function: v.name, Why: "most events fail, whatever event it is: " + why, Evidence: strings.Join(v.evidence, "\n"), Owner: g.cfg.Owner(v.name), Dependency: v.dependency}
	var id ledger.RepairID
	err := g.write(v, func() (err error) {
		if g.cfg.Store != nil {
			id, err = g.cfg.Store.Open(context.WithoutCancel(ctx), o)
		}
		return err
	})
	if err != nil {
		g.log.Warn("heal: a function is not held, because that cannot be written down", "function", v.name, "why", why, "err", err)
		return
	}
	now := g.clock.Now()
	v.breaker.Open(now, now)
	v.since, v.why, v.repair = now, o.Why, id
	g.log.Warn("heal: a function is held", "function", v.name, "why", why, "repair", id, "dependency", v.dependency)
	v.decide(true, now)
	g.stir()
}

// close ends a hold, once that is written down. g.mu is given up meanwhile.
func (g *Governor) close(ctx context.Context, v *valve) {
	lasted := g.clock.Now().Sub(v.since).Round(time.Millisecond)
	how := fmt.Sprintf("it works again after %v: %d of %d events that were tried one at a time went well; the others follow, few at first", lasted, v.breaker.good, v.breaker.probes)
	err := g.write(v, func() error {
		if g.cfg.Store == nil {
			return nil
		}
		return g.cfg.Store.Close(context.WithoutCancel(ctx), v.name, how)
	})
	if err != nil {
		g.log.Warn("heal: a function stays held, because its end cannot be written down", "function", v.name, "err", err)
		return
	}
	g.log.Info("heal: a function is held no longer", "function", v.name, "after", lasted)
	v.released()
	v.limiter.Restart()
	g.stir()
}

// released makes v what it is without a hold.
func (v *valve) released() {
	v.breaker.Close()
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
	line := fmt.Sprintf("%s %s %s: %s %s", now.UTC().Format("15:04:05.000"), a.Event, a.Outcome.Kind, f.Type, ledger.Cut(f.Message, messageMax))
	if v.evidence = append(v.evidence, strings.TrimSpace(line)); len(v.evidence) > evidenceMax {
		v.evidence = v.evidence[1:]
	}
	if v.breaker.State() == Closed {
		v.dependency = dependencyOf(a.Outcome)
	}
}

// Hurry has a function that is held tried at once: it has changed.
func (g *Governor) Hurry(function string) {
	g.mu.Lock()
	if v := g.valves[function]; v != nil {
		v.breaker.Hurry(g.clock.Now())
	}
	g.mu.Unlock()
	g.stir()
}

// Wake holds a token when more may run than Limits said.
func (g *Governor) Wake() <-chan struct{} { return g.wake }

func (g *Governor) stir() {
	select {
	case g.wake <- struct{}{}:
	default:
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
