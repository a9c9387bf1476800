package twice_test

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/daruma-io/daruma/sim/twice"
)

var (
	worlds = flag.Uint64("worlds", 2000, "seeds of worlds that are tried")
	first  = flag.Uint64("first", 0, "the first of them")
)

func live(t *testing.T, p twice.Plan, tally map[string]int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := twice.NewWorld(p)
		if err := w.Live(t.Context()); err != nil {
			t.Errorf("seed %d (go test ./sim/twice -first %d -worlds 1; %+v): %v", p.Seed, p.Seed, p, err)
		}
		for what, n := range w.Tally {
			tally[what] += n
		}
	})
}

func TestAnEventThatIsDoneIsKnownByItsKeyWhereverTheProcessEnds(t *testing.T) {
	tally := map[string]int64{}
	for seed := *first; seed < *first+*worlds; seed++ {
		live(t, twice.NewPlan(seed), tally)
	}
	t.Log(tally)
	for _, what := range []string{"run", "suppressed", "clashed", "run again", "failed runs", "throttled", "crash", "restart", "sent in doubt", "answers told again", twice.Queue, twice.FIFO, twice.Stream, twice.Async} {
		if tally[what] < 100 && *worlds >= 2000 {
			t.Errorf("%q: there were only %d", what, tally[what])
		}
	}
}

func TestACrashAtAnyCommandKeepsKeysAndEventsTogether(t *testing.T) {
	tally := map[string]int64{}
	ways := map[string]int{}
	for seed := uint64(0); seed < 100; seed++ {
		p := twice.NewPlan(seed)
		if ways[p.Way]++; ways[p.Way] > 2 {
			continue
		}
		p.Restarts = nil
		for at := 1; at <= 30; at++ {
			for _, kept := range []bool{true, false} {
				p.Crashes = []twice.Crash{{At: at, Kept: kept}}
				live(t, p, tally)
			}
		}
	}
	t.Log(tally)
	if tally["crash"] < 300 {
		t.Errorf("there were only %d crashes", tally["crash"])
	}
}
