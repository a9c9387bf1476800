package conduct

import (
	"testing"

	"github.com/daruma-io/daruma/experiment"
)

func TestTheAccountOfEverythingClosesWhetherDeadLettersLieInTheirQueueOrAreDone(t *testing.T) {
	orders := Queue{Sent: 10, Deleted: 7, DeadLetters: 2, InProgress: 1}
	for _, c := range []struct {
		name     string
		dead     Queue
		accepted int64
	}{
		{"both lie there", Queue{Sent: 2, InProgress: 2, DeadLetterOf: true}, 10},
		{"one is done by who reads them", Queue{Sent: 2, InProgress: 1, Deleted: 1, DeadLetterOf: true}, 11},
	} {
		w := window{to: Counts{Queues: map[string]Queue{"Orders": orders, "Dead": c.dead}}}
		of := func(name, of string) int64 { return int64(w.measure(experiment.Metric{Name: name, Of: of}).value) }
		if got := of("accepted", ""); got != c.accepted {
			t.Errorf("%s: %d were accepted, want %d", c.name, got, c.accepted)
		}
		if got := of("accepted", "") - of("done", "") - of("failed", "") - of("in-progress", ""); got != 0 {
			t.Errorf("%s: %d are missing from the account", c.name, got)
		}
		if got := of("accepted", "Dead"); got != 2 {
			t.Errorf("%s: the queue itself took %d, want 2", c.name, got)
		}
	}
}
