package dispatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/route"
)

// A loop is one Run of a dispatcher. Its fields belong to the goroutine of Run.
type loop struct {
	*Dispatcher
	feeds   []*feed
	flights *sync.WaitGroup
	ask     context.Context // of Run: ends when nothing more is taken
	runs    context.Context // of what runs; ends when Drain is over
	last    context.Context // of what is settled and released; ends settleMax later
	started time.Time
	turn    int            // the source that is asked first
	running int            // flights
	of      map[string]int // flights by function
	doubts  int            // flights that have ended and are in doubt
	back    map[*feed][]Item
}

// work leases and runs until ctx ends.
func (l *loop) work(ctx context.Context) {
	l.of, l.back = map[string]int{}, map[*feed][]Item{}
	for ctx.Err() == nil {
		l.fill(ctx)
		l.wait(ctx)
	}
}

// room is how many more events may run now: few after a start, so that what
// comes back at once does not come down at once.
func (l *loop) room() int {
	limit := l.cfg.Total
	if steps := l.clock.Now().Sub(l.started) / rampEvery; steps < 20 {
		limit = min(limit, l.cfg.RampFrom<<steps)
	}
	return limit - l.running
}

// fill takes events from the sources while there is room.
func (l *loop) fill(ctx context.Context) {
	for i := range l.feeds {
		f := l.feeds[(l.turn+i)%len(l.feeds)]
		now := l.clock.Now()
		due := !f.next.IsZero() && !f.next.After(now)
		room := max(0, min(l.room(), leaseAtOnce))
		if due || f.ready && room > 0 {
			l.lease(ctx, f, room, now) // without room: to give up what is too old
		}
	}
	l.turn++
}

func (l *loop) lease(ctx context.Context, f *feed, n int, now time.Time) {
	limits, opens := l.limits(f)
	b, err := f.Lease(ctx, Want{N: n, For: l.cfg.LeaseFor, Each: l.heal.Most(), Limits: limits, Tried: l.heal.Tried()})
	if err != nil {
		f.ready = false
		f.failures++
		f.next = now.Add(backoff(f.failures))
		if ctx.Err() == nil {
			l.log.Warn("dispatch: a source hands nothing out", "err", err, "again", f.next)
		}
		return
	}
	f.failures = 0
	f.ready = b.More || n == 0
	f.next = b.Next
	f.next = sooner(f.next, opens)
	if least := now.Add(pauseMin); len(b.Items) == 0 && !f.next.IsZero() && f.next.Before(least) {
		f.next = least
	}
	for _, i := range b.Items {
		l.launch(f, i)
	}
}

// limits says how much of each function a source may have handed out: what may
// run at once, less what runs of it for other sources, and what is in doubt
// besides, which the source has handed out and which does not run.
func (l *loop) limits(f *feed) (limits map[string]int, opens time.Time) {
	limits, opens = l.heal.Limits()
	f.crossed = false
	for function, n := range l.of {
		if elsewhere := n - f.of[function]; elsewhere > 0 {
			f.crossed = true
			limits[function] = limitOf(limits, function, l.heal.Most()) - elsewhere
		}
	}
	for function, n := range f.doubts {
		limits[function] = limitOf(limits, function, l.heal.Most()) + n
	}
	return limits, opens
}

func limitOf(limits map[string]int, function string, most int) int {
	if n, ok := limits[function]; ok {
		return n
	}
	return most
}

func backoff(failures int) time.Duration {
	most := min(errorMax, errorMin<<min(failures, 10))
	return most/2 + rand.N(most/2+1)
}

// launch runs one item in its own goroutine.
func (l *loop) launch(f *feed, i Item) {
	if i.Event == "" {
		i.Event = i.Invocation.ID
	}
	function := i.Invocation.Target.Function
	if i.Permit == (heal.Permit{}) {
		i.Permit = l.heal.Begin(function)
	}
	fl := &flight{Item: i, source: f}
	l.running++
	l.of[function]++
	f.of[function]++
	l.mu.Lock()
	l.out[fl] = true
	l.mu.Unlock()
	l.flights.Go(func() { l.ended <- l.fly(fl) })
}

// fly runs an item and settles it, at once or when it is known whether its
// failure counts.
func (l *loop) fly(fl *flight) end {
	defer func() {
		l.mu.Lock()
		delete(l.out, fl)
		l.mu.Unlock()
	}()
	started := l.clock.Now()
	o := l.cfg.Runner.Run(l.runs, fl.Invocation)
	var apart []string
	if fl.Read != nil {
		o, apart = fl.Read(o)
	}
	stopping := l.runs.Err() != nil && (o.Kind == daruma.Unknown || !o.Kind.Ran())
	doubt := l.heal.End(l.ask, heal.Attempt{Permit: fl.Permit, Event: fl.Event, Alone: fl.Alone, Apart: apart, Began: started, Outcome: o,
		NotRun: route.Of(o.Kind).Brake == route.SlowDown && !stopping})
	if stopping {
		return end{fl, returned} // the platform stops: nothing is known against the event
	}
	how := settled
	if doubt != nil {
		if fl.Doubted != nil {
			fl.Doubted()
		}
		l.ended <- end{fl, doubted}
		how = cleared
		o = doubt.Settle(l.ask, o)
	}
	l.settle(fl, o, started)
	return end{fl, how}
}

// settle tells the source. A source that cannot take it now is told again,
// while the lease is extended; one that will not take it is not.
func (l *loop) settle(fl *flight, o daruma.Outcome, started time.Time) {
	for failures := 1; ; failures++ {
		err := fl.source.Settle(l.last, fl.Item, o, started)
		switch kind := daruma.KindOf(err); {
		case err == nil:
			return
		case kind == daruma.KindConflict:
			l.log.Warn("dispatch: an event was settled or taken back by somebody else", "request", fl.Invocation.ID, "outcome", o.Kind, "err", err)
			return
		case !kind.Retryable():
			l.log.Error("dispatch: what came of an event cannot be kept: it comes back when its lease runs out", "request", fl.Invocation.ID, "outcome", o.Kind, "err", err)
			return
		default:
			l.log.Warn("dispatch: what came of an event cannot be kept yet", "request", fl.Invocation.ID, "outcome", o.Kind, "err", err)
		}
		if l.clock.Sleep(l.runs, backoff(failures)) != nil {
			return // the platform stops; the lease tells the rest
		}
	}
}

// wait waits until something has happened, and takes note of it.
func (l *loop) wait(ctx context.Context) {
	rung := make(chan struct{}, 1)
	if at, some := l.nextLook(); some {
		stop := l.clock.AfterFunc(max(0, at.Sub(l.clock.Now())), func() { rung <- struct{}{} })
		defer stop()
	} else if at.IsZero() && l.anyReady() && l.room() > 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-rung:
	case <-l.stirred:
		l.rouse()
	case e := <-l.ended:
		l.landed(e)
	}
	for {
		select {
		case e := <-l.ended:
			l.landed(e)
		default:
			return
		}
	}
}

func (l *loop) anyReady() bool {
	for _, f := range l.feeds {
		if f.ready {
			return true
		}
	}
	return false
}

// rouse has every source asked.
func (l *loop) rouse() {
	for _, f := range l.feeds {
		if f.failures == 0 {
			f.ready = true
		}
	}
}

// nextLook is when the loop has something to do without being told. Without
// room it looks for what has grown too old only, and for the ramp.
func (l *loop) nextLook() (at time.Time, some bool) {
	now := l.clock.Now()
	room := l.room() > 0
	for _, f := range l.feeds {
		if f.ready && room {
			return time.Time{}, false
		}
		next := f.next
		if !room && !next.IsZero() {
			next = later(next, now.Add(rampEvery))
		}
		at = sooner(at, next)
		if f.ready {
			at = sooner(at, l.rampStep(now))
		}
	}
	return at, !at.IsZero()
}

// rampStep is when more may run, if that is not yet all.
func (l *loop) rampStep(now time.Time) time.Time {
	steps := now.Sub(l.started) / rampEvery
	if steps >= 20 || l.cfg.RampFrom<<steps >= l.cfg.Total {
		return time.Time{}
	}
	return l.started.Add((steps + 1) * rampEvery)
}

// sooner returns the earlier one; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// landed notes the end of a flight.
func (l *loop) landed(e end) {
	function := e.Invocation.Target.Function
	e.source.ready = e.source.ready || e.source.failures == 0
	if e.how == cleared {
		l.doubts--
		count(e.source.doubts, function, -1)
		return
	}
	for _, f := range l.feeds {
		f.ready = f.ready || f.crossed && f.failures == 0
	}
	l.running--
	count(l.of, function, -1)
	count(e.source.of, function, -1)
	switch e.how {
	case returned:
		l.back[e.source] = append(l.back[e.source], e.Item)
	case doubted:
		l.doubts++
		count(e.source.doubts, function, 1)
	}
}

// count adds n to the count of a function; those at zero are left out.
func count(of map[string]int, function string, n int) {
	if of[function] += n; of[function] == 0 {
		delete(of, function)
	}
}

// drain lets what runs come to its end, for a bounded time, and gives back the rest.
func (l *loop) drain(kill, giveUp context.CancelFunc) {
	rung := make(chan struct{}, 1)
	machine := daruma.SystemClock{} // what ends is processes, and who stops the platform waits for it
	stop := machine.AfterFunc(l.cfg.Drain, func() { rung <- struct{}{} })
	defer stop()
	for l.running+l.doubts > 0 {
		select {
		case e := <-l.ended:
			l.landed(e)
		case <-rung:
			kill()
			defer machine.AfterFunc(settleMax, giveUp)()
		}
	}
	for f, items := range l.back {
		if err := f.Release(l.last, items); err != nil {
			l.log.Warn("dispatch: events cannot be given back: they come back when their leases run out", "events", len(items), "err", err)
		}
	}
}
