package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
)

// A runner runs the functions of one life of the process.
type runner struct {
	w    *World
	life context.Context
}

// Run does what the plan says of this try of this event.
func (r runner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	w := r.w
	f := w.function(inv.Target.Function)
	h := fnv.New64a()
	_, _ = h.Write([]byte(inv.ID)) // cannot fail
	w.mu.Lock()
	w.tries[inv.ID]++
	dice := rand.New(rand.NewPCG(h.Sum64(), uint64(w.tries[inv.ID])))
	var o daruma.Outcome
	switch {
	case f.Gone:
		o = daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindNotFound, Type: "ResourceNotFoundException", Message: "Function not found"}}
	case f.Reserved != nil && w.running[f.Name] >= *f.Reserved:
		o = daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Type: "TooManyRequestsException", Message: "Rate Exceeded."}}
	case dice.IntN(100) < f.Absent:
		o = daruma.Outcome{Kind: pick(dice, daruma.NoCapacity, daruma.Held), Failure: &daruma.Failure{Kind: daruma.KindNoCapacity, Message: "no room"}}
	}
	run := Run{Request: inv.ID, Function: f.Name, At: w.clock.Now()}
	if o.Kind != 0 {
		run.End, run.Outcome = run.At, o.Kind
		w.runs = append(w.runs, run)
		w.mu.Unlock()
		return o
	}
	w.running[f.Name]++
	all := 0
	for _, n := range w.running {
		all += n
	}
	w.mostAll, w.mostOf = max(w.mostAll, all), max(w.mostOf, w.running[f.Name])
	w.mu.Unlock()
	o = r.during(ctx, f, dice)
	w.mu.Lock()
	w.running[f.Name]--
	run.End, run.Outcome = w.clock.Now(), o.Kind
	w.runs = append(w.runs, run)
	w.mu.Unlock()
	return o
}

// during is the run itself. It ends early with the process, and with ctx.
func (r runner) during(ctx context.Context, f *Function, dice *rand.Rand) daruma.Outcome {
	lasts := time.Duration(dice.Int64N(int64(f.Slowest)))
	o := daruma.Outcome{Kind: daruma.Done, Payload: []byte(`{"ok":true}`), Version: "$LATEST"}
	if dice.IntN(100) < f.Fails {
		o.Kind = pick(dice, daruma.FunctionError, daruma.TimedOut, daruma.Crashed)
		o.Failure = &daruma.Failure{Kind: daruma.KindInvalid, Type: "Error", Message: "it broke"}
		o.Payload = []byte(`{"errorType":"Error","errorMessage":"it broke"}`)
	}
	both, stop := context.WithCancel(ctx)
	defer context.AfterFunc(r.life, stop)()
	defer stop()
	if r.w.clock.Sleep(both, lasts) != nil {
		return daruma.Outcome{Kind: daruma.Unknown, Failure: &daruma.Failure{Kind: daruma.KindDoubtful, Message: "nobody saw its end"}}
	}
	return o
}

// A Sink takes what is put to a destination and counts it, by function and role.
type Sink struct{ deaf atomic.Bool }

// Refuse has the sink refuse from now on, or take again.
func (s *Sink) Refuse(deaf bool) { s.deaf.Store(deaf) }

// Name is the machine's name.
func (*Sink) Name() string { return "sink" }

// Apply takes a handover.
func (s *Sink) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if s.deaf.Load() {
		return nil, &daruma.Error{Kind: daruma.KindDenied, Err: errors.New("it refuses")}
	}
	var h delivery.Handover
	if err := json.Unmarshal(cmd.Body, &h); err != nil {
		return nil, err
	}
	if !json.Valid(h.Body) {
		return nil, &daruma.Error{Kind: daruma.KindInternal, Err: fmt.Errorf("its body is no JSON: %s", h.Body)}
	}
	key := fmt.Appendf(nil, "%s/%s/%s", h.Function, h.Role, h.Request)
	if _, twice := tx.Get(key); twice {
		key = append(key, " again"...)
	}
	tx.Set(key, cmd.Body)
	return nil, nil
}
