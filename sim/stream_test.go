//go:build !planted

package sim_test

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/daruma-io/daruma/sim"
)

var (
	streams    = flag.Uint64("streams", 300, "seeds of streams that are tried")
	streamFrom = flag.Uint64("stream", 0, "the first of them")
)

func TestEveryChangeIsHandedOutInOrderOrKept(t *testing.T) {
	tally := map[string]int64{}
	for seed := *streamFrom; seed < *streamFrom+*streams; seed++ {
		p := sim.NewStreamPlan(seed)
		synctest.Test(t, func(t *testing.T) {
			w := sim.NewStreamWorld(p)
			if err := w.Live(t.Context()); err != nil {
				t.Errorf("seed %d (strict %v, %+v, %+v, poison %d, outages %v, divides %v): %v", seed, p.Strict, p.Mapping, *p.Mapping.Stream, p.Poison, p.Outages, p.Divides, err)
			}
			for k, n := range w.Tally {
				tally[k] += n
			}
		})
	}
	t.Log(tally)
	for _, what := range []string{"changes", "given up", "throttled", "crash", "torn", "restart", "runs in an outage", "poisoned runs", "final", "divided"} {
		if tally[what] == 0 && *streams >= 100 {
			t.Errorf("none of these worlds had %q", what)
		}
	}
}
