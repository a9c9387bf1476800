// Package shard holds how far mappings have come in the shards of streams: a
// shard is records in one order, and a reader is one mapping's way through it.
//
//	          ┌─ done ──────────────────────────────► behind the batch
//	a batch ──┼─ failed ─► the same batch again, its halves, or what of it failed
//	          └─ given up, too old ─► the ledger, its destination, and behind it
//
// A reader has lanes: records of one key are in one lane, and each lane hands
// its records out in their order, one batch at a time. What is known of a lane
// is where it stands, which bounds its next batches have when some of it failed
// before, how often that was tried, and the window it adds up.
//
// It promises that a lane moves on in the same atomic step in which what it
// leaves behind is written down: a batch that is given up is in the ledger, with
// its records, and with the destination of the mapping. A step that somebody
// else was faster with is refused. It does not hold the records: those are the
// stream's. The methods of Shards may be called from any goroutine.
package shard

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

// Limits of what is kept of a reader.
const (
	LanesMax      = 10
	StateBytesMax = 1 << 20 // what a window adds up
	divisionsMax  = 16      // numbers of lanes there were before, and that still matter
)

// Pauses before a batch is tried again: they double with each try.
const (
	pauseMin = time.Second
	pauseMax = time.Minute
)

// A Reader is how far one mapping has come in one shard. It does not change.
type Reader struct {
	Mapping string `json:"mapping"`
	Shard   string `json:"shard"`
	Lanes   []Lane `json:"lanes"`
	// Passed is how far lanes had come when there were more or fewer of them.
	Passed []Division `json:"passed,omitempty"`
}

// A Division is the places of lanes when there were as many.
type Division []uint64

// LaneOf returns the lane of a key among n.
func LaneOf(key string, n int) int {
	if n <= 1 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(n))
}

// Wants says whether a record is for a lane, and was not handed out before the
// number of lanes was changed.
func (r *Reader) Wants(lane int, key string, sequence uint64) bool {
	if LaneOf(key, len(r.Lanes)) != lane {
		return false
	}
	for _, d := range r.Passed {
		if sequence < d[LaneOf(key, len(d))] {
			return false
		}
	}
	return true
}

// A Lane is a place in a shard.
type Lane struct {
	Next  uint64    `json:"next"`            // records before it are done
	Until []uint64  `json:"until,omitempty"` // where the next batches end, nearest first; a batch ends before it
	Tries int       `json:"tries,omitempty"` // failed runs of the batch that begins at Next
	Due   time.Time `json:"due,omitzero"`    // it is not tried before
	Turn  uint64    `json:"turn,omitempty"`  // one more with each step
	// Window is what is added up; nil when none is open.
	Window *Window `json:"window,omitempty"`
}

// A Window adds up what a function makes of the records of one span of time.
type Window struct {
	Start time.Time       `json:"start"`
	End   time.Time       `json:"end"`
	State json.RawMessage `json:"state"`
	Early bool            `json:"early,omitempty"` // its state has grown too large: it ends before its time
}

// An Ending is what came of a batch.
type Ending string

// The endings there are.
const (
	Done    Ending = "done"
	Failed  Ending = "failed"
	Untried Ending = "untried" // it did not run, and that does not count
	Aged    Ending = "aged"    // its records are too old to be tried
	Lost    Ending = "lost"    // its records are gone from the stream
)

// A Step says what came of a batch of a lane.
type Step struct {
	Mapping string `json:"mapping"`
	Shard   string `json:"shard"`
	Lane    int    `json:"lane"`
	Turn    uint64 `json:"turn"` // of the lane when the batch was taken
	Ending  Ending `json:"ending"`

	First uint64 `json:"first,omitempty"` // the first record of the batch
	To    uint64 `json:"to"`              // it ends before
	Half  uint64 `json:"half,omitempty"`  // of Failed: the record at which it can be split; 0 for none
	At    uint64 `json:"at,omitempty"`    // of Failed: the first record that the function reports; 0 when it reports none

	Retries int           `json:"retries"`           // of Failed: how often it may be tried again; less than 0: for ever
	Bisect  bool          `json:"bisect,omitempty"`  // of Failed
	Pause   time.Duration `json:"pauseNs,omitempty"` // of Untried
	Window  *Window       `json:"window,omitempty"`  // of Done: what it is now
	Final   bool          `json:"final,omitempty"`   // its window ends with it
	Once    []once.Entry  `json:"once,omitempty"`    // idempotency keys that are kept, or counted, with it

	// GivenUp is what is kept of a batch, or of the record at At, that is not
	// tried again: see [Lane.GivesUp]. Its event goes with it.
	GivenUp *GivenUp `json:"givenUp,omitempty"`
	Event   []byte   `json:"-"`
}

// GivenUp is what is known of what is not tried again.
type GivenUp struct {
	Failure ledger.Failure     `json:"failure"`
	Tell    *delivery.Handover `json:"tell,omitempty"` // what a destination is told
}

// GivesUp says whether nothing of what failed is tried again after a step: then
// it needs a GivenUp, of the whole batch or of the record at At.
func (l Lane) GivesUp(s Step) bool {
	switch s.Ending {
	case Aged, Lost:
		return true
	case Failed:
		return !s.splits() && s.Retries >= 0 && l.tried(s) > s.Retries
	}
	return false
}

// splits says whether a batch that failed is tried in halves.
func (s *Step) splits() bool { return s.At == 0 && s.Bisect && s.Half > s.First }

// tried is how often the batch was tried when a step is taken: what was done of
// it since the last time makes another one of it.
func (l Lane) tried(s Step) int {
	if s.At > s.First {
		return 1
	}
	return l.Tries + 1
}

// After returns the lane after a step.
func (l Lane) After(s Step, now time.Time) Lane {
	l.Turn++
	l.Until = slices.Clone(l.Until)
	switch s.Ending {
	case Untried:
		l.Due = now.Add(s.Pause)
		return l
	case Done:
		l.Window = s.Window
		return l.past(s.To)
	case Aged, Lost:
		return l.past(s.To)
	}
	up, tries := l.GivesUp(s), l.tried(s)
	if len(l.Until) == 0 || l.Until[0] != s.To {
		l.Until = slices.Insert(l.Until, 0, s.To)
	}
	switch {
	case s.splits():
		l.Until = slices.Insert(l.Until, 0, s.Half)
		l.Due = time.Time{}
		return l
	case up && s.At > 0:
		return l.past(s.At + 1)
	case up:
		if s.Final {
			l.Window = nil
		}
		return l.past(s.To)
	case s.At > s.First:
		l.Next = s.At
	}
	l.Tries = tries
	l.Due = now.Add(min(pauseMax, pauseMin<<min(tries-1, 10)))
	return l
}

// past is the lane behind what is done, or is not tried any more.
func (l Lane) past(to uint64) Lane {
	l.Next, l.Tries, l.Due = max(l.Next, to), 0, time.Time{}
	for len(l.Until) > 0 && l.Until[0] <= l.Next {
		l.Until = l.Until[1:]
	}
	if len(l.Until) == 0 {
		l.Until = nil
	}
	return l
}

// Shards is the readers of one cell.
type Shards struct{ cell *cell.Cell }

// New returns the readers that lie in c, of which Machine is one of the machines.
func New(c *cell.Cell) *Shards { return &Shards{c} }

// Opening says how a reader begins.
type Opening struct {
	Mapping string `json:"mapping"`
	Shard   string `json:"shard"`
	From    uint64 `json:"from"`  // the first record, unless there is a reader already
	Lanes   int    `json:"lanes"` // how many it has from now on; nothing of it may be under way when that changes
}

// Open returns the reader of a mapping in a shard, and makes one where there is
// none. A reader that has another number of lanes is divided anew: each record
// stays done or to be done.
func (x *Shards) Open(ctx context.Context, o Opening) (*Reader, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return x.do(ctx, commandOpen, body)
}

// Settle takes a step of a lane, and returns its reader as it is then.
// KindConflict when the lane has been moved on by somebody else.
func (x *Shards) Settle(ctx context.Context, s Step) (*Reader, error) {
	body, err := s.encode()
	if err != nil {
		return nil, err
	}
	return x.do(ctx, commandSettle, body)
}

// Drop forgets the readers of a mapping that is no more.
func (x *Shards) Drop(ctx context.Context, mapping string) error {
	body, err := json.Marshal(Opening{Mapping: mapping})
	if err != nil {
		return err
	}
	_, err = x.do(ctx, commandDrop, body)
	return err
}

func (x *Shards) do(ctx context.Context, name string, body []byte) (*Reader, error) {
	got, err := x.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body})
	if err != nil {
		return nil, daruma.Wrap(name+" shard", "", err)
	}
	r, _ := got.(*Reader)
	return r, nil
}

// Readers returns the readers of a mapping, by shard.
func (x *Shards) Readers(ctx context.Context, mapping string) ([]*Reader, error) {
	var all []*Reader
	err := x.cell.View(ctx, machineName, func(r *cell.Reader) error {
		all = readers().Slice(r, cell.Prefix(keyOf(mapping, "")))
		return nil
	})
	return all, err
}

// encode writes a step: its length, itself, and the event as it is.
func (s *Step) encode() ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(make([]byte, 0, len(body)+len(s.Event)+4), uint64(len(body)))
	return append(append(b, body...), s.Event...), nil
}

func decodeStep(b []byte) (Step, error) {
	var s Step
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return s, daruma.Invalidf("a step that ends too early")
	}
	if err := json.Unmarshal(b[used:used+int(n)], &s); err != nil {
		return s, daruma.Invalidf("settle: %w", err)
	}
	s.Event = b[used+int(n):]
	return s, nil
}

var errMoved = errors.New("the lane has been moved on")
