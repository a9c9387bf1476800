// Package series keeps what was counted, over time, in bounded memory.
//
// Whoever counts adds what came since he was asked last ([Series.Add]); whoever
// asks gets one [Sum] for each period ([Series.Periods]). Times go by the app's
// clock and are those at which something ended: nothing is added to the past.
//
//	10 s ── for 5 minutes      3 hours   of what is kept for longer ([Series.Keep])
//	60 s ── for 3 hours        26 hours
//	1 h  ── for a day          9 days
//
// It promises exact counts, sums and extremes, and percentiles within one
// hundredth of the value. It does not outlive the process: what happened before
// is missing, and says so. The methods of [Series] may be called from any goroutine.
package series

import (
	"slices"
	"sync"
	"time"
)

// Step is the shortest period that is told apart.
const Step = 10 * time.Second

// KeysMax bounds the series there are. What comes beyond is dropped and counted.
const KeysMax = 4000

// A Key names what is counted of something: of the function "Charge" the "errors".
type Key struct{ Of, Name, Measure string }

// A tier is how long sums of one length are kept.
type tier struct{ step, short, long time.Duration }

var tiers = [...]tier{
	{Step, 5 * time.Minute, 3*time.Hour + time.Minute},
	{time.Minute, 3 * time.Hour, 26 * time.Hour},
	{time.Hour, 24 * time.Hour, 9 * 24 * time.Hour},
}

// LongMax is the longest that short periods, those of less than a minute, are kept.
const LongMax = 3 * time.Hour

// A bin is what was counted in one step of a tier: the how manyth since 1970.
type bin struct {
	number int64
	sum    Sum
}

// A line is one key's bins, by tier, oldest first.
type line struct {
	kept [len(tiers)][]bin
	last time.Time
}

// Series is what was counted of everything.
type Series struct {
	mu      sync.Mutex // guards the rest
	lines   map[Key]*line
	long    map[Key]bool
	dropped int64
}

// New returns series of nothing.
func New() *Series { return &Series{lines: map[Key]*line{}, long: map[Key]bool{}} }

// Keep says which keys are kept for longer, and no others.
func (s *Series) Keep(keys map[Key]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.long = keys
}

// Add adds what was counted in the step that ends at a time.
func (s *Series) Add(end time.Time, k Key, sum Sum) {
	if sum.Count <= 0 {
		return
	}
	at := end.Add(-1) // within the step
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[k]
	if l == nil {
		if len(s.lines) >= KeysMax && !s.long[k] {
			s.dropped++
			return
		}
		l = &line{}
		s.lines[k] = l
	}
	l.last = end
	for i, t := range tiers {
		n := number(at, t.step)
		bins := l.kept[i]
		if last := len(bins) - 1; last >= 0 && bins[last].number >= n {
			bins[last].sum.Add(sum)
		} else {
			l.kept[i] = append(bins, bin{n, sum.clone()})
		}
	}
}

// Forget drops what has grown too old. It is called now and then.
func (s *Series) Forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.lines {
		left := 0
		for i, t := range tiers {
			age := t.short
			if s.long[k] {
				age = t.long
			}
			first, old := number(now.Add(-age), t.step), 0
			for old < len(l.kept[i]) && l.kept[i][old].number < first {
				old++
			}
			if old > 0 {
				l.kept[i] = slices.Clone(l.kept[i][old:])
			}
			left += len(l.kept[i])
		}
		if left == 0 {
			delete(s.lines, k)
		}
	}
}

// Periods returns n sums of a period each, oldest first, of which the last ends
// at a time; a Count of 0 says that nothing was counted. A period is a whole
// number of steps, and end lies between two of them: on a full minute for whole
// minutes. Periods of whole hours that end on a full hour reach back the furthest.
func (s *Series) Periods(k Key, end time.Time, period time.Duration, n int) []Sum {
	sums := make([]Sum, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[k]
	if l == nil {
		return sums
	}
	from := end.Add(-time.Duration(n) * period)
	t := tierOf(period, end)
	for _, b := range l.kept[t] {
		at := time.Unix(0, b.number*int64(tiers[t].step))
		if i := int(at.Sub(from) / period); !at.Before(from) && i < n {
			sums[i].Add(b.sum)
		}
	}
	return sums
}

// tierOf is the tier of the longest steps of which periods are made, that end where they do.
func tierOf(period time.Duration, end time.Time) int {
	for i := len(tiers) - 1; i > 0; i-- {
		if period%tiers[i].step == 0 && end.UnixNano()%int64(tiers[i].step) == 0 {
			return i
		}
	}
	return 0
}

// Keys returns what was counted within an age of a time.
func (s *Series) Keys(now time.Time, age time.Duration) (keys []Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, l := range s.lines {
		if now.Sub(l.last) <= age {
			keys = append(keys, k)
		}
	}
	return keys
}

// Dropped is how often there was no room for something that is counted.
func (s *Series) Dropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

func number(at time.Time, step time.Duration) int64 { return at.UnixNano() / int64(step) }
