package lambda

import (
	"net/http"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
)

// join makes the request a span of the trace that its caller names, or of a
// new one, and the invocation a part of that span. It returns how many
// invocations of the function the chain has now. Where the function samples by
// itself when its caller did not decide, that is left to who runs it.
func (a *ask) join(h http.Header, f *catalog.Function) (invocations int) {
	sent := first(h[daruma.TraceParentHeader])
	t := daruma.TraceOf(first(h[daruma.TraceHeader]), sent, a.inv.At)
	kind, name := daruma.SpanCall, "Invoke "
	var keys []string
	if a.event {
		kind, name = daruma.SpanAccept, "Send "
		keys = ledger.Keys(a.inv.Payload, f.Sensitive, f.Correlate) // of a call its run has them
	}
	a.span = daruma.Span{ID: daruma.NewSpanID(), Parent: t.Parent, Trace: t.Root, Kind: kind, Name: name + a.inv.Target.String(), At: a.inv.At,
		Function: a.inv.Target.Function, Request: a.inv.ID, Source: a.inv.Source, Keys: keys}
	t.Parent = a.span.ID
	if !t.Decided() && f.Tracing != "Active" {
		t.Sampled = "0"
	}
	if w3c, ok := daruma.ParseTraceParent(sent); ok {
		a.answers = t.TraceParent()
		a.span.State = daruma.TraceState(first(h[daruma.TraceStateHeader]))
		if w3c.Root != t.Root {
			a.span.Keys = append(a.span.Keys, w3c.ID()) // it is found by the other name, too
		}
	}
	a.inv.Trace, invocations = daruma.Chained(t.String(), a.inv.Target.Function)
	return invocations
}

// name tells the caller which trace this is, in the headers it used itself.
func (a *ask) name(h http.Header) {
	h[daruma.TraceHeader] = []string{a.inv.Trace}
	if a.answers != "" {
		h[daruma.TraceParentHeader] = []string{a.answers}
	}
}

// tell tells of a request that was answered.
func (d *Door) tell(a *ask, status int, out *daruma.Outcome) {
	if d.cfg.Spanned == nil {
		return
	}
	s := &a.span
	s.Status, s.Outcome, s.Version = status, out.Kind, out.Version
	if out.Failure != nil {
		s.ErrorType = out.Failure.Type
	}
	s.Duration = d.cfg.Clock.Now().Sub(s.At)
	d.cfg.Spanned(*s)
}
