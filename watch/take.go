package watch

import (
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/series"
)

// A Lately is what came of a function since it was asked about last.
type Lately struct {
	Runs      int64 // that ended
	Failures  int64 // of these: not well
	Throttles int64 // tries for which there was no room
	Durations series.Sum
	Peak      int // most environments that were busy at once
}

// lately is what [Watch.Take] takes that no counter knows.
type lately struct {
	mu        sync.Mutex // guards the rest
	durations map[string]*series.Sum
	busy      map[string]int
	peak      map[string]int
	counted   map[runKey]int64 // what counters showed when they were asked last
}

func newLately() *lately {
	return &lately{durations: map[string]*series.Sum{}, busy: map[string]int{}, peak: map[string]int{}, counted: map[runKey]int64{}}
}

func (l *lately) took(function string, d time.Duration) {
	one := series.Of(float64(d) / float64(time.Millisecond))
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.durations[function]
	if s == nil {
		s = new(series.Sum)
		l.durations[function] = s
	}
	s.Add(one)
}

// changed notes that an environment has come from one state into another.
func (l *lately) changed(function string, from, to daruma.EnvironmentState) {
	if (from == daruma.Busy) == (to == daruma.Busy) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if to == daruma.Busy {
		l.busy[function]++
		l.peak[function] = max(l.peak[function], l.busy[function])
	} else if l.busy[function]--; l.busy[function] <= 0 {
		delete(l.busy, function)
	}
}

// Take returns what came of each function since it was called last, in
// milliseconds where it is durations. It is for one caller.
func (w *Watch) Take() map[string]Lately {
	all := map[string]Lately{}
	l := w.metrics.lately
	l.mu.Lock()
	for function, peak := range l.peak {
		all[function] = Lately{Peak: peak}
	}
	for function, s := range l.durations {
		one := all[function]
		one.Durations = *s
		all[function] = one
	}
	clear(l.durations)
	clear(l.peak)
	for function, n := range l.busy { // they go on
		l.peak[function] = n
	}
	l.mu.Unlock()
	w.metrics.byRun.Range(func(k, v any) bool {
		key, total := k.(runKey), int64(value(v.(runMetrics).count))
		n := total - l.counted[key]
		l.counted[key] = total
		one := all[key.function]
		switch {
		case key.outcome == daruma.Throttled || key.outcome == daruma.NoCapacity:
			one.Throttles += n
		case key.outcome.Ran():
			one.Runs += n
			if key.outcome != daruma.Done {
				one.Failures += n
			}
		}
		all[key.function] = one
		return true
	})
	return all
}
