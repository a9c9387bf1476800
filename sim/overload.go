package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
)

// An Overload is a function whose events never end and which needs something
// that can do only so much: it has slots, serves in order of arrival, and goes
// on serving callers who have given up. What is tried is the product's own
// dispatcher, breaker and limiter.
type Overload struct {
	Name     string
	Seed     uint64
	Slots    int
	Later    int                                                // slots from the fault on; the same when 0
	Serve    func(r *rand.Rand, at time.Duration) time.Duration // how long one call takes; negative: it is refused
	From, To time.Duration                                      // of the fault
	Lasts    time.Duration
	Most     int // events at once the dispatcher may try
}

const (
	callMax    = time.Second          // a caller waits that long
	refusedIn  = 5 * time.Millisecond // a refused call takes that long
	receiveMax = 3                    // an event that failed so often is a dead letter
	backAfter  = 30 * time.Second     // a failed event comes back then
)

// A Goodput is what came of an Overload.
type Goodput struct {
	Before, During, After float64       // useful work, as a share of what can be done; After: from five seconds after the fault
	Back                  time.Duration // from the end of the fault until nine tenths of capacity were reached for a second
	Probes                int           // most runs in one second of the fault, once it was known for five
	Holds                 int           // times the function was held
	Dead                  int           // events that used up their attempts
	P99                   time.Duration // of good runs after the fault
}

// backlog is a source that never ends.
type backlog struct {
	wake  chan struct{}
	clock daruma.Clock

	mu    sync.Mutex // guards the rest
	next  uint64
	out   int
	tries map[uint64]int // of events that have failed
	back  []returning    // in order
	dead  int
}

type returning struct {
	number uint64
	at     time.Time
}

// Lease hands out what came back, and then what is new.
func (b *backlog) Lease(_ context.Context, w dispatch.Want) (dispatch.Batch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit, ok := w.Limits["F"]
	if !ok {
		limit = w.Each
	}
	var got dispatch.Batch
	now := b.clock.Now()
	for range min(w.N, limit-b.out) {
		var n uint64
		if len(b.back) > 0 && !b.back[0].at.After(now) {
			n, b.back = b.back[0].number, b.back[1:]
		} else {
			b.next++
			n = b.next
		}
		got.Items = append(got.Items, dispatch.Item{Number: n, Invocation: daruma.Invocation{ID: number(n), Target: daruma.Target{Function: "F"}}})
	}
	b.out += len(got.Items)
	got.More = limit-b.out > 0
	return got, nil
}

func number(n uint64) string {
	var b []byte
	for ; n > 0 || len(b) == 0; n /= 10 {
		b = append(b, byte('0'+n%10))
	}
	slices.Reverse(b)
	return string(b)
}

// Extend does nothing: leases do not end here.
func (b *backlog) Extend(context.Context, time.Duration, []dispatch.Item) ([]dispatch.Item, error) {
	return nil, nil
}

// Settle has what failed come back, unless its attempts are used up.
func (b *backlog) Settle(_ context.Context, i dispatch.Item, o daruma.Outcome, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out--
	after := backAfter
	switch o.Kind {
	case daruma.Done:
		delete(b.tries, i.Number)
		return nil
	case daruma.Held:
		after = time.Second
	default:
		if b.tries[i.Number]++; b.tries[i.Number] == receiveMax {
			b.dead++
			delete(b.tries, i.Number)
			return nil
		}
	}
	at := b.clock.Now().Add(after)
	n, _ := slices.BinarySearchFunc(b.back, at, func(r returning, t time.Time) int {
		if r.at.After(t) {
			return 1
		}
		return -1
	})
	b.back = slices.Insert(b.back, n, returning{i.Number, at})
	return nil
}

// Release puts back what did not run.
func (b *backlog) Release(_ context.Context, items []dispatch.Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out -= len(items)
	return nil
}

// Wake holds nothing: what is there is always due.
func (b *backlog) Wake() <-chan struct{} { return b.wake }

// dependency is what the function needs.
type dependency struct {
	o     Overload
	clock daruma.Clock
	began time.Time

	mu    sync.Mutex // guards the rest
	dice  *rand.Rand
	free  []time.Time // when each slot is
	calls []time.Duration
	good  []time.Duration // when good runs ended
	took  []time.Duration // how long they took
	work  []time.Duration // how long they were served
}

// Run is one call.
func (d *dependency) Run(ctx context.Context, _ daruma.Invocation) daruma.Outcome {
	d.mu.Lock()
	now := d.clock.Now()
	at := now.Sub(d.began)
	d.calls = append(d.calls, at)
	serve := d.o.Serve(d.dice, at)
	wait := refusedIn
	if serve >= 0 {
		slot := 0
		for i := range d.free[:d.o.slots(at)] {
			if d.free[i].Before(d.free[slot]) {
				slot = i
			}
		}
		if d.free[slot].Before(now) {
			d.free[slot] = now
		}
		d.free[slot] = d.free[slot].Add(serve)
		wait = d.free[slot].Sub(now)
	}
	d.mu.Unlock()
	if d.clock.Sleep(ctx, min(wait, callMax)) != nil {
		return daruma.Outcome{Kind: daruma.Unknown}
	}
	switch {
	case serve < 0:
		return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Error", Message: "connect ECONNREFUSED 10.0.0.5:5432"}}
	case wait > callMax:
		return daruma.Outcome{Kind: daruma.TimedOut, Failure: &daruma.Failure{Type: "Sandbox.Timedout", Message: "Task timed out after 1.00 seconds"}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good = append(d.good, d.clock.Now().Sub(d.began))
	d.took = append(d.took, wait)
	d.work = append(d.work, serve)
	return daruma.Outcome{Kind: daruma.Done, Duration: wait}
}

func (o Overload) slots(at time.Duration) int {
	if at >= o.From && o.Later > 0 {
		return o.Later
	}
	return o.Slots
}

// Live lives through an overload, in a synctest bubble.
func (o Overload) Live(ctx context.Context) Goodput {
	clock := daruma.SystemClock{}
	b := &backlog{wake: make(chan struct{}, 1), clock: clock, tries: map[uint64]int{}}
	d := &dependency{o: o, clock: clock, began: clock.Now(), dice: rand.New(rand.NewPCG(o.Seed, 7)), free: make([]time.Time, max(o.Slots, o.Later))}
	log := &holdLog{}
	g := heal.New(heal.Config{Most: o.Most, Clock: clock, Seed: o.Seed, Store: log})
	live, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = dispatch.New(dispatch.Config{Sources: []dispatch.Source{b}, Runner: d, Heal: g, Clock: clock, Total: o.Most, Drain: callMax}).Run(live)
	}()
	_ = clock.Sleep(ctx, o.Lasts)
	stop()
	<-done
	return o.goodput(d, b, log)
}

func (o Overload) goodput(d *dependency, b *backlog, log *holdLog) Goodput {
	second := func(at time.Duration) int { return int(at / time.Second) }
	n := second(o.Lasts)
	calls := make([]int, n+2)
	good := make([]float64, n+2) // the share of its time that it did something useful
	for i, at := range d.good {
		good[min(second(at), n+1)] += d.work[i].Seconds() / float64(o.slots(at))
	}
	for _, at := range d.calls {
		calls[min(second(at), n+1)]++
	}
	share := func(from, to time.Duration) float64 {
		sum := 0.0
		for _, g := range good[second(from):second(to)] {
			sum += g
		}
		return sum / (to - from).Seconds()
	}
	r := Goodput{Before: share(10*time.Second, o.From), During: share(o.From, o.To), After: share(min(o.To+5*time.Second, o.Lasts-time.Second), o.Lasts), Dead: b.dead, Holds: log.opened, Back: o.Lasts}
	for s := second(o.To); s < n; s++ {
		if good[s] >= .9 {
			r.Back = time.Duration(s)*time.Second - o.To
			break
		}
	}
	for s := second(o.From) + 5; s < second(o.To); s++ {
		r.Probes = max(r.Probes, calls[s])
	}
	var took []time.Duration
	for i, at := range d.good {
		if at > o.To {
			took = append(took, d.took[i])
		}
	}
	if slices.Sort(took); len(took) > 0 {
		r.P99 = took[len(took)*99/100]
	}
	return r
}
