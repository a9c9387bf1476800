package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/route"
)

// recordMax bounds how long a caller waits for its failure to be kept. A
// ledger that takes nothing does not hold up the answer any longer.
const recordMax = 2 * time.Second

// leaseFor is how long what hands an event to a function may be silent. It is
// the machine's time: what falls silent is a process.
const leaseFor = time.Minute

// openEvents makes what takes events in, hands them to functions, and keeps those that fail.
func (n *Node) openEvents() {
	n.deliveries, n.once = delivery.New(n.cell, n.machine), once.New(n.cell)
	n.guard = dispatch.NewGuard(n.once, n.onceRule, n.clock)
	n.dispatcher = dispatch.New(dispatch.Config{
		Heal: n.governor, Total: totalMax,
		Sources: []dispatch.Source{dispatch.NewDeliveries(n.deliveries, n.facts, owned{n.ledger, n}).Guarded(n.guard).Governed(n.governor), n.openMappings(), n.openStreams()},
		Runner:  loopless{n.runner(), n.refuse}, Clock: n.clock, Logger: n.cfg.Log, Drain: drainMax,
		LeaseFor: n.clock.While(leaseFor),
	})
}

// facts is what is known of a function, for the ledger: its code and
// configuration as they were when it ran, whatever was deployed since.
func (n *Node) facts(t daruma.Target, o daruma.Outcome) route.Facts {
	v := n.catalog.View()
	latest := v.Function(t.Function, catalog.Latest)
	if latest == nil {
		return route.Facts{}
	}
	facts := route.Facts{Reserved: latest.Reserved, Declared: declared(latest)}
	ran := v.Revision(t.Function, o.Revision)
	if ran == nil {
		ran = v.Function(t.Function, o.Version)
	}
	if ran != nil {
		facts.CodeSHA256, facts.Revision = ran.Code.SHA256, ran.Revision
		if ran.DeadLetter != "" {
			facts.DeadLetter, _ = destination(v.Place, ran.DeadLetter) // what leads nowhere was refused when it was deployed
		}
	}
	return facts
}

func declared(f *catalog.Function) delivery.Declared {
	return delivery.Declared{Owner: f.Owner, Tags: f.Tags, Sensitive: f.Sensitive, Correlate: f.Correlate}
}

// configureEvents makes the catalog's settings of asynchronous invocations those of the deliveries.
func (n *Node) configureEvents(ctx context.Context) error {
	v := n.catalog.View()
	var wishes []delivery.Wish
	all := map[string]delivery.Declared{}
	for _, f := range v.Functions() {
		all[f.Name] = declared(f)
		found, err := policies(v, f.Name)
		if err != nil {
			return daruma.Wrap("configure events", f.Name, err)
		}
		for _, qualifier := range slices.Sorted(maps.Keys(found)) {
			wishes = append(wishes, delivery.Wish{Function: f.Name, Qualifier: qualifier, Policy: found[qualifier]})
		}
	}
	return n.deliveries.ConfigureAll(ctx, wishes, all)
}

// policies are those of a function's events, by the qualifier it is invoked
// through. Where dead letters go is part of a version.
func policies(v *catalog.View, function string) (map[string]*delivery.Policy, error) {
	policies := map[string]*delivery.Policy{}
	of := func(qualifier string) *delivery.Policy {
		if policies[qualifier] == nil {
			policies[qualifier] = &delivery.Policy{}
		}
		return policies[qualifier]
	}
	lead := func(arn string) (*delivery.Destination, error) {
		if arn == "" {
			return nil, nil
		}
		return destination(v.Place, arn)
	}
	var err error
	for _, c := range v.EventInvokes(function) {
		p := of(c.Qualifier)
		p.Retries, p.Age = c.Retries, c.MaxAge
		if p.OnSuccess, err = lead(c.OnSuccess); err != nil {
			return nil, err
		}
		if p.OnFailure, err = lead(c.OnFailure); err != nil {
			return nil, err
		}
	}
	letters := map[string]*delivery.Destination{}
	for _, f := range v.Versions(function) {
		if letters[f.Version], err = lead(f.DeadLetter); err != nil {
			return nil, err
		}
	}
	for _, a := range v.Aliases(function) {
		letters[a.Name] = letters[a.Version]
	}
	for qualifier, letter := range letters {
		if letter != nil {
			of(qualifier).DeadLetter = letter
		}
	}
	return policies, nil
}

// settings is the catalog as the Lambda door changes it; what it changes is in force for deliveries, too.
type settings struct {
	*catalog.Catalog
	node *Node
}

// ChangeEventInvoke changes how asynchronous invocations are treated.
func (s settings) ChangeEventInvoke(ctx context.Context, change catalog.EventInvokeChange) (*catalog.EventInvokeConfig, error) {
	c, err := s.Catalog.ChangeEventInvoke(ctx, change)
	if err != nil {
		return nil, err
	}
	return c, s.node.configureEvents(ctx)
}

// acceptor takes asynchronous invocations in.
type acceptor struct{ deliveries *delivery.Deliveries }

// Accept returns nil once the event is durable.
func (a acceptor) Accept(ctx context.Context, inv daruma.Invocation) error {
	_, err := a.deliveries.Accept(ctx, delivery.Event{Request: inv.ID, Target: inv.Target, Payload: inv.Payload, Source: inv.Source, Trace: inv.Trace})
	return err
}

// refuse stops events which functions hand on to themselves for ever: it says
// why one is not run whose trace shows a loop, and nil when it is.
func (n *Node) refuse(inv daruma.Invocation) *daruma.Failure {
	function := inv.Target.Function
	chain := daruma.Chain(inv.Trace, function)
	if chain <= daruma.ChainMax || n.catalog.View().Recursion(function) != catalog.RecursionTerminate {
		return nil
	}
	n.scribe.Saw(stopped(inv, chain))
	return &daruma.Failure{Kind: daruma.KindInvalid, Type: "RecursiveInvocationException", Message: fmt.Sprintf("this is invocation %d of %s in one chain of events", chain, function)}
}

// loopless is a Runner of events that are not refused.
type loopless struct {
	daruma.Runner
	refuse func(daruma.Invocation) *daruma.Failure
}

// Run runs an event unless it is refused.
func (l loopless) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	if f := l.refuse(inv); f != nil {
		return daruma.Outcome{Kind: daruma.Refused, Failure: f}
	}
	return l.Runner.Run(ctx, inv)
}

// recorder is a Runner that keeps every call that failed, before its caller is answered.
type recorder struct {
	daruma.Runner
	node *Node
}

// Run runs a call and keeps its failure.
func (r recorder) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	inv.At = r.node.clock.Now() // doors stamp what functions see, which is the machine's time
	o := r.Runner.Run(ctx, inv)
	if !route.Of(o.Kind).Recorded {
		return o
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordMax)
	defer cancel()
	if _, err := route.Call(keep, r.node.ledger, inv, o, r.node.facts(inv.Target, o), inv.Source); err != nil {
		r.node.cfg.Log.Warn("a failure was not kept", "function", inv.Target.Function, "request", inv.ID, "error", err)
	}
	return o
}
