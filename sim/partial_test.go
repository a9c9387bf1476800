//go:build !planted

package sim_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/sim"
)

// part lives through a partial outage that begins after 20 seconds.
func part(t *testing.T, p sim.Partial, lasts time.Duration) (r sim.Parted) {
	t.Helper()
	p.From, p.To, p.Lasts = 20*time.Second, 20*time.Second+lasts, 50*time.Second+lasts
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = p.Live(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%-36s others %5.1f%%, slow %d, back in %v, %d probes/s, %d spent, dead %v, %q", p.Name, 100*r.Others, r.Slow, r.Back, r.Probes, r.Spent, r.Dead, r.Holds)
	return r
}

func TestAnOutageOfOneTenantIsNobodyElsesWhenTheFunctionDeclaresTenants(t *testing.T) {
	sound := part(t, sim.Partial{Name: "nothing is wrong", Keyed: true, Sound: true, Batch: 5}, time.Minute)
	for _, p := range []sim.Partial{
		{Name: "one refuses, for minutes", Keyed: true, Batch: 5},
		{Name: "one hangs", Keyed: true, Batch: 1, Hangs: true},
		{Name: "one refuses, and has ten thousand", Keyed: true, Batch: 1, Backlog: 10_000},
	} {
		lasts := 3 * time.Minute
		if p.Backlog > 0 || p.Hangs {
			lasts = 40 * time.Second // each takes its time
		}
		r := part(t, p, lasts)
		if r.Others < .95*sound.Others {
			t.Errorf("%s: of the messages of the others %.1f%% are done in time, and %.1f%% when nothing is wrong", p.Name, 100*r.Others, 100*sound.Others)
		}
		if r.Dead != [10]int{} || r.Spent > 0 {
			t.Errorf("%s: dead letters %v, and %d messages have spent a receive; want none", p.Name, r.Dead, r.Spent)
		}
		if r.Probes > 2 || r.Probes == 0 || r.Back > 5*time.Second {
			t.Errorf("%s: %d probes a second, want 2 at most and some; back in %v, want 5s at most", p.Name, r.Probes, r.Back)
		}
		if len(r.Holds) == 0 || slices.ContainsFunc(r.Holds, func(what string) bool { return what == "hold F" }) {
			t.Errorf("%s: held is %q", p.Name, r.Holds)
		}
	}
}

func TestAnOutageOfOneTenantHurtsWhenTheFunctionDeclaresNone(t *testing.T) {
	if r := part(t, sim.Partial{Name: "one refuses, without keys", Batch: 1}, 2*time.Minute); r.Dead[0] < 100 {
		t.Errorf("%d messages of the tenant are dead letters: nothing to be healed", r.Dead[0])
	}
	if r := part(t, sim.Partial{Name: "one hangs, without keys", Batch: 1, Hangs: true}, time.Minute); r.Others > .5 {
		t.Errorf("of the messages of the others %.1f%% are done in time: nothing to be healed", 100*r.Others)
	}
}

func TestAHoldOfAKeyOutlivesThePlatform(t *testing.T) {
	r := part(t, sim.Partial{Name: "killed in the outage", Keyed: true, Batch: 5, Killed: 50 * time.Second}, time.Minute)
	first := func(all []hold.Hold) (h hold.Hold) {
		for _, h := range all {
			if h.Key == "0" {
				return h
			}
		}
		return h
	}
	before, after := first(r.Known), first(r.After)
	if !after.Held || after != before {
		t.Errorf("it was held as %+v, and then as %+v", before, after)
	}
	n := 0
	for _, what := range r.Holds {
		if what == "hold F (key 0), which cannot reach 10.0.0.5:5432" {
			n++
		}
	}
	if n != 1 || r.Dead != [10]int{} || r.Others < .95 || r.Back > 5*time.Second {
		t.Errorf("held %d times, want once: %q; dead letters %v, others %.1f%%, back in %v", n, r.Holds, r.Dead, 100*r.Others, r.Back)
	}
}
