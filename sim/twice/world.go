package twice

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/shard"
	"github.com/daruma-io/daruma/table"
)

const function = "F"

// rule says which events are the same. No key is forgotten while a world lasts.
var rule = once.Rule{Path: "$.key", For: 24 * time.Hour}

// A World is a Plan being carried out.
type World struct {
	Plan
	Tally   map[string]int64
	clock   daruma.Clock
	medium  *memory.Medium
	began   time.Time
	crashes int // that were

	mu      sync.Mutex // guards the rest
	doubted int        // sends of which nobody knows whether they were taken
	running map[string]int
	tries   map[Event]int // of events as they are: without their time
	good    map[Event]int // runs that went well
	runs    int
	wrong   []string

	// of one life of the process
	way     way
	keys    *once.Records
	l       *ledger.Ledger
	cell    *cell.Cell
	life    context.Context
	end     context.CancelFunc
	drain   context.CancelFunc
	stopped chan struct{}
	torn    chan struct{} // closed when the entry at which this life ends is applied
}

// NewWorld makes a world. It starts nothing.
func NewWorld(p Plan) *World {
	return &World{Plan: p, Tally: map[string]int64{}, clock: daruma.SystemClock{}, medium: &memory.Medium{}, tries: map[Event]int{}, good: map[Event]int{}}
}

// Live carries the plan out until every event is done or given up.
func (w *World) Live(ctx context.Context) error {
	w.began = w.clock.Now()
	if err := w.open(ctx, true); err != nil {
		return err
	}
	defer w.stop()
	ctx, end := context.WithCancel(ctx)
	var workload sync.WaitGroup
	defer workload.Wait()
	defer end() // a world that has failed has no more to send
	workload.Go(func() { w.sendAll(ctx) })
	troubles := append(slices.Clone(w.Crashes), make([]Crash, len(w.Restarts))...)
	for i, c := range troubles {
		if err := w.trouble(ctx, c, i-len(w.Crashes)); err != nil {
			return err
		}
	}
	workload.Wait()
	for range 6 * 60 { // an hour
		s, err := w.way.standing(ctx)
		if err != nil {
			return err
		}
		if s.Left == 0 && s.Accepted > 0 {
			_ = w.clock.Sleep(ctx, time.Minute) // whoever still runs something ends
			return w.check(ctx)
		}
		_ = w.clock.Sleep(ctx, 10*time.Second)
	}
	s, err := w.way.standing(ctx)
	return fmt.Errorf("after an hour events are left: %+v, %w", s, err)
}

// trouble ends the process at a crash, or at the n-th restart, and begins it again.
func (w *World) trouble(ctx context.Context, c Crash, n int) error {
	if n >= 0 {
		_ = w.clock.Sleep(ctx, w.Restarts[n])
		w.count("restart")
	} else {
		late := make(chan struct{})
		stop := w.clock.AfterFunc(10*time.Minute, func() { close(late) })
		defer stop()
		select {
		case <-w.torn:
		case <-late:
			return nil // there are not so many entries
		}
		w.end()
		if c.Kept {
			w.medium.Release()
		}
		w.medium.Crash()
		w.count("crash")
		w.crashes++
	}
	w.stop()
	_ = w.clock.Sleep(ctx, c.Down)
	return w.open(ctx, false)
}

// sendAll has every event accepted, each again and again until that is certain:
// what was in doubt may be there twice.
func (w *World) sendAll(ctx context.Context) {
	for n, e := range w.Events {
		_ = w.clock.Sleep(ctx, e.At-w.clock.Now().Sub(w.began))
		for {
			w.mu.Lock()
			way := w.way
			w.mu.Unlock()
			err := way.send(ctx, n, e)
			if err == nil {
				break
			}
			if daruma.KindOf(err) == daruma.KindDoubtful {
				w.mu.Lock()
				w.doubted++
				w.mu.Unlock()
			}
			if w.clock.Sleep(ctx, time.Second) != nil {
				return
			}
		}
	}
}

// tearing is a medium that holds back what follows one entry, and that entry.
type tearing struct {
	*memory.Medium
	left atomic.Int64 // entries until then, when it is more than 0
	torn chan struct{}
}

// Open opens the medium, and counts down what is applied.
func (t *tearing) Open(ctx context.Context, apply journal.Apply) (journal.Journal, error) {
	return t.Medium.Open(ctx, func(e journal.Entry, before journal.Reader) (journal.Changes, any, error) {
		if t.left.Add(-1) == 0 {
			t.Hold()
			close(t.torn)
		}
		return apply(e, before)
	})
}

func (w *World) stop() {
	w.drain()
	<-w.stopped
	w.end()
	_ = w.cell.Close() // of a crashed one: an error
}

// open starts the process: what it finds must agree before anything runs.
func (w *World) open(ctx context.Context, first bool) error {
	if first {
		if err := w.load(ctx, w.medium, true); err != nil {
			return err
		}
		if err := w.cell.Close(); err != nil {
			return err
		}
	}
	torn := &tearing{Medium: w.medium, torn: make(chan struct{})}
	if err := w.load(ctx, torn, false); err != nil {
		return err
	}
	if !first {
		if err := w.agree(ctx); err != nil {
			return fmt.Errorf("after %d crashes: %w", w.crashes, err)
		}
	}
	if n := w.crashes; n < len(w.Crashes) {
		torn.left.Store(int64(w.Crashes[n].At)) // of those that follow: opening is no part of it
	}
	w.start(torn.torn)
	return nil
}

// load opens the nouns.
func (w *World) load(ctx context.Context, place journal.Place, first bool) error {
	queued, mappings, tabled, given := queue.NewMachine(), mapping.NewMachine(), table.NewMachine(), newInvocations()
	c, err := cell.Open(ctx, cell.Config{Journal: place, Clock: w.clock, CanaryEvery: time.Hour,
		Machines: []cell.Machine{ledger.Machine{}, hold.Machine{}, once.Machine{}, shard.Machine{}, shelf{}, queued, mappings, tabled, given}})
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, c, queued, w.clock)
	if err != nil {
		return err
	}
	l := ledger.New(c)
	shared := mapped{w.Plan, w.clock, mapping.Open(c, mappings)}
	var is way
	switch w.Way {
	case Stream:
		is = &changes{shared, table.New(c, tabled, w.clock), shard.New(c), l}
	case Async:
		is = &invocations{w.Plan, delivery.New(c, given), l}
	default:
		is = &messages{shared, q}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cell, w.keys, w.l, w.way = c, once.New(c), l, is
	if first {
		return is.create(ctx)
	}
	return nil
}

// start has events handed out.
func (w *World) start(torn chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.torn, w.running = torn, map[string]int{}
	w.life, w.end = context.WithCancel(context.Background())
	live, drain := context.WithCancel(context.Background())
	w.drain, w.stopped = drain, make(chan struct{})
	guard := dispatch.NewGuard(w.keys, func(string) (once.Rule, bool) { return rule, true }, w.clock)
	source, beside := w.way.source(guard)
	d := dispatch.New(dispatch.Config{Sources: []dispatch.Source{source}, Runner: runner{w, w.life, w.keys}, Clock: w.clock, Total: 10, Drain: 20 * time.Second, Heal: heal.New(heal.Config{Strict: true, Most: 10, Clock: w.clock})})
	stopped := w.stopped
	go func() {
		defer close(stopped)
		var both sync.WaitGroup
		both.Go(func() { _ = beside(live) })
		both.Go(func() { _ = d.Run(live) })
		both.Wait()
	}()
}
