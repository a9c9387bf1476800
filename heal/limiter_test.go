package heal_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/daruma-io/daruma/heal"
)

// A shop serves runs with so many slots, each of which takes some time.
type shop struct {
	slots int
	takes func() time.Duration
}

// feed lets a limiter serve at its limit for some time, and returns the mean
// duration of runs in the last tenth of it.
func (s shop) feed(l *heal.Limiter, now *time.Time, lasts time.Duration) time.Duration {
	type run struct{ began, ends time.Time }
	var out []run
	free := make([]time.Time, s.slots)
	end := now.Add(lasts)
	var sum time.Duration
	n := 0
	for now.Before(end) {
		for len(out) < l.Limit() {
			slot := 0
			for i := range free {
				if free[i].Before(free[slot]) {
					slot = i
				}
			}
			at := *now
			if free[slot].After(at) {
				at = free[slot]
			}
			free[slot] = at.Add(s.takes())
			out = append(out, run{*now, free[slot]})
		}
		first := 0
		for i := range out {
			if out[i].ends.Before(out[first].ends) {
				first = i
			}
		}
		r, was := out[first], len(out)
		out = append(out[:first], out[first+1:]...)
		*now = r.ends
		l.Good(*now, r.ends.Sub(r.began), was)
		if now.After(end.Add(-lasts / 10)) {
			sum += r.ends.Sub(r.began)
			n++
		}
	}
	return sum / time.Duration(max(n, 1))
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func TestALimitGrowsFromOneToWhatIsWorthIt(t *testing.T) {
	now := began
	l := heal.NewLimiter(1, 400)
	s := shop{20, always(50 * time.Millisecond)}
	s.feed(l, &now, 3*time.Second)
	if got := l.Limit(); got < 20 {
		t.Errorf("after three seconds the limit is %d, 20 have room", got)
	}
	if mean := s.feed(l, &now, 10*time.Minute); l.Limit() < 20 || l.Limit() > 60 || mean > 150*time.Millisecond {
		t.Errorf("after ten minutes the limit is %d and runs take %v: 20 of 50ms have room", l.Limit(), mean)
	}
}

func TestAFunctionThatWaitsForNothingGetsAllItMay(t *testing.T) {
	now := began
	l := heal.NewLimiter(8, 32)
	shop{1000, always(10 * time.Second)}.feed(l, &now, 25*time.Second)
	if l.Limit() != 32 {
		t.Fatalf("the limit is %d, want 32", l.Limit())
	}
}

func TestALimitThatIsNotUsedDoesNotGrow(t *testing.T) {
	now := began
	l := heal.NewLimiter(8, 400)
	for range 10_000 {
		now = now.Add(20 * time.Millisecond)
		l.Good(now, 10*time.Millisecond, 1)
	}
	if l.Limit() != 8 {
		t.Fatalf("the limit is %d, want 8 still", l.Limit())
	}
}

func TestWorkThatBecomesHeavierIsLearnt(t *testing.T) {
	now := began
	l := heal.NewLimiter(8, 400)
	shop{10, always(50 * time.Millisecond)}.feed(l, &now, time.Minute)
	shop{60, always(300 * time.Millisecond)}.feed(l, &now, time.Minute)
	if l.Limit() < 60 {
		t.Fatalf("the limit is %d, 60 have room", l.Limit())
	}
}

func TestAQueueIsNotTakenForHeavierWork(t *testing.T) {
	now := began
	l := heal.NewLimiter(8, 400)
	shop{10, always(50 * time.Millisecond)}.feed(l, &now, time.Minute)
	if mean := (shop{10, always(400 * time.Millisecond)}).feed(l, &now, 2*time.Minute); mean > 1200*time.Millisecond {
		t.Fatalf("at a limit of %d runs take %v, want about 400ms", l.Limit(), mean)
	}
}

func TestRunsOfTwoLengthsDoNotStarve(t *testing.T) {
	now := began
	dice := rand.New(rand.NewPCG(1, 1))
	l := heal.NewLimiter(8, 400)
	shop{10, func() time.Duration {
		if dice.IntN(10) == 0 {
			return 410 * time.Millisecond
		}
		return 10 * time.Millisecond
	}}.feed(l, &now, 5*time.Minute)
	if l.Limit() < 10 {
		t.Fatalf("the limit is %d, 10 have room", l.Limit())
	}
}

func TestCongestionCutsATenthOnceAWindow(t *testing.T) {
	l := heal.NewLimiter(200, 400)
	for range 50 {
		l.Congested(began)
	}
	if l.Limit() != 100 {
		t.Fatalf("the limit is %d after time-outs at one moment, want 100, half of what it had grown to", l.Limit())
	}
	if l.Congested(began.Add(time.Second)); l.Limit() != 90 {
		t.Fatalf("the limit is %d after another, want 90", l.Limit())
	}
	for i := range 500 {
		l.Congested(began.Add(time.Duration(i) * time.Second))
	}
	if l.Limit() != 1 {
		t.Fatalf("the limit is %d, want 1", l.Limit())
	}
}
