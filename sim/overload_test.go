//go:build !planted

package sim_test

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/sim"
)

// overloads are the ways in which what a function needs gets into trouble. It has ten
// slots of 50 ms unless it says otherwise: 200 calls a second.
func overloads() []sim.Overload {
	const base = 50 * time.Millisecond
	const from, to, lasts = 60 * time.Second, 90 * time.Second, 180 * time.Second
	in := func(at time.Duration) bool { return at >= from && at < to }
	return []sim.Overload{
		{Name: "outage", Slots: 10, From: from, To: to, Lasts: lasts, Serve: func(_ *rand.Rand, at time.Duration) time.Duration {
			if in(at) {
				return -1
			}
			return base
		}},
		{Name: "brownout, eight times slower", Slots: 10, From: from, To: to, Lasts: lasts, Serve: func(_ *rand.Rand, at time.Duration) time.Duration {
			if in(at) {
				return 8 * base
			}
			return base
		}},
		{Name: "heavier work, six times, for good", Slots: 10, Later: 60, From: from, To: from + time.Minute, Lasts: 4 * time.Minute, Serve: func(_ *rand.Rand, at time.Duration) time.Duration {
			if at < from {
				return base
			}
			return 6 * base
		}},
		{Name: "bimodal, 10 and 410 ms", Slots: 10, From: from, To: from, Lasts: lasts, Serve: func(r *rand.Rand, _ time.Duration) time.Duration {
			if r.IntN(10) == 0 {
				return 410 * time.Millisecond
			}
			return 10 * time.Millisecond
		}},
	}
}

var seedsOfOverload = flag.Uint64("overloads", 2, "seeds of overloads that are tried")

func TestAnOverloadEndsWithTheFaultAndNotLater(t *testing.T) {
	t.Logf("%-34s %5s %8s %8s %8s %8s %7s %6s %5s %8s", "what", "seed", "before", "during", "after", "back in", "probes", "holds", "dead", "p99")
	for seed := range *seedsOfOverload {
		for _, o := range overloads() {
			o.Seed, o.Most = seed, 400
			var r sim.Goodput
			synctest.Test(t, func(t *testing.T) { r = o.Live(t.Context()) })
			t.Logf("%-34s %5d %7.1f%% %7.1f%% %7.1f%% %8v %5d/s %6d %5d %8v", o.Name, seed, 100*r.Before, 100*r.During, 100*r.After, r.Back, r.Probes, r.Holds, r.Dead, r.P99.Round(time.Millisecond))
			learnt := .95
			if strings.HasPrefix(o.Name, "bimodal") {
				learnt = .9 // after ten seconds what is chance and what is not is not all known
			}
			if r.Before < learnt || r.After < .95 {
				t.Errorf("%s, seed %d: outside of the fault %.1f%% and %.1f%% of capacity were reached, want 95%%", o.Name, seed, 100*r.Before, 100*r.After)
			}
			if r.Back > 5*time.Second {
				t.Errorf("%s, seed %d: it took %v to come back, want 5s at most", o.Name, seed, r.Back)
			}
			if o.Name == "outage" && (r.Probes > 2 || r.Dead > 0) {
				t.Errorf("%s, seed %d: %d probes a second, want 2 at most; %d dead letters, want none", o.Name, seed, r.Probes, r.Dead)
			}
		}
	}
}
