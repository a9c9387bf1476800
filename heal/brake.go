package heal

import (
	"math/rand/v2"
	"time"
)

const (
	brakePauseMin = 100 * time.Millisecond
	brakePauseMax = 30 * time.Second
)

// A brake holds back a function whose events cannot run: its concurrency is
// used up, or the platform has no room. It opens by one run for every limit's
// worth that ran. That an event could not run is no failure of anything.
type brake struct {
	limit   float64 // 0: there is none
	strikes int     // events in a row that could not run while nothing of the function ran
	until   time.Time
}

// hit notes that an event could not run while out others of its function do,
// and was told to come back after some time.
func (b *brake) hit(out, most int, after time.Duration, now time.Time) {
	if after > 0 && now.Add(after).After(b.until) {
		b.until = now.Add(min(after, brakePauseMax))
	}
	if out > 0 {
		b.limit = float64(min(out, most)) // as many fit; the next end makes room
		return
	}
	b.limit = 1
	if now.Before(b.until) {
		return // one of those that were on their way with the last, or it says itself when
	}
	b.strikes++
	longest := min(brakePauseMax, brakePauseMin<<min(b.strikes, 10))
	b.until = now.Add(longest/2 + rand.N(longest/2+1))
}

// ran notes that an event of the function did run.
func (b *brake) ran(most int) {
	if b.limit == 0 {
		return
	}
	b.strikes, b.until = 0, time.Time{}
	if b.limit += 1 / b.limit; b.limit >= float64(most) {
		*b = brake{}
	}
}

// allows returns how many may run, and when that changes by itself.
func (b *brake) allows(most int, now time.Time) (int, time.Time) {
	switch {
	case now.Before(b.until):
		return 0, b.until
	case b.limit == 0:
		return most, time.Time{}
	}
	return int(b.limit), time.Time{}
}
