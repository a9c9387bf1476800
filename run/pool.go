package run

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
)

// A Pool keeps the environments of one node and is its Runner.
type Pool struct {
	cfg    Config
	killed context.Context // ended when Close may wait no longer
	kill   context.CancelFunc
	wait   sync.WaitGroup // of environments

	mu      sync.Mutex // guards the rest
	groups  map[key]*group
	all     map[*Environment]*slot
	load    load
	closed  bool
	idle    chan struct{} // closed when nothing is in flight any more, once Close waits
	growth  growth
	tending bool // the tender is due
}

// A key names what one environment can run.
type key struct{ function, version string }

// A group is one version of a function: who can take its calls, and which wait.
type group struct {
	key      key
	function *catalog.Function
	warm     []*Environment // idle, the last used last
	queue    []*call        // the oldest first
	// finishing counts environments that have answered and are not free yet.
	finishing atomic.Int64
	mean      time.Duration // of its runs, moving
	size      int           // of its environments
	starting  int           // of these: their processes have not been up yet
}

// A slot is what the pool knows of an environment.
type slot struct {
	group    *group
	busy     bool // starting counts
	starting bool // its processes have not been up yet
	since    time.Time
	retiring string // why it is to go when it is not busy any more
}

// A load counts calls from their admission until their environment is free again.
type load struct {
	calls      int
	unreserved int            // of functions without reserved concurrency
	functions  map[string]int // by name
	view       *catalog.View  // what limit was read from
	limit      int            // of unreserved
}

// New returns a pool. It starts nothing: environments are started by Run.
func New(cfg Config) *Pool {
	p := &Pool{cfg: cfg.withDefaults(), groups: map[key]*group{}, all: map[*Environment]*slot{}}
	p.load.functions = map[string]int{}
	p.killed, p.kill = context.WithCancel(context.Background())
	return p
}

// Run hands an event to a function and says what came of it. See daruma.Runner.
func (p *Pool) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	view := p.cfg.View()
	f, err := view.Resolve(inv.Target, rand.Float64())
	if err != nil {
		o := notRun(daruma.Refused, &daruma.Failure{Kind: daruma.KindOf(err), Type: "ResourceNotFoundException", Message: strings.TrimPrefix(err.Error(), inv.Target.String()+": ")})
		p.turnedAway(begin(inv), &o)
		return o
	}
	c := &call{inv: inv, function: f, span: begin(inv), done: make(chan struct{})}
	c.span.Keys = ledger.Keys(inv.Payload, f.Sensitive, f.Correlate)
	c.delivery = daruma.Delivery{ID: inv.ID, ARN: view.Place.FunctionARN(inv.Target), Trace: c.header(f.Tracing == "Active", p.sample),
		ClientContext: inv.ClientContext, Identity: inv.Identity, Tenant: inv.Tenant, Payload: inv.Payload}
	if refused := p.admit(view, c); refused != nil {
		p.turnedAway(c.span, refused)
		return *refused
	}
	select {
	case <-c.done:
		return c.outcome
	default:
	}
	select {
	case <-c.done:
		return c.outcome
	case <-ctx.Done():
		return p.left(c, ctx.Err())
	}
}

// left is the outcome for a caller who waits no longer.
func (p *Pool) left(c *call, why error) daruma.Outcome {
	p.mu.Lock()
	g := p.groups[key{c.function.Name, c.function.Version}]
	i := -1
	if g != nil {
		i = slices.Index(g.queue, c)
	}
	if i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
		p.finished(c)
	}
	p.mu.Unlock()
	if i >= 0 {
		o := noCapacity(daruma.KindUnavailable, "the caller left before the event was handed over: "+why.Error())
		p.turnedAway(c.span, &o)
		return o
	}
	c.leave()
	select {
	case <-c.done:
		return c.outcome
	default:
	}
	return notRun(daruma.Unknown, &daruma.Failure{Kind: daruma.KindDoubtful, Message: "the caller left while the event was handled: " + why.Error()})
}

// admit finds an environment for c and hands it over, or queues it. It returns
// an outcome when c is over a limit.
func (p *Pool) admit(view *catalog.View, c *call) *daruma.Outcome {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		o := noCapacity(daruma.KindUnavailable, "the platform is shutting down")
		return &o
	}
	if reason := p.load.add(view, c, p.cfg.AccountConcurrency); reason != "" {
		p.mu.Unlock()
		o := throttled(reason)
		return &o
	}
	g := p.group(c.function)
	c.queued = time.Now()
	if !p.crowded(g, c.queued) {
		if e := p.take(g, c.function); e != nil {
			p.mu.Unlock()
			e.begin(c)
			return nil
		}
	}
	g.queue = append(g.queue, c)
	p.grow(c.queued)
	p.mu.Unlock()
	return nil
}

// add counts c, or returns the reason of a throttle.
func (l *load) add(view *catalog.View, c *call, account int) (reason string) {
	if l.view != view {
		l.view, l.limit = view, account
		for _, f := range view.Functions() {
			if f.Reserved != nil {
				l.limit -= *f.Reserved
			}
		}
	}
	name, reserved := c.function.Name, c.function.Reserved
	if latest := view.Function(name, catalog.Latest); latest != nil {
		reserved = latest.Reserved
	}
	switch {
	case reserved != nil && l.functions[name] >= *reserved:
		return "ReservedFunctionConcurrentInvocationLimitExceeded"
	case reserved == nil && l.unreserved >= l.limit:
		return "ConcurrentInvocationLimitExceeded"
	}
	if c.reserved = reserved != nil; !c.reserved {
		l.unreserved++
	}
	l.calls++
	l.functions[name]++
	return ""
}

// finished counts c out. p.mu is held.
func (p *Pool) finished(c *call) {
	l, name := &p.load, c.function.Name
	l.calls--
	if !c.reserved {
		l.unreserved--
	}
	if l.functions[name]--; l.functions[name] == 0 {
		delete(l.functions, name)
	}
	if l.calls == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// group returns the group of f. p.mu is held.
func (p *Pool) group(f *catalog.Function) *group {
	k := key{f.Name, f.Version}
	g := p.groups[k]
	if g == nil {
		g = &group{key: k}
		p.groups[k] = g
	}
	g.function = f
	return g
}

// take takes the warm environment that was used last. Those of an older
// revision are retired on the way. p.mu is held.
func (p *Pool) take(g *group, f *catalog.Function) *Environment {
	for n := len(g.warm); n > 0; n = len(g.warm) {
		e := g.warm[n-1]
		g.warm = g.warm[:n-1]
		s := p.all[e]
		if stale(e.function, f) {
			s.retiring = "deploy"
			close(e.retired)
			continue
		}
		s.busy = true
		p.growth.busy++
		return e
	}
	return nil
}

// stale says whether an environment of have can not run what is wanted now.
func stale(have, want *catalog.Function) bool {
	return have != want && (have.Revision != want.Revision || have.Code.SHA256 != want.Code.SHA256)
}

// release is told that everybody is done with c. It returns the next call for
// e, which stays busy then. whole false: e can not run anything any more.
func (p *Pool) release(e *Environment, c *call, whole bool) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished(c)
	s := p.all[e]
	g := s.group
	if c.entered && !c.cold {
		g.ran(time.Since(c.began))
	}
	g.finishing.Add(-1)
	if !whole {
		return nil // gone will tell the rest
	}
	if s.retiring == "" && len(g.queue) > 0 && !stale(e.function, g.queue[0].function) {
		next := g.queue[0]
		g.queue = slices.Delete(g.queue, 0, 1)
		return next
	}
	s.busy = false
	p.growth.busy--
	if s.retiring == "" && stale(e.function, g.function) {
		s.retiring = "deploy"
	}
	if s.retiring != "" {
		close(e.retired)
		return nil
	}
	e.frost.idle()
	e.set(daruma.Warm, "", "") // told under the lock: the next call would be told first otherwise
	s.since = p.cfg.Clock.Now()
	g.warm = append(g.warm, e)
	p.tend()
	return nil
}

// gone is told that an environment's goroutine ends.
func (p *Pool) gone(e *Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.all[e]
	if s.busy {
		p.growth.busy--
	}
	delete(p.all, e)
	g := s.group
	g.size--
	s.isUp()
	g.warm = slices.DeleteFunc(g.warm, func(w *Environment) bool { return w == e })
	if len(g.warm) == 0 && len(g.queue) == 0 && !slices.ContainsFunc(p.slots(), func(o *slot) bool { return o.group == g }) {
		delete(p.groups, g.key)
	}
	p.grow(time.Now())
}

// slots returns the slots of all environments. p.mu is held.
func (p *Pool) slots() []*slot {
	all := make([]*slot, 0, len(p.all))
	for _, s := range p.all {
		all = append(all, s)
	}
	return all
}

// cause says why an environment was retired.
func (p *Pool) cause(e *Environment) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[e].retiring
}

// Retire replaces the environments of a function: those that are busy finish
// what they run. It does not wait for them to be gone.
func (p *Pool) Retire(function string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e, s := range p.all {
		if e.function.Name == function {
			p.retire(e, s, "deploy")
		}
	}
}

// retire closes an environment now, or when it is not busy any more. p.mu is held.
func (p *Pool) retire(e *Environment, s *slot, cause string) {
	if s.retiring != "" {
		return
	}
	s.retiring = cause
	if !s.busy {
		s.group.warm = slices.DeleteFunc(s.group.warm, func(w *Environment) bool { return w == e })
		close(e.retired)
	}
}

// Environments returns every environment, by function, version and age.
func (p *Pool) Environments() []daruma.Environment {
	p.mu.Lock()
	all := make([]*Environment, 0, len(p.all))
	for e := range p.all {
		all = append(all, e)
	}
	p.mu.Unlock()
	list := make([]daruma.Environment, 0, len(all))
	for _, e := range all {
		list = append(list, e.snapshot())
	}
	slices.SortFunc(list, func(a, b daruma.Environment) int {
		if c := strings.Compare(a.Function, b.Function); c != 0 {
			return c
		}
		if c := strings.Compare(a.Version, b.Version); c != 0 {
			return c
		}
		return a.Started.Compare(b.Started)
	})
	return list
}

// Close takes no more events, waits until those that were taken are done, and
// closes every environment with its shutdown phase. When ctx ends first, what
// still runs is killed and its outcome is Unknown. No process is left when
// Close returns.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	var idle chan struct{}
	if p.load.calls > 0 {
		if p.idle == nil {
			p.idle = make(chan struct{})
		}
		idle = p.idle
	}
	for e, s := range p.all {
		p.retire(e, s, "shutdown")
	}
	p.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
			p.abort()
		}
	}
	gone := make(chan struct{})
	go func() {
		p.wait.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		p.kill()
		return nil
	case <-ctx.Done():
		p.abort()
		<-gone
		return ctx.Err()
	}
}

// abort kills what runs and turns away what waits.
func (p *Pool) abort() {
	p.kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.groups {
		for _, c := range g.queue {
			p.finished(c)
			p.turnAway(c, noCapacity(daruma.KindUnavailable, "the platform shut down"))
		}
		g.queue = nil
	}
}
