package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/shard"
)

// Shards is one kind of stream that mappings read. Its methods may be called
// from any goroutine.
type Shards interface {
	// Shards returns what a mapping's stream is made of, parents before children.
	Shards(ctx context.Context, m *mapping.Mapping) ([]Shard, error)
	// Read returns up to n records from a sequence number on, itself included.
	Read(ctx context.Context, m *mapping.Mapping, shard string, from uint64, n int) (Piece, error)
	// Bounds returns the first record that is still there, and the last one made.
	Bounds(ctx context.Context, m *mapping.Mapping, shard string) (first, last uint64, err error)
	// Changed waits until there may be more than at a position, and returns the next position.
	Changed(ctx context.Context, after uint64) (uint64, error)
}

// A Shard is records in one order.
type Shard struct {
	ID     string
	Parent string // it begins where this one ends; "" for none
}

// A Piece is records that follow one another in a shard.
type Piece struct {
	Records []StreamRecord
	Next    uint64 // where to go on
	End     bool   // the shard is closed, and nothing follows
	Gone    bool   // what was at the beginning is not there any more; Next is the first that is
}

// A StreamRecord is one record of a shard.
type StreamRecord struct {
	Sequence uint64
	At       time.Time
	Key      string // records of one key are handed out in order
	Body     []byte // as a function gets it, JSON
}

// A StreamKind is all there is to know of one kind of stream.
type StreamKind struct {
	Shards
	Keep time.Duration // how long records are there; 0: for ever
	// View is what filters look at.
	View func(body []byte) pattern.Value
	// Report reads which record of a batch is the first that a function reports
	// as failed; -1 when none has. An error says that the report makes no sense.
	Report func(answer []byte, records []StreamRecord) (first int, err error)
	// Tell writes what a destination is told of a batch that was given up.
	Tell func(s Surrender) []byte
}

// A Surrender is a batch that is given up, for who tells a destination of it.
type Surrender struct {
	Mapping     *mapping.Mapping
	Shard       string
	Records     []StreamRecord
	Request     string
	Condition   string // in AWS's words
	Invokes     int
	Ran         bool // there was a run to tell of
	Status      int
	Version     string
	Failed      bool // the function itself failed, and did not report it
	At          time.Time
	FunctionARN string
}

// StreamsConfig is what Streams need. All but Misread, Clock and Logger is required.
type StreamsConfig struct {
	Store       *mapping.Mappings
	Readers     *shard.Shards
	Kinds       map[string]StreamKind // by mapping.Source.Kind
	Facts       func(t daruma.Target, o daruma.Outcome) route.Facts
	ARN         func(t daruma.Target) string
	Destination func(arn string) (*delivery.Destination, error)
	Guard       *Guard
	Misread     func(Misreport) // told of reports that make no sense; it may be nil
	Clock       daruma.Clock
	Logger      *slog.Logger
}

const (
	pieceRecords = 1000
	passEvery    = 5 * time.Second // a lane in which nothing is wanted is moved on as often
	passRecords  = 1000            // or after as many
	ageMargin    = time.Minute     // records are given up before they are gone
	eventExtra   = 4 << 10         // of an event, beside its records
)

// Streams is the event source mappings of streams as a source. How far each has
// come is in package shard; what it knows of batches that are out, and what it
// has read ahead, is in memory only.
type Streams struct {
	cfg   StreamsConfig
	clock daruma.Clock
	log   *slog.Logger
	wake  daruma.Bell
	moved atomic.Uint64 // grows when there may be more to read

	mu      sync.Mutex // guards the rest
	ways    map[string]*way
	batches map[uint64]*batch
	last    uint64
	of      map[string]int // batches that are out, by function
	turn    int
}

// A way is one mapping on its way through its stream. A lane that is not out
// belongs to who leases, one that is out to who settles it.
type way struct {
	revision uint64
	criteria *pattern.Criteria
	pause    time.Time
	courses  []*course
	out      int // batches
	records  int // in them
}

// A course is a shard of a way.
type course struct {
	Shard
	passed []shard.Division
	lanes  []*track
}

// A track is a lane of a course.
type track struct {
	number  int
	state   shard.Lane
	batch   *batch         // what is out; nil when nothing is
	ahead   []StreamRecord // all that is wanted from state.Next up to read
	bytes   int            // of these
	read    uint64
	seen    uint64    // moved, when the end of what there was had been read
	ended   bool      // the shard is closed, and all of it is read
	since   time.Time // when the first of ahead was read
	passing time.Time // since when nothing of what was read is wanted
	due     time.Time // it is not tried before
	unready int       // times it could not run in a row
	oldest  time.Time // when the first record that waits was made; zero: none does
}

// A batch is records that are out.
type batch struct {
	number  uint64
	mapping *mapping.Mapping
	course  *course
	track   *track
	request string
	records []StreamRecord
	keys    []*once.Entry // of the records; nil when they have none
	passed  []passed      // records that are left out: done already, or under another event's key
	to      uint64
	window  *shard.Window
	final   bool
	failed  uint64 // the number of the first record that the function reported; 0: of none
}

// passed is a record that is not run, and what its key says of it.
type passed struct {
	sequence uint64
	entry    *once.Entry
}

// NewStreams returns the source of the mappings of streams in cfg.Store. It starts nothing.
func NewStreams(cfg StreamsConfig) *Streams {
	s := &Streams{cfg: cfg, clock: cfg.Clock, log: cfg.Logger, wake: daruma.NewBell(), ways: map[string]*way{}, batches: map[uint64]*batch{}, of: map[string]int{}}
	if s.clock == nil {
		s.clock = daruma.SystemClock{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.moved.Store(1)
	return s
}

// Run waits for more in the streams until ctx ends.
func (s *Streams) Run(ctx context.Context) error {
	var followers sync.WaitGroup
	for _, k := range s.cfg.Kinds {
		followers.Go(func() {
			for at := uint64(0); ctx.Err() == nil; {
				next, err := k.Changed(ctx, at)
				if err != nil {
					_ = s.clock.Sleep(ctx, errorMin) // the loop's condition says whether ctx has ended
					continue
				}
				at = next
				s.moved.Add(1)
				s.wake.Ring()
				_ = s.clock.Sleep(ctx, pauseMin) // changes come in crowds
			}
		})
	}
	followers.Wait()
	return nil
}

// Wake holds a token when there may be something to read.
func (s *Streams) Wake() <-chan struct{} { return s.wake }

// Lease takes batches of the mappings in turn.
func (s *Streams) Lease(ctx context.Context, w Want) (Batch, error) {
	var b Batch
	all := s.cfg.Store.All()
	s.forget(all)
	for m := range inTurn(all, s.turn) {
		k, ok := s.cfg.Kinds[m.Source.Kind]
		if !ok || m.Stream == nil {
			continue
		}
		if err := s.advance(ctx, m, k, w, &b); err != nil && ctx.Err() == nil {
			s.problem(m, err)
			b.Next = sooner(b.Next, s.clock.Now().Add(problemPause))
		}
	}
	s.turn++
	return b, nil
}

// forget drops what is known of mappings that are gone.
func (s *Streams) forget(all []*mapping.Mapping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uuid, y := range s.ways {
		if y.out == 0 && !slices.ContainsFunc(all, func(m *mapping.Mapping) bool { return m.UUID == uuid }) {
			delete(s.ways, uuid)
		}
	}
}

// problem notes that nothing can be read for a mapping.
func (s *Streams) problem(m *mapping.Mapping, err error) {
	now := s.clock.Now()
	s.mu.Lock()
	if y := s.ways[m.UUID]; y != nil {
		y.pause = now.Add(problemPause)
	}
	s.mu.Unlock()
	s.cfg.Store.Note(m.UUID, mapping.Result{At: now, Text: "PROBLEM: " + err.Error()})
	s.log.Warn("dispatch: nothing can be read for an event source mapping", "mapping", m.UUID, "source", m.Source.ARN, "err", err)
}

// advance moves one mapping on: in its life, and in its stream.
func (s *Streams) advance(ctx context.Context, m *mapping.Mapping, k StreamKind, w Want, b *Batch) error {
	s.mu.Lock()
	y := s.ways[m.UUID]
	if y == nil {
		y = &way{}
		s.ways[m.UUID] = y
	}
	out, pause, revision := y.out, y.pause, y.revision
	s.mu.Unlock()
	if m.Ends() {
		if out > 0 {
			return nil
		}
		if m.State == mapping.Deleting {
			if err := s.cfg.Readers.Drop(ctx, m.UUID); err != nil {
				return err
			}
		}
		return s.cfg.Store.Advance(ctx, m.UUID, m.State)
	}
	if !m.Flows() {
		return nil
	}
	if now := s.clock.Now(); now.Before(pause) && revision == m.Revision {
		b.Next = sooner(b.Next, pause)
		return nil
	}
	if revision != m.Revision {
		if out > 0 {
			return nil // what is under way ends as it was begun
		}
		criteria, err := pattern.CompileCriteria(m.Filters...)
		if err != nil {
			return err
		}
		s.mu.Lock()
		y.revision, y.criteria, y.courses, y.pause = m.Revision, criteria, nil, time.Time{}
		s.mu.Unlock()
	}
	if err := s.open(ctx, m, k, y); err != nil {
		return err
	}
	if m.State != mapping.Enabled {
		if err := s.cfg.Store.Advance(ctx, m.UUID, m.State); err != nil {
			return err
		}
	}
	return s.hand(ctx, m, k, y, w, b)
}

// open makes a course of each shard that has none yet.
func (s *Streams) open(ctx context.Context, m *mapping.Mapping, k StreamKind, y *way) error {
	shards, err := k.Shards.Shards(ctx, m)
	if err != nil {
		return err
	}
	fresh := false // it has not begun yet
	if len(y.courses) == 0 && m.Stream.Start == mapping.Latest {
		known, err := s.cfg.Readers.Readers(ctx, m.UUID)
		if err != nil {
			return err
		}
		fresh = len(known) == 0
	}
	for _, is := range shards {
		if slices.ContainsFunc(y.courses, func(c *course) bool { return c.ID == is.ID }) {
			continue
		}
		first, last, err := k.Bounds(ctx, m, is.ID)
		if err != nil {
			return err
		}
		if fresh {
			first = last + 1
		}
		r, err := s.cfg.Readers.Open(ctx, shard.Opening{Mapping: m.UUID, Shard: is.ID, From: first, Lanes: max(1, m.Stream.Lanes)})
		if err != nil {
			return err
		}
		c := &course{Shard: is, passed: r.Passed}
		for n, l := range r.Lanes {
			c.lanes = append(c.lanes, &track{number: n, state: l, read: l.Next})
		}
		s.mu.Lock()
		y.courses = append(y.courses, c)
		s.mu.Unlock()
	}
	s.mu.Lock()
	y.courses = slices.DeleteFunc(y.courses, func(c *course) bool {
		return !slices.ContainsFunc(shards, func(is Shard) bool { return is.ID == c.ID }) && !slices.ContainsFunc(c.lanes, func(l *track) bool { return l.batch != nil })
	})
	s.mu.Unlock()
	return nil
}

// hand hands out what the lanes of a mapping have, while there is room.
func (s *Streams) hand(ctx context.Context, m *mapping.Mapping, k StreamKind, y *way, w Want, b *Batch) error {
	for _, c := range y.courses {
		s.mu.Lock()
		follows := y.follows(c)
		s.mu.Unlock()
		if !follows {
			continue
		}
		for _, l := range c.lanes {
			if len(b.Items) >= w.N {
				b.More = b.More || w.N > 0
				return nil
			}
			s.mu.Lock()
			room := limitOf(w.Limits, m.Function, w.Each) - s.of[m.Function]
			out := l.batch != nil
			s.mu.Unlock()
			if room <= 0 || out {
				continue // the end of a run makes room, or whoever limits it says when
			}
			taken, next, err := s.take(ctx, m, k, y, c, l)
			if err != nil {
				return err
			}
			b.Next = sooner(b.Next, next)
			if taken != nil {
				b.Items = append(b.Items, s.item(taken))
			}
		}
	}
	return nil
}

// follows says whether what comes before a course is done. The source's mu is held.
func (y *way) follows(c *course) bool {
	for _, p := range y.courses {
		if c.Parent != "" && p.ID == c.Parent {
			return !slices.ContainsFunc(p.lanes, func(l *track) bool { return !l.ended || l.batch != nil || len(l.ahead) > 0 })
		}
	}
	return true
}

// count notes that a batch is out, or is not any more. s.mu is held.
func (s *Streams) count(b *batch, n int) {
	y := s.ways[b.mapping.UUID]
	y.out += n
	y.records += n * len(b.records)
	if s.of[b.mapping.Function] += n; s.of[b.mapping.Function] == 0 {
		delete(s.of, b.mapping.Function)
	}
	if n > 0 {
		b.track.batch, s.batches[b.number] = b, b
	} else {
		b.track.batch = nil
		delete(s.batches, b.number)
	}
}

// Extend has nothing to do: a lane waits for its batch, however long it takes.
func (s *Streams) Extend(context.Context, time.Duration, []Item) ([]Item, error) { return nil, nil }

// Release gives batches back that have not been run.
func (s *Streams) Release(_ context.Context, items []Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range items {
		if b := s.batches[i.Number]; b != nil {
			s.cfg.Guard.let(b.keys...)
			s.count(b, -1)
		}
	}
	return nil
}

// A StreamFlow is a mapping on its way through its stream, for people.
type StreamFlow struct {
	Batches int        `json:"batches"` // out
	Records int        `json:"records"` // in them
	Lanes   []LaneFlow `json:"lanes"`
	Paused  time.Time  `json:"paused,omitzero"`
}

// A LaneFlow is where one lane stands.
type LaneFlow struct {
	Shard string        `json:"shard"`
	Lane  int           `json:"lane"`
	Age   time.Duration `json:"ageNs"`           // of the oldest record that is not done
	Tries int           `json:"tries,omitempty"` // of the batch at which it stands
	Due   time.Time     `json:"due,omitzero"`    // when that is tried again
}

// Flow returns how a mapping is on its way.
func (s *Streams) Flow(uuid string) StreamFlow {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, now := StreamFlow{Lanes: []LaneFlow{}}, s.clock.Now()
	y := s.ways[uuid]
	if y == nil {
		return f
	}
	f.Batches, f.Records = y.out, y.records
	if now.Before(y.pause) {
		f.Paused = y.pause
	}
	for _, c := range y.courses {
		for _, l := range c.lanes {
			is := LaneFlow{Shard: c.ID, Lane: l.number, Tries: l.state.Tries}
			if now.Before(l.state.Due) {
				is.Due = l.state.Due
			}
			if l.batch != nil && len(l.batch.records) > 0 {
				is.Age = now.Sub(l.batch.records[0].At)
			} else if !l.oldest.IsZero() {
				is.Age = now.Sub(l.oldest)
			}
			f.Lanes = append(f.Lanes, is)
		}
	}
	return f
}
