package dispatch

import (
	"math/rand/v2"
	"time"
)

const (
	brakePauseMin = 100 * time.Millisecond
	brakePauseMax = 30 * time.Second
)

// brakes know which functions get fewer events than they might. Used by the loop only.
type brakes struct {
	each int
	of   map[string]*brake
}

// A brake limits one function. It opens by one event for every limit's worth
// that ran, and is gone when the function has its full limit again.
type brake struct {
	limit   float64
	strikes int       // events in a row that could not run while nothing of the function ran
	until   time.Time // none before
}

// hit notes that an event could not run while out others of its function do.
func (b *brakes) hit(function string, out int, now time.Time) {
	x := b.of[function]
	if x == nil {
		x = &brake{limit: float64(b.each)}
		b.of[function] = x
	}
	if out > 0 {
		x.limit = float64(min(out, b.each)) // as many fit; the next end makes room
		return
	}
	x.limit = 1
	if now.Before(x.until) {
		return // one of those that were on their way with the last
	}
	x.strikes++
	most := min(brakePauseMax, brakePauseMin<<min(x.strikes, 10))
	x.until = now.Add(most/2 + rand.N(most/2+1))
}

// ran notes that an event of a function did run.
func (b *brakes) ran(function string) {
	x := b.of[function]
	if x == nil {
		return
	}
	x.strikes, x.until = 0, time.Time{}
	if x.limit += 1 / x.limit; x.limit >= float64(b.each) {
		delete(b.of, function)
	}
}

// limits returns the limits that differ from the usual one, and when the first of them opens.
func (b *brakes) limits(now time.Time) (limits map[string]int, opens time.Time) {
	for name, x := range b.of {
		if limits == nil {
			limits = map[string]int{}
		}
		if now.Before(x.until) {
			limits[name] = 0
			if opens.IsZero() || x.until.Before(opens) {
				opens = x.until
			}
			continue
		}
		limits[name] = int(x.limit)
	}
	return limits, opens
}
