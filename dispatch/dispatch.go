// Package dispatch runs what is due: one loop takes events from their sources
// when there is room, hands each to a function and says what came of it.
//
//	source ──Lease──► room? ──► Runner.Run ──► Settle ──► source
//	   │                 ▲                        │
//	   └── Wake          └──── a place is free ◄──┘
//
// It holds nothing durable: killed at any line, what it had leased comes back.
// It promises that no more events run at once than its limits allow, in all and
// of one function; that leases are extended while their events run; that after
// a start the number of events run at once grows step by step; that it waits
// for something to happen and never asks in a circle; and that Run returns only
// when nothing of it is left.
//
// How much of each function may run, and whether a failure counts, is for
// package heal to say: a function that is throttled gets no more events than run
// of it at the moment, one that is held gets none but a probe, and the others do
// not wait behind it. So every source has that for nothing.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/heal"
)

// A Source holds events to be run. Its methods may be called from any goroutine.
type Source interface {
	// Lease takes events that are due.
	Lease(ctx context.Context, w Want) (Batch, error)
	// Extend has leases last for by from now, and returns those that are lost.
	Extend(ctx context.Context, by time.Duration, items []Item) (lost []Item, err error)
	// Settle says what came of an item. One that is Held did not count: its
	// events keep their place and their attempts, and come back later.
	// KindConflict when its lease is lost.
	Settle(ctx context.Context, i Item, o daruma.Outcome, started time.Time) error
	// Release gives items back that have not been run.
	Release(ctx context.Context, items []Item) error
	// Wake holds a token when something may have become due.
	Wake() <-chan struct{}
}

// final says whether an error of Settle is the last word: nobody asks again.
func final(err error) bool {
	kind := daruma.KindOf(err)
	return kind == daruma.KindConflict || !kind.Retryable()
}

// A Want says what a source may hand out.
type Want struct {
	N      int
	For    time.Duration
	Each   int            // of one function at once, in all
	Limits map[string]int // functions with another limit; 0 or less: none for now
	// Tried are functions that are held, of which one event is tried: a batch of
	// theirs has one record, so that a broken one does not speak for the others.
	Tried map[string]bool
}

// A Batch is what a source handed out.
type Batch struct {
	Items []Item
	More  bool      // more is due
	Next  time.Time // when something will be due; zero: when Wake says so
}

// An Item is one run of a function: of one event, or of a batch of them.
type Item struct {
	Number     uint64 // its source's own, with Lease
	Lease      uint64
	Invocation daruma.Invocation
	// Event tells what runs apart from other events, the same in each attempt;
	// the request ID when "".
	Event string
	Alone bool // it has failed before, while most others went well
	// Permit is what package heal has given for it, when its source has asked.
	Permit heal.Permit
	// Read says what an outcome means to the source: of a batch, an answer may
	// say that it failed, or which of its events failed while most others went
	// well. Nil: what it says.
	Read func(daruma.Outcome) (o daruma.Outcome, apart []string)
	// Doubted is told when it has ended and it is not known yet whether a failure
	// counts: it does not run any more, and is settled later. It may be nil.
	Doubted func()
}

// Config is what a Dispatcher needs. Runner and Sources are required.
type Config struct {
	Sources []Source
	Runner  daruma.Runner
	Heal    *heal.Governor // how much of each function may run; a strict one when nil
	Clock   daruma.Clock   // that of the sources, for every wait but Drain; daruma.SystemClock when nil
	Logger  *slog.Logger   // where it says what goes wrong; nowhere when nil

	Total    int           // events run at once; 64 when 0
	Each     int           // of one function, without Heal; half of Total when 0
	LeaseFor time.Duration // how long a lease lasts before it is extended or lost; a minute when 0
	Drain    time.Duration // how long what runs may go on once Run is to end, by the machine's clock; 30 seconds when 0
	RampFrom int           // events run at once in the first second; doubles every second; 8 when 0
}

// Limits of the loop's own pauses.
const (
	leaseAtOnce = 100 // events one lease command takes at most
	pauseMin    = 5 * time.Millisecond
	errorMin    = 100 * time.Millisecond // before a source that failed is asked again; doubles
	errorMax    = 30 * time.Second
	rampEvery   = time.Second
	settleMax   = 10 * time.Second // for what is settled or released after the end of Drain
)

// A Dispatcher runs what is due.
type Dispatcher struct {
	cfg     Config
	clock   daruma.Clock
	log     *slog.Logger
	heal    *heal.Governor
	ended   chan end // takes one end for each item that is out
	stirred daruma.Bell

	mu  sync.Mutex
	out map[*flight]bool // guarded by mu
}

// A flight is an item being run.
type flight struct {
	Item
	source *feed
}

// An end is a flight that is over.
type end struct {
	*flight
	how ending
}

// An ending is how a flight has ended, for the loop.
type ending uint8

const (
	settled  ending = iota
	returned        // it was not settled and is to be given back
	doubted         // its place is free; it is settled when it is known whether its failure counts
	cleared         // of one that was doubted: it is settled now
)

// A feed is a source and what the loop knows of it.
type feed struct {
	Source
	ready    bool      // something is due, as far as known
	next     time.Time // something is due then; zero: not known
	failures int
	crossed  bool           // it got fewer of a function because of what runs for other sources
	of       map[string]int // its flights, by function
	doubts   map[string]int // those that have ended and are in doubt
}

// New returns a dispatcher. It starts nothing.
func New(cfg Config) *Dispatcher {
	cfg.Total = cmp.Or(cfg.Total, 64)
	cfg.Each = cmp.Or(cfg.Each, max(1, cfg.Total/2))
	cfg.LeaseFor = cmp.Or(cfg.LeaseFor, time.Minute)
	cfg.Drain = cmp.Or(cfg.Drain, 30*time.Second)
	cfg.RampFrom = cmp.Or(cfg.RampFrom, 8)
	d := &Dispatcher{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, ended: make(chan end, cfg.Total), stirred: daruma.NewBell(), out: map[*flight]bool{}}
	if d.clock == nil {
		d.clock = daruma.SystemClock{}
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.heal = cfg.Heal; d.heal == nil {
		d.heal = heal.New(heal.Config{Strict: true, Most: cfg.Each, Clock: d.clock})
	}
	return d
}

// Run runs what is due until ctx ends. Then it takes nothing more, lets what
// runs go on for as long as Drain says, gives back what has not ended, and returns nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	if len(d.cfg.Sources) == 0 || d.cfg.Runner == nil {
		return &daruma.Error{Op: "dispatch", Kind: daruma.KindInvalid, Err: errors.New("it needs sources and a runner")}
	}
	feeds := make([]*feed, len(d.cfg.Sources))
	var helpers, flights sync.WaitGroup
	live, stop := context.WithCancel(context.WithoutCancel(ctx)) // ends when nothing runs any more
	for i, s := range d.cfg.Sources {
		feeds[i] = &feed{Source: s, ready: true, of: map[string]int{}, doubts: map[string]int{}}
		helpers.Go(func() { d.listen(live, s) })
	}
	helpers.Go(func() { d.extend(live) })
	helpers.Go(func() { d.listen(live, d.heal) })
	runs, kill := context.WithCancel(context.WithoutCancel(ctx))
	last, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	l := &loop{Dispatcher: d, feeds: feeds, flights: &flights, ask: ctx, runs: runs, last: last, started: d.clock.Now()}
	l.work(ctx)
	l.drain(kill, giveUp)
	flights.Wait()
	stop()
	kill()
	giveUp()
	helpers.Wait()
	return nil
}

// listen passes wake-ups on.
func (d *Dispatcher) listen(ctx context.Context, s interface{ Wake() <-chan struct{} }) {
	for {
		select {
		case <-s.Wake():
			d.stirred.Ring()
		case <-ctx.Done():
			return
		}
	}
}

// extend keeps the leases of what runs.
func (d *Dispatcher) extend(ctx context.Context) {
	for d.clock.Sleep(ctx, d.cfg.LeaseFor/3) == nil {
		bySource := map[*feed][]Item{}
		d.mu.Lock()
		for f := range d.out {
			bySource[f.source] = append(bySource[f.source], f.Item)
		}
		d.mu.Unlock()
		for s, items := range bySource {
			lost, err := s.Extend(ctx, d.cfg.LeaseFor, items)
			if err != nil && ctx.Err() == nil {
				d.log.Warn("dispatch: leases cannot be extended: what runs may run again", "events", len(items), "err", err)
			}
			for _, i := range lost {
				d.log.Warn("dispatch: a lease was lost while its event runs: it may run again", "request", i.Invocation.ID, "function", i.Invocation.Target.Function)
			}
		}
	}
}
