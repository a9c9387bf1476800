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
// The unit of breakers and limiters is the function: which hosts a run will need
// nobody knows before it, and egress does not after it (decision 14). What a
// function cannot reach, when its errors name it, is part of the evidence, and
// functions that wait for the same share its probes. A function may declare where
// its events say what they depend on, a tenant or a shard: then each such key is
// a unit of its own ([Governor.Admit]), and one that is down or slow is nobody
// else's trouble. When most keys fail, the function is held as a whole.
package heal

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// A Store keeps holds: a *hold.Holds.
type Store interface {
	Open(ctx context.Context, o hold.Opening) (ledger.RepairID, error)
	Close(ctx context.Context, u hold.Unit, outcome string) error
	Force(ctx context.Context, u hold.Unit, f hold.Force, reason, owner string) (ledger.RepairID, error)
	Learn(ctx context.Context, limits map[hold.Unit]int) error
}

// Config is what a Governor needs.
type Config struct {
	Strict bool        // exactly as on AWS: nothing is held, every run that fails counts, and limits are fixed
	Most   int         // runs of one function at once; required
	Store  Store       // nil: holds end with the process
	Known  []hold.Hold // what the store holds already
	Owner  func(function string) string
	// Dependency is the JSON path of a function's events to what each depends on; ""
	// when it declares none. It is asked often. Nil: no function does.
	Dependency func(function string) string
	Doubt      time.Duration // how long a failure may be in doubt; 2 seconds when 0
	Clock      daruma.Clock  // the machine's own when nil
	Logger     *slog.Logger  // nowhere when nil
	Seed       uint64        // of the jitter
}

const (
	doubtFor      = 2 * time.Second
	doubtsOfKey   = 5                // so many times as long, of a key all of whose events fail
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
	wake  daruma.Bell

	mu     sync.Mutex // guards the rest
	valves map[string]*valve
	probed map[string]time.Time // what is down → when it was last tried, for as long as that matters
	gone   map[hold.Unit]bool   // keys that are forgotten, and not yet by the store
}

// A valve is what is known of one unit: of a function, or of one key of it.
type valve struct {
	hold.Unit
	breaker    *Breaker
	limiter    *Limiter // nil when strict; of a function with keys: for the runs without one
	brake      brake    // of a function
	out        int      // runs under way
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

	of   *valve    // of a key: its function's
	used time.Time // when a run was asked for last
	back time.Time // when the last event comes back for which there was no room
	away time.Time // when it may be tried again for its function

	keys    map[string]*valve // of a function
	keyed   int               // of its runs under way, those with a key
	probing int               // of these, those that probe a key
	worked  time.Time         // when a run went well last
	many    int               // keys of which many events wait
	counted time.Time         // when these were counted
}

// New returns a governor. It starts nothing.
func New(cfg Config) *Governor {
	cfg.Most, cfg.Doubt = max(cfg.Most, 1), cmp.Or(cfg.Doubt, doubtFor)
	g := &Governor{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, wake: daruma.NewBell(), valves: map[string]*valve{}, probed: map[string]time.Time{}, gone: map[hold.Unit]bool{}}
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
		if h.Key != "" {
			v = g.addKey(v, h.Key)
		}
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

// valve returns the valve of a function.
func (g *Governor) valve(function string) *valve {
	v := g.valves[function]
	if v == nil {
		v = g.newValve(hold.Unit{Function: function})
		g.valves[function] = v
	}
	return v
}

func (g *Governor) newValve(u hold.Unit) *valve {
	h := fnv.New64a()
	_, _ = h.Write([]byte(u.Function + u.Key)) // cannot fail
	v := &valve{Unit: u, breaker: NewBreaker(g.cfg.Seed ^ h.Sum64())}
	if !g.cfg.Strict {
		v.limiter = NewLimiter(limitFirst, g.cfg.Most)
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
	for name, v := range g.valves {
		n, at := g.allows(v, now)
		if free := g.shared(v, now); n > 0 && !free.IsZero() {
			n, at = 0, free
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

// shared is until when a probe of what is held waits for others of what it cannot
// reach; the zero time when it does not.
func (g *Governor) shared(v *valve, now time.Time) (free time.Time) {
	if v.breaker.State() == Closed || v.dependency == "" || v.breaker.good > 0 {
		return free
	}
	if at := g.probed[v.dependency].Add(probeGap); now.Before(at) {
		free = at
	}
	return free
}

// reaches takes note of what a unit that is held cannot reach, and when it was tried last.
func (g *Governor) reaches(v *valve, dependency string, now time.Time) {
	if v.dependency = cmp.Or(dependency, v.dependency); v.dependency == "" {
		return
	}
	maps.DeleteFunc(g.probed, func(_ string, at time.Time) bool { return now.Sub(at) > probeGap })
	g.probed[v.dependency] = later(g.probed[v.dependency], v.probedAt)
}

// allows returns how many runs of a function there may be, those with a key
// included, and when that changes by itself if there may be none.
func (g *Governor) allows(v *valve, now time.Time) (int, time.Time) {
	n, next := v.brake.allows(g.cfg.Most, now)
	if v.limiter == nil { // strict
		return n, next
	}
	if v.force == hold.Open {
		return 0, time.Time{}
	}
	if g.dependency(v.Function) == "" {
		n = min(n, v.limiter.Limit())
	}
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

// Hurry has a function that is held tried at once, and its keys: it has changed.
func (g *Governor) Hurry(function string) {
	g.mu.Lock()
	if v := g.valves[function]; v != nil {
		for u := range v.all() {
			u.breaker.Hurry(g.clock.Now())
		}
	}
	g.mu.Unlock()
	g.wake.Ring()
}

// Wake holds a token when more may run than Limits said.
func (g *Governor) Wake() <-chan struct{} { return g.wake }
