package run

import (
	"time"

	"github.com/daruma-io/daruma"
)

// begin returns what is known of a run before it begins: its own ID, and its
// place in the invocation's trace. An invocation without a trace begins one.
func begin(inv daruma.Invocation) daruma.Span {
	s := daruma.Span{ID: daruma.NewSpanID(), Kind: daruma.SpanRun, Function: inv.Target.Function, Request: inv.ID, Source: inv.Source,
		Attempt: inv.Attempt, From: inv.From, Links: inv.Links}
	if t, ok := daruma.ParseTrace(inv.Trace); ok {
		s.Trace, s.Parent = t.Root, t.Parent
	} else {
		s.Trace = daruma.NewTrace(time.Now()).Root
	}
	return s
}

// header returns the trace header the function is given: its caller's, with
// this run as the parent of what it calls. active says that the function
// samples by itself, by sample, when its caller did not decide.
func (c *call) header(active bool, sample func() bool) string {
	t, ok := daruma.ParseTrace(c.inv.Trace)
	if !ok {
		t = daruma.Trace{Root: c.span.Trace}
	}
	t.Parent = c.span.ID
	if !t.Decided() {
		t.Sampled = "0"
		if active && sample() {
			t.Sampled = "1"
		}
	}
	return t.String()
}

// tell tells of a run that has ended.
func (e *Environment) tell(c *call, o *daruma.Outcome) {
	obs := e.pool.cfg.Observer
	if obs == nil {
		return
	}
	s := c.span
	s.At, s.Version, s.Environment, s.Cold, s.Init = c.handed, e.function.Version, e.record.ID, c.cold, c.init
	s.Duration, s.MemoryBytes = o.Duration, o.MemoryBytes
	s.Wait = waited(c.inv, c.handed)
	if c.cold {
		s.Wait = waited(c.inv, c.taken)
	}
	ended(&s, o)
	obs.Spanned(s)
}

// turnAway ends a call that has waited for an environment in vain.
func (p *Pool) turnAway(c *call, o daruma.Outcome) {
	c.finish(o)
	p.turnedAway(c.span, &o)
}

// turnedAway tells of an event that did not get to run.
func (p *Pool) turnedAway(s daruma.Span, o *daruma.Outcome) {
	if p.cfg.Observer == nil {
		return
	}
	s.At = p.cfg.Clock.Now()
	ended(&s, o)
	p.cfg.Observer.Spanned(s)
}

func ended(s *daruma.Span, o *daruma.Outcome) {
	s.Outcome = o.Kind
	if o.Failure != nil {
		s.ErrorType = o.Failure.Type
	}
}

// waited is how long an event has waited for its run, or for an environment to
// be started for it: since it was taken in, or since the attempt before.
func waited(inv daruma.Invocation, until time.Time) time.Duration {
	since := inv.Since
	if since.IsZero() {
		since = inv.At
	}
	if since.IsZero() {
		return 0
	}
	return max(0, until.Sub(since))
}
