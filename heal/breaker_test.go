package heal_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/daruma-io/daruma/heal"
)

var began = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// saw tells a breaker of events, one a second: "a" went well, "A" failed. It
// returns after how many of them it should have opened; 0: never.
func saw(b *heal.Breaker, every time.Duration, events ...string) int {
	for i, e := range events {
		if b.Saw(began.Add(time.Duration(i)*every), e, e[0] >= 'a') != "" {
			return i + 1
		}
	}
	return 0
}

// fresh returns n different events that went well or failed.
func fresh(n int, good bool) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", map[bool]string{true: "g", false: "B"}[good], i))
	}
	return all
}

func TestOnePoisonMessageTriedAgainAndAgainIsNoOutage(t *testing.T) {
	b := heal.NewBreaker(1)
	var same []string
	for range 500 {
		same = append(same, "P")
	}
	if n := saw(b, time.Second, same...); n != 0 {
		t.Fatalf("it opened at attempt %d of one event", n)
	}
}

func TestFourPoisonMessagesTriedAgainAndAgainAreNoOutage(t *testing.T) {
	b := heal.NewBreaker(1)
	var some []string
	for i := range 400 {
		some = append(some, []string{"P", "Q", "R", "S"}[i%4])
	}
	if n := saw(b, time.Second/4, some...); n != 0 {
		t.Fatalf("it opened at attempt %d", n)
	}
}

func TestWithLittleTrafficFiveDifferentEventsThatFailAreAnOutage(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
		b := heal.NewBreaker(1)
		if n := saw(b, every, append(fresh(3, true), fresh(9, false)...)...); n != 8 {
			t.Errorf("one event every %v: it opened at attempt %d, want the eighth", every, n)
		}
	}
	if n := saw(heal.NewBreaker(1), time.Hour, fresh(9, false)...); n != 0 {
		t.Errorf("one failure an hour opened it at attempt %d", n)
	}
}

func TestWithMuchTrafficAnOutageIsTwentyFailuresInARow(t *testing.T) {
	b := heal.NewBreaker(1)
	if n := saw(b, time.Millisecond, append(fresh(5000, true), fresh(100, false)...)...); n != 5020 {
		t.Fatalf("it opened at attempt %d, want 5020", n)
	}
}

func TestMoreThanHalfOfTwentyIsAnOutageAndLessIsNot(t *testing.T) {
	mix := func(bad, of, n int) []string {
		var all []string
		for i := range n {
			if i%of < bad {
				all = append(all, fmt.Sprint("B", i))
			} else {
				all = append(all, fmt.Sprint("g", i))
			}
		}
		return all
	}
	if n := saw(heal.NewBreaker(1), time.Millisecond, mix(2, 3, 200)...); n == 0 || n > 25 {
		t.Errorf("two thirds fail: it opened at attempt %d, want about the twentieth", n)
	}
	if n := saw(heal.NewBreaker(1), time.Millisecond, mix(2, 5, 20000)...); n != 0 {
		t.Errorf("two fifths fail: it opened at attempt %d, want never", n)
	}
}

func TestPausesDoubleUpToThirtySecondsAndOneIsTriedAtATime(t *testing.T) {
	b := heal.NewBreaker(7)
	now := began
	b.Open(now, now)
	var last time.Duration
	for range 200 {
		n, next := b.Allows(now)
		if n != 0 {
			t.Fatal("it allows events before its pause is over")
		}
		if last = next.Sub(now); last < 500*time.Millisecond || last > 30*time.Second {
			t.Fatalf("a pause of %v", last)
		}
		if most := time.Second + now.Sub(began)/12; last > most {
			t.Fatalf("after %v it pauses for %v, want %v at most", now.Sub(began), last, most)
		}
		now = next
		if n, _ := b.Allows(now); n != 1 {
			t.Fatalf("it allows %d probes at once", n)
		}
		b.Probe(now)
		if n, _ := b.Allows(now); n != 0 {
			t.Fatal("it allows a second probe beside the first")
		}
		if over, goesOn := b.Probed(now, "e", true, false); over || !goesOn {
			t.Fatalf("a failed probe: over %v, it goes on %v", over, goesOn)
		}
	}
	if last < 15*time.Second {
		t.Fatalf("after an hour it still pauses for %v only", last)
	}
}

func TestFiveGoodProbesCloseABreakerAndOnePoisonMessageDoesNotKeepItOpen(t *testing.T) {
	b := heal.NewBreaker(7)
	b.Open(began, began)
	_, now := b.Allows(began)
	for i, good := range []bool{true, true, false, true, true, true} {
		if n, _ := b.Allows(now); n != 1 {
			t.Fatalf("probe %d has to wait although the one before went well", i)
		}
		b.Probe(now)
		over, goesOn := b.Probed(now, "e", true, good)
		if goesOn || over != (i == 5) {
			t.Fatalf("probe %d: over %v, it goes on %v", i, over, goesOn)
		}
		if !good {
			now = now.Add(500 * time.Millisecond)
		}
	}
	b.Close()
	if n, _ := b.Allows(now); b.State() != heal.Closed || n < 1000 {
		t.Fatalf("it is %s and allows %d", b.State(), n)
	}
}

func TestAProbeThatDidNotRunSaysNothing(t *testing.T) {
	b := heal.NewBreaker(7)
	b.Open(began, began)
	_, now := b.Allows(began)
	b.Probe(now)
	b.Probed(now, "e", false, false)
	if b.State() != heal.Trying {
		t.Fatalf("it is %s", b.State())
	}
	if n, next := b.Allows(now); n != 0 || next.Sub(now) != 500*time.Millisecond {
		t.Fatalf("it allows %d, again in %v", n, next.Sub(now))
	}
}

func TestTwoBadProbesInARowAfterGoodOnesMeanThatTheOutageGoesOn(t *testing.T) {
	b := heal.NewBreaker(7)
	b.Open(began, began)
	_, now := b.Allows(began)
	for i, good := range []bool{true, false, true, true, false, false} {
		b.Probe(now)
		if over, goesOn := b.Probed(now, "e", true, good); over || goesOn != (i == 5) {
			t.Fatalf("probe %d: over %v, it goes on %v", i, over, goesOn)
		}
		now = now.Add(time.Second)
	}
	if b.State() != heal.Open {
		t.Fatalf("it is %s", b.State())
	}
}

func TestWhatFailedAmongGoodOnesSaysNothingOfAnOutageAnyMore(t *testing.T) {
	b := heal.NewBreaker(1)
	now := began
	step := func(event string, good bool) string {
		now = now.Add(time.Millisecond)
		return b.Saw(now, event, good)
	}
	for i := range 1000 {
		step(fmt.Sprint("g", i), true)
		if i%20 == 10 {
			step(fmt.Sprint("B", i), false)
			step("later", true)
			b.Blame(now, fmt.Sprint("B", i))
		}
	}
	for round := range 3 {
		for i := 10; i < 1000; i += 20 {
			if why := step(fmt.Sprint("B", i), false); why != "" {
				t.Fatalf("round %d: it opens because of what is left: %s", round, why)
			}
		}
	}
	for i := range 20 {
		if why := step(fmt.Sprint("N", i), false); (why != "") != (i == 19) {
			t.Fatalf("new event %d that fails after them: %q", i, why)
		}
	}
}

func TestNobodyIsBlamedInABrownout(t *testing.T) {
	b := heal.NewBreaker(1)
	now := began
	for i := range 100 {
		now = now.Add(time.Millisecond)
		event := fmt.Sprint("e", i)
		b.Saw(now, event, i%3 > 0)
		if i%3 > 0 {
			b.Blame(now, fmt.Sprint("e", i-1))
		}
	}
	for i := range 100 {
		if b.Blames(fmt.Sprint("e", i)) {
			t.Fatalf("e%d is blamed, although a third of all fail", i)
		}
	}
}

func TestABlamedProbeDoesNotKeepABreakerOpen(t *testing.T) {
	b := heal.NewBreaker(7)
	now := began
	for i := range 20 {
		b.Saw(now, fmt.Sprint("g", i), true)
	}
	b.Saw(now, "P", false)
	b.Blame(now, "P")
	b.Open(now, now)
	_, now = b.Allows(now)
	b.Probe(now)
	if _, goesOn := b.Probed(now, "P", true, false); !goesOn {
		t.Fatal("nothing went well yet, and a probe that failed did not pause it")
	}
	_, now = b.Allows(now)
	for i, good := range []bool{true, false, false, false, true, false, true, true, true} {
		b.Probe(now)
		event := map[bool]string{true: "e", false: "P"}[good]
		if over, goesOn := b.Probed(now, event, true, good); goesOn || over != (i == 8) {
			t.Fatalf("probe %d: over %v, it goes on %v", i, over, goesOn)
		}
		now = now.Add(time.Second)
	}
}
