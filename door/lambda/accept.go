package lambda

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
)

// EventBytesMax is the most an asynchronous invocation's event may have
// (Lambda quotas: 1 MB).
const EventBytesMax = 1 << 20

// An Acceptor takes events in that nobody waits for.
type Acceptor interface {
	// Accept returns nil only when the event is durable: from then on it is
	// the acceptor's to see that it ends. The invocation's ID is the event's
	// in all its attempts. Its trace counts this invocation already
	// ([daruma.Chained]), so an attempt must not count it again; whether it is
	// one too many ([daruma.Chain]) is the acceptor's to decide, since a loop
	// ends in the event's failure and not in that of the request.
	//
	// Errors: KindThrottled and KindNoCapacity when it has no room for now,
	// KindFull, KindUnavailable and the others when it could not take the
	// event; KindDoubtful when it may have taken it.
	Accept(ctx context.Context, inv daruma.Invocation) error
}

// accept hands an event to the acceptor. It returns what refuses the request, or nil.
func (d *Door) accept(ctx context.Context, inv daruma.Invocation) *wire.Error {
	inv.ClientContext = nil // functions get it from synchronous invocations only (Lambda API Reference, Invoke)
	err := d.cfg.Acceptor.Accept(ctx, inv)
	if err == nil {
		return nil
	}
	text := err.Error()
	switch kind := daruma.KindOf(err); kind {
	case daruma.KindThrottled, daruma.KindNoCapacity:
		reason := "FunctionInvocationRateLimitExceeded"
		if why, ok := errors.AsType[*daruma.Failure](err); ok && why.Reason != "" {
			reason = why.Reason
		}
		return throttled(reason)
	case daruma.KindFull:
		return service("The event was not taken in, because the disk is nearly full: " + text)
	case daruma.KindUnavailable, daruma.KindLocked:
		return service("The event was not taken in: " + text)
	case daruma.KindDoubtful:
		return service("It is not known whether the event was taken in: " + text)
	default:
		return fromKind(kind, text)
	}
}

// invokeEvent answers an Invoke of the type Event.
func (d *Door) invokeEvent(w http.ResponseWriter, r *wire.Request, a ask) {
	if err := d.accept(r.HTTP.Context(), a.inv); err != nil {
		d.tell(&a, err.Status, &daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Type: err.Code}})
		if err.Status == http.StatusTooManyRequests {
			w.Header()["Retry-After"] = []string{"1"}
		}
		wire.Refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	d.tell(&a, http.StatusAccepted, &daruma.Outcome{Kind: daruma.Done})
}

// invokeAsync answers InvokeAsync, the oldest of the asynchronous ways in.
func (d *Door) invokeAsync(w http.ResponseWriter, r *wire.Request, name string) {
	a, err := d.ask(r, name, invokeAsync, event)
	if err != nil {
		wire.Refuse(w, r, err)
		return
	}
	a.name(w.Header())
	d.invokeEvent(w, r, a)
}

// noEvents refuses asynchronous invocations when there is no acceptor.
func noEvents(op string) *wire.Error {
	what, instead := "InvocationType Event", "RequestResponse"
	if op == invokeAsync {
		what, instead = op, "Invoke with InvocationType RequestResponse"
	}
	return unsupported(what + " is not supported here: asynchronous delivery does not exist yet, and nothing was queued. Use " + instead + ".")
}

// eventTooLarge is the error for an event above EventBytesMax.
func eventTooLarge(size int) *wire.Error {
	return &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Members: user,
		Message: strconv.Itoa(size) + " byte payload is too large for the Event invocation type (limit " + strconv.Itoa(EventBytesMax) + " bytes)"}
}

func recursive() *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "RecursiveInvocationException", MessageKey: "Message", Members: user,
		Message: "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your function's invocation."}
}
