// Package twice runs whole worlds from a seed in which events come twice: events
// with idempotency keys on their way to a function, through a queue, the stream
// of a table, or as asynchronous invocations, with repetitions, other events
// under the same keys, redeliveries, and a crash at any command. It is for tests;
// nothing of the product imports it.
//
// At every start the accounts of what was accepted are held against what is
// known of keys: whatever was lost in a crash, an event is done if and only if it
// was counted as run or suppressed. A world lives in the time of a synctest
// bubble; its methods are for one goroutine.
package twice

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Ways are how events come to the function.
const (
	Queue  = "queue"
	FIFO   = "fifo"
	Stream = "stream"
	Async  = "async"
)

// A Plan is everything a seed decides.
type Plan struct {
	Seed     uint64
	Way      string
	Strict   bool // of a queue: what could not run spends an attempt
	Batch    int
	Window   time.Duration
	Partial  bool // the function reports which events of a batch failed
	Lanes    int  // of a stream, with Bisect
	Bisect   bool
	Retries  int           // of a stream and of asynchronous events; receives of a message beyond the first
	Hide     time.Duration // of a queue
	Events   []Event
	Poison   int // of 100 events, by key and body: all runs fail
	Flaky    int // of 100 others: the first run fails
	Throttle int // of 100 tries
	Slowest  time.Duration
	Crashes  []Crash
	Restarts []time.Duration
}

// An Event is accepted at a time after the beginning. Two with the same key and
// body are the same event.
type Event struct {
	At    time.Duration `json:"-"`
	Key   string        `json:"key"`
	Body  string        `json:"body"`
	Group string        `json:"-"`
}

func (e Event) String() string { return e.Key + "/" + e.Body }

// A Crash ends the process when it has applied its At-th entry of the journal:
// that is lost, or it is the last that is kept.
type Crash struct {
	At   int
	Kept bool
	Down time.Duration
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// NewPlan makes the plan of a seed.
func NewPlan(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 9))
	p := Plan{Seed: seed, Way: pick(r, Queue, FIFO, Stream, Async), Strict: r.IntN(3) == 0, Batch: 1 + r.IntN(6), Partial: r.IntN(2) == 0,
		Lanes: pick(r, 1, 1, 3), Bisect: r.IntN(2) == 0, Retries: r.IntN(3), Hide: pick(r, 2*time.Second, 30*time.Second), Poison: pick(r, 0, 0, 20),
		Flaky: pick(r, 0, 30), Throttle: pick(r, 0, 0, 20), Slowest: pick(r, 20*time.Millisecond, time.Second, 4*time.Second)}
	if p.Way != FIFO {
		p.Window = time.Duration(r.IntN(2)) * time.Second
	}
	lasts := pick(r, time.Nanosecond, 5*time.Second, 30*time.Second)
	keys := 1 + r.IntN(4)
	for range 2 + r.IntN(12) {
		e := Event{At: time.Duration(r.Int64N(int64(lasts))), Key: fmt.Sprint("k", r.IntN(keys)), Body: "as it was", Group: fmt.Sprint("g", r.IntN(2))}
		if r.IntN(5) == 0 {
			e.Body = "another"
		}
		p.Events = append(p.Events, e)
	}
	slices.SortStableFunc(p.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	for range r.IntN(3) {
		p.Crashes = append(p.Crashes, Crash{At: 1 + r.IntN(30), Kept: r.IntN(2) == 0, Down: time.Duration(r.Int64N(int64(10 * time.Second)))})
	}
	if r.IntN(4) == 0 {
		p.Restarts = append(p.Restarts, time.Duration(r.Int64N(int64(20*time.Second))))
	}
	return p
}

// of says whether an event is among so many of 100, by what it is.
func (p *Plan) of(e Event, salt string, percent int) bool {
	h := fnv.New64a()
	fmt.Fprint(h, p.Seed, salt, e) // cannot fail
	return int(h.Sum64()>>17%100) < percent
}

func (p *Plan) poison(e Event) bool { return p.of(e, "poison", p.Poison) }
