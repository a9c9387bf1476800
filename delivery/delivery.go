// Package delivery holds events on their way: "hand this payload to that
// function until it is done". Asynchronous invocations are deliveries, and so
// is what a destination, a topic or a schedule hands to a function.
//
//	accept ─► waiting ──lease──► leased ──settle──► done    (destination on success)
//	             ▲                 │  │
//	             └── again at ◄────┘  └──────────► failed  (ledger, dead letter, destination on failure)
//
// Settling is one atomic step: the event leaves the queue, and everything that
// is due because of it (its record in the ledger, its dead letter, what its
// destination is told, the next delivery of a function that is a destination)
// is there, or none of it is.
//
// It promises that an accepted event is delivered at least once or ends in the
// ledger; that only what ran spends an attempt; that a lease settles once,
// whatever happened to whoever held it; and that the account of every function
// closes: accepted = waiting + leased + done + failed. It promises no order,
// and no exactly-once. Retries follow the Lambda Developer Guide, "How Lambda
// handles errors and retries with asynchronous invocation".
//
// In memory there is a lower bound per function of where its first waiting
// event lies, and nothing else. The methods of [Deliveries] may be called from
// any goroutine.
package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of deliveries.
const (
	PayloadBytesMax      = 6 << 20 // of an event; larger ones are refused with KindTooLarge
	AsyncPayloadBytesMax = 1 << 20 // what AWS takes asynchronously: a door refuses more, and so does a function as a destination
	RequestBytesMax      = 128     // of a request ID
	AcceptMax            = 10_000  // events in one command
	LeaseMax             = 1_000   // events leased by one command
	DepthMax             = 16      // functions that are one another's destinations, in one chain
	FunctionsMax         = 10_000  // names of functions that ever had an event
	fieldBytesMax        = 4 << 10 // any other text of an event
)

// An Event is what is to be delivered.
type Event struct {
	Request string        // the request ID of all its attempts; a new one when ""
	Target  daruma.Target // resolved anew in each attempt
	Payload []byte        // JSON
	Source  string        // "invoke", "destination", …
	Trace   string        // X-Amzn-Trace-Id
	Client  string        // who asked: an access key, an ARN, a name
	Depth   int           // how many destinations it came through
	Policy  *Policy       // its own; nil: that of its target when it is needed
}

// A Delivery is what is known of an event on its way.
type Delivery struct {
	Event
	Number   uint64 // the how manyth of its function's events it is
	Accepted time.Time
	Attempts int              // that counted
	NotRun   int              // times it could not run
	Tried    []ledger.Attempt // the attempts that counted
	Due      time.Time        // when it may run next; of a leased one, when its lease ends
	Leased   bool
	From     ledger.ID // the failure it was redriven from; 0 for none
}

// Deliveries is the deliveries of one cell.
type Deliveries struct {
	cell    *cell.Cell
	machine *Machine
}

// New returns the deliveries that lie in c, of which m is one of the machines. It starts nothing.
func New(c *cell.Cell, m *Machine) *Deliveries { return &Deliveries{cell: c, machine: m} }

// Wake holds a token when an event may have become due since it was last
// received from. It is for one reader.
func (d *Deliveries) Wake() <-chan struct{} { return d.machine.wake }

// Accept takes events in, all or none, and returns their request IDs. When it
// returns without an error they are on the disk. Repeated after KindDoubtful it
// may take them in twice.
//
// Errors: KindInvalid, KindTooLarge, KindUnsupported for a policy with a
// destination there is no sink for, and those of the cell.
func (d *Deliveries) Accept(ctx context.Context, events ...Event) ([]string, error) {
	ids := make([]string, len(events))
	for i := range events {
		if events[i].Request == "" {
			events[i].Request = daruma.NewID()
		}
		ids[i] = events[i].Request
	}
	cmd, err := AcceptCommand(events...)
	if err != nil {
		return nil, daruma.Wrap("accept event", "", err)
	}
	if _, err := d.cell.Do(ctx, cmd); err != nil {
		return nil, daruma.Wrap("accept event", "", err)
	}
	return ids, nil
}

// AcceptCommand is the command of [Deliveries.Accept], for machines that hand
// events on inside a step of their own ([cell.Tx.Do]). Events need their
// request IDs.
func AcceptCommand(events ...Event) (cell.Command, error) {
	if len(events) == 0 || len(events) > AcceptMax {
		return cell.Command{}, daruma.InvalidAt("", "%d events at once: from 1 to %d are taken", len(events), AcceptMax)
	}
	size := 0
	for i := range events {
		if err := events[i].validate(); err != nil {
			return cell.Command{}, err
		}
		size += len(events[i].Payload) + 256
	}
	body := make([]byte, 0, size)
	for i := range events {
		var err error
		if body, err = appendEvent(body, &events[i]); err != nil {
			return cell.Command{}, err
		}
	}
	return cell.Command{Machine: machineName, Name: commandAccept, Body: body}, nil
}

func (e *Event) validate() error {
	switch {
	case e.Request == "" || len(e.Request) > RequestBytesMax:
		return daruma.InvalidAt(e.Target.String(), "a request ID of %d bytes: from 1 to %d are taken", len(e.Request), RequestBytesMax)
	case e.Target.Function == "" || len(e.Target.String()) > fieldBytesMax/8 || hasZero(e.Target.Function) || hasZero(e.Target.Qualifier):
		return daruma.InvalidAt(e.Target.String(), "not a function's name")
	case len(e.Payload) > PayloadBytesMax:
		return &daruma.Error{Kind: daruma.KindTooLarge, Ref: e.Target.String(), Err: fmt.Errorf("an event of %d bytes: at most %d are taken", len(e.Payload), PayloadBytesMax)}
	case max(len(e.Source), len(e.Trace), len(e.Client)) > fieldBytesMax || e.Depth < 0:
		return daruma.InvalidAt(e.Target.String(), "its source, trace or client is longer than %d bytes, or its depth is negative", fieldBytesMax)
	}
	return nil
}

// A Want says what to lease.
type Want struct {
	N   int           // events at most, up to LeaseMax; 0 only gives up what has grown too old
	For time.Duration // how long the leases last
	// Each is how many events of one function may be leased at once, in all;
	// Limits has other numbers for some functions. 0 in Limits holds a function
	// back. Each 0 stands for no limit.
	Each   int
	Limits map[string]int
}

// A Leased is an event somebody may run until its lease ends.
type Leased struct {
	Delivery
	Lease uint64    // the fencing number: settles it, and nobody else's lease
	Until time.Time // when the lease runs out
}

// Leases is the answer to a Want.
type Leases struct {
	Events []Leased
	More   bool      // more is due than was asked for
	Next   time.Time // ask again then, or when Wake says so; zero: when Wake says so
}

// Lease takes events that are due, fair between functions, for a bounded time.
// Events that are older than their policy allows are given up on the way.
func (d *Deliveries) Lease(ctx context.Context, w Want) (Leases, error) {
	if w.N < 0 || w.N > LeaseMax || w.For <= 0 {
		return Leases{}, daruma.InvalidAt("lease", "%d events for %v: up to %d, for some time", w.N, w.For, LeaseMax)
	}
	got, err := d.do(ctx, commandLease, w)
	if err != nil {
		return Leases{}, daruma.Wrap("lease", "", err)
	}
	return got.(Leases), nil
}

// A Held names a lease.
type Held struct {
	Function string `json:"function"`
	Number   uint64 `json:"number"` // of the event
	Lease    uint64 `json:"lease"`
}

// Held names l.
func (l Leased) Held() Held { return Held{l.Target.Function, l.Number, l.Lease} }

// Extend has leases last for d from now. It returns those that are not held
// any more: somebody else may be running them.
func (d *Deliveries) Extend(ctx context.Context, by time.Duration, held ...Held) (lost []Held, err error) {
	got, err := d.do(ctx, commandExtend, extension{By: by, Held: held})
	if err != nil {
		return nil, daruma.Wrap("extend leases", "", err)
	}
	return got.([]Held), nil
}

// Release gives leases back without a run: they are due at once, and nothing
// is counted. Leases that are not held any more are left alone.
func (d *Deliveries) Release(ctx context.Context, held ...Held) error {
	_, err := d.do(ctx, commandRelease, extension{Held: held})
	return daruma.Wrap("release leases", "", err)
}

// An Off is a lease that is given back for a time.
type Off struct {
	Held
	After time.Duration `json:"afterNs"` // from now, up to a day
}

// PutOff gives leases back without a run, as Release does, and each event is due
// again after its time.
func (d *Deliveries) PutOff(ctx context.Context, off ...Off) error {
	_, err := d.do(ctx, commandPutOff, off)
	return daruma.Wrap("put off", "", err)
}

// Settle says what came of a leased event, with the function's response, if it
// gave one. KindConflict when the lease is not held (any more): nothing happens then.
func (d *Deliveries) Settle(ctx context.Context, r Report, response []byte) (Settled, error) {
	if len(response) > daruma.ResponseBytesMax {
		response = nil // AWS would not pass it on either
	}
	got, err := d.doWith(ctx, commandSettle, r.trimmed(), response)
	if err != nil {
		return Settled{}, daruma.Wrap("settle", r.Function, err)
	}
	return got.(Settled), nil
}

// Begin starts the time of a new dispatcher. Leases with lower numbers than the
// one it returns were given to others.
func (d *Deliveries) Begin(ctx context.Context) (uint64, error) {
	got, err := d.do(ctx, commandBegin, struct{}{})
	if err != nil {
		return 0, daruma.Wrap("begin dispatch", "", err)
	}
	return got.(uint64), nil
}

// Reclaim takes up to n events back whose leases have numbers below before:
// their holders are gone. Each may have run, so each has spent an attempt. It
// returns how many leases of that kind are left.
func (d *Deliveries) Reclaim(ctx context.Context, before uint64, n int) (left int, err error) {
	got, err := d.do(ctx, commandReclaim, reclamation{Before: before, N: min(n, LeaseMax)})
	if err != nil {
		return 0, daruma.Wrap("reclaim leases", "", err)
	}
	return got.(int), nil
}

// A Redriven says what came of a redrive.
type Redriven struct {
	Request string
	Already bool // it was redriven before; nothing happened
}

// Redrive accepts the event of a failure anew, with its request ID and a link,
// or hands on again what could not be handed on. A payload that is not nil takes
// the place of the event. Doing it twice is harmless.
//
// Errors: KindNotFound when the ledger has no such failure, KindConflict when it
// is resolved, KindInvalid when sensitive fields of the event were not kept and
// no payload is given, and when the payload is no JSON.
func (d *Deliveries) Redrive(ctx context.Context, id ledger.ID, payload []byte) (Redriven, error) {
	if payload != nil && !json.Valid(payload) {
		return Redriven{}, &daruma.Error{Op: "redrive", Ref: id.String(), Kind: daruma.KindInvalid, Err: errors.New("what is to take the place of the event is no JSON"), Hint: "an event is JSON"}
	}
	got, err := d.doWith(ctx, commandRedrive, redrive{ID: id, Edited: payload != nil}, payload)
	if err != nil {
		return Redriven{}, daruma.Wrap("redrive", id.String(), err)
	}
	return got.(Redriven), nil
}

func (d *Deliveries) do(ctx context.Context, name string, arguments any) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, &daruma.Error{Op: name, Kind: daruma.KindInvalid, Err: err}
	}
	return d.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body, Frees: name != commandConfigure})
}

// doWith is do with an event or an answer behind the arguments.
func (d *Deliveries) doWith(ctx context.Context, name string, arguments any, raw []byte) (any, error) {
	head, err := json.Marshal(arguments)
	if err != nil {
		return nil, &daruma.Error{Op: name, Kind: daruma.KindInvalid, Err: err}
	}
	return d.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: cell.Join(head, raw), Frees: name != commandRedrive})
}

var errNotHeld = errors.New("the lease is not held any more")
