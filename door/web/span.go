package web

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"

	"github.com/daruma-io/daruma"
)

// tracing is a call's place in a trace.
type tracing struct {
	header  string // X-Amzn-Trace-Id as the event shows it: the client's, or a new one
	handed  string // the trace as the function is given it, a part of this call
	answers string // the traceparent of the answer; "" when the client sent none
	span    daruma.Span
}

// identify gives the call its identifiers. What the event shows of a valid
// trace header is the header as it came; the function is given
// the same trace, with this call as its parent.
func (c *call) identify() {
	var random [11]byte
	rand.Read(random[:])
	c.extended = base64.URLEncoding.EncodeToString(random[:])
	given, sent := c.r.Header.Get(daruma.TraceHeader), c.r.Header.Get(daruma.TraceParentHeader)
	t := daruma.TraceOf(given, sent, c.at)
	c.header = given
	if _, ok := daruma.ParseTrace(given); !ok {
		c.header = t.String()
	}
	c.span = daruma.Span{ID: daruma.NewSpanID(), Parent: t.Parent, Trace: t.Root, Kind: daruma.SpanCall, At: c.at}
	t.Parent = c.span.ID
	if !t.Decided() {
		t.Sampled = ""
	}
	c.handed = t.String()
	if w3c, ok := daruma.ParseTraceParent(sent); ok {
		c.answers = t.TraceParent()
		c.span.State = daruma.TraceState(c.r.Header.Get(daruma.TraceStateHeader))
		if w3c.Root != t.Root {
			c.span.Keys = append(c.span.Keys, w3c.ID()) // it is found by the other name, too
		}
	}
}

// name tells the client which trace this was. REST APIs name its root and
// function URLs all of it, as they do on AWS; HTTP APIs do not there, and name
// its root here, unless the function's own answer names one.
func (c *call) name(h http.Header, p product) {
	switch {
	case p == functionURL:
		h[daruma.TraceHeader] = []string{c.handed}
	case p == restAPI || h[daruma.TraceHeader] == nil:
		h[daruma.TraceHeader] = []string{"Root=" + c.span.Trace}
	}
	if c.answers != "" && h[daruma.TraceParentHeader] == nil {
		h[daruma.TraceParentHeader] = []string{c.answers}
	}
}

// tell tells of a call that was answered, with what came of its run.
func (d *Door) tell(c *call, inv *daruma.Invocation, out *daruma.Outcome, late bool) {
	if d.cfg.Spanned == nil {
		return
	}
	s := &c.span
	s.Name = c.r.Method + " " + c.to.full
	s.Function, s.Request, s.Source = inv.Target.Function, inv.ID, inv.Source
	s.Outcome, s.Version = out.Kind, out.Version
	if out.Failure != nil {
		s.ErrorType = out.Failure.Type
	}
	if late {
		s.ErrorType = "Late" // for this caller; the function runs on
	}
	s.Duration = d.cfg.Clock.Now().Sub(s.At)
	d.cfg.Spanned(*s)
}
