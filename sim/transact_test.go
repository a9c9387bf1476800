//go:build !planted

package sim_test

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/daruma-io/daruma/sim"
)

var (
	banks    = flag.Uint64("banks", 200, "seeds of transactions that are tried, with 50 crashes each")
	bankFrom = flag.Uint64("bank", 0, "the first of them")
)

func TestTransactionsAreAllOrNothingOverTenThousandCrashes(t *testing.T) {
	tally := map[string]int64{}
	for seed := *bankFrom; seed < *bankFrom+*banks; seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := sim.NewTransactWorld(sim.NewTransactPlan(seed, 50))
			if err := w.Live(t.Context()); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			for k, n := range w.Tally {
				tally[k] += n
			}
		})
	}
	t.Log(tally)
	if *banks >= 200 && tally["crashes"] < 10_000 {
		t.Errorf("%d crashes, want 10,000", tally["crashes"])
	}
	for _, what := range []string{"done", "refused", "doubtful", "kept", "replayed"} {
		if tally[what] < 100 && *banks >= 100 {
			t.Errorf("%q: there were only %d", what, tally[what])
		}
	}
}
