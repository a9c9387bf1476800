// Package mapping holds event source mappings: which function is handed the
// records of which source, how many at once, and how it goes.
//
//	creating ─► enabled ◄─► updating          disabling ─► disabled
//	               └────────► disabling ────────────┘ └─► enabling ─► enabled
//	any ─► deleting ─► gone
//
// A change is durable when it is answered, and takes effect a moment later:
// whoever hands records out moves a mapping on ([Mappings.Advance]) when nothing
// of it is under way any more. Deleting a function does not delete its mappings.
//
// It promises that there is one mapping of a source to a function at most, and
// that what a template declares and what was made by hand are told apart. It
// knows no source: what settings one may have is for [Limits] to say. In memory
// there is a copy of all mappings. The methods of Mappings may be called from
// any goroutine.
package mapping

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/pattern"
)

// Max is how many mappings there may be.
const Max = 10_000

// A State is where a mapping is in its life, in AWS's words.
type State string

// The states there are.
const (
	Creating  State = "Creating"
	Enabling  State = "Enabling"
	Enabled   State = "Enabled"
	Disabling State = "Disabling"
	Disabled  State = "Disabled"
	Updating  State = "Updating"
	Deleting  State = "Deleting"
)

// next is what a state on the way leads to.
var next = map[State]State{Creating: Enabled, Enabling: Enabled, Updating: Enabled, Disabling: Disabled}

// Settings is what can be changed of a mapping.
type Settings struct {
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"` // a version or an alias

	Batch    int           `json:"batch"`              // records of one run at most
	Window   time.Duration `json:"windowNs,omitempty"` // how long a batch that is not full waits, from its first record on; whole seconds
	Partial  bool          `json:"partial,omitempty"`  // the function reports which records of a batch failed
	Filters  []string      `json:"filters,omitempty"`  // patterns; a record that matches none is done
	AtOnce   int           `json:"atOnce,omitempty"`   // runs at once at most; 0: as many as are right
	Disabled bool          `json:"disabled,omitempty"`
	Stream   *Stream       `json:"stream,omitempty"` // of a stream only
}

// Target is the function as it is invoked.
func (s Settings) Target() daruma.Target {
	return daruma.Target{Function: s.Function, Qualifier: s.Qualifier}
}

// A Source is where records come from.
type Source struct {
	Kind string `json:"kind"` // "queue"
	Name string `json:"name"`
	ARN  string `json:"arn"`
}

// A Mapping is one event source mapping.
type Mapping struct {
	Settings
	UUID     string    `json:"uuid"`
	Source   Source    `json:"source"`
	State    State     `json:"state"`
	Changed  time.Time `json:"changed"`
	Revision uint64    `json:"revision"` // one more with each change of its settings

	LogicalID string            `json:"logicalId,omitempty"` // of the template that declares it; "" when it was made by hand
	Tags      map[string]string `json:"tags,omitempty"`
	Declared  map[string]string `json:"declaredTags,omitempty"` // what the template said of them
}

// Flows says whether records of the mapping are handed out.
func (m *Mapping) Flows() bool {
	return m.State == Enabled || m.State == Creating || m.State == Enabling || m.State == Updating
}

// Ends says whether the mapping waits for what is under way to end.
func (m *Mapping) Ends() bool { return m.State == Disabling || m.State == Deleting }

// Limits say what settings the mappings of a kind of source may have.
type Limits struct {
	BatchMax       int           // records of one run
	BatchMaxAtOnce int           // without a window
	WindowMax      time.Duration // 0: it has no windows
	AtOnceMin      int
	AtOnceMax      int
	Stream         bool // it is a stream
}

// Check says what is wrong with settings. KindInvalid.
func (l Limits) Check(s Settings) error {
	switch {
	case s.Function == "":
		return daruma.Invalidf("a mapping without a function")
	case s.Batch < 1 || s.Batch > l.BatchMax:
		return daruma.Invalidf("Value '%d' at 'batchSize' is not valid: from 1 to %d", s.Batch, l.BatchMax)
	case s.Window < 0 || s.Window > l.WindowMax || s.Window%time.Second != 0:
		if l.WindowMax == 0 {
			return daruma.Invalidf("Batching window is not supported for this event source")
		}
		return daruma.Invalidf("Value '%v' at 'maximumBatchingWindowInSeconds' is not valid: whole seconds from 0 to %d", s.Window.Seconds(), int(l.WindowMax.Seconds()))
	case s.Batch > l.BatchMaxAtOnce && s.Window < time.Second:
		return daruma.Invalidf("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than %d", l.BatchMaxAtOnce)
	case s.AtOnce != 0 && (s.AtOnce < l.AtOnceMin || s.AtOnce > l.AtOnceMax):
		return daruma.Invalidf("Value '%d' at 'scalingConfig.maximumConcurrency' is not valid: from %d to %d", s.AtOnce, l.AtOnceMin, l.AtOnceMax)
	}
	if err := s.Stream.check(l.Stream); err != nil {
		return err
	}
	if _, err := pattern.CompileCriteria(s.Filters...); err != nil {
		return &daruma.Error{Kind: daruma.KindInvalid, Err: ErrFilter, Hint: pattern.Reason(err)}
	}
	return nil
}

// What a mapping refuses, beside settings. Match with errors.Is.
var (
	ErrFilter = errors.New("Invalid filter pattern definition.") //nolint:staticcheck,revive // AWS's words
	ErrExists = errors.New("there is a mapping of this source to this function already")
)

// An Exists names the mapping there is already.
type Exists struct{ UUID string }

// Error says which it is.
func (e *Exists) Error() string { return ErrExists.Error() + ": " + e.UUID }

// Unwrap is ErrExists.
func (e *Exists) Unwrap() error { return ErrExists }

// Mappings is the mappings of one cell.
type Mappings struct {
	cell *cell.Cell
	m    *Machine
	wake daruma.Bell

	mu      sync.Mutex        // guards results
	results map[string]Result // of the last batch, by UUID
}

// A Result says what came of the last batch of a mapping. It is not durable.
type Result struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"` // "OK", or "PROBLEM: …"
}

// Open returns the mappings that lie in c, of which m is one of the machines. It starts nothing.
func Open(c *cell.Cell, m *Machine) *Mappings {
	return &Mappings{cell: c, m: m, wake: daruma.NewBell(), results: map[string]Result{}}
}

// All returns all mappings, by UUID. They must not be changed.
func (x *Mappings) All() []*Mapping { return x.m.list.All() }

// Mapping returns one mapping, or nil. It must not be changed.
func (x *Mappings) Mapping(uuid string) *Mapping {
	all := x.m.list.All()
	i, ok := slices.BinarySearchFunc(all, uuid, func(m *Mapping, uuid string) int { return compare(m.UUID, uuid) })
	if !ok {
		return nil
	}
	return all[i]
}

// Create makes a mapping. KindExists (an Exists) when there is one of this
// source to this function, KindInvalid, KindThrottled when there are too many.
func (x *Mappings) Create(ctx context.Context, source Source, s Settings, tags map[string]string) (*Mapping, error) {
	return x.change(ctx, commandCreate, Mapping{UUID: daruma.NewID(), Source: source, Settings: s, Tags: tags})
}

// Change has f change the settings of a mapping. KindNotFound when there is
// none, KindConflict when it is being deleted or changed by somebody else.
func (x *Mappings) Change(ctx context.Context, uuid string, f func(*Settings) error) (*Mapping, error) {
	is := x.Mapping(uuid)
	if is == nil {
		return nil, notFound(uuid)
	}
	m := *is
	m.Filters = slices.Clone(m.Filters)
	if m.Stream != nil {
		m.Stream = new(*m.Stream)
	}
	if err := f(&m.Settings); err != nil {
		return nil, err
	}
	return x.change(ctx, commandChange, m)
}

// Delete begins to delete a mapping. KindNotFound when there is none.
func (x *Mappings) Delete(ctx context.Context, uuid string) (*Mapping, error) {
	return x.change(ctx, commandDelete, Mapping{UUID: uuid})
}

// Advance ends a change of a mapping, if it still is in the state from. A
// mapping that was being deleted is gone then.
func (x *Mappings) Advance(ctx context.Context, uuid string, from State) error {
	_, err := x.change(ctx, commandAdvance, Mapping{UUID: uuid, State: from})
	if daruma.KindOf(err) == daruma.KindNotFound || daruma.KindOf(err) == daruma.KindConflict {
		return nil // somebody else was faster
	}
	return err
}

// A Wish is a mapping as a template declares it.
type Wish struct {
	LogicalID string            `json:"logicalId"`
	Source    Source            `json:"source"`
	Settings  Settings          `json:"settings"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// Deploy makes the declared mappings those of wishes, in one step. Those made by
// hand are left alone, unless they are of the same source and function: then
// they are declared from now on.
func (x *Mappings) Deploy(ctx context.Context, wishes []Wish) error {
	ids := make([]string, len(wishes))
	for i := range ids {
		ids[i] = daruma.NewID()
	}
	_, err := x.do(ctx, commandDeploy, deployment{wishes, ids})
	if err != nil {
		return daruma.Wrap("deploy mappings", "", err)
	}
	x.wake.Ring()
	return nil
}

// Result returns what came of the last batch of a mapping since the platform was started.
func (x *Mappings) Result(uuid string) (Result, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, ok := x.results[uuid]
	return r, ok
}

// Note keeps what came of a batch.
func (x *Mappings) Note(uuid string, r Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.Mapping(uuid) == nil {
		delete(x.results, uuid)
		return
	}
	x.results[uuid] = r
}

// Wake holds a token when a mapping has changed since it was last received from. It is for one reader.
func (x *Mappings) Wake() <-chan struct{} { return x.wake }

func (x *Mappings) change(ctx context.Context, name string, m Mapping) (*Mapping, error) {
	return x.send(ctx, name, m.UUID, m)
}

// send has a command change one mapping.
func (x *Mappings) send(ctx context.Context, name, uuid string, arguments any) (*Mapping, error) {
	got, err := x.do(ctx, name, arguments)
	if err != nil {
		return nil, daruma.Wrap(name+" event source mapping", uuid, err)
	}
	x.wake.Ring()
	return got.(*Mapping), nil
}

func (x *Mappings) do(ctx context.Context, name string, arguments any) (any, error) {
	return x.cell.Ask(ctx, machineName, name, arguments)
}

func notFound(uuid string) error {
	return &daruma.Error{Kind: daruma.KindNotFound, Ref: uuid, Err: errors.New("there is no such event source mapping")}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
