package inject

import (
	"context"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// Runner returns a Runner that faults meet before an environment is chosen:
// Throttle, Concurrency and Duplicate, and those that are on the records of an
// event. It also tells, in each outcome, which
// faults met the run, wherever they did.
func (s *Faults) Runner(next daruma.Runner) daruma.Runner { return runner{s, next} }

type runner struct {
	set  *Faults
	next daruma.Runner
}

// Run hands an event on, unless a fault has it refused.
func (r runner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	active := r.set.active.Load()
	if active == nil && !r.set.marks.some.Load() {
		return r.next.Run(ctx, inv)
	}
	r.set.marks.forget(inv.ID)
	who := Who{Function: inv.Target.Function, Version: inv.Target.Qualifier, Request: inv.ID, Trace: daruma.TraceRoot(inv.Trace)}
	r.set.carry(ctx, who)
	if active == nil {
		active = &forces{}
	}
	var o daruma.Outcome
	if changed, err := r.set.records(ctx, inv, who, active[fault.Records]); err != nil {
		o = left(err)
	} else {
		o = r.early(ctx, changed, who, active[fault.Early])
	}
	o.Faults = r.set.Marks(inv.ID, o.Environment)
	return o
}

// early has an event meet the faults that need no environment.
func (r runner) early(ctx context.Context, inv daruma.Invocation, who Who, faults []*Running) daruma.Outcome {
	twice := false
	for _, f := range faults {
		if !fault.Like(f.fault.Target.Function, inv.Target.Function) || !f.lens.Fits(inv.Payload) {
			continue
		}
		switch f.fault.Kind {
		case fault.Throttle:
			if _, met := f.meet(); met {
				r.set.note(f, who, "the event was refused as one over the limit of concurrency")
				return r.refused(inv)
			}
		case fault.Concurrency:
			if n := f.inFlight.Add(1); n > int64(*f.fault.With.Limit) {
				f.inFlight.Add(-1)
				if _, met := f.meet(); met {
					r.set.note(f, who, "the event was refused: so many run at once as the fault lets")
					return r.refused(inv)
				}
				continue
			}
			defer f.inFlight.Add(-1)
		case fault.Duplicate:
			if inv.Attempt == 0 { // somebody waits for one answer
				continue
			}
			_, met := f.meet()
			twice = twice || met
			if met {
				r.set.note(f, who, "the event is handed over twice")
			}
		}
	}
	if twice {
		if o := r.next.Run(ctx, inv); !o.Kind.Ran() {
			return o
		}
	}
	return r.next.Run(ctx, inv)
}

// refused is the outcome of an event over a limit of concurrency, and tells of it.
func (r runner) refused(inv daruma.Invocation) daruma.Outcome {
	o := daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Type: "TooManyRequestsException", Message: "Rate Exceeded.",
		Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}}
	if obs := r.set.cfg.Observer; obs != nil {
		s := daruma.Span{ID: daruma.NewSpanID(), Kind: daruma.SpanRun, At: r.set.cfg.Clock.Now(), Function: inv.Target.Function, Request: inv.ID, Source: inv.Source,
			Attempt: inv.Attempt, From: inv.From, Outcome: o.Kind, ErrorType: o.Failure.Type, Faults: r.set.Marks(inv.ID, "")}
		if t, ok := daruma.ParseTrace(inv.Trace); ok {
			s.Trace, s.Parent = t.Root, t.Parent
		} else {
			s.Trace = daruma.NewTrace(s.At).Root
		}
		obs.Spanned(s)
	}
	return o
}
