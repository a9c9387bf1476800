package heal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A State is where a breaker is.
type State string

// The states of a breaker.
//
//	closed ──most fail──► open ──pause is over──► trying ──five good──► closed
//	                       ▲                        │
//	                       └────────it fails────────┘
const (
	Closed State = "closed" // events flow
	Open   State = "open"   // nothing is handed out
	Trying State = "trying" // one event at a time is handed out
)

// What makes a breaker open, and close.
const (
	recentMax  = 100              // attempts that are looked at
	recentAge  = 30 * time.Second // older ones are not
	shareOf    = 20               // attempts there must be for their share to say something
	rowLong    = 20               // different events that fail one after the other: an outage however many were good before
	rowShort   = 5                // likewise, when there are fewer than shareOf attempts
	rowAge     = 10 * time.Minute // a failure that is older begins no row
	goodToStop = 5                // good ones that end an outage

	pauseMin = time.Second
	pauseMax = 30 * time.Second
	// pauseShare bounds a pause by how long the outage has lasted already: what
	// waits may wait that share longer than it must.
	pauseShare = 12
	// probeGap is the least time between two probes of what is down.
	probeGap = 500 * time.Millisecond
)

// An attempt is one event that was tried.
type attempt struct {
	at    time.Time
	event string
	good  bool
}

// A Breaker tells poison from an outage for one function: it is told of every
// attempt, and says when most events fail whatever event it is. Times come
// with the calls. It is used by one goroutine at a time.
//
// An event counts once among the failures, however often it is tried: a message
// that is tried alone again and again is poison, not an outage.
type Breaker struct {
	state  State
	since  time.Time // when the outage began
	until  time.Time // when the pause is over
	pause  time.Duration
	probes int       // in this outage
	out    int       // of these, under way
	good   int       // since Trying began
	bad    int       // of them that were bad, since the last good one
	recent []attempt // oldest first; while closed
	dice   *rand.Rand
}

// NewBreaker returns a closed breaker. Its pauses are jittered from the seed.
func NewBreaker(seed uint64) *Breaker {
	return &Breaker{state: Closed, dice: rand.New(rand.NewPCG(seed, 1))}
}

// State returns where it is.
func (b *Breaker) State() State { return b.state }

// Saw takes note of an attempt while the breaker is closed. It returns why it
// should open, or "".
func (b *Breaker) Saw(now time.Time, event string, good bool) string {
	if !good {
		b.recent = slices.DeleteFunc(b.recent, func(a attempt) bool { return a.event == event && !a.good })
	}
	b.recent = append(b.recent, attempt{now, event, good})
	if n := len(b.recent) - recentMax; n > 0 {
		b.recent = slices.Delete(b.recent, 0, n)
	}
	all, bad := 0, 0
	for _, a := range b.recent {
		if now.Sub(a.at) > recentAge {
			continue
		}
		if all++; !a.good {
			bad++
		}
	}
	row := b.row(now)
	switch {
	case all >= shareOf && 2*bad > all:
		return fmt.Sprintf("%d of the last %d events failed", bad, all)
	case row >= rowLong, row >= rowShort && all < shareOf:
		return fmt.Sprintf("%d different events failed, one after the other", row)
	}
	return ""
}

// row is how many different events have failed since the last good one.
func (b *Breaker) row(now time.Time) int {
	n := 0
	for _, a := range slices.Backward(b.recent) {
		if a.good || now.Sub(a.at) > rowAge {
			break
		}
		n++
	}
	return n
}

// Open opens it: an outage has begun, or goes on after a restart.
func (b *Breaker) Open(now, since time.Time) {
	*b = Breaker{state: Open, since: since, pause: pauseMin, dice: b.dice}
	b.wait(now)
}

// wait begins a pause, of which the first half is certain.
func (b *Breaker) wait(now time.Time) {
	most := min(b.pause, pauseMin+max(0, now.Sub(b.since))/pauseShare, pauseMax)
	b.until = now.Add(most/2 + time.Duration(b.dice.Int64N(int64(most/2+1))))
}

// Close closes it.
func (b *Breaker) Close() { *b = Breaker{state: Closed, dice: b.dice} }

// Allows returns how many events may be out now, and when that changes by
// itself; the zero time: it does not.
func (b *Breaker) Allows(now time.Time) (n int, next time.Time) {
	switch {
	case b.state == Closed:
		return math.MaxInt, time.Time{}
	case now.Before(b.until):
		return 0, b.until
	}
	return 1, time.Time{}
}

// Probe takes note that an event is handed out while it is not closed.
func (b *Breaker) Probe(now time.Time) {
	b.probes++
	b.out++
	b.until = now.Add(probeGap)
	if b.state == Open {
		b.state, b.good, b.bad = Trying, 0, 0
	}
}

// Probed takes note of what came of a probe; of one that did not run, nothing
// is known. It says whether the outage is over, and whether it goes on: after a
// good one, one bad event may be to blame itself, and two in a row are not.
func (b *Breaker) Probed(now time.Time, ran, good bool) (over, goesOn bool) {
	b.out = max(0, b.out-1)
	switch {
	case !ran:
		return false, false
	case good:
		b.good++
		b.bad = 0
		b.until = now // it works: the next one need not wait
		return b.good >= goodToStop, false
	}
	if b.bad++; b.good > 0 && b.bad == 1 {
		b.until = now.Add(probeGap)
		return false, false
	}
	if b.state == Trying {
		b.state = Open
		b.pause = min(2*b.pause, pauseMax)
		b.wait(now)
	}
	return false, true
}

// Hurry ends a pause: something has changed, and a probe is worth it.
func (b *Breaker) Hurry(now time.Time) {
	if b.state == Open {
		b.pause, b.until = pauseMin, now
	}
}
