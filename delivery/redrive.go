package delivery

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

type redrive struct {
	ID     ledger.ID `json:"id"`
	Edited bool      `json:"edited,omitempty"`
}

// redrive puts the event of a failure on its way again.
func (w *work) redrive(r redrive, payload []byte) (any, error) {
	f, event, already, err := ledger.Redrive(w.tx, r.ID)
	if err != nil {
		return nil, err
	}
	if already {
		return Redriven{Request: f.Request, Already: true}, nil
	}
	if r.Edited {
		event = payload
	} else if len(f.Redacted) > 0 {
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: r.ID.String(), Err: errors.New("its event is not whole: " + strings.Join(f.Redacted, ", ") + " were not kept"),
			Hint: "give the whole event to redrive"}
	}
	if f.Hop == ledger.Destination || f.Hop == ledger.DeadLetter {
		return w.handAgain(f, event)
	}
	trace := f.TraceHeader
	if daruma.Chain(trace, f.Function) > 0 {
		trace, _ = daruma.Chained(daruma.Unchained(trace), f.Function)
	}
	e := Event{Request: f.Request, Target: daruma.Target{Function: f.Function, Qualifier: f.Qualifier}, Payload: event, Source: f.Source, Trace: trace, Client: f.Client, Depth: f.Depth}
	if err := e.validate(); err != nil {
		return nil, err
	}
	body, err := appendEvent(nil, &e)
	if err != nil {
		return nil, err
	}
	c := cell.Cursor{Rest: body}
	return Redriven{Request: f.Request}, w.acceptOne(c.Bytes(), f.Number)
}

// handAgain hands on what a destination did not take before.
func (w *work) handAgain(f *ledger.Failure, body []byte) (any, error) {
	var h Handover
	if err := json.Unmarshal(f.Handover, &h); err != nil {
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: f.Number.String(), Err: errors.New("how it was to be handed on was too much to be kept")}
	}
	h.Body, h.At = body, w.tx.Now()
	if err := w.put(h); err != nil {
		return nil, err
	}
	a, err := w.account(h.Function)
	if err != nil {
		return nil, err
	}
	if h.Role == DeadLetter {
		a.DeadLetters++
	} else {
		a.Destinations++
	}
	return Redriven{Request: f.Request}, ledger.Resolve(w.tx, f.Number, "handed on to "+h.To.String())
}

// below moves JSON paths under another one.
func below(at string, paths []string) []string {
	moved := make([]string, 0, len(paths))
	for _, p := range paths {
		rest := strings.TrimPrefix(p, "$")
		if rest != "" && rest[0] != '.' && rest[0] != '[' {
			rest = "." + rest
		}
		moved = append(moved, at+rest)
	}
	return moved
}
