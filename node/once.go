package node

import (
	"context"
	"encoding/json"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/watch"
)

// onceRule says which events of a function are the same.
func (n *Node) onceRule(function string) (once.Rule, bool) {
	f := n.catalog.View().Function(function, catalog.Latest)
	if f == nil || f.Once == nil {
		return once.Rule{}, false
	}
	return *f.Once, true
}

// queueJSON is a message as idempotency keys are found in it: its body, as JSON
// when it is. What else it has differs from one message to its duplicate.
func (n *Node) queueJSON(_ *mapping.Mapping, r dispatch.Record) []byte {
	body := json.RawMessage(r.Body.(queue.Received).Body)
	if !json.Valid(body) {
		body, _ = json.Marshal(string(body)) // a text always marshals
	}
	event, _ := json.Marshal(map[string]json.RawMessage{"body": body}) // so does what was checked
	return event
}

// countOnce has what became of events with idempotency keys among the metrics.
func (n *Node) countOnce() error {
	return n.watch.Register(watch.Gauge{Name: "daruma_idempotent_events", Help: "Events with an idempotency key, by function and what became of them: run, suppressed, clashed.", Labels: []string{"function", "fate"}, Read: func() []watch.Sample {
		all, err := n.once.Tallies(context.Background())
		if err != nil {
			return nil // a cell that is closed has no numbers
		}
		var samples []watch.Sample
		for _, t := range all {
			for _, s := range []struct {
				fate once.Fate
				n    int64
			}{{once.Ran, t.Run}, {once.Suppressed, t.Suppressed}, {once.Clashed, t.Clashed}} {
				samples = append(samples, watch.Sample{Labels: []string{t.Function, string(s.fate)}, Value: float64(s.n)})
			}
		}
		return samples
	}})
}
