package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
)

// An Origin is one kind of source that mappings take records from. It holds what
// it hands out by leases, and counts how often a record was tried. Its methods
// may be called from any goroutine.
type Origin interface {
	// Waiting says how many records there are to take for a mapping; it may say 1
	// for any number when the mapping has no window. It is cheap when there are none.
	Waiting(ctx context.Context, m *mapping.Mapping) (int, error)
	// Take takes up to n records, those of one group in their order, and holds
	// them for as long as the source says; for hold at least, when that is not 0.
	Take(ctx context.Context, m *mapping.Mapping, n int, hold time.Duration) ([]Record, error)
	// Settle says what becomes of records, in their order and in one atomic
	// step. Those that are not held any more are left alone.
	Settle(ctx context.Context, m *mapping.Mapping, fates []Fate) error
	// Reclaim takes back what was held before this process began.
	Reclaim(ctx context.Context, m *mapping.Mapping) error
	// Wake holds a token when there may be something to take.
	Wake() <-chan struct{}
}

// A Record is one record of a source.
type Record struct {
	Event  string    // what tells it apart, for people and breakers
	Group  string    // records of one group are handed out in order; "" has none
	Number uint64    // its source's own, with Lease; records are compared by it
	Lease  uint64    //
	Again  time.Time // when it comes back if it fails
	Until  time.Time // when it is not held any more
	Trace  string    // of its sender
	Body   any       // what it is, for who encodes it

	ID       string    // a message's, for its story
	Since    time.Time // when it came, or was taken last
	Receives int       // the how manyth time it is taken
	From     string    // the failure whose event it is, sent back: "F-17"; or ""
}

// A Fate is what becomes of a record.
type Fate struct {
	Record
	Do    Do
	After time.Duration // of Failed and Untried: when it may be taken again; of Kept: how long from now
	Try   *Try          // of Failed and Clashed: what is known
	Once  *once.Entry   // of Finished and Clashed: its idempotency key, kept or counted in the same step
}

// Do is what is done with a record.
type Do uint8

// What is done with records.
const (
	Finished Do = iota + 1 // it is done
	Failed                 // it was tried, and that counts
	Untried                // it was not tried, as far as it counts
	Kept                   // it is still being tried
	Clashed                // its idempotency key was another event's: it is given up
)

// A Try is a run that failed, for the ledger.
type Try struct {
	Target  daruma.Target
	Outcome daruma.Outcome
	Facts   route.Facts
	Started time.Time
}

// A Kind is all there is to know of one kind of source.
type Kind struct {
	Origin
	// Encode makes the event of the first n records, as many as fit.
	Encode func(m *mapping.Mapping, records []Record) (payload []byte, n int, err error)
	// View is what filters look at.
	View func(m *mapping.Mapping, r Record) pattern.Value
	// JSON is a record as idempotency keys are found in it.
	JSON func(m *mapping.Mapping, r Record) []byte
	// Report reads which of a batch's records a function reports as failed, by
	// their position, ascending. An error says that the report makes no sense.
	Report func(answer []byte, records []Record) (failed []int, err error)
}

// MappingsConfig is what Mappings need. All but Clock and Logger is required.
type MappingsConfig struct {
	Store  *mapping.Mappings
	Kinds  map[string]Kind // by mapping.Source.Kind
	Facts  func(t daruma.Target, o daruma.Outcome) route.Facts
	Guard  *Guard
	Strict bool // a record that could not be tried spends an attempt, as on AWS
	Clock  daruma.Clock
	Logger *slog.Logger
}

const (
	notRunPause  = 200 * time.Millisecond // before a record that could not run is taken again
	emptyPause   = 50 * time.Millisecond  // after nothing of what waits could be handed out
	problemPause = 5 * time.Second        // before a mapping whose source or function is not there is looked at again
	filterRounds = 10                     // batches of unwanted records in a row, before others have their turn
	triedLook    = 100                    // records of which one is chosen to be tried
	triedMost    = 10_000                 // events of which it is known how often they were
	recordsMost  = 10_000                 // in one batch
)

// Mappings is event source mappings as a source. What it knows of batches that
// are out is in memory only: their leases tell the rest.
type Mappings struct {
	cfg   MappingsConfig
	clock daruma.Clock
	log   *slog.Logger
	wake  chan struct{}

	mu        sync.Mutex // guards the rest
	flows     map[string]*flow
	lots      map[uint64]*lot
	last      uint64         // number given to a lot
	of        map[string]int // lots that are out, by function
	turn      int
	reclaimed map[string]bool // mappings whose earlier leases were taken back
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

// A lot is a batch that is out.
type lot struct {
	number  uint64
	mapping *mapping.Mapping
	records []Record
	payload []byte
	keys    []*once.Entry // of the records; nil when they have none
	doubted bool
	due     time.Time // strict: when it is tried again
	tries   int
	until   time.Time // when its records are lost unless they are kept longer; guarded by the source's mu
}

// NewMappings returns the source of the mappings in cfg.Store. It starts nothing.
func NewMappings(cfg MappingsConfig) *Mappings {
	s := &Mappings{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, wake: make(chan struct{}, 1), flows: map[string]*flow{}, lots: map[uint64]*lot{}, of: map[string]int{}, reclaimed: map[string]bool{}}
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
					s.stir()
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

func (s *Mappings) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Lease takes batches of the mappings in turn.
func (s *Mappings) Lease(ctx context.Context, w Want) (Batch, error) {
	var b Batch
	all := s.cfg.Store.All()
	s.forget(all)
	for i := range all {
		m := all[(s.turn+i)%len(all)]
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
			delete(s.reclaimed, uuid)
		}
	}
}

// prepare takes back what was held before, and moves a mapping on that is on its
// way to another state.
func (s *Mappings) prepare(ctx context.Context, m *mapping.Mapping, k Kind) error {
	s.mu.Lock()
	f := s.flow(m)
	out, reclaimed := f.out, s.reclaimed[m.UUID]
	s.mu.Unlock()
	if !reclaimed {
		if err := k.Reclaim(ctx, m); err != nil {
			return err
		}
		s.mu.Lock()
		s.reclaimed[m.UUID] = true
		s.mu.Unlock()
	}
	if m.State == mapping.Enabled || m.State == mapping.Disabled || m.Ends() && out > 0 {
		return nil
	}
	return s.cfg.Store.Advance(ctx, m.UUID, m.State)
}

// flow returns what is known of a mapping. s.mu is held.
func (s *Mappings) flow(m *mapping.Mapping) *flow {
	f := s.flows[m.UUID]
	if f == nil {
		f = &flow{}
		s.flows[m.UUID] = f
	}
	if f.revision != m.Revision {
		f.revision = m.Revision
		f.pause, f.window = time.Time{}, time.Time{}
		f.criteria, _ = pattern.CompileCriteria(m.Filters...) // they were compiled when they were given
	}
	return f
}

// fill takes batches of one mapping while there is room and something to take.
func (s *Mappings) fill(ctx context.Context, m *mapping.Mapping, k Kind, w Want, b *Batch) {
	for len(b.Items) < w.N {
		l, next, err := s.take(ctx, m, k, w)
		b.Next = sooner(b.Next, next)
		if err != nil {
			s.problem(ctx, m, err)
			b.Next = sooner(b.Next, s.clock.Now().Add(problemPause))
			return
		}
		if l == nil {
			return
		}
		b.Items = append(b.Items, s.item(l))
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

// take takes one batch for a mapping; nil when there is none, or no room, and
// when to look again without being told.
func (s *Mappings) take(ctx context.Context, m *mapping.Mapping, k Kind, w Want) (*lot, time.Time, error) {
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
		return l, time.Time{}, nil
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
	l, err = s.gather(ctx, m, k, f, w)
	if l == nil && err == nil {
		if n, err = k.Waiting(ctx, m); n > 0 {
			due = sooner(due, now.Add(emptyPause)) // nobody wanted what was taken, or it was given up: others have their turn
		}
	}
	return l, due, err
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

// gather takes records, leaves out those nobody wants, and makes a lot of the rest.
func (s *Mappings) gather(ctx context.Context, m *mapping.Mapping, k Kind, f *flow, w Want) (*lot, error) {
	hold := w.For
	if s.cfg.Strict {
		hold = 0
	}
	for range filterRounds {
		taken, fates, err := s.choose(ctx, m, k, w, hold)
		if len(taken) == 0 || err != nil {
			return nil, err
		}
		l := &lot{mapping: m}
		for _, r := range taken {
			if f.criteria == nil || f.criteria.Match(k.View(m, r)) {
				l.records = append(l.records, r)
			} else if plantedUnwantedStays() {
				fates = append(fates, Fate{Record: r, Do: Untried})
			} else {
				fates = append(fates, Fate{Record: r, Do: Finished})
			}
		}
		not, err := s.admit(ctx, k, l)
		if err != nil {
			return nil, err // all of them come back when their leases end
		}
		fates = append(fates, not...)
		if len(l.records) > 0 {
			payload, n, err := k.Encode(m, l.records)
			switch {
			case err != nil || n == 0:
				o := daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindTooLarge, Type: "RequestTooLargeException", Message: fmt.Sprintf("the event of record %s would be larger than a function takes", l.records[0].Event)}}
				fates = append(fates, s.failed(l.records[0], m, o, s.clock.Now()))
				s.cfg.Guard.let(l.keys[0])
				n, l.records, l.keys = 0, l.records[1:], l.keys[1:]
			default:
				l.payload = payload
			}
			for _, r := range l.records[n:] {
				fates = append(fates, Fate{Record: r, Do: Untried})
			}
			s.cfg.Guard.let(l.keys[n:]...)
			l.records, l.keys = l.records[:n], l.keys[:n]
		}
		if len(fates) > 0 {
			if err := k.Settle(ctx, m, fates); err != nil {
				s.cfg.Guard.let(l.keys...)
				return nil, err // all of them come back when their leases end
			}
		}
		if len(l.records) > 0 {
			s.mu.Lock()
			s.last++
			l.number = s.last
			s.count(l, 1)
			s.mu.Unlock()
			return l, nil
		}
	}
	return nil, nil
}

// choose takes the records of one batch. Of a function that is held one is tried,
// the one that was tried least of those there are: a broken one must not speak
// for the others for ever. The rest is given back at once.
func (s *Mappings) choose(ctx context.Context, m *mapping.Mapping, k Kind, w Want, hold time.Duration) ([]Record, []Fate, error) {
	if !w.Tried[m.Function] {
		s.mu.Lock()
		s.flow(m).tried = nil
		s.mu.Unlock()
		taken, err := k.Take(ctx, m, min(m.Batch, recordsMost), hold)
		return taken, nil, err
	}
	taken, err := k.Take(ctx, m, triedLook, hold)
	if len(taken) == 0 || err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flow(m)
	if len(f.tried) > triedMost {
		f.tried = nil
	}
	if f.tried == nil {
		f.tried = map[string]int{}
	}
	chosen, groups := 0, map[string]bool{}
	for i, r := range taken {
		first := r.Group == "" || !groups[r.Group]
		groups[r.Group] = true
		if first && f.tried[r.Event] < f.tried[taken[chosen].Event] {
			chosen = i
		}
	}
	f.tried[taken[chosen].Event]++
	var fates []Fate
	for i, r := range taken {
		if i != chosen {
			fates = append(fates, Fate{Record: r, Do: Untried})
		}
	}
	return taken[chosen : chosen+1], fates, nil
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
	return Item{Number: l.number, Event: first.Event, Invocation: inv,
		Read:    func(o daruma.Outcome) daruma.Outcome { return s.read(l, o) },
		Doubted: func() { s.doubted(l) }}
}

// join makes the run of a batch a part of its first record's trace, as AWS does,
// and has it tell of the records that belong to others. How often a batch was
// tried is not told, but for each of its records.
func (l *lot) join(inv *daruma.Invocation) {
	first := &l.records[0]
	inv.Trace, inv.Since = first.Trace, first.Since
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
