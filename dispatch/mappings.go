package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
)

// MappingsConfig is what Mappings need. Store, Kinds, Facts and Guard are required.
type MappingsConfig struct {
	Store *mapping.Mappings
	Kinds map[string]Kind // by mapping.Source.Kind
	Facts func(t daruma.Target, o daruma.Outcome) route.Facts
	Guard *Guard
	Heal  *heal.Governor // gives each batch of one dependency key its permit; nil: no function declares any
	// Refuse says why a record is given up instead of run, given an invocation with
	// its ID, its target and its trace; nil when it runs. Without it all run.
	Refuse func(inv daruma.Invocation) *daruma.Failure
	// Misread is told of reports that make no sense, as soon as they are read. It
	// does not wait for anything. Without it nobody is told.
	Misread func(Misreport)
	Strict  bool // a record that could not be tried spends an attempt, as on AWS
	Clock   daruma.Clock
	Logger  *slog.Logger
}

const (
	notRunPause  = 200 * time.Millisecond // before a record that could not run is taken again
	emptyPause   = 50 * time.Millisecond  // after nothing of what waits could be handed out
	problemPause = 5 * time.Second        // before a mapping whose source or function is not there is looked at again
	filterRounds = 10                     // batches of unwanted records in a row, before others have their turn
	triedLook    = 100                    // records of which one is chosen to be tried
	keysLook     = 10                     // batches of one key that are looked for at least
	keyedLook    = 100                    // records among which they are, at most
	triedMost    = 10_000                 // events of which it is known how often they were
	recordsMost  = 10_000                 // in one batch
)

// Mappings is event source mappings as a source. What it knows of batches that
// are out is in memory only: their leases tell the rest.
type Mappings struct {
	cfg   MappingsConfig
	clock daruma.Clock
	log   *slog.Logger
	wake  daruma.Bell

	mu        sync.Mutex // guards the rest
	flows     map[string]*flow
	lots      map[uint64]*lot
	last      uint64         // number given to a lot
	of        map[string]int // lots that are out, by function
	turn      int
	reclaimed map[mapping.Source]bool // those whose earlier leases were taken back: once, or what runs would be, too
}

// A flow is what is known of one mapping at work.
type flow struct {
	revision uint64
	criteria *pattern.Criteria
	scale    scale
	out      int            // lots
	doubted  int            // of them, those that do not run any more
	records  int            // in them
	window   time.Time      // when the batch that is being waited for is handed out anyway; zero: none is
	pause    time.Time      // nothing is taken until then
	tried    map[string]int // of a function that is held: how often an event was tried
	again    []*lot         // strict: could not run, and are still held
}

// A lot is a batch that is out. Its records are of one unit.
type lot struct {
	unit    hold.Unit
	permit  heal.Permit // of the run; zero when the function has no keys
	number  uint64
	mapping *mapping.Mapping
	records []Record
	payload []byte
	keys    []*once.Entry // of the records; nil when they have none
	failed  []int         // the places of those that the function reported, when not all are
	doubted bool
	due     time.Time // strict: when it is tried again
	tries   int
	until   time.Time // when its records are lost unless they are kept longer; guarded by the source's mu
}

// NewMappings returns the source of the mappings in cfg.Store. It starts nothing.
func NewMappings(cfg MappingsConfig) *Mappings {
	s := &Mappings{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, wake: daruma.NewBell(), flows: map[string]*flow{}, lots: map[uint64]*lot{}, of: map[string]int{}, reclaimed: map[mapping.Source]bool{}}
	if s.clock == nil {
		s.clock = daruma.SystemClock{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Run passes the wake-ups of sources on until ctx ends.
func (s *Mappings) Run(ctx context.Context) error {
	var listeners sync.WaitGroup
	wakes := []<-chan struct{}{s.cfg.Store.Wake()}
	for _, k := range s.cfg.Kinds {
		wakes = append(wakes, k.Wake())
	}
	for _, w := range wakes {
		listeners.Go(func() {
			for {
				select {
				case <-w:
					s.wake.Ring()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	listeners.Wait()
	return nil
}

// Wake holds a token when a mapping may have something to do.
func (s *Mappings) Wake() <-chan struct{} { return s.wake }

// Lease takes batches of the mappings in turn.
func (s *Mappings) Lease(ctx context.Context, w Want) (Batch, error) {
	var b Batch
	all := s.cfg.Store.All()
	s.forget(all)
	for m := range inTurn(all, s.turn) {
		k, ok := s.cfg.Kinds[m.Source.Kind]
		if !ok {
			continue // another version of the platform knows it
		}
		if err := s.prepare(ctx, m, k); err != nil {
			s.problem(ctx, m, err)
			b.Next = sooner(b.Next, s.clock.Now().Add(problemPause))
			continue
		}
		if m.Flows() && w.N > 0 {
			s.fill(ctx, m, k, w, &b)
		}
	}
	s.turn++
	return b, nil
}

// forget drops what is known of mappings that are gone.
func (s *Mappings) forget(all []*mapping.Mapping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uuid, f := range s.flows {
		if f.out == 0 && !slices.ContainsFunc(all, func(m *mapping.Mapping) bool { return m.UUID == uuid }) {
			delete(s.flows, uuid)
		}
	}
}

// prepare takes back what was held before, and moves a mapping on that is on its
// way to another state.
func (s *Mappings) prepare(ctx context.Context, m *mapping.Mapping, k Kind) error {
	s.mu.Lock()
	f := s.flow(m)
	out, reclaimed := f.out, s.reclaimed[m.Source]
	s.mu.Unlock()
	if !reclaimed {
		if err := k.Reclaim(ctx, m); err != nil {
			return err
		}
		s.mu.Lock()
		s.reclaimed[m.Source] = true
		s.mu.Unlock()
	}
	if m.State == mapping.Enabled || m.State == mapping.Disabled || m.Ends() && out > 0 {
		return nil
	}
	return s.cfg.Store.Advance(ctx, m.UUID, m.State)
}

// flow returns what is known of a mapping. What it was before it was changed, as
// a batch under way knows it, changes nothing. s.mu is held.
func (s *Mappings) flow(m *mapping.Mapping) *flow {
	f := s.flows[m.UUID]
	if f == nil {
		f = &flow{}
		s.flows[m.UUID] = f
	}
	if f.revision < m.Revision {
		f.revision = m.Revision
		f.pause, f.window = time.Time{}, time.Time{}
		f.criteria, _ = pattern.CompileCriteria(m.Filters...) // they were compiled when they were given
	}
	return f
}

// fill takes batches of one mapping while there is room and something to take.
func (s *Mappings) fill(ctx context.Context, m *mapping.Mapping, k Kind, w Want, b *Batch) {
	for len(b.Items) < w.N {
		lots, next, err := s.take(ctx, m, k, w, w.N-len(b.Items))
		b.Next = sooner(b.Next, next)
		if err != nil {
			s.problem(ctx, m, err)
			b.Next = sooner(b.Next, s.clock.Now().Add(problemPause))
			return
		}
		if len(lots) == 0 {
			return
		}
		for _, l := range lots {
			b.Items = append(b.Items, s.item(l))
		}
	}
	b.More = true
}

// problem notes that nothing can be taken for a mapping.
func (s *Mappings) problem(ctx context.Context, m *mapping.Mapping, err error) {
	if ctx.Err() != nil {
		return
	}
	now := s.clock.Now()
	s.mu.Lock()
	s.flow(m).pause = now.Add(problemPause)
	s.mu.Unlock()
	s.cfg.Store.Note(m.UUID, mapping.Result{At: now, Text: "PROBLEM: " + err.Error()})
	s.log.Warn("dispatch: nothing can be taken for an event source mapping", "mapping", m.UUID, "source", m.Source.ARN, "err", err)
}

// take takes one batch for a mapping, or most at most of a function with keys;
// none when there is none, or no room, and when to look again without being told.
func (s *Mappings) take(ctx context.Context, m *mapping.Mapping, k Kind, w Want, most int) ([]*lot, time.Time, error) {
	now := s.clock.Now()
	if plantedHeldReceives() {
		w.Limits = nil
	}
	s.mu.Lock()
	f := s.flow(m)
	room := limitOf(w.Limits, m.Function, w.Each) - s.of[m.Function]
	limit := f.scale.limit(now, m.AtOnce)
	l, due := f.next(s.cfg.Guard, now)
	pause, out, step := f.pause, f.out-f.doubted, f.scale.step()
	if l != nil && room > 0 && out < limit {
		f.again = slices.DeleteFunc(f.again, func(o *lot) bool { return o == l })
		s.count(l, 1)
		s.mu.Unlock()
		return []*lot{l}, time.Time{}, nil
	}
	s.mu.Unlock()
	switch {
	case now.Before(pause):
		return nil, pause, nil
	case room <= 0 || l != nil:
		return nil, due, nil // the end of a run makes room, or whoever limits it says when
	}
	n, err := k.Waiting(ctx, m)
	if n == 0 || err != nil {
		return nil, due, err
	}
	s.mu.Lock()
	f.scale.use(out, out >= limit)
	s.mu.Unlock()
	if out >= limit {
		if limit == m.AtOnce {
			step = time.Time{}
		}
		return nil, sooner(due, step), nil
	}
	if until := s.wait(f, m, n, now); now.Before(until) {
		return nil, sooner(due, until), nil
	}
	lots, err := s.gather(ctx, m, k, f, w, min(most, room, limit-out))
	if len(lots) == 0 && err == nil {
		if n, err = k.Waiting(ctx, m); n > 0 {
			due = sooner(due, now.Add(emptyPause)) // nobody wanted what was taken, or it was given up: others have their turn
		}
	}
	return lots, due, err
}

// next returns the first lot that could not run and is to be tried again, and
// when that is. Those that are held no longer come back by themselves.
func (f *flow) next(g *Guard, now time.Time) (l *lot, due time.Time) {
	f.again = slices.DeleteFunc(f.again, func(o *lot) bool {
		gone := !now.Before(o.records[0].Until)
		if gone {
			g.let(o.keys...)
		}
		return gone
	})
	for _, o := range f.again {
		if !o.due.After(now) {
			return o, time.Time{}
		}
		due = sooner(due, o.due)
	}
	return nil, due
}

// wait says until when a batch of n records is waited for.
func (s *Mappings) wait(f *flow, m *mapping.Mapping, n int, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Window == 0 || n >= m.Batch {
		f.window = time.Time{}
		return now
	}
	if f.window.IsZero() {
		f.window = now.Add(m.Window)
	}
	until := f.window
	if !now.Before(until) {
		f.window = time.Time{}
	}
	return until
}

// count notes that a lot is out, or is not any more. s.mu is held.
func (s *Mappings) count(l *lot, n int) {
	f := s.flow(l.mapping)
	f.out += n
	f.records += n * len(l.records)
	if l.doubted {
		l.doubted = false
		f.doubted--
	}
	count(s.of, l.mapping.Function, n)
	if n > 0 {
		f.scale.use(f.out-f.doubted, false)
		s.lots[l.number] = l
	} else {
		delete(s.lots, l.number)
	}
}

// item makes an item of a lot.
func (s *Mappings) item(l *lot) Item {
	first := slices.MinFunc(l.records, func(a, b Record) int { return cmp.Compare(a.Number, b.Number) })
	m := l.mapping
	inv := daruma.Invocation{ID: daruma.NewID(), Target: m.Target(), Payload: l.payload, At: s.clock.Now(), Source: m.Source.Kind + " " + m.Source.Name}
	l.join(&inv)
	return Item{Number: l.number, Permit: l.permit, Event: first.Event, Alone: first.Alone, Invocation: inv,
		Read:    func(o daruma.Outcome) (daruma.Outcome, []string) { return s.read(l, inv.ID, o) },
		Doubted: func() { s.doubted(l) }}
}

// join makes the run of a batch a part of its first record's trace and counts it
// there, as AWS does, and has it tell of the records that belong to others. How
// often a batch was tried is not told, but for each of its records.
func (l *lot) join(inv *daruma.Invocation) {
	first := &l.records[0]
	inv.Trace, inv.Since = first.chained(l.mapping.Function), first.Since
	if first.ID == "" {
		return
	}
	own := daruma.TraceRoot(first.Trace)
	inv.Links = make([]daruma.Link, 0, min(len(l.records), daruma.LinksMax))
	for i := range l.records[:cap(inv.Links)] {
		r := &l.records[i]
		link := daruma.Link{Message: r.ID, Receives: r.Receives}
		if t, ok := daruma.ParseTrace(r.Trace); ok && t.Root != own {
			link.Trace, link.Span = t.Root, t.Parent
		}
		if r.Since.Before(inv.Since) {
			inv.Since = r.Since
		}
		inv.Links = append(inv.Links, link)
	}
	if len(l.records) == 1 {
		inv.Attempt, inv.From = first.Receives, first.From
	}
}
