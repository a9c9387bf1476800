// Package inject puts faults in force and stands, as decorators, on the seams
// between the platform and what runs.
//
//	queue ── [Faults.Hand] ──┐
//	door ────────────────────┴─ [Faults.Runner] ── pool ── environment ── [Faults.Station] ── runtime
//	  └─ [Faults.Web]                                          │
//	                                [Faults.Place] ────────────┤ memory, /tmp, clock, variables of a place
//	                                [Faults.Dial]  ────────────┤ names and connections to hosts outside
//	                                [Faults.Call]  ────────────┘ requests to the cloud's services
//
// [Faults.Start] puts a fault in force as "FT-3". It ends when its time is
// over, when [Faults.Stop] says so, when the context that it was started with
// ends, which is how whoever asked for it holds it, or when its lease is not
// renewed. Faults live in memory only, by design: they end with the process,
// however that ends.
//
// It promises that no function is changed and every runtime is met alike; that
// the same seed makes the same choices for the same sequence of events; that an
// event which is held by a fault goes on as soon as the fault ends; and that
// each run, request and connection that a fault met is marked with it: in the
// span, the function's log, the counts, and the ledger, so that nobody takes it
// for nature. While no fault is in force each decorator costs one load of a
// pointer.
//
// It keeps nothing on disk, starts nothing by itself but timers, and imports no
// door. All exported methods may be called from any goroutine.
package inject

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// Limits of faults in force.
const (
	activeMax = 64 // at once
	endedMax  = 64 // that have ended are remembered
	leaseMin  = 100 * time.Millisecond
	leaseMax  = 5 * time.Minute
)

// Config is what a Faults needs. The zero value will do.
type Config struct {
	Clock    daruma.Clock    // the app's: how long faults last goes by it; daruma.SystemClock when nil
	Observer daruma.Observer // told a line for each run that is met, and the spans of runs that did not come about; may be nil
	Logger   *slog.Logger    // discarded when nil
	// Check says whether a fault can be done here, and puts names as they are
	// in place of logical IDs. May be nil.
	Check func(f *fault.Fault) error
	// Records finds the records in an event that is a batch of them; false: it is none. May be nil.
	Records func(event []byte) (Batch, bool)
	// Codes returns the hashes of the code that there is of a target's functions
	// now: of its version or alias, when it has one. May be nil.
	Codes func(t *fault.Target) ([]string, error)
	// Changed is told when a fault comes into force, and again when it has ended.
	// It must not call back. May be nil.
	Changed func(s fault.State)
}

// Faults keeps the faults of one node.
type Faults struct {
	cfg    Config
	active atomic.Pointer[forces] // nil: none
	counts map[fault.Kind]*atomic.Uint64
	marks  marks

	mu    sync.Mutex // guards the rest; never held across a call out
	last  fault.ID
	all   map[fault.ID]*Running
	ended []fault.State // the last ones, the oldest first
}

// forces are the faults in force, by the seam at which they meet what they are
// for, each list in the order in which they began. They are never changed.
type forces [fault.Seams][]*Running

// New returns a Faults with no fault in force.
func New(cfg Config) *Faults {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Faults{cfg: cfg, all: map[fault.ID]*Running{}, counts: map[fault.Kind]*atomic.Uint64{}}
	for _, k := range fault.Kinds() {
		s.counts[k] = new(atomic.Uint64)
	}
	return s
}

// A Running is a fault that was started.
type Running struct {
	id      fault.ID
	fault   fault.Fault
	lens    *fault.Lens
	set     *Faults
	started time.Time // by the app's clock
	until   time.Time
	done    chan struct{} // closed when it has ended
	ready   chan struct{} // closed when Changed has heard of its beginning
	timer   func() bool   // stops the end by time
	unhook  func() bool   // stops the end by context
	lease   time.Duration
	renewal *time.Timer // nil without a lease

	inFlight atomic.Int64 // of a Concurrency fault
	bucket   bucket       // of a Capacity fault
	choices  choices      // of a fault on what comes again
	codes    []string     // of a BadRelease fault; never changed

	mu     sync.Mutex // guards the rest
	chance *chance
	last   time.Time // when it met something
	over   bool
	ending string // why it ended
	at     time.Time
}

// Start puts a fault in force. It ends when ctx does, at the latest when its
// time is over; with a lease (of the machine's time, 100 ms to 5 minutes; 0 for
// none) also when [Faults.Renew] is not called for that long.
func (s *Faults) Start(ctx context.Context, f fault.Fault, lease time.Duration) (*Running, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if lease != 0 && (lease < leaseMin || lease > leaseMax) {
		return nil, &daruma.Error{Op: "start fault", Kind: daruma.KindInvalid, Err: fmt.Errorf("lease: %s is not from %s to %s", lease, leaseMin, leaseMax)}
	}
	if s.cfg.Check != nil {
		if err := s.cfg.Check(&f); err != nil {
			return nil, err
		}
	}
	if f.Seed == 0 {
		f.Seed = uint64(rand.Uint32()) + 1 // short enough to be typed again
	}
	lens, err := f.Target.Compile()
	if err != nil {
		return nil, err
	}
	codes, err := s.known(&f)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock.Now()
	r := &Running{codes: codes, fault: f, lens: lens, set: s, started: now, until: now.Add(time.Duration(f.Dose.For)), done: make(chan struct{}), ready: make(chan struct{}),
		lease: lease, chance: newChance(f.Dose, f.Seed)}
	if err := ctx.Err(); err != nil {
		return nil, &daruma.Error{Op: "start fault", Kind: daruma.KindUnavailable, Err: err}
	}
	s.mu.Lock()
	if len(s.all) >= activeMax {
		s.mu.Unlock()
		return nil, &daruma.Error{Op: "start fault", Kind: daruma.KindThrottled, Err: fmt.Errorf("%d faults are in force, and no more may be", activeMax), Hint: "daruma fault stop --all ends them"}
	}
	s.last++
	r.id = s.last
	s.all[r.id] = r
	s.arrange()
	s.mu.Unlock()
	if s.cfg.Changed != nil {
		s.cfg.Changed(r.State())
	}
	close(r.ready)
	r.watch(ctx)
	return r, nil
}

// watch makes sure that the fault ends.
func (r *Running) watch(ctx context.Context) {
	timer := r.set.cfg.Clock.AfterFunc(time.Duration(r.fault.Dose.For), func() { r.end(fault.EndTime) })
	unhook := context.AfterFunc(ctx, func() { r.end(fault.EndGone) })
	var renewal *time.Timer
	if r.lease > 0 {
		renewal = time.AfterFunc(r.lease, func() { r.end(fault.EndGone) })
	}
	r.mu.Lock()
	r.timer, r.unhook, r.renewal = timer, unhook, renewal
	over := r.over
	r.mu.Unlock()
	if over {
		r.still()
	}
}

// still stops what would end it.
func (r *Running) still() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer()
		r.unhook()
	}
	if r.renewal != nil {
		r.renewal.Stop()
	}
}

// end takes a fault out of force, for the first reason that is given. It
// returns when what it was told to has heard of it.
func (r *Running) end(why string) bool {
	r.mu.Lock()
	first := !r.over
	if first {
		r.over, r.ending, r.at = true, why, r.set.cfg.Clock.Now()
	}
	r.mu.Unlock()
	if !first {
		<-r.done
		return false
	}
	s := r.set
	s.mu.Lock()
	delete(s.all, r.id)
	s.arrange()
	status := r.State()
	if s.ended = append(s.ended, status); len(s.ended) > endedMax {
		s.ended = slices.Delete(s.ended, 0, 1)
	}
	s.mu.Unlock()
	r.still()
	<-r.ready
	if s.cfg.Changed != nil {
		s.cfg.Changed(status)
	}
	close(r.done)
	return true
}

// arrange makes what is in force known to those who look. s.mu is held.
func (s *Faults) arrange() {
	if len(s.all) == 0 {
		s.active.Store(nil)
		return
	}
	f := &forces{}
	ids := make([]fault.ID, 0, len(s.all))
	for id := range s.all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r := s.all[id]
		at := r.fault.Seam()
		f[at] = append(f[at], r)
	}
	s.active.Store(f)
}

// Stop ends a fault. When it returns the fault meets nothing any more.
func (s *Faults) Stop(id fault.ID) error {
	s.mu.Lock()
	r := s.all[id]
	s.mu.Unlock()
	if r == nil {
		return notActive(id)
	}
	r.end(fault.EndStopped)
	return nil
}

// StopAll ends every fault and says how many they were.
func (s *Faults) StopAll() int {
	n := 0
	for _, r := range s.running() {
		if r.end(fault.EndStopped) {
			n++
		}
	}
	return n
}

// Renew has a fault's lease begin anew.
func (s *Faults) Renew(id fault.ID) error {
	s.mu.Lock()
	r := s.all[id]
	s.mu.Unlock()
	if r == nil {
		return notActive(id)
	}
	if r.renewal == nil {
		return &daruma.Error{Op: "renew fault", Ref: id.String(), Kind: daruma.KindInvalid, Err: errors.New("it has no lease")}
	}
	if r.renewal.Stop() {
		r.renewal.Reset(r.lease)
	}
	return nil
}

func notActive(id fault.ID) error {
	return &daruma.Error{Op: "find the fault", Ref: id.String(), Kind: daruma.KindNotFound, Err: errors.New("no such fault is in force"), Hint: "daruma fault ls lists them"}
}

func (s *Faults) running() []*Running {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Running, 0, len(s.all))
	for _, r := range s.all {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Running) int { return int(a.id) - int(b.id) })
	return all
}

// List returns the faults in force, and behind them those that ended, the last first.
func (s *Faults) List() []fault.State {
	list := slices.Concat([]fault.State{}, s.InForce())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.ended) {
		list = append(list, e)
	}
	return list
}

// InForce returns the faults in force, the oldest first.
func (s *Faults) InForce() []fault.State {
	var list []fault.State
	for _, r := range s.running() {
		list = append(list, r.State())
	}
	return list
}

// Active is how many faults are in force.
func (s *Faults) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Counts is how much each kind of fault has met, since the process began.
func (s *Faults) Counts() map[fault.Kind]uint64 {
	all := make(map[fault.Kind]uint64, len(s.counts))
	for k, n := range s.counts {
		all[k] = n.Load()
	}
	return all
}

// Find returns a fault as it is, also one that has ended not long ago.
func (s *Faults) Find(id fault.ID) (fault.State, error) {
	for _, one := range s.List() {
		if one.ID == id {
			return one, nil
		}
	}
	return fault.State{}, notActive(id)
}

// ID returns the fault's ID.
func (r *Running) ID() fault.ID { return r.id }

// Done is closed when the fault has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Stop ends the fault.
func (r *Running) Stop() { r.end(fault.EndStopped) }

// State returns the fault as it is.
func (r *Running) State() fault.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fault.State{ID: r.id, Fault: r.fault, Text: r.fault.String(), Started: r.started, Until: r.until, Seen: r.chance.seen(), Met: r.chance.hits, Last: r.last, Ended: r.at, Ending: r.ending}
}

// meet says whether the fault meets the next of what it is for, and draws how
// much longer that takes.
func (r *Running) meet() (latency time.Duration, met bool) {
	now := r.set.cfg.Clock.Now()
	grown := 1.0
	if ramp := time.Duration(r.fault.Dose.Ramp); ramp > 0 {
		grown = min(1, float64(now.Sub(r.started))/float64(ramp))
	}
	r.mu.Lock()
	if met = !r.over && r.chance.choose(grown); met {
		r.last = now
		latency = r.chance.latency(&r.fault.With)
		r.set.counts[r.fault.Kind].Add(1)
	}
	r.mu.Unlock()
	return latency, met
}

// wait waits until d has passed, the fault has ended or ctx has, which it says.
func (r *Running) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// hang waits until the fault has ended, or ctx has, which it says.
func (r *Running) hang(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mark is how what the fault met is marked.
func (r *Running) mark() string { return r.id.String() + " " + string(r.fault.Kind) }
