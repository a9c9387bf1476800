package heal

import (
	"math"
	"time"
)

// The gradient's settings: those of Netflix's Gradient2, over windows.
const (
	windowMin    = 100 * time.Millisecond
	windowRuns   = 10               // good runs a window has at least
	longWindows  = 600              // what the long average goes back over
	tolerance    = 1.5              // so much longer than usual is still usual
	queueAllowed = 4                // runs more than the gradient says: something must wait, or nothing is learnt
	smoothing    = 0.2              // the share of the new in the next limit
	cut          = 0.9              // what is left after a time-out, or when a function says it is throttled
	limitFirst   = 8                // of a function nothing is known of
	gradientMin  = 0.5              // one window halves it at most
	worthStep    = 1.25             // how much a limit grows before it must have been worth it
	worthMore    = 1.03             // so much more must get done
	worthAll     = 1.15             // so much more, and nothing waits at all
	worthRuns    = 20               // and for so many runs one after the other, which tend to end together
	worthMin     = 2 * time.Second  // and be measured for so long
	worthRest    = 10 * time.Second // after it was not: not tried again for so long
	fallStep     = .8               // how far a limit falls before it must have helped
	fallSame     = .9               // runs that still take so much of their time have not been helped
	forgetLong   = 0.95             // how fast the long average follows work that became much lighter
	usedShare    = 0.8              // of the limit, for it to grow
)

// A Limiter finds how many runs of one function at once do the most work: it
// grows while runs take as long as usual, and shrinks when they take longer,
// which is when they wait for one another. Times come with the calls. It is used
// by one goroutine at a time.
//
// From its beginning, and after an outage, it doubles with every limit's worth of
// good runs, until a window shows that runs wait. After that a
// window is a tenth of a second and ten good runs at least; its mean is held
// against the mean of many windows before. So work that has become heavier
// for good is learnt, and runs of two very different lengths do not look like
// a queue.
type Limiter struct {
	limit float64
	most  int
	young bool // nothing has shown yet that runs wait

	long    float64 // mean duration of windows, in seconds; 0 when there was none
	windows int

	began        time.Time // of this window
	runs         int
	sum, squares float64   // of their seconds
	spread       float64   // of durations, as a share of their mean, moving
	used         int       // most runs at once in it
	quiet        time.Time // until then windows say nothing
	worth        worth
	fall         fall
	cutAt        time.Time // when it was cut last
}

// NewLimiter returns a limiter that begins at a limit and never goes above most.
func NewLimiter(limit, most int) *Limiter {
	return &Limiter{limit: float64(min(max(limit, 1), most)), most: most, young: true}
}

// Limit is how many runs there may be at once, 1 at least.
func (l *Limiter) Limit() int { return int(l.limit) }

// Good takes note of a run that went well, with how many were under way.
func (l *Limiter) Good(now time.Time, took time.Duration, out int) {
	if l.runs == 0 {
		l.began = now.Add(-took)
	}
	l.runs++
	seconds := max(took.Seconds(), 1e-9)
	l.sum += seconds
	l.squares += seconds * seconds
	l.used = max(l.used, out)
	if l.young && float64(out) >= usedShare*float64(l.Limit()) {
		l.set(l.limit + 1)
	}
	if l.runs < windowRuns || now.Sub(l.began) < windowMin {
		return
	}
	n := float64(l.runs)
	mean := l.sum / n
	deviation := math.Sqrt(max(0, l.squares/n-mean*mean))
	l.spread += (deviation/mean - l.spread) * smoothing
	l.turn(now, mean, deviation/math.Sqrt(n))
	l.runs, l.sum, l.squares, l.used, l.began = 0, 0, 0, 0, now
}

// turn ends a window whose runs took so long, give or take a doubt: what is only
// chance does not count as waiting.
func (l *Limiter) turn(now time.Time, short, doubt float64) {

	if !now.Before(l.worth.from) {
		l.worth.runs += l.runs
	}
	if l.young {
		// Nothing waited so far: these windows are what is usual.
		if l.windows == 0 || short-doubt <= tolerance*l.long {
			l.windows++
			l.long += (short - l.long) / float64(l.windows)
			return
		}
		l.young = false
		l.set(l.limit / tolerance) // so much of it waits
		l.quiet = now.Add(time.Duration(short * float64(time.Second)))
		return
	}
	if now.Before(l.quiet) {
		return // these began when it was more
	}
	l.long += (short - l.long) * 2 / (longWindows + 1)
	if l.long > 2*short {
		l.long *= forgetLong
	}
	if l.heavier(now, short) {
		return
	}
	// The limit as it is kept is a fraction: what was used is held against the
	// whole number that it allows, or it would never grow from 1.
	if float64(l.used) < usedShare*float64(l.Limit()) {
		return
	}
	gradient := 1.0
	if surely := short - doubt; surely > 0 {
		gradient = min(1, max(gradientMin, tolerance*l.long/surely))
	}
	next := l.limit*(1-smoothing) + (l.limit*gradient+queueAllowed)*smoothing
	switch {
	case next < l.limit && !l.fall.from.IsZero():
		l.fall.short = max(l.fall.short, short)
	case next > l.limit && !l.pays(now):
		return
	case next < l.limit && l.fall.from.IsZero():
		l.fall = fall{limit: l.limit, short: short, from: now}
	case next >= l.limit:
		l.fall = fall{}
	}
	l.set(next)
}

// A fall is a limit on its way down.
type fall struct {
	limit float64 // where it began
	short float64 // how long runs took at most on the way
	from  time.Time
}

// heavier says whether runs take as long however few there are: then they do not
// wait for one another, the work has become heavier. What is usual is learnt
// anew, and the limit with it.
func (l *Limiter) heavier(now time.Time, short float64) bool {
	f := l.fall
	if f.from.IsZero() || l.limit > f.limit*fallStep || now.Sub(f.from).Seconds() < 2*f.short {
		return false
	}
	l.fall = fall{}
	if short < f.short*fallSame {
		return false
	}
	l.long, l.windows, l.young, l.worth = short, 1, true, worth{}
	return true
}

// A worth is what a limit has brought. The gradient alone drifts upwards: what
// is usual becomes longer with the queue that it allows itself. So a limit that
// has grown by a quarter stays only if more gets done.
type worth struct {
	limit float64   // that was measured
	rate  float64   // runs a second it did
	from  time.Time // since when runs are counted
	runs  int
	rests time.Duration // how long limit is measured before more is tried; 0: more is tried
}

// pays says whether the limit may go on growing.
func (l *Limiter) pays(now time.Time) bool {
	w := &l.worth
	took := now.Sub(w.from)
	rate := float64(w.runs) / took.Seconds()
	chance := l.spread / math.Sqrt(float64(max(w.runs, 1)))
	enough := took >= max(worthMin, time.Duration(worthRuns*l.long*float64(time.Second)))
	switch {
	case w.from.IsZero() || l.limit < w.limit*(2-worthStep): // it was never measured, or has shrunk meanwhile
		*w = worth{limit: l.limit, from: now, rests: worthMin}
		if now.Sub(l.cutAt) < worthRest {
			w.rests = worthRest
		}
		return false
	case w.rests > 0 && (!enough || took < w.rests):
		return false
	case w.rests > 0:
		*w = worth{limit: l.limit, rate: rate, from: now}
		return true
	case l.limit < w.limit*worthStep:
		w.from, w.runs = now.Add(time.Duration(l.long*float64(time.Second))), 0 // counted from where it stops, once those that began before have ended
		return true
	case !enough:
		return false
	case rate >= (worthAll+chance)*w.rate:
		*w = worth{}
		l.windows, l.young = 1, true // nothing waits: it may double again
		return true
	case rate >= (worthMore-chance)*w.rate:
		*w = worth{limit: l.limit, rate: rate, from: now}
		return true
	}
	l.set(w.limit)
	*w = worth{limit: l.limit, from: now, rests: worthRest}
	return false
}

func (l *Limiter) set(limit float64) { l.limit = min(max(limit, 1), float64(l.most)) }

// Congested takes note of a run that timed out, or whose function was told to
// come back later. Those that end together are one sign.
func (l *Limiter) Congested(now time.Time) {
	if now.Sub(l.cutAt) < windowMin {
		return
	}
	if l.young {
		l.set(l.limit / 2) // it has doubled since it was right
	} else {
		l.set(l.limit * cut)
	}
	l.cutAt, l.young = now, false
	l.worth = worth{limit: l.limit, from: now, rests: worthRest}
}

// Restart has it begin at 1 again: after an outage everything waits at once.
func (l *Limiter) Restart() { *l = Limiter{limit: 1, most: l.most, young: true} }
