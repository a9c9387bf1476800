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
	rowOfKey   = 10               // likewise, of one key: it has fewer events, and little is held
	rowShort   = 5                // likewise, when there are fewer than shareOf attempts
	rowAge     = 10 * time.Minute // a failure that is older begins no row
	goodToStop = 5                // good ones that end an outage
	blamedMax  = 1000             // events that are known to be to blame themselves; the oldest is forgotten when there are more
	blameGood  = 0.8              // share of the attempts around a failure that must be good for its event to be to blame

	pauseMin = time.Second
	pauseMax = 30 * time.Second
	pauseKey = 2 * time.Second // the longest of a key: its probes are few among the runs of others
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

// A Breaker tells poison from an outage, for one function or one key: it is told of every
// attempt, and says when most events fail whatever event it is. Times come
// with the calls. It is used by one goroutine at a time.
//
// An event counts once among the failures, however often it is tried: a message
// that is tried alone again and again is poison, not an outage. And one that
// failed while most others went well ([Breaker.Blame]) does not count at all from
// then on: what is left of a queue, when all that can be done is done, is its
// poison, and fails whatever there is of it.
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
	blamed []string  // events, oldest first
	ofKey  bool      // quicker to open, and to try
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
		if b.Blames(event) {
			return ""
		}
		b.recent = slices.DeleteFunc(b.recent, func(a attempt) bool { return a.event == event && !a.good })
	}
	b.recent = append(b.recent, attempt{now, event, good})
	if n := len(b.recent) - recentMax; n > 0 {
		b.recent = slices.Delete(b.recent, 0, n)
	}
	all, bad := b.count(now)
	row := b.row(now)
	switch {
	case all >= shareOf && 2*bad > all:
		return fmt.Sprintf("%d of the last %d events failed", bad, all)
	case row >= rowLong, b.ofKey && row >= rowOfKey, row >= rowShort && all < shareOf:
		return fmt.Sprintf("%d different events failed, one after the other", row)
	}
	return ""
}

// count is how many of the last attempts there were, and how many of them failed.
func (b *Breaker) count(now time.Time) (all, bad int) {
	for _, a := range b.recent {
		if now.Sub(a.at) > recentAge {
			continue
		}
		if all++; !a.good {
			bad++
		}
	}
	return all, bad
}

// Blame takes note that an event failed and that a later one went well. If most
// went well around it, the event is to blame and not what all events need: it
// says nothing of an outage any more. When many fail, as in a brownout, nobody
// is blamed. It says whether the event is.
func (b *Breaker) Blame(now time.Time, event string) bool {
	if all, bad := b.count(now); all < rowShort || float64(all-bad) < blameGood*float64(all) {
		return b.Blames(event)
	}
	b.Known(event)
	return true
}

// Known takes note of an event that is to blame for its own failures.
func (b *Breaker) Known(event string) {
	if b.Blames(event) {
		return
	}
	if b.blamed = append(b.blamed, event); len(b.blamed) > blamedMax {
		b.blamed = slices.Delete(b.blamed, 0, 1)
	}
	b.recent = slices.DeleteFunc(b.recent, func(a attempt) bool { return a.event == event })
}

// Pardon takes back that an event is to blame.
func (b *Breaker) Pardon(event string) {
	b.blamed = slices.DeleteFunc(b.blamed, func(e string) bool { return e == event })
}

// Blames says whether an event is known to be to blame for its own failures.
func (b *Breaker) Blames(event string) bool { return slices.Contains(b.blamed, event) }

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

// most says whether those in the row are most of all that were seen of late.
func (b *Breaker) most(now time.Time) bool {
	seen := map[string]bool{}
	for _, a := range b.recent {
		if now.Sub(a.at) <= rowAge {
			seen[a.event] = true
		}
	}
	return 2*b.row(now) > len(seen)
}

// Open opens it: an outage has begun, or goes on after a restart.
func (b *Breaker) Open(now, since time.Time) {
	*b = Breaker{state: Open, since: since, pause: pauseMin, blamed: b.blamed, ofKey: b.ofKey, dice: b.dice}
	b.wait(now)
}

// wait begins a pause, of which the first half is certain.
func (b *Breaker) wait(now time.Time) {
	most := min(b.pause, pauseMin+max(0, now.Sub(b.since))/pauseShare, pauseMax)
	if b.ofKey {
		most = min(most, pauseKey)
	}
	b.until = now.Add(most/2 + time.Duration(b.dice.Int64N(int64(most/2+1))))
}

// Close closes it.
func (b *Breaker) Close() {
	*b = Breaker{state: Closed, blamed: b.blamed, ofKey: b.ofKey, dice: b.dice}
}

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
// good one, one bad event may be to blame itself, and two in a row are not, unless
// it is known of them.
func (b *Breaker) Probed(now time.Time, event string, ran, good bool) (over, goesOn bool) {
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
	blamed := b.Blames(event)
	if !blamed {
		b.bad++
	}
	if b.good > 0 && (blamed || b.bad == 1) {
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
