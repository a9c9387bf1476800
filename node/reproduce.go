package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/reproduce"
)

// reproductionsMax bounds the reproductions at once.
const reproductionsMax = 4

var errTooMany = fmt.Errorf("%d reproductions are under way, and no more are run at once", reproductionsMax)

// A ReproduceAnswer is one line of what the console answers to /api/reproduce.
type ReproduceAnswer struct {
	Attach *reproduce.Attach `json:"attach,omitempty"` // how a debugger is attached: the function waits for it
	Result *reproduce.Result `json:"result,omitempty"` // the last line,
	Error  string            `json:"error,omitempty"`  // or this one
	Hint   string            `json:"hint,omitempty"`
}

// caseOf puts together what is needed to run a failure's event again.
func (n *Node) caseOf(ctx context.Context, id ledger.ID, current bool) (*reproduce.Case, error) {
	f, event, err := n.ledger.Failure(ctx, id)
	if err != nil {
		return nil, err
	}
	v := n.catalog.View()
	var note string
	switch {
	case f.Hop == ledger.Queued && f.Outcome != "":
		in, message, err := n.queues.Buried(f, event)
		if err != nil {
			return nil, err
		}
		event, note = sqs.Event(v.Place, in, []queue.Received{message}), "the event is of this message alone, whatever batch it was in, and its receipt handle is one that has ended"
	case f.Hop == ledger.Published:
		if f, event, err = n.topics.Undelivered(f, event); err != nil {
			return nil, err
		}
	}
	c, err := reproduce.Of(f, event, v, current)
	if err == nil && note != "" {
		c.Notes = append(c.Notes, note)
	}
	if err != nil || f.Recording == "" {
		return c, err
	}
	if c.Tape, err = n.recordings.Load(f.Recording); err != nil {
		c.Notes = append(c.Notes, "what was recorded of it is not there: "+err.Error())
	}
	return c, nil
}

// serveReproduce runs the event of a failure again: ?id=F-17, with
// reproduce.Options as the body. It answers in lines of ReproduceAnswer.
func (n *Node) serveReproduce(w http.ResponseWriter, r *http.Request) {
	var o reproduce.Options
	var id ledger.ID
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*ledger.EventBytesMax)).Decode(&o)
	if err == nil {
		err = id.UnmarshalText([]byte(r.URL.Query().Get("id")))
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	_ = out.EnableFullDuplex() // HTTP/1 only: nothing more is read
	tell := func(a ReproduceAnswer) error {
		if err := json.NewEncoder(w).Encode(a); err != nil {
			return err
		}
		return out.Flush()
	}
	var result *reproduce.Result
	if err == nil {
		result, err = n.Reproduce(r.Context(), id, o, func(a reproduce.Attach) error { return tell(ReproduceAnswer{Attach: &a}) })
	}
	if err != nil {
		_ = tell(ReproduceAnswer{Error: err.Error(), Hint: daruma.HintOf(err)}) // who asked may be gone
		return
	}
	_ = tell(ReproduceAnswer{Result: result})
}

// serveBundle answers ?id=F-17 with what is needed to reproduce it elsewhere.
func (n *Node) serveBundle(w http.ResponseWriter, r *http.Request) {
	var id ledger.ID
	err := id.UnmarshalText([]byte(r.URL.Query().Get("id")))
	var c *reproduce.Case
	if err == nil {
		c, err = n.caseOf(r.Context(), id, r.URL.Query().Get("current") == "true")
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(ReproduceAnswer{Error: err.Error(), Hint: daruma.HintOf(err)}) // who asked may be gone
		return
	}
	w.Header().Set("Content-Type", "application/gzip")
	if err := reproduce.WriteBundle(w, c); err != nil {
		n.cfg.Log.Warn("a bundle was not written", "failure", id, "error", err)
		panic(http.ErrAbortHandler) // who asked must not take it for whole
	}
}

// Reproduce runs the event of a failure again.
func (n *Node) Reproduce(ctx context.Context, id ledger.ID, o reproduce.Options, tell func(reproduce.Attach) error) (*reproduce.Result, error) {
	select {
	case n.reproductions <- struct{}{}:
		defer func() { <-n.reproductions }()
	default:
		return nil, &daruma.Error{Op: "reproduce", Ref: id.String(), Kind: daruma.KindNoCapacity, Err: errTooMany}
	}
	c, err := n.caseOf(ctx, id, o.Current)
	if err != nil {
		return nil, err
	}
	return reproduce.Run(ctx, c, o, n.rig(), tell)
}
