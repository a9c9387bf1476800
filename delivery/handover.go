package delivery

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Roles of a handover.
const (
	OnSuccess  = "success"
	OnFailure  = "failure"
	DeadLetter = "dead letter"
)

// A Handover is what a destination is told, as a value: the record of what
// came of an event, or the event itself when it is a dead letter.
type Handover struct {
	To          Destination `json:"to"`
	Role        string      `json:"role"`
	At          time.Time   `json:"at"`
	Function    string      `json:"function"`
	FunctionARN string      `json:"functionArn"` // with its qualifier
	Request     string      `json:"request"`
	Trace       string      `json:"trace,omitempty"` // to be passed on
	Depth       int         `json:"depth,omitempty"`
	Attributes  []Attribute `json:"attributes,omitempty"` // of a dead letter
	Body        []byte      `json:"body,omitempty"`
}

// An Attribute goes with a dead letter.
type Attribute struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "String" or "Number"
	Value string `json:"value"`
}

// A Sink makes the command with which another machine of the cell takes a
// handover in. It is applied inside the step that settles the event; its error
// undoes it alone. A Sink depends on nothing but h.
type Sink func(h Handover) cell.Command

// PutTo is the sink of a machine that takes the command "put" with a handover as JSON.
func PutTo(machine string) Sink {
	return func(h Handover) cell.Command {
		body, err := json.Marshal(h)
		if err != nil {
			body = nil // texts and bytes cannot fail; the machine refuses an empty one
		}
		return cell.Command{Machine: machine, Name: "put", Body: body}
	}
}

// messageAttributeMax is how much of an error's message goes with a dead letter.
const messageAttributeMax = 1 << 10

// An ending is an event whose way ends, or goes on, and what is known of it.
type ending struct {
	function  string
	number    uint64
	state     *state
	policy    *Policy
	condition string
	never     bool
	report    *Report // of the try that just ended; nil when there was none
	response  []byte
}

// ran says whether the try that just ended ran.
func (e *ending) ran() bool {
	return e.report != nil && (e.report.Verdict == Success || e.report.Verdict == Failure)
}

// record is the destination record of how e ended: Lambda Developer Guide,
// "Capturing records of Lambda asynchronous invocations". What the event and
// the response say stays as it is, byte for byte.
func record(e *ending, ev Event, arn string, at time.Time) []byte {
	b := make([]byte, 0, len(ev.Payload)+len(e.response)+512)
	b = append(b, `{"version":"1.0","timestamp":"`...)
	b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(append(b, `","requestContext":{"requestId":`...), quoted(ev.Request)...)
	b = append(append(b, `,"functionArn":`...), quoted(arn)...)
	b = append(append(b, `,"condition":`...), quoted(e.condition)...)
	b = strconv.AppendInt(append(b, `,"approximateInvokeCount":`...), int64(e.state.attempts), 10)
	b = appendJSON(append(b, `},"requestPayload":`...), ev.Payload)
	if !e.ran() {
		return append(b, '}')
	}
	b = strconv.AppendInt(append(b, `,"responseContext":{"statusCode":`...), int64(e.report.Status), 10)
	b = append(append(b, `,"executedVersion":`...), quoted(e.report.Version)...)
	if e.report.FunctionError {
		b = append(b, `,"functionError":"Unhandled"`...)
	}
	b = append(b, '}')
	if len(e.response) > 0 {
		b = appendJSON(append(b, `,"responsePayload":`...), e.response)
	}
	return append(b, '}')
}

// appendJSON adds a value as it is, or as a text when it is no JSON.
func appendJSON(b, value []byte) []byte {
	if json.Valid(value) {
		return append(b, value...)
	}
	return append(b, quoted(string(value))...)
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a text cannot fail
	return b
}

// succeed ends an event that is done.
func (w *work) succeed(e ending) (any, error) {
	a, err := w.account(e.function)
	if err != nil {
		return nil, err
	}
	e.condition = Succeeded
	if e.policy.OnSuccess != nil {
		ev, err := w.event(e.function, e.number)
		if err != nil {
			return nil, err
		}
		h := w.handover(&e, ev, *e.policy.OnSuccess, OnSuccess)
		h.Body = record(&e, ev, h.FunctionARN, w.tx.Now())
		if err := w.hand(a, h); err != nil {
			return nil, err
		}
	}
	if e.state.from != 0 {
		if err := ledger.Resolve(w.tx, e.state.from, "its event was redriven and is done"); err != nil {
			return nil, err
		}
	}
	w.tx.Delete(eventKey(e.function, e.number))
	a.Done++
	a.Bytes -= int64(e.state.size)
	return Settled{State: StateDone, Attempts: e.state.attempts}, nil
}

// giveUp ends an event that failed, and says so.
func (w *work) giveUp(e ending) (any, error) {
	id, err := w.failed(e)
	return Settled{State: StateFailed, Condition: e.condition, Failure: id, Attempts: e.state.attempts}, err
}

// fail ends an event that failed.
func (w *work) fail(e ending) error {
	_, err := w.failed(e)
	return err
}

// failed keeps the event in the ledger and hands on what is due: the dead
// letter and the record for the destination, both when both are configured.
func (w *work) failed(e ending) (ledger.ID, error) {
	a, err := w.account(e.function)
	if err != nil {
		return 0, err
	}
	ev, err := w.event(e.function, e.number)
	if err != nil {
		return 0, err
	}
	w.tx.Delete(eventKey(e.function, e.number))
	a.Failed++
	a.Bytes -= int64(e.state.size)
	switch {
	case e.never:
		a.Refused++
	case e.condition == RetriesExhausted:
		a.Exhausted++
	case e.condition == EventAgeExceeded:
		a.Expired++
	case e.condition == ZeroReservedConcurrency:
		a.Zero++
	}
	if plantedSettleWithoutRoute() {
		return 0, nil
	}
	letter := e.policy.DeadLetter
	if e.report != nil && e.report.DeadLetter != nil {
		letter = e.report.DeadLetter
	}
	did := "gave it up and kept it here"
	if letter != nil {
		did += "; sent it to " + letter.String()
	}
	if e.policy.OnFailure != nil {
		did += "; told " + e.policy.OnFailure.String()
	}
	id, err := ledger.Record(w.tx, w.failure(&e, ev, did), ev.Payload)
	if err != nil {
		return 0, err
	}
	if letter != nil && !plantedDeadLetterLost() {
		h := w.handover(&e, ev, *letter, DeadLetter)
		h.Body = ev.Payload
		h.Attributes = []Attribute{{"RequestID", "String", ev.Request}, {"ErrorCode", "Number", strconv.Itoa(statusOf(e.state))}, {"ErrorMessage", "String", ledger.Cut(e.state.message, messageAttributeMax)}}
		if err := w.hand(a, h); err != nil {
			return 0, err
		}
	}
	if e.policy.OnFailure != nil {
		h := w.handover(&e, ev, *e.policy.OnFailure, OnFailure)
		h.Body = record(&e, ev, h.FunctionARN, w.tx.Now())
		if err := w.hand(a, h); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// statusOf is the status of the last try. One that was never tried waited behind a limit.
func statusOf(s *state) int {
	if s.status == 0 {
		return 429
	}
	return s.status
}

// String is what people read: the ARN when there is one.
func (d Destination) String() string {
	if d.ARN != "" {
		return d.ARN
	}
	return d.Kind + " " + d.Name
}

// failure is what the ledger keeps of an event.
func (w *work) failure(e *ending, ev Event, did string) ledger.Failure {
	f := ledger.Failure{Hop: ledger.Async, Function: e.function, Qualifier: ev.Target.Qualifier, Condition: e.condition, Outcome: e.state.outcome, Message: e.state.message,
		Attempts: e.state.tried, Runs: e.state.attempts, NotRun: e.state.notRun, Accepted: e.state.accepted, Request: ev.Request,
		Trace: daruma.TraceRoot(ev.Trace), TraceHeader: ev.Trace, Source: ev.Source, Client: ev.Client, Depth: ev.Depth, Did: did, From: e.state.from}
	if n := len(e.state.tried); n > 0 {
		last := e.state.tried[n-1]
		f.ErrorType, f.Version, f.Duration = last.ErrorType, last.Version, last.Duration
	}
	if r := e.report; r != nil {
		f.ErrorType, f.Message, f.Version, f.Duration = r.ErrorType, r.Message, r.Version, r.Duration
		f.CodeSHA256, f.Revision, f.Stack, f.Location, f.Log = r.CodeSHA256, r.Revision, r.Stack, r.Location, r.Log
		f.Recording = r.Recording
	}
	for _, a := range e.state.tried {
		f.Faults = append(f.Faults, a.Faults...)
	}
	slices.Sort(f.Faults)
	f.Faults = slices.Compact(f.Faults)
	if f.ErrorType == "" {
		f.ErrorType = e.condition
	}
	w.declare(&f, "$")
	return f
}

// declare adds what is declared of the function. Its paths begin at where the event is in what is kept.
func (w *work) declare(f *ledger.Failure, at string) {
	is := declarations().Get(w.tx, declaredKey(f.Function))
	if is == nil {
		return
	}
	f.Owner, f.Tags = is.Owner, is.Tags
	f.Sensitive, f.Correlate = below(at, is.Sensitive), below(at, is.Correlate)
}

func (w *work) handover(e *ending, ev Event, to Destination, role string) Handover {
	t := daruma.Target{Function: e.function, Qualifier: ev.Target.Qualifier}
	if t.Qualifier == "" {
		t.Qualifier = latest
	}
	return Handover{To: to, Role: role, At: w.tx.Now(), Function: e.function, FunctionARN: w.m.cfg.ARN(t), Request: ev.Request, Trace: ev.Trace, Depth: ev.Depth}
}

// hand hands h on, or keeps it in the ledger when that fails: the event's own
// end does not depend on it, and the function does not run again for it.
func (w *work) hand(a *Account, h Handover) error {
	ok, errs := &a.Destinations, &a.DestinationErrors
	if h.Role == DeadLetter {
		ok, errs = &a.DeadLetters, &a.DeadLetterErrors
	}
	err := w.put(h)
	if err == nil {
		*ok++
		return nil
	}
	if k := daruma.KindOf(err); k == daruma.KindCorrupt {
		return err // of our own records: nothing can be decided
	}
	*errs++
	body := h.Body
	h.Body = nil
	how, _ := json.Marshal(h)
	f := ledger.Failure{Hop: ledger.Destination, Function: h.Function, Condition: "undeliverable", ErrorType: "Undeliverable " + h.Role, Message: err.Error(), Request: h.Request,
		Trace: daruma.TraceRoot(h.Trace), TraceHeader: h.Trace, Source: h.To.String(), Depth: h.Depth, Handover: how, Did: "kept what " + h.To.String() + " did not take",
		Next: "make " + h.To.String() + " able to take it, then redrive this: it is handed on again, and the function does not run"}
	at := "$.requestPayload"
	if h.Role == DeadLetter {
		f.Hop, at = ledger.DeadLetter, "$"
	}
	w.declare(&f, at)
	if _, err := ledger.Record(w.tx, f, body); daruma.KindOf(err) != daruma.KindTooLarge {
		return err
	}
	f.Next = "the record is too large to be kept: the event itself is in the ledger under the same request"
	_, err = ledger.Record(w.tx, f, nil)
	return err
}

// HandCommand makes the command with which another machine tells a destination
// something in its own step. What the destination does not take is in the ledger
// then, and the step goes on.
func HandCommand(h Handover) cell.Command {
	body, err := json.Marshal(h)
	if err != nil {
		body = nil // texts and bytes cannot fail; the machine refuses an empty one
	}
	return cell.Command{Machine: machineName, Name: commandHand, Body: body}
}

func (w *work) handFor(h Handover) error {
	a, err := w.account(h.Function)
	if err != nil {
		return err
	}
	return w.hand(a, h)
}

// put hands h to its destination.
func (w *work) put(h Handover) error {
	if h.To.Kind != FunctionKind {
		sink := w.m.cfg.Sinks[h.To.Kind]
		if sink == nil {
			return &daruma.Error{Kind: daruma.KindUnsupported, Ref: h.To.String(), Err: errNoSink(h.To.Kind)}
		}
		return w.within(sink(h))
	}
	switch {
	case h.Depth+1 >= DepthMax:
		return daruma.InvalidAt(h.To.String(), "%d functions are one another's destinations already: a loop", DepthMax)
	case len(h.Body) > AsyncPayloadBytesMax:
		return &daruma.Error{Kind: daruma.KindTooLarge, Ref: h.To.String(), Err: fmt.Errorf("the record has %d bytes, at most %d are taken asynchronously", len(h.Body), AsyncPayloadBytesMax)}
	}
	e := Event{Request: w.tx.NewID(), Target: daruma.Target{Function: h.To.Name, Qualifier: h.To.Qualifier}, Payload: h.Body, Source: "destination", Trace: h.Trace, Client: h.FunctionARN, Depth: h.Depth + 1}
	if err := e.validate(); err != nil {
		return err
	}
	body, err := appendEvent(nil, &e)
	if err != nil {
		return err
	}
	c := cell.Cursor{Rest: body}
	return w.acceptOne(c.Bytes(), 0)
}
