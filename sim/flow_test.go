//go:build !planted

package sim_test

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/daruma-io/daruma/sim"
)

var (
	flows    = flag.Uint64("flows", 400, "seeds of flows that are tried")
	flowFrom = flag.Uint64("flow", 0, "the first of them")
)

func TestAnOutageOfABusyFunctionMakesNoDeadLetters(t *testing.T) {
	for seed := range *flows / 20 {
		p := sim.NewBusyPlan(seed)
		synctest.Test(t, func(t *testing.T) {
			w := sim.NewFlowWorld(p)
			if err := w.Live(t.Context()); err != nil {
				t.Errorf("seed %d (FIFO %v, %+v, outages %v): %v", seed, p.Queue.FIFO, p.Mapping, p.Outages, err)
			}
			if w.Tally["holds"] == 0 {
				t.Errorf("seed %d: nothing was held", seed)
			}
		})
	}
}

func TestThePoisonThatIsLeftOfAQueueIsNoOutage(t *testing.T) {
	for seed := range *flows / 40 {
		p := sim.NewRestPlan(seed, 6000)
		synctest.Test(t, func(t *testing.T) {
			w := sim.NewFlowWorld(p)
			if err := w.Live(t.Context()); err != nil {
				t.Errorf("seed %d (%+v): %v", seed, p.Mapping, err)
			}
			if w.Tally["holds"] > 0 || w.Tally["dead"] < 20 || w.Tally["crash"] == 0 {
				t.Errorf("seed %d (%+v): %d holds, %d crashes and %d dead letters, want none, one and at least 20", seed, p.Mapping, w.Tally["holds"], w.Tally["crash"], w.Tally["dead"])
			}
		})
	}
}

func TestEveryMessageEndsOnceHoweverItFlows(t *testing.T) {
	tally := map[string]int64{}
	for seed := *flowFrom; seed < *flowFrom+*flows; seed++ {
		p := sim.NewFlowPlan(seed)
		synctest.Test(t, func(t *testing.T) {
			w := sim.NewFlowWorld(p)
			if err := w.Live(t.Context()); err != nil {
				t.Errorf("seed %d (strict %v, FIFO %v, %+v): %v", seed, p.Strict, p.Queue.FIFO, p.Mapping, err)
			}
			for k, n := range w.Tally {
				tally[k] += n
			}
		})
	}
	t.Log(tally)
	for _, what := range []string{"acked", "dead", "holds", "throttled", "crash", "torn", "restart", "runs in an outage", "poisoned runs", "nonsense", "flaky"} {
		if tally[what] == 0 && *flows >= 100 {
			t.Errorf("none of these worlds had %q", what)
		}
	}
}

func TestOrderIsKeptInFiftyThousandMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not with -short")
	}
	p := sim.NewFIFOPlan(1, 50_000)
	synctest.Test(t, func(t *testing.T) {
		w := sim.NewFlowWorld(p)
		if err := w.Live(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Log(w.Tally)
		if w.Tally["acked"] != 50_000 || w.Tally["holds"] == 0 || w.Tally["runs in an outage"] == 0 || w.Tally["crash"] == 0 || w.Tally["dead"] == 0 {
			t.Errorf("that was not all of it: %v", w.Tally)
		}
	})
}
