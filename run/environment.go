package run

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run/logs"
	"github.com/daruma-io/daruma/run/sandbox"
)

// An Environment is one place for one version of a function. One goroutine,
// live, keeps it: it starts its processes, sees how they end, and starts them
// again for the next call. A warm call passes it by: it goes from the caller
// to the session, and back, without a goroutine of the environment.
type Environment struct {
	pool     *Pool
	group    *group
	function *catalog.Function
	launch   Launch
	place    sandbox.Place
	logs     *logs.Logs
	services services

	calls   chan *call    // at most one: a call for which processes have to be started
	retired chan struct{} // closed by the pool when it is to go; it is not busy then
	session atomic.Pointer[Session]

	mu     sync.Mutex // guards record
	record daruma.Environment

	frost  frost
	memory memory
}

func newEnvironment(p *Pool, g *group, f *catalog.Function) *Environment {
	now := time.Now()
	e := &Environment{pool: p, group: g, function: f, calls: make(chan *call, 1), retired: make(chan struct{})}
	e.record = daruma.Environment{ID: daruma.NewID(), Function: f.Name, Version: f.Version, State: daruma.Starting, Since: now, Started: now}
	e.logs = logs.New(p.cfg.Observer, f, e.record.ID, p.cfg.View().Place.Region)
	return e
}

// live keeps the environment until it is retired, or its place can not be made.
func (e *Environment) live() {
	cause := "crash"
	defer func() {
		e.dispose()
		e.set(daruma.Gone, "", cause)
		e.pool.gone(e)
	}()
	c := <-e.calls
	e.set(daruma.Starting, c.inv.ID, "")
	for cold := true; ; cold = false {
		if s, ok := e.start(c, cold); ok {
			c = e.keep(s)
		}
		if c != nil {
			c = e.pool.release(e, c, e.place != nil)
			if e.place == nil {
				return
			}
		}
		if c == nil {
			select {
			case c = <-e.calls:
			case <-e.retired:
				cause = e.pool.cause(e)
				return
			}
		}
	}
}

// start starts processes and hands them the call. ok is false when that
// failed: the call was answered then, and the processes are gone. The first
// start has a time of its own; when processes came up and failed then, and
// always later, they are started on the call's time.
func (e *Environment) start(c *call, cold bool) (s *Session, ok bool) {
	if e.place == nil {
		if f := e.prepare(); f != nil {
			return nil, e.refuse(c, nil, f)
		}
	}
	if cold {
		began := time.Now()
		c.taken = e.pool.cfg.Clock.Now()
		s, f := e.open(e.pool.cfg.InitTime)
		if f == nil {
			c.cold, c.init = true, time.Since(began)
			e.enter(c)
			e.first(s, c)
			return s, true
		}
		e.logs.InitFailed("init", time.Since(began), f.kind == daruma.TimedOut, f.recorded())
		if !f.again {
			return s, e.refuse(c, s, f)
		}
		e.lose(c, f)
		s.close(shutdownReason(f), false)
		if e.place == nil {
			return s, e.refuse(c, nil, f)
		}
	}
	e.enter(c)
	s, f := e.open(time.Until(c.delivery.Deadline))
	if f == nil {
		e.first(s, c)
		return s, true
	}
	e.logs.InitFailed("invoke", time.Since(c.began), f.kind == daruma.TimedOut, f.recorded())
	if f.kind == daruma.TimedOut {
		f = timedOut(c.function.Timeout.Seconds())
	}
	return s, e.refuse(c, s, f)
}

// refuse answers a call whose processes did not start, and cleans up after them.
func (e *Environment) refuse(c *call, s *Session, f *fault) bool {
	if f.kind.Ran() && !c.entered {
		e.enter(c)
	}
	e.answer(c, f.outcome(c.inv.ID))
	if s != nil {
		e.lose(c, f)
		s.close(shutdownReason(f), false)
	}
	return false
}

// first hands a session its first call, without waiting for processes that
// may never read it: who waits for them here could not end them. A life that
// is over already is left to keep.
func (e *Environment) first(s *Session, c *call) {
	e.pool.up(e)
	l, events, ok := s.enter(c)
	if !ok {
		s.mu.Lock()
		s.call = c
		s.mu.Unlock()
		return
	}
	s.wait.Go(func() { s.deliver(c, l, events) })
}

// enter marks the moment from which the call's deadline counts.
func (e *Environment) enter(c *call) {
	c.began, c.handed = time.Now(), e.pool.cfg.Clock.Now()
	c.delivery.Deadline = c.began.Add(e.function.Timeout)
	if c.entered {
		return
	}
	c.entered = true
	e.set(daruma.Busy, c.inv.ID, "")
	e.logs.Begin(c.told())
}

// begin takes a call while the environment is warm, and has its processes
// started again when they are gone.
func (e *Environment) begin(c *call) {
	err := e.frost.thaw()
	if s := e.session.Load(); s != nil && err == nil {
		e.enter(c)
		if s.begin(c) {
			return
		}
	} else if s != nil {
		s.end(&fault{kind: daruma.Crashed, err: daruma.KindInternal, errType: "Sandbox.Failure", text: "thaw: " + err.Error(), cause: "crash"})
	}
	e.calls <- c
}

// keep waits for the end of a life and cleans up after it. It returns the call
// that was under way; it is answered.
func (e *Environment) keep(s *Session) *call {
	select {
	case <-s.over:
	case <-s.runtime.Done():
		s.settled()
		s.end(exited(s.runtime.Exit()))
	case <-e.retired:
		s.end(&fault{kind: daruma.Unknown, cause: e.pool.cause(e)})
	case <-e.pool.killed.Done():
		s.end(&fault{kind: daruma.Unknown, err: daruma.KindDoubtful, errType: "ServiceException", text: "the platform shut down", cause: "shutdown"})
	}
	c := s.abandon()
	if c != nil {
		e.answer(c, s.fault.outcome(c.inv.ID))
	}
	select {
	case <-e.retired:
		s.close(shutdownReason(s.fault), true)
	default:
		e.lose(c, s.fault)
		s.close(shutdownReason(s.fault), false)
	}
	if c != nil {
		<-c.done // its log ends before the next call's begins
	}
	return c
}

// shutdownReason is what extensions are told.
func shutdownReason(f *fault) string {
	switch f.cause {
	case "timeout":
		return "timeout"
	case "crash", "init":
		return "failure"
	}
	return "spindown"
}

// freed is called when everybody is done with c, by whoever was the last. nil: nothing was under way.
func (e *Environment) freed(c *call) {
	if c == nil {
		return
	}
	if next := e.pool.release(e, c, true); next != nil {
		e.begin(next)
	}
}

// answer tells the caller what came of c, once.
func (e *Environment) answer(c *call, o daruma.Outcome) {
	if !c.claimed.CompareAndSwap(false, true) {
		return
	}
	e.group.finishing.Add(1) // until the pool hears that c is released
	now := time.Now()
	o.Version, o.Revision, o.Environment, o.Init = e.function.Version, e.function.Revision, e.record.ID, c.init
	if c.entered {
		o.Duration = now.Sub(c.began)
		o.MemoryBytes = e.memory.peak(now)
		o.LogTail = e.logs.End(c.told(), now, &o)
	}
	c.finish(o)
	if c.entered {
		e.tell(c, &o)
	} else {
		e.pool.turnedAway(c.span, &o)
	}
}

// set records where the environment is in its life.
func (e *Environment) set(to daruma.EnvironmentState, request, cause string) {
	e.mark(to, request, cause, "")
}

// lose records that a life is over before its time, with c under way or nothing.
func (e *Environment) lose(c *call, f *fault) {
	request := ""
	if c != nil {
		request = c.inv.ID
	}
	text := f.text
	if f.payload != nil {
		text = posted(f.errType, f.payload).Message
	}
	e.mark(daruma.Resetting, request, f.cause, f.recorded()+": "+text)
}

func (e *Environment) mark(to daruma.EnvironmentState, request, cause, fault string) {
	e.mu.Lock()
	r := &e.record
	r.State, r.Request, r.Cause, r.Fault = to, request, cause, fault
	r.Since = time.Now()
	if to == daruma.Busy {
		r.Runs++
	}
	snapshot := *r
	e.mu.Unlock()
	if obs := e.pool.cfg.Observer; obs != nil {
		obs.Changed(snapshot)
	}
}

// snapshot returns the record as it is.
func (e *Environment) snapshot() daruma.Environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.record
}

// prepare makes the place and what listens in it.
func (e *Environment) prepare() *fault {
	var err error
	if e.launch, err = e.pool.cfg.Launch(e.function); err != nil {
		return notStarted(err)
	}
	spec := sandbox.Spec{ID: "e-" + e.record.ID, Mounts: e.launch.Mounts, Opt: slices.Clone(e.launch.Opt),
		TmpBytes: int64(e.function.StorageMB) << 20, MemoryBytes: int64(e.function.MemoryMB) << 20}
	e.pool.cfg.Spec(e.function, &spec)
	place, err := e.pool.cfg.Maker.Make(e.pool.killed, spec)
	if err != nil {
		return notStarted(err)
	}
	e.place = place
	e.frost.use(place)
	e.memory.use(place)
	if err := e.services.open(e); err != nil {
		e.dispose()
		return notStarted(err)
	}
	return nil
}

// dispose removes the place and what listens in it.
func (e *Environment) dispose() {
	if e.place == nil {
		return
	}
	if err := e.place.Close(); err != nil {
		e.logs.Remark("close the environment: " + err.Error())
	}
	e.services.close()
	e.frost.use(nil)
	e.memory.use(nil)
	e.place = nil
}

// A frost is whether the processes are frozen.
type frost struct {
	mu     sync.Mutex    // guards the rest, and is held while they are frozen or thawed
	place  sandbox.Place // nil: there is none
	busy   bool
	frozen bool
}

// use makes place the one that is frozen and thawed.
func (f *frost) use(place sandbox.Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place, f.frozen = place, false
}

// thaw lets the processes run for a call.
func (f *frost) thaw() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = true
	if !f.frozen {
		return nil
	}
	f.frozen = false
	return f.place.Thaw()
}

// idle marks the end of a call.
func (f *frost) idle() {
	f.mu.Lock()
	f.busy = false
	f.mu.Unlock()
}

// freeze stops the processes unless a call has come meanwhile.
func (f *frost) freeze() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy || f.frozen || f.place == nil {
		return nil
	}
	f.frozen = true
	return f.place.Freeze()
}

// memory remembers the most memory the place has used. Asking the kernel
// costs more than a warm call, so it is asked every memoryEvery at most.
type memory struct {
	mu    sync.Mutex
	place sandbox.Place
	asked time.Time
	bytes int64
}

const memoryEvery = 250 * time.Millisecond

// use starts anew with another place.
func (m *memory) use(place sandbox.Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place, m.asked = place, time.Time{}
}

// peak returns the most memory used, as it was known last.
func (m *memory) peak(now time.Time) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.place != nil && now.Sub(m.asked) >= memoryEvery {
		m.asked = now
		m.bytes = m.place.Usage().MemoryPeakBytes
	}
	return m.bytes
}

// services are what listens in a place beside the Runtime API.
type services struct {
	env  []string
	stop context.CancelFunc
	wait sync.WaitGroup
}

// open starts every service; on an error what was started is left to close.
func (v *services) open(e *Environment) error {
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	ref := Ref{Environment: e.record.ID, Function: e.function, Current: e.logs.Current, Dial: e.place.Dial}
	for _, service := range e.pool.cfg.Services {
		address, err := v.start(ctx, e, service, ref)
		if err != nil {
			return err
		}
		if service.Env != nil {
			v.env = append(v.env, service.Env(address)...)
		}
	}
	return nil
}

// start starts one service and returns the address it is reached at.
func (v *services) start(ctx context.Context, e *Environment, service Service, ref Ref) (string, error) {
	run := func(serve func() error) {
		// a place that ends closes its listeners before the services are told
		if err := serve(); err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
			e.logs.Remark("the service at " + service.Address + " ended: " + err.Error())
		}
	}
	if service.Reach != nil {
		v.wait.Go(func() { run(func() error { return service.Reach(ctx, ref) }) })
		return "", nil
	}
	if service.ServePacket != nil {
		pc, err := e.place.ListenPacket(service.Address)
		if err != nil {
			return "", err
		}
		v.wait.Go(func() { run(func() error { return service.ServePacket(ctx, pc, ref) }); pc.Close() })
		return pc.LocalAddr().String(), nil
	}
	ln, err := e.place.Listen(service.Address)
	if err != nil {
		return "", err
	}
	v.wait.Go(func() { run(func() error { return service.Serve(ctx, ln, ref) }); ln.Close() })
	return ln.Addr().String(), nil
}

// close ends every service.
func (v *services) close() {
	if v.stop != nil {
		v.stop()
		v.wait.Wait()
	}
	v.env = nil
}
