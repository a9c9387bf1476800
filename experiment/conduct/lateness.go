package conduct

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// A Beat says how long a little work took, from when it was due until it was done, and how long it takes when nobody
// is in the way.
type Beat struct{ Took, Undisturbed time.Duration }

// A Pulse feels how late the machine is: four times a second a little work is due. That a timer fires in time says
// little, because a machine that has too much to do favours who mostly sleeps; so what is timed is
// work, and what its quickest piece took is what it takes when nobody is in the way. It needs no counters of any
// kernel, and sees what they do not: quotas, other guests of the same host, a machine that was suspended.
// It costs some 3 % of one CPU. It is used by one goroutine.
type Pulse struct {
	work     func() // one piece
	due      time.Time
	quickest time.Duration // of all pieces so far
}

const (
	pulseEvery  = 250 * time.Millisecond // by the machine's clock
	pulsePieces = 8                      // of a beat
	pieceSteps  = 500_000                // of a piece: about a millisecond
)

// NewPulse returns a pulse that begins to beat with its first Beat.
func NewPulse() *Pulse { return &Pulse{work: step} }

// step does as many steps as a piece has, each of which needs the one before.
func step() {
	x := uint64(time.Now().UnixNano()) | 1
	for range pieceSteps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 { // it never is; without somebody who looks at it, it need not be worked out
		panic("a generator of numbers without a period")
	}
}

// Beat waits until a little work is due and does it. It returns ctx's error when ctx ends first.
func (p *Pulse) Beat(ctx context.Context) (Beat, error) {
	now := time.Now()
	if p.due = p.due.Add(pulseEvery); p.due.Before(now) { // the first, or the last one took that long
		p.due = now.Add(pulseEvery)
	}
	wait := time.NewTimer(time.Until(p.due))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return Beat{}, ctx.Err()
	}
	if p.quickest == 0 {
		p.quickest = math.MaxInt64
	}
	last := time.Now()
	for range pulsePieces {
		p.work()
		at := time.Now()
		p.quickest, last = min(p.quickest, at.Sub(last)), at
	}
	return Beat{last.Sub(p.due), pulsePieces * p.quickest}, nil
}

// A felt beat was between two moments of the machine's clock.
type felt struct {
	Beat
	from, to time.Time
}

// feel notes every beat until ctx ends.
func (r *run) feel(ctx context.Context) {
	for {
		b, err := r.cfg.Beat(ctx)
		if err != nil {
			return
		}
		to := time.Now()
		r.mu.Lock()
		r.beats = append(r.beats, felt{b, to.Add(-b.Took), to})
		r.mu.Unlock()
	}
}

// lateness is how many times as long as undisturbed work took between two moments; 0 when it is not known.
func (r *run) lateness(from, to time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var took, undisturbed time.Duration
	for _, b := range r.beats {
		if b.to.After(from) && b.from.Before(to) {
			took, undisturbed = took+b.Took, undisturbed+b.Undisturbed
		}
	}
	if undisturbed <= 0 {
		return 0
	}
	return float64(took) / float64(undisturbed)
}

func slower(times float64) string {
	return fmt.Sprintf("work took %.0f times as long as when nobody is in the way", times)
}

// lateFrom is how many times as long as undisturbed work takes on a machine that is called late: for each who works, two
// others wait. Two programs on one core, and a core that is shared by two threads, are not that.
const lateFrom = 3

// excuse says why a deviation in a phase may be the machine's and not the app's; "" when it is the app's. Late
// is not enough: something must have come to its time, that no fault kept from it, or a time itself be judged. What
// is lost is never excused: no machine is late enough for that.
func (r *run) excuse(a experiment.Activity, j Judgement) string {
	m := a.Provider.Metric
	over := "phase"
	if m != nil {
		over = m.Over
		if m.Name == "lost" {
			return ""
		}
	}
	w := r.windowOf(j.Phase, over)
	times := r.lateness(w.from.real, w.to.real)
	if a.Tolerance.Form == "relative" && r.edges[experiment.Before] != nil {
		before := r.edges[experiment.Before]
		times = max(times, r.lateness(before.from.real, before.to.real))
	}
	if times < lateFrom {
		return ""
	}
	late := "the machine was late: " + slower(times)
	if m != nil {
		if kind, _ := experiment.MeasureNamed(m.Name); kind.Unit != "" {
			return late
		}
	}
	var why string
	if n := w.timeouts(); n > 0 {
		why = fmt.Sprintf("%d runs came to their time-out that no fault met", n)
	} else if n := w.unanswered(); n > 0 {
		why = fmt.Sprintf("%d requests had no answer in their time", n)
	} else if j.Run.overdue {
		why = "it had no answer in its time"
	}
	if why == "" {
		return ""
	}
	return late + ", and " + why
}
