package heal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A store remembers what it was told.
type store struct {
	refuse error
	opened []hold.Opening
	closed []string
	limits map[hold.Unit]int
}

func (s *store) Open(_ context.Context, o hold.Opening) (ledger.RepairID, error) {
	if s.refuse != nil {
		return 0, s.refuse
	}
	s.opened = append(s.opened, o)
	return ledger.RepairID(len(s.opened)), nil
}

func (s *store) Close(_ context.Context, _ hold.Unit, outcome string) error {
	s.closed = append(s.closed, outcome)
	return s.refuse
}

func (s *store) Force(context.Context, hold.Unit, hold.Force, string, string) (ledger.RepairID, error) {
	return 9, s.refuse
}

func (s *store) Learn(_ context.Context, limits map[hold.Unit]int) error {
	s.limits = limits
	return nil
}

// A trial runs events under a governor, in a bubble.
type trial struct {
	*testing.T
	g *heal.Governor
	n int
}

var refusal = daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Error", Message: "connect ECONNREFUSED 10.1.2.3:5432"}}

// end runs an event of F and says what came of it; "" is a new event.
func (x *trial) end(event string, o daruma.Outcome) *heal.Doubt {
	if x.n++; event == "" {
		event = fmt.Sprint("e", x.n)
	}
	permit := x.g.Begin("F")
	return x.g.End(x.Context(), heal.Attempt{Event: event, Permit: permit, Began: time.Now(), Outcome: o})
}

// may is how many of F may run now; -1 is as many as there may ever be.
func (x *trial) may() int {
	limits, _ := x.g.Limits()
	if n, ok := limits["F"]; ok {
		return n
	}
	return -1
}

// pause waits until more may run.
func (x *trial) pause() {
	_, next := x.g.Limits()
	if next.IsZero() {
		x.Fatal("no pause is under way")
	}
	_ = daruma.SystemClock{}.Sleep(x.Context(), time.Until(next))
}

func bubble(t *testing.T, cfg heal.Config, f func(x *trial)) {
	synctest.Test(t, func(t *testing.T) {
		if cfg.Most == 0 {
			cfg.Most = 32
		}
		f(&trial{T: t, g: heal.New(cfg)})
	})
}

// outage has everything fail until F is held, and returns the doubts.
func (x *trial) outage() []*heal.Doubt {
	var doubts []*heal.Doubt
	for range 5 {
		doubts = append(doubts, x.end("", refusal))
	}
	if x.may() != 0 {
		x.Fatalf("%d may run after five different events failed", x.may())
	}
	return doubts
}

func TestWhatFailsInAnOutageDoesNotCount(t *testing.T) {
	s := &store{}
	bubble(t, heal.Config{Store: s, Owner: func(string) string { return "team" }}, func(x *trial) {
		for i, d := range x.outage() {
			if d == nil || !d.Wait(x.Context()) {
				t.Errorf("failure %d counts", i)
			}
		}
		if len(s.opened) != 1 || s.opened[0].Owner != "team" || s.opened[0].Dependency != "10.1.2.3:5432" || !strings.Contains(s.opened[0].Evidence, "e5 function error: Error connect ECONNREFUSED") {
			t.Fatalf("written down: %+v", s.opened)
		}
		x.pause()
		if x.may() != 1 {
			t.Fatalf("%d probes may run at once", x.may())
		}
		if d := x.end("", refusal); d == nil || !d.Wait(x.Context()) {
			t.Fatal("a probe that fails counts")
		}
		x.pause()
		for range 5 {
			if x.end("", daruma.Outcome{Kind: daruma.Done}) != nil {
				t.Fatal("a good one is in doubt")
			}
		}
		if len(s.closed) != 1 || !strings.Contains(s.closed[0], "5 of 6 events") {
			t.Fatalf("closed: %q", s.closed)
		}
		if x.may() != 1 {
			t.Fatalf("right after the outage %d may run, want one", x.may())
		}
	})
}

func TestAFailureAmongGoodOnesCountsAtOnceAndAnIsolatedOneAfterTheDoubt(t *testing.T) {
	bubble(t, heal.Config{}, func(x *trial) {
		d := x.end("poison", refusal)
		began := time.Now()
		x.end("", daruma.Outcome{Kind: daruma.Done})
		if d.Wait(x.Context()) || time.Since(began) > 0 {
			t.Errorf("poison among good events was held, or took %v", time.Since(began))
		}
		if x.end("poison", refusal).Wait(x.Context()) || time.Since(began) != 2*time.Second {
			t.Errorf("poison alone was held, or took %v, want 2s", time.Since(began))
		}
	})
}

func TestPoisonThatIsLeftWhenAllElseIsDoneIsNotHeld(t *testing.T) {
	bubble(t, heal.Config{}, func(x *trial) {
		done := daruma.Outcome{Kind: daruma.Done}
		for i := range 40 {
			for range 5 {
				x.end("", done)
			}
			if i%2 == 0 { // alone, and in a batch
				x.end(fmt.Sprint("P", i), refusal)
				continue
			}
			x.g.End(x.Context(), heal.Attempt{Permit: x.g.Begin("F"), Event: fmt.Sprint("batch", i), Apart: []string{fmt.Sprint("P", i)}, Began: time.Now(), Outcome: done})
		}
		x.end("", done)
		for i := range 40 {
			if x.end(fmt.Sprint("P", i), refusal).Wait(x.Context()) || x.may() == 0 {
				t.Fatalf("it is held after %d of them failed once more", i+1)
			}
		}
		x.outage() // and what was never tried before still makes a hold
	})
}

func TestWhatIsInDoubtWhenThePlatformStopsDoesNotCount(t *testing.T) {
	bubble(t, heal.Config{}, func(x *trial) {
		ctx, cancel := context.WithCancel(x.Context())
		cancel()
		if !x.end("", refusal).Wait(ctx) {
			t.Error("it counts")
		}
		_ = daruma.SystemClock{}.Sleep(x.Context(), time.Minute) // the doubt's timer ends
	})
}

func TestAHoldThatCannotBeWrittenDownIsNotTaken(t *testing.T) {
	s := &store{refuse: errors.New("the disk is full")}
	bubble(t, heal.Config{Store: s}, func(x *trial) {
		for range 5 {
			x.end("", refusal)
		}
		if x.may() == 0 {
			t.Fatal("it is held, and nothing is written down")
		}
		s.refuse = nil
		d := x.end("", refusal)
		if x.may() != 0 || !d.Wait(x.Context()) {
			t.Fatal("it is not held when that can be written down again")
		}
	})
}

func TestStrictSemanticsHoldNothing(t *testing.T) {
	bubble(t, heal.Config{Strict: true}, func(x *trial) {
		for range 1000 {
			if x.end("", refusal) != nil {
				t.Fatal("a failure is in doubt")
			}
		}
		if x.may() != -1 {
			t.Fatalf("%d may run", x.may())
		}
		if _, err := x.g.Force(x.Context(), hold.Unit{Function: "F"}, hold.Open, "why"); daruma.KindOf(err) != daruma.KindUnsupported {
			t.Fatalf("got %v", err)
		}
	})
}

func TestWhatCannotRunIsNoFailureAndHoldsBackTheOthers(t *testing.T) {
	for _, strict := range []bool{false, true} {
		bubble(t, heal.Config{Strict: strict}, func(x *trial) {
			for range 100 {
				permit := x.g.Begin("F")
				d := x.g.End(x.Context(), heal.Attempt{Event: fmt.Sprint("n", x.n), Permit: permit, Began: time.Now(), Outcome: daruma.Outcome{Kind: daruma.NoCapacity}, NotRun: true})
				if d != nil {
					t.Fatal("it is in doubt")
				}
			}
			if x.may() != 0 || x.g.Statuses()[0].State != heal.Closed {
				t.Fatalf("%d may run, breaker %v", x.may(), x.g.Statuses()[0].State)
			}
			x.pause()
			if x.may() != 1 {
				t.Fatalf("%d may run after the pause", x.may())
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	bubble(t, heal.Config{}, func(x *trial) {
		permit := x.g.Begin("F")
		x.g.End(x.Context(), heal.Attempt{Event: "a", Permit: permit, Began: time.Now(), NotRun: true,
			Outcome: daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{After: 12 * time.Second}}})
		_, next := x.g.Limits()
		if x.may() != 0 || time.Until(next) < 12*time.Second {
			t.Fatalf("%d may run, again in %v; it was told to come back in 12s", x.may(), time.Until(next))
		}
	})
}

func TestFunctionsThatWaitForTheSameThingShareItsProbes(t *testing.T) {
	bubble(t, heal.Config{}, func(x *trial) {
		end := func(function string, o daruma.Outcome) {
			x.n++
			permit := x.g.Begin(function)
			x.g.End(x.Context(), heal.Attempt{Event: fmt.Sprint("e", x.n), Permit: permit, Began: time.Now(), Outcome: o})
		}
		names := []string{"A", "B", "C", "D", "E", "F", "G", "H"}
		for range 5 {
			for _, f := range names {
				end(f, refusal)
			}
		}
		var probes []time.Duration
		began := time.Now()
		for time.Since(began) < 10*time.Second {
			limits, next := x.g.Limits()
			for _, f := range names {
				if limits[f] == 1 {
					probes = append(probes, time.Since(began))
					end(f, refusal)
					limits, next = x.g.Limits()
				}
			}
			_ = daruma.SystemClock{}.Sleep(x.Context(), max(time.Until(next), time.Millisecond))
		}
		for i := 2; i < len(probes); i++ {
			if probes[i]-probes[i-2] < time.Second {
				t.Fatalf("three probes within a second: %v", probes[i-2:i+1])
			}
		}
		if len(probes) < 10 {
			t.Fatalf("only %d probes in ten seconds", len(probes))
		}
	})
}

func TestWhatIsKnownOutlivesThePlatform(t *testing.T) {
	known := []hold.Hold{{Function: "F", Held: true, Since: time.Now().Add(-time.Hour), Why: "w", Repair: 7}, {Function: "L", Limit: 20}, {Function: "O", Force: hold.Open, Reason: "moving"}, {Function: "C", Force: hold.Closed}}
	bubble(t, heal.Config{Known: known}, func(x *trial) {
		limits, next := x.g.Limits()
		if limits["F"] != 0 || limits["L"] != 10 || limits["O"] != 0 || next.IsZero() || time.Until(next) > time.Second {
			t.Fatalf("%v, again in %v", limits, time.Until(next))
		}
		for range 50 {
			x.n++
			x.g.End(x.Context(), heal.Attempt{Event: fmt.Sprint(x.n), Permit: x.g.Begin("C"), Began: time.Now(), Outcome: refusal})
		}
		for _, s := range x.g.Statuses() {
			if held := s.Function == "F" || s.Function == "O"; s.Held() != held {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestAPersonHoldsAndReleases(t *testing.T) {
	bubble(t, heal.Config{Store: &store{}}, func(x *trial) {
		if _, err := x.g.Force(x.Context(), hold.Unit{Function: "F"}, hold.Open, "moving"); err != nil {
			t.Fatal(err)
		}
		if d := x.end("", refusal); x.may() != 0 || d == nil || !d.Wait(x.Context()) {
			t.Fatal("it is not held")
		}
		if _, err := x.g.Force(x.Context(), hold.Unit{Function: "F"}, hold.Auto, ""); err != nil {
			t.Fatal(err)
		}
		x.outage()
		if _, err := x.g.Force(x.Context(), hold.Unit{Function: "F"}, hold.Closed, "they are broken"); err != nil {
			t.Fatal(err)
		}
		if x.end("", refusal) != nil || x.may() == 0 {
			t.Fatal("a failure does not count although the breaker is forced closed")
		}
	})
}

func TestLearntLimitsAreKept(t *testing.T) {
	s := &store{}
	synctest.Test(t, func(t *testing.T) {
		g := heal.New(heal.Config{Most: 32, Store: s})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		g.End(ctx, heal.Attempt{Event: "a", Permit: g.Begin("F"), Began: time.Now(), Outcome: daruma.Outcome{Kind: daruma.TimedOut}})
		_ = daruma.SystemClock{}.Sleep(ctx, 11*time.Second)
		kept := g.Statuses()[0].Limit
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s.limits[hold.Unit{Function: "F"}] != 4 || kept != 4 {
			t.Errorf("kept %v and is %d, want 4 of F", s.limits, kept)
		}
	})
}
