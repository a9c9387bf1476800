package heal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
)

var fine = daruma.Outcome{Kind: daruma.Done, Duration: 10 * time.Millisecond}

// keyed is a function "F" that declares its tenants.
func keyed(t *testing.T, cfg heal.Config, f func(x *trial)) {
	cfg.Dependency = func(string) string { return "$.tenant" }
	bubble(t, cfg, f)
}

func of(key string) hold.Unit { return hold.Unit{Function: "F", Key: key} }

// run runs an event of a key if it is admitted; otherwise it returns after which time to ask again.
func (x *trial) run(key string, o daruma.Outcome) (*heal.Doubt, time.Duration) {
	p, wait := x.g.Admit(of(key))
	if wait > 0 {
		return nil, wait
	}
	x.n++
	return x.g.End(x.Context(), heal.Attempt{Permit: p, Event: fmt.Sprint("e", x.n), Began: time.Now(), Outcome: o}), 0
}

// must is a run that is admitted.
func (x *trial) must(key string, o daruma.Outcome) *heal.Doubt {
	x.Helper()
	d, wait := x.run(key, o)
	if wait > 0 {
		x.Fatalf("an event of %q is to wait for %v", key, wait)
	}
	return d
}

func (x *trial) sleep(d time.Duration) { _ = daruma.SystemClock{}.Sleep(x.Context(), d) }

// is returns what is known of a key.
func (x *trial) is(key string) (s heal.Status) {
	for _, s := range x.g.Statuses() {
		if s.Key == key {
			return s
		}
	}
	return s
}

func TestAnEventSaysWhatItDependsOn(t *testing.T) {
	keyed(t, heal.Config{}, func(x *trial) {
		for event, want := range map[string]string{`{"tenant":"acme"}`: "acme", `{"tenant":7}`: "7", `{"other":1}`: "", `{"tenant":{"id":1}}`: "", `no JSON`: "", `{"tenant":"a\nb"}`: "a\uFFFDb"} {
			if u, keyed := x.g.UnitOf("F", func() []byte { return []byte(event) }); !keyed || u != of(want) {
				t.Errorf("%s is of %+v, %v", event, u, keyed)
			}
		}
	})
	for _, cfg := range []heal.Config{{}, {Strict: true, Dependency: func(string) string { return "$.tenant" }}} {
		bubble(t, cfg, func(x *trial) {
			if u, keyed := x.g.UnitOf("F", func() []byte { return []byte(`{"tenant":"acme"}`) }); keyed || u != of("") {
				t.Errorf("strict %v: without it the event is of %+v, %v", cfg.Strict, u, keyed)
			}
		})
	}
}

func TestAKeyIsHeldAndTheOthersAreNot(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		var doubts []*heal.Doubt
		for range 10 {
			x.must("good", fine)
			if d, wait := x.run("bad", refusal); wait == 0 {
				doubts = append(doubts, d)
			}
		}
		for i, d := range doubts {
			if !d.Wait(x.Context()) {
				t.Errorf("failure %d counts", i)
			}
		}
		if len(doubts) != 5 || len(s.opened) != 1 || s.opened[0].Key != "bad" || s.opened[0].Dependency != "10.1.2.3:5432" || x.may() != -1 {
			t.Fatalf("%d were run, %+v is held, %d of all may run", len(doubts), s.opened, x.may())
		}
		// One at a time is tried, and only that is a probe.
		x.sleep(2 * time.Second)
		p, wait := x.g.Admit(of("bad"))
		if wait > 0 || !p.Probe() {
			t.Fatalf("a probe is to wait for %v", wait)
		}
		if _, wait := x.g.Admit(of("bad")); wait == 0 {
			t.Fatal("two are tried at once")
		}
		x.g.Cancel(p)
		x.sleep(time.Second)
		for range 5 {
			x.must("bad", fine)
		}
		if len(s.closed) != 1 || !strings.Contains(s.closed[0], "5 of 6 events") {
			t.Fatalf("closed: %q", s.closed)
		}
		if p, _ = x.g.Admit(of("bad")); x.is("bad").Limit != 1 || p.Probe() {
			t.Fatalf("after the outage it is %+v", x.is("bad"))
		}
		if _, wait := x.g.Admit(of("bad")); wait == 0 {
			t.Fatal("right after the outage two run at once")
		}
	})
}

func TestWhenMostKeysFailTheFunctionIsHeldAsAWhole(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		for range 60 { // one that is broken holds itself only, whatever there is of it
			_, _ = x.run("broken", refusal)
			x.sleep(time.Second)
		}
		if len(s.opened) != 1 || s.opened[0].Key != "broken" {
			t.Fatalf("one key holds %+v", s.opened)
		}
		s.opened = nil
		for i := range 4 {
			x.must(fmt.Sprint("k", i), refusal)
		}
		if len(s.opened) != 1 || s.opened[0].Key != "" || !strings.Contains(s.opened[0].Evidence, "(key k3)") || x.may() != 0 {
			t.Fatalf("held: %+v; %d may run", s.opened, x.may())
		}
		x.pause()
		for i := range 5 { // the probe is for all keys
			x.must(fmt.Sprint("other", i), fine)
		}
		if len(s.closed) != 1 || x.may() != -1 {
			t.Fatalf("closed: %q; %d may run", s.closed, x.may())
		}
		if _, wait := x.g.Admit(of("k1")); wait > 0 {
			t.Fatal("none of a key may run after it")
		}
		if _, wait := x.g.Admit(of("k1")); wait == 0 {
			t.Fatal("of a key more than one may run right after it")
		}
	})
}

func TestAKeyThatIsStillDownDoesNotKeepItsFunctionHeld(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		for i := range 5 {
			x.must(fmt.Sprint("k", i), refusal)
		}
		if x.may() != 0 {
			t.Fatal("the function is not held")
		}
		began := time.Now() // and now all but one are back, of which most events are
		for len(s.closed) == 0 && time.Since(began) < time.Minute {
			for i := 0; i < 20 && x.may() == 1; i++ {
				if i < 18 {
					_, _ = x.run("k0", refusal)
				} else {
					_, _ = x.run(fmt.Sprint("k", 1+i%2), fine)
				}
			}
			x.sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); len(s.closed) == 0 || took > 10*time.Second {
			t.Errorf("the function is held for %v after all but one key are back", took)
		}
	})
}

func TestWhenSomeOfManyKeysFailTheFunctionIsNotHeld(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		for range 60 { // thirty tenants, of which twelve are down, have an event a minute each
			for i := range 30 {
				o := fine
				if i >= 18 {
					o = daruma.Outcome{Kind: daruma.FunctionError}
				}
				_, _ = x.run(fmt.Sprint("k", i), o)
				x.sleep(2 * time.Second)
			}
		}
		if x.may() != -1 || len(s.opened) != 12 || slices.ContainsFunc(s.opened, func(o hold.Opening) bool { return o.Key == "" }) {
			t.Errorf("%d of the function may run; held: %+v", x.may(), s.opened)
		}
	})
}

func TestKeysThatAreDownForLongAreNoOutageOfTheFunction(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		down := func(among bool) {
			for i := range 30 {
				if among {
					x.must("busy", fine)
				}
				_, _ = x.run(fmt.Sprint("down", i), daruma.Outcome{Kind: daruma.FunctionError})
			}
		}
		for range 20 { // while others are busy
			for range 5 {
				down(true)
				for range 50 {
					x.must("busy", fine)
				}
			}
			x.sleep(time.Second)
		}
		if len(s.opened) != 30 {
			t.Fatalf("%d keys are held", len(s.opened))
		}
		for range 100 { // and at night
			x.sleep(time.Second)
			down(false)
		}
		if x.may() != -1 {
			t.Fatalf("%d of the function may run", x.may())
		}
	})
}

func TestASlowKeyLeavesRoomForOthersAndDoesNotShrinkThem(t *testing.T) {
	keyed(t, heal.Config{}, func(x *trial) {
		for range 300 { // both learn that there is room for all
			for _, key := range []string{"slow", "quick"} {
				var permits []heal.Permit
				for {
					p, wait := x.g.Admit(of(key))
					if wait > 0 {
						break
					}
					permits = append(permits, p)
				}
				x.sleep(10 * time.Millisecond)
				for _, p := range permits {
					x.g.End(x.Context(), heal.Attempt{Permit: p, Began: time.Now().Add(-10 * time.Millisecond), Outcome: fine})
				}
			}
		}
		n := 0
		for ; ; n++ {
			if _, wait := x.g.Admit(of("slow")); wait > 0 {
				break
			}
		}
		if n != 22 {
			t.Errorf("one key has %d of 32 places, want two thirds", n)
		}
		for range 20 {
			x.must("", fine)
		}
		if x.must("quick", fine); x.is("").Running != 22 {
			t.Errorf("%d run", x.is("").Running)
		}
		slow := daruma.Outcome{Kind: daruma.TimedOut, Duration: time.Second}
		for range 20 {
			x.sleep(time.Second)
			x.g.End(x.Context(), heal.Attempt{Permit: heal.Permit{Unit: of("slow")}, Event: "s", Began: time.Now(), Outcome: slow})
		}
		for i := range 9 { // what has no key has the limit it always had
			if _, wait := x.g.Admit(of("")); (wait == 0) != (i < 8) {
				t.Errorf("the %dth event without a key waits for %v", i+1, wait)
			}
		}
		p, _ := x.g.Admit(of("quick"))
		if slow, quick := x.is("slow").Limit, x.is("quick").Limit; slow > 16 || quick < 20 {
			t.Errorf("the slow key's limit is %d, the other's %d", slow, quick)
		}
		x.g.Cancel(p)
	})
}

func TestProbesOfWhatHangsTakeAQuarterOfTheRoom(t *testing.T) {
	var known []hold.Hold
	for i := range 40 {
		known = append(known, hold.Hold{Function: "F", Key: fmt.Sprint("down", i), Held: true, Since: time.Now()})
	}
	keyed(t, heal.Config{Known: known}, func(x *trial) {
		x.sleep(3 * time.Second)
		n := 0
		for i := range 40 {
			if _, wait := x.g.Admit(of(fmt.Sprint("down", i))); wait == 0 {
				n++
			}
		}
		if n != 8 {
			t.Errorf("%d probes take up places, want 8 of 32", n)
		}
	})
}

func TestHostsThatKeysWaitForShareTheirProbes(t *testing.T) {
	var known []hold.Hold
	for i := range 5 {
		known = append(known, hold.Hold{Function: "F", Key: fmt.Sprint("k", i), Held: true, Since: time.Now(), Dependency: "db:5432"})
	}
	keyed(t, heal.Config{Known: known}, func(x *trial) {
		probes := 0
		for range 400 {
			for i := range 5 {
				if _, wait := x.run(fmt.Sprint("k", i), daruma.Outcome{Kind: daruma.FunctionError}); wait == 0 {
					probes++
				}
			}
			x.sleep(25 * time.Millisecond)
		}
		if probes < 10 || probes > 20 {
			t.Errorf("%d probes of one host in ten seconds, want two a second at most", probes)
		}
	})
}

func TestKeysAreBoundedAndWhatIsHeldIsNotForgotten(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		for range 5 {
			x.must("good", fine)
			x.must("held", refusal)
		}
		for i := range 1500 {
			x.must(fmt.Sprint("k", i), fine)
			x.must("good", fine)
		}
		if x.is("held").State == heal.Closed {
			t.Fatal("what was held is forgotten")
		}
		for i := range 1100 {
			if _, err := x.g.Force(x.Context(), of(fmt.Sprint("forced", i)), hold.Closed, "it is known"); err != nil {
				if i != 999 || daruma.KindOf(err) != daruma.KindThrottled {
					t.Fatalf("key %d: %v", i, err)
				}
				break
			}
		}
		if len(x.g.Statuses()) != 1001 {
			t.Errorf("%d units are known", len(x.g.Statuses()))
		}
		p, wait := x.g.Admit(of("one more"))
		if wait > 0 || p.Unit != of("") {
			t.Errorf("an event of one more key is of %+v, and waits for %v", p.Unit, wait)
		}
		x.g.Cancel(p)
	})
}

func TestEventsOfADeadKeyAreSpreadAndThoseOfOthersAreNot(t *testing.T) {
	keyed(t, heal.Config{Known: []hold.Hold{{Function: "F", Key: "dead", Held: true, Since: time.Now()}}}, func(x *trial) {
		at := map[time.Duration]int{} // the first is when the key is tried
		longest, first := time.Duration(0), time.Hour
		for range 10_000 {
			_, wait := x.g.Admit(of("dead"))
			at[time.Duration(time.Now().Add(wait).UnixNano())]++
			first = min(first, wait)
			longest = max(longest, wait)
		}
		for when, n := range at {
			if n > 51 && when != time.Duration(time.Now().Add(first).UnixNano()) || when%(100*time.Millisecond) != 0 {
				t.Fatalf("%d come back at %v", n, when)
			}
		}
		if longest < 15*time.Second || longest > 25*time.Second {
			t.Errorf("ten thousand events come back within %v, want 20s", longest)
		}
		for range 8 {
			if _, wait := x.g.Admit(of("busy")); wait > 0 {
				t.Fatal("another key waits")
			}
		}
		if _, wait := x.g.Admit(of("busy")); wait == 0 || wait > 200*time.Millisecond {
			t.Errorf("an event of a key that is only busy comes back in %v", wait)
		}
	})
}

func TestWhatIsKnownOfAKeyOutlivesThePlatform(t *testing.T) {
	known := []hold.Hold{{Function: "F", Key: "down", Held: true, Since: time.Now().Add(-time.Hour), Why: "w", Repair: 7}, {Function: "F", Key: "learnt", Limit: 6}, {Function: "F", Key: "forced", Force: hold.Open, Reason: "moving"}}
	keyed(t, heal.Config{Known: known}, func(x *trial) {
		if _, wait := x.g.Admit(of("down")); wait == 0 || wait > 1100*time.Millisecond || x.is("down").Repair != 7 {
			t.Errorf("what was held is to wait for %v, %+v", wait, x.is("down"))
		}
		if _, wait := x.g.Admit(of("forced")); wait == 0 {
			t.Error("what was forced runs")
		}
		for range 3 {
			if _, wait := x.g.Admit(of("learnt")); wait > 0 {
				t.Error("less than half of what was learnt runs")
			}
		}
		if _, wait := x.g.Admit(of("learnt")); wait == 0 {
			t.Error("more than half of what was learnt runs")
		}
	})
}

func TestAPersonHoldsAndReleasesAKey(t *testing.T) {
	keyed(t, heal.Config{Store: &store{}}, func(x *trial) {
		force := func(key string, f hold.Force) {
			t.Helper()
			if _, err := x.g.Force(x.Context(), of(key), f, "why"); err != nil {
				t.Fatal(err)
			}
		}
		force("a", hold.Open)
		if _, wait := x.run("a", fine); wait == 0 || x.is("a").State != heal.Open {
			t.Error("a key that is opened runs")
		}
		x.must("b", fine)
		force("a", hold.Closed)
		for range 50 {
			if x.must("a", refusal) != nil {
				t.Fatal("a failure of a key that is closed does not count")
			}
			x.must("b", fine)
		}
		force("a", hold.Auto)
		force("", hold.Closed)
		for range 50 {
			if x.must("a", refusal) != nil {
				t.Fatal("a failure of a function that is closed does not count")
			}
		}
		force("b", hold.Open) // the nearer counts
		if _, wait := x.run("b", fine); wait == 0 {
			t.Error("a key that is opened runs, because its function is closed")
		}
	})
}

func TestKeysOfAFunctionThatDeclaresNoneAnyMoreAreForgotten(t *testing.T) {
	s := &store{}
	var none atomic.Bool
	path := func(string) string {
		if none.Load() {
			return ""
		}
		return "$.tenant"
	}
	synctest.Test(t, func(t *testing.T) {
		x := &trial{T: t, g: heal.New(heal.Config{Most: 32, Store: s, Dependency: path})}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- x.g.Run(ctx) }()
		for range 5 {
			x.must("good", fine)
			x.must("bad", refusal)
		}
		x.must("slow", daruma.Outcome{Kind: daruma.TimedOut})
		x.must("slow", fine)
		x.sleep(11 * time.Second)
		synctest.Wait()
		if s.limits[of("slow")] != 4 || s.limits[of("good")] != 0 {
			t.Errorf("learnt is %v", s.limits)
		}
		none.Store(true)
		x.sleep(11 * time.Second)
		synctest.Wait()
		if got := x.g.Statuses(); len(got) != 1 || len(s.closed) != 1 || !strings.Contains(s.closed[0], "does not declare") || s.limits[of("slow")] != 0 || !slices.Contains(keysOf(s.limits), "slow") {
			t.Errorf("known is %+v, closed %q, learnt %v", got, s.closed, s.limits)
		}
		stop()
		<-done
	})
}

func keysOf(limits map[hold.Unit]int) (keys []string) {
	for u := range limits {
		keys = append(keys, u.Key)
	}
	return keys
}

func TestAFailureOfAQuietKeyIsInDoubtForLonger(t *testing.T) {
	keyed(t, heal.Config{}, func(x *trial) {
		var doubts []*heal.Doubt
		for range 5 { // one in two seconds
			doubts = append(doubts, x.must("quiet", refusal))
			x.sleep(1900 * time.Millisecond)
			x.must("other", fine)
		}
		for i, d := range doubts {
			if !d.Wait(x.Context()) {
				t.Errorf("failure %d counts", i)
			}
		}
		d, began := x.must("alone", refusal), time.Now()
		if d.Wait(x.Context()) || time.Since(began) != 2*time.Second {
			t.Errorf("poison alone was held, or took %v, want 2s", time.Since(began))
		}
	})
}

func TestRecordsOfAStreamHaveNoDependencyKey(t *testing.T) {
	s := &store{}
	keyed(t, heal.Config{Store: s}, func(x *trial) {
		for range 4 {
			x.must("down", refusal)
		}
		x.must("up", fine)
		x.outage() // of runs that nobody asked a permit for, as those of streams
		if len(s.opened) != 1 || s.opened[0].Key != "" {
			t.Errorf("held: %+v", s.opened)
		}
	})
}
