// Package sim runs whole worlds from a seed: events, functions that fail in
// every way there is, crashes and restarts, in the time of a synctest bubble.
// It is for tests; nothing of the product imports it.
//
// A seed fixes what happens and when: the workload, what each run of each
// event comes to, when the process dies and comes back. It does not fix the
// order in which goroutines run at one moment, so a seed that failed may need
// several runs to fail again.
package sim

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/route"
)

// A Plan is everything a seed decides.
type Plan struct {
	Seed      uint64
	Functions []*Function
	Events    []Event
	Troubles  []Trouble
	CrashAt   int // the entry of the journal that is applied and lost in a crash; 0: none
	Total     int // of the dispatcher
	Each      int
}

// A Function is one that events are for.
type Function struct {
	Name     string
	Policy   delivery.Policy
	Reserved *int
	Gone     bool // it does not exist
	Fails    int  // of 100 runs
	Absent   int  // of 100 tries that find no room
	Slowest  time.Duration
}

// An Event is accepted at a time after the beginning.
type Event struct {
	At       time.Duration
	Request  string
	Function string
}

// A Trouble ends the process at a time, and brings it back later.
type Trouble struct {
	At    time.Duration
	Kind  string        // "crash", "torn" (what is not durable is lost), "restart"
	Held  time.Duration // of "torn": how long nothing had been durable
	Down  time.Duration
	Deaf  bool // from then on the sink refuses
	Hears bool // from then on it does not
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// NewPlan makes the plan of a seed.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := Plan{Seed: seed, Total: 1 + r.IntN(12)}
	p.Each = 1 + r.IntN(p.Total)
	n := 1 + r.IntN(4)
	for i := range n {
		f := &Function{Name: fmt.Sprintf("F%d", i), Fails: pick(r, 0, 30, 70, 100), Absent: pick(r, 0, 0, 20, 60), Slowest: pick(r, time.Millisecond, time.Second, 80*time.Second)}
		switch r.IntN(8) {
		case 0:
			f.Reserved = new(0)
		case 1, 2:
			f.Reserved = new(1 + r.IntN(2))
		case 3:
			f.Gone = r.IntN(2) == 0
		}
		if r.IntN(4) > 0 {
			f.Policy.Retries = new(r.IntN(3))
		}
		f.Policy.Age = pick(r, 0, time.Minute, 100*time.Second, 5*time.Minute, time.Hour)
		for _, d := range []**delivery.Destination{&f.Policy.OnSuccess, &f.Policy.OnFailure, &f.Policy.DeadLetter} {
			switch to := r.IntN(3); {
			case to == 0:
				*d = &delivery.Destination{Kind: "sink", Name: "S"}
			case to == 1 && d != &f.Policy.DeadLetter && n > 1:
				*d = &delivery.Destination{Kind: delivery.FunctionKind, Name: fmt.Sprintf("F%d", (i+1)%n)}
			}
		}
		p.Functions = append(p.Functions, f)
	}
	for i := range 1 + r.IntN(25) {
		p.Events = append(p.Events, Event{At: time.Duration(r.Int64N(int64(4 * time.Minute))), Request: fmt.Sprintf("%d-%d", seed, i), Function: pick(r, p.Functions...).Name})
	}
	slices.SortFunc(p.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	for range r.IntN(5) {
		t := Trouble{At: time.Duration(r.Int64N(int64(8 * time.Minute))), Kind: pick(r, "crash", "torn", "restart"), Held: time.Duration(r.Int64N(int64(2 * time.Second))), Down: time.Duration(r.Int64N(int64(30 * time.Second)))}
		t.Deaf, t.Hears = r.IntN(4) == 0, r.IntN(2) == 0
		p.Troubles = append(p.Troubles, t)
	}
	slices.SortFunc(p.Troubles, func(a, b Trouble) int { return cmp.Compare(a.At, b.At) })
	return p
}

// Disturbed says whether the process ends before its time.
func (p Plan) Disturbed() bool { return len(p.Troubles) > 0 || p.CrashAt > 0 }

func (p Plan) function(name string) *Function {
	for _, f := range p.Functions {
		if f.Name == name {
			return f
		}
	}
	return &Function{Name: name, Gone: true}
}

// A World is a plan being carried out. It lives in a synctest bubble.
type World struct {
	Plan
	host
	sink  *Sink
	torn  chan struct{}    // closed when entry CrashAt is applied
	Tally map[string]int64 // what there was of what, once Live has returned

	mu      sync.Mutex // guards the rest
	acked   []string   // request IDs that were accepted for sure
	runs    []Run
	tries   map[string]int
	running map[string]int
	mostAll int
	mostOf  int
	d       *delivery.Deliveries
	l       *ledger.Ledger
}

// A Run is one try of one event as its function saw it.
type Run struct {
	Request  string
	Function string
	At, End  time.Time
	Outcome  daruma.OutcomeKind
}

// NewWorld makes a world. It starts nothing.
func NewWorld(p Plan) *World {
	return &World{Plan: p, host: newHost(), sink: &Sink{}, torn: make(chan struct{}), tries: map[string]int{}, running: map[string]int{}}
}

// Live carries the plan out, until nothing is in progress any more.
func (w *World) Live(ctx context.Context) error { return w.last(ctx, w.open, w.live) }

func (w *World) live(ctx context.Context, workload *sync.WaitGroup) error {
	for _, e := range w.Events {
		workload.Go(func() { w.accept(ctx, e) })
	}
	if w.CrashAt > 0 {
		if err := w.crashAt(ctx); err != nil {
			return err
		}
	}
	for _, t := range w.Troubles {
		w.until(ctx, t.At)
		if err := w.trouble(ctx, t); err != nil {
			return err
		}
	}
	workload.Wait()
	for range 10 * 60 * 12 { // twelve hours
		all, _, err := w.d.Accounts(ctx)
		if err != nil {
			return err
		}
		if !all.Closes() {
			return fmt.Errorf("the account does not close: %+v", all)
		}
		if all.InProgress() == 0 {
			return w.check(ctx)
		}
		_ = w.clock.Sleep(ctx, 6*time.Second)
	}
	return fmt.Errorf("after twelve hours events are still in progress")
}

// accept has an event accepted, again and again until that is certain.
func (w *World) accept(ctx context.Context, e Event) {
	w.until(ctx, e.At)
	w.again(ctx, func() bool {
		w.mu.Lock()
		d := w.d
		w.mu.Unlock()
		_, err := d.Accept(ctx, delivery.Event{Request: e.Request, Target: daruma.Target{Function: e.Function}, Payload: []byte(`{"of":"` + e.Request + `"}`), Source: "sim"})
		if err == nil {
			w.mu.Lock()
			w.acked = append(w.acked, e.Request)
			w.mu.Unlock()
		}
		return err == nil || daruma.KindOf(err) == daruma.KindDoubtful // it may be there, or not: nobody was promised anything
	})
}

// crashAt waits for the entry that is to be lost, and has the process die of it.
func (w *World) crashAt(ctx context.Context) error {
	late := make(chan struct{})
	defer w.clock.AfterFunc(10*time.Minute, func() { close(late) })()
	select {
	case <-w.torn:
		return w.trouble(ctx, Trouble{Kind: "crash", Down: time.Second})
	case <-late:
		return nil // there are not so many entries
	}
}

// tearing is a medium that holds back one entry.
type tearing struct {
	*World
	entries int
}

// Open opens the medium, and counts what is applied.
func (t *tearing) Open(ctx context.Context, apply journal.Apply) (journal.Journal, error) {
	return t.medium.Open(ctx, func(e journal.Entry, before journal.Reader) (journal.Changes, any, error) {
		if t.entries++; t.entries == t.CrashAt {
			t.medium.Hold()
			close(t.torn)
		}
		return apply(e, before)
	})
}

func (w *World) trouble(ctx context.Context, t Trouble) error {
	w.suffer(ctx, t)
	if t.Deaf || t.Hears {
		w.sink.Refuse(t.Deaf)
	}
	return w.open(ctx, false)
}

// open starts the process.
func (w *World) open(ctx context.Context, first bool) error {
	m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return "arn:" + t.String() }, Sinks: map[string]delivery.Sink{"sink": delivery.PutTo("sink")}})
	var place journal.Place = w.medium
	if first && w.CrashAt > 0 {
		place = &tearing{World: w}
	}
	c, err := cell.Open(ctx, cell.Config{Journal: place, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{m, ledger.Machine{}, w.sink}})
	if err != nil {
		return err
	}
	d := delivery.New(c, m)
	if first {
		var wishes []delivery.Wish
		for _, f := range w.Functions {
			wishes = append(wishes, delivery.Wish{Function: f.Name, Policy: &f.Policy})
		}
		if err := d.ConfigureAll(ctx, wishes, nil); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.d, w.l = d, ledger.New(c)
	run := w.begin(c)
	x := dispatch.New(dispatch.Config{Sources: []dispatch.Source{dispatch.NewDeliveries(d, w.facts, w.l)}, Runner: runner{w, w.life}, Clock: w.clock, Total: w.Total, Each: w.Each})
	run(x.Run)
	return nil
}

func (w *World) facts(t daruma.Target, _ daruma.Outcome) route.Facts {
	return route.Facts{Reserved: w.function(t.Function).Reserved}
}
