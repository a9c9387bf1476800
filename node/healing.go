package node

import (
	"cmp"
	"context"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/scribe"
	"github.com/daruma-io/daruma/watch"
)

// openHealing makes what writes repairs down, and completes those that the
// process before had begun.
func (n *Node) openHealing(ctx context.Context) error {
	n.ledger = ledger.New(n.cell)
	n.scribe = scribe.New(scribe.Config{Log: n.ledger, Owner: n.owner, Clock: n.clock, Logger: n.cfg.Log})
	return n.scribe.Recover(ctx, "dispatch", "node")
}

// owner returns who owns a function, or the app when there is none of that name.
func (n *Node) owner(function string) string {
	if f := n.catalog.View().Function(function, catalog.Latest); f != nil {
		return f.Owner
	}
	t, _ := n.app.get()
	return t.Owner
}

// owned is the healing log for who does not know owners: a repair that names none is its function's owner's, or the app's.
type owned struct {
	*ledger.Ledger
	node *Node
}

// Begin writes a repair down before it is made.
func (o owned) Begin(ctx context.Context, r ledger.Repair) (ledger.RepairID, error) {
	r.Owner = cmp.Or(r.Owner, o.node.owner(r.Function))
	return o.Ledger.Begin(ctx, r)
}

// observer tells the healing log what it needs to know of what watch sees.
type observer struct {
	*watch.Watch
	scribe *scribe.Scribe
	faults *inject.Faults // nil: what is told is marked already
}

// Changed tells both.
func (o observer) Changed(e daruma.Environment) {
	o.Watch.Changed(e)
	o.scribe.Changed(e)
	if o.faults != nil && e.State == daruma.Gone {
		o.faults.Gone(e.ID)
	}
}

// Spanned tells both.
func (o observer) Spanned(s daruma.Span) {
	if o.faults != nil && s.Kind == daruma.SpanRun {
		s.Faults = o.faults.Marks(s.Request, s.Environment)
	}
	o.Watch.Spanned(s)
	o.scribe.Spanned(s)
}

// stopped notes that an event was stopped that functions handed on in a circle.
func stopped(inv daruma.Invocation, chain int) scribe.Symptom {
	return scribe.Symptom{Function: inv.Target.Function, What: "stop events that go round through " + inv.Target.Function,
		Why:      fmt.Sprintf("it is in one chain of events more than %d times", daruma.ChainMax),
		Evidence: fmt.Sprintf("request %s, trace %s: the %dth time", inv.ID, inv.Trace, chain),
		Undo:     "RecursiveLoop: Allow lets them go on", Ended: "stopped"}
}

// misread notes that all of a batch stays because of a report that nobody can read.
func (n *Node) misread(m dispatch.Misreport) {
	n.scribe.Saw(scribe.Symptom{Function: m.Mapping.Function, What: "have all of a batch of " + m.Mapping.Source.Name + " tried again",
		Why:      "the function's report of what failed in it makes no sense, and what it does not clearly call done is not done",
		Evidence: fmt.Sprintf("request %s, %d records: %v", m.Request, m.Records, m.Err),
		Undo:     `mend the function's answer: {"batchItemFailures":[{"itemIdentifier":"…"}]}`, Ended: "kept"})
}

// kept writes down that a function, or with "" the app, stays as it was because
// what should take its place is wrong. The returned function completes it.
func (n *Node) kept(ctx context.Context, function string, why error) (complete func()) {
	r := ledger.Repair{By: "node", What: "keep the code and the configuration that run", Why: "what should take their place is wrong", Undo: "mend it: it is built again as soon as it changes",
		Evidence: why.Error(), Function: function, Owner: n.owner(function)}
	if function != "" {
		r.What = "keep " + function + " as it is"
		r.Why = "what should take its place cannot be built"
	}
	id, err := n.ledger.Begin(ctx, r)
	if err != nil {
		n.cfg.Log.Warn("a repair is not written down", "what", r.What, "error", err)
		return func() {}
	}
	return func() {
		if err := n.ledger.Complete(ctx, id, "what was there goes on"); err != nil {
			n.cfg.Log.Warn("a repair is not completed", "repair", id, "error", err)
		}
	}
}
