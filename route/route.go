// Package route says what an outcome does: to the attempts of its event, to
// the events behind it, to the ledger and to whoever waits for the answer. It
// is one closed table ([Of]) and the functions that follow it.
//
// It holds nothing, starts nothing, and may be called from any goroutine. What
// an outcome leads to is decided and done in one step of the cell, by packages
// delivery and ledger.
package route

import (
	"context"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

// A Brake is what an outcome does to the events behind it.
type Brake uint8

// The brakes there are.
const (
	GoOn     Brake = iota // nothing
	SlowDown              // no more of this function at once than run now; none for a while when none does
)

// A Rule is a line of the table.
type Rule struct {
	Verdict       delivery.Verdict // what it does to its event's attempts
	Brake         Brake            // what it does to the events behind it
	Status        int              // the HTTP status AWS gives such a try
	FunctionError bool             // AWS calls it a function error ("Unhandled")
	Recorded      bool             // a failed call of this kind is in the ledger
	Caller        string           // what a waiting caller is told
}

// rules is the table: every outcome there is, and nothing else.
var rules = [...]Rule{
	daruma.Done:          {Verdict: delivery.Success, Status: 200, Caller: "the answer"},
	daruma.FunctionError: {Verdict: delivery.Failure, Status: 200, FunctionError: true, Recorded: true, Caller: "the function's error"},
	daruma.TimedOut:      {Verdict: delivery.Failure, Status: 200, FunctionError: true, Recorded: true, Caller: "that it timed out"},
	daruma.Crashed:       {Verdict: delivery.Failure, Status: 200, FunctionError: true, Recorded: true, Caller: "that its process ended"},
	daruma.Throttled:     {Verdict: delivery.NotRun, Brake: SlowDown, Status: 429, Caller: "to come back later"},
	daruma.NoCapacity:    {Verdict: delivery.NotRun, Brake: SlowDown, Status: 500, Caller: "to come back later"},
	daruma.Held:          {Verdict: delivery.Wait, Brake: SlowDown, Status: 503, Caller: "to come back later"},
	daruma.Refused:       {Verdict: delivery.Never, Status: 400, Caller: "what is wrong with the request"},
	daruma.Unknown:       {Verdict: delivery.Unknown, Status: 500, Recorded: true, Caller: "that it may or may not have run"},
}

// Of returns the rule for a kind of outcome. What is no outcome is Unknown.
func Of(k daruma.OutcomeKind) Rule {
	if int(k) < len(rules) && rules[k].Verdict != "" {
		return rules[k]
	}
	return rules[daruma.Unknown]
}

// Facts is what is known of the function that an event is for.
type Facts struct {
	Reserved   *int                  // its reserved concurrency, if any
	CodeSHA256 string                // of the version that ran
	Revision   string                // of the version that ran
	DeadLetter *delivery.Destination // of the version that ran; nil: the policy's
	Declared   delivery.Declared     // of the function; needed for calls only
}

// A Settler is where reports go: a *delivery.Deliveries.
type Settler interface {
	Settle(ctx context.Context, r delivery.Report, response []byte) (delivery.Settled, error)
}

// Settle reports the outcome of a leased event: what is due because of it is
// done in the same step, and its idempotency key, when it has one, is kept in it
// once it is done. Errors are those of [delivery.Deliveries.Settle].
func Settle(ctx context.Context, to Settler, held delivery.Held, o daruma.Outcome, facts Facts, started time.Time, key *once.Entry) (delivery.Settled, error) {
	r := report(held, o, facts, started)
	if r.Verdict == delivery.Success {
		r.Once = key
	}
	return to.Settle(ctx, r, o.Payload)
}

// report puts an outcome into the words of a delivery.
func report(held delivery.Held, o daruma.Outcome, facts Facts, started time.Time) delivery.Report {
	rule := Of(o.Kind)
	r := delivery.Report{Held: held, Verdict: rule.Verdict, Outcome: o.Kind.String(), Status: rule.Status, FunctionError: rule.FunctionError,
		Started: started, Duration: o.Duration, Environment: o.Environment, Version: o.Version, CodeSHA256: facts.CodeSHA256, Revision: facts.Revision, DeadLetter: facts.DeadLetter, Faults: o.Faults}
	if f := o.Failure; f != nil {
		r.ErrorType, r.Message, r.After, r.Alone = f.Type, f.Message, f.After, f.Alone
		if o.Kind == daruma.Refused && f.Kind == daruma.KindNotFound {
			r.Status = 404
		}
	}
	if o.Kind == daruma.Throttled && facts.Reserved != nil && *facts.Reserved == 0 {
		r.Verdict = delivery.Reserved
	}
	if rule.Recorded {
		r.Stack, r.Location = ledger.Trace(o.Payload)
		r.Log = o.LogLines()
		r.Recording = o.Recording
	}
	return r
}

// Where is where in its code a run failed, as far as its answer and its log say.
func Where(o daruma.Outcome) (stack []string, at ledger.Location, log []string) {
	stack, at = ledger.Trace(o.Payload)
	return stack, at, o.LogLines()
}

// A Recorder is where failed calls go: a *ledger.Ledger.
type Recorder interface {
	Record(ctx context.Context, f ledger.Failure, event []byte) (ledger.ID, error)
}

// Call keeps a call that failed, if the table says so, and returns its number
// in the ledger or 0. The caller has its answer already or gets it after: what
// was lost is not the call, and a ledger that takes nothing does not fail it.
func Call(ctx context.Context, to Recorder, inv daruma.Invocation, o daruma.Outcome, facts Facts, client string) (ledger.ID, error) {
	if !Of(o.Kind).Recorded {
		return 0, nil
	}
	r := report(delivery.Held{}, o, facts, time.Time{})
	f := ledger.Failure{Hop: ledger.Call, Function: inv.Target.Function, Qualifier: inv.Target.Qualifier, Version: o.Version, CodeSHA256: facts.CodeSHA256, Revision: facts.Revision,
		Owner: facts.Declared.Owner, Tags: facts.Declared.Tags, Sensitive: facts.Declared.Sensitive, Correlate: facts.Declared.Correlate,
		Outcome: r.Outcome, ErrorType: r.ErrorType, Message: r.Message, Stack: r.Stack, Location: r.Location, Log: r.Log, Recording: r.Recording, Faults: o.Faults, Runs: 1, Accepted: inv.At, Duration: o.Duration,
		Request: inv.ID, Trace: daruma.TraceRoot(inv.Trace), TraceHeader: inv.Trace, Source: inv.Source, Client: client, Did: "told the caller " + Of(o.Kind).Caller + " and kept the event here"}
	f.Attempts = []ledger.Attempt{{At: inv.At, Duration: o.Duration, Environment: o.Environment, Version: o.Version, Outcome: r.Outcome, ErrorType: r.ErrorType, Message: r.Message, Faults: o.Faults}}
	return to.Record(ctx, f, inv.Payload)
}
