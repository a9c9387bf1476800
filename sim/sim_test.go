package sim_test

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/sim"
)

var (
	seeds = flag.Uint64("seeds", 400, "how many worlds to run")
	first = flag.Uint64("first", 1, "the seed of the first")
)

// kept are seeds of worlds that once failed.
var kept = []uint64{}

func TestEveryEventEndsOnceAndTheAccountCloses(t *testing.T) {
	began := time.Now()
	tally := map[string]int64{}
	for _, seed := range kept {
		live(t, seed, tally)
	}
	for seed := *first; seed < *first+*seeds && !t.Failed(); seed++ {
		live(t, seed, tally)
	}
	t.Logf("%d worlds in %v: %v", *seeds, time.Since(began).Round(time.Millisecond), tally)
	if *seeds < 100 || t.Failed() {
		return
	}
	// What was not there was not tested.
	for _, what := range []string{"done", "failed", "lost leases", "dead letters", "dead letters refused", "destinations", "destinations refused", "crash", "torn", "restart",
		"outcome function error", "outcome timed out", "outcome crashed", "outcome throttled", "outcome no capacity", "outcome held", "outcome refused", "outcome unknown",
		"condition RetriesExhausted", "condition EventAgeExceeded", "condition ZeroReservedConcurrency"} {
		if tally[what] < 5 {
			t.Errorf("%q: there were only %d in %d worlds", what, tally[what], *seeds)
		}
	}
}

func TestACrashAtAnyCommandLosesNothing(t *testing.T) {
	tally := map[string]int64{}
	for seed := uint64(1); seed <= 4; seed++ {
		for at := 3; at < 60 && !t.Failed(); at++ { // the first two open and configure
			p := sim.NewPlan(seed)
			p.Troubles, p.CrashAt = nil, at
			run(t, p, tally)
		}
	}
	t.Log(tally)
	if tally["lost leases"] < 5 {
		t.Errorf("only %d leases were lost: the crashes did not meet them", tally["lost leases"])
	}
}

// live runs the world of a seed.
func live(t *testing.T, seed uint64, tally map[string]int64) {
	t.Helper()
	run(t, sim.NewPlan(seed), tally)
}

func run(t *testing.T, p sim.Plan, tally map[string]int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := sim.NewWorld(p)
		if err := w.Live(t.Context()); err != nil {
			t.Errorf("seed %d, crash at %d (go test ./sim -first %d -seeds 1): %v", p.Seed, p.CrashAt, p.Seed, err)
		}
		for what, n := range w.Tally {
			tally[what] += n
		}
	})
}
