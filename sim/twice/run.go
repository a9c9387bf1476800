package twice

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/once"
)

// A runner runs the function of one life of the process.
type runner struct {
	*World
	life context.Context
	keys *once.Records
}

// parse reads the events a function is handed: a batch, or one.
func parse(payload []byte) ([]Event, error) {
	var batch struct {
		Event
		Records []Event
	}
	err := json.Unmarshal(payload, &batch)
	if batch.Records == nil {
		batch.Records = []Event{batch.Event}
	}
	return batch.Records, err
}

// Run is one run of the function.
func (w runner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	events, err := parse(inv.Payload)
	if err != nil {
		return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "JSON", Message: err.Error()}}
	}
	dice := rand.New(rand.NewPCG(uint64(w.clock.Now().UnixNano()), w.Seed))
	if dice.IntN(100) < w.Throttle {
		w.count("throttled")
		return daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Type: "TooManyRequestsException"}}
	}
	w.begin(ctx, events)
	both, stop := context.WithCancel(ctx)
	defer context.AfterFunc(w.life, stop)()
	defer stop()
	err = w.clock.Sleep(both, 1+time.Duration(dice.Int64N(int64(w.Slowest))))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.running[e.Key]--
	}
	if err != nil || w.life.Err() != nil {
		return daruma.Outcome{Kind: daruma.Unknown, Failure: &daruma.Failure{Kind: daruma.KindDoubtful, Message: "nobody saw its end"}}
	}
	return w.handle(events)
}

func (w *World) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Tally[what]++
}

// begin holds what a run is handed against what is known: no key runs twice at
// once, and none that is done runs.
func (w runner) begin(ctx context.Context, events []Event) {
	for _, e := range events {
		is, err := w.keys.Find(ctx, &once.Entry{Function: function, Key: e.Key}, w.clock.Now())
		w.mu.Lock()
		if err == nil && is != nil {
			w.wrong = append(w.wrong, fmt.Sprintf("%s runs, and its key is done", e))
		}
		if w.running[e.Key]++; w.running[e.Key] > 1 {
			w.wrong = append(w.wrong, fmt.Sprintf("%s runs, and another one with its key does", e))
		}
		w.mu.Unlock()
	}
}

// handle is what the function does with a batch. w.mu is held.
func (w runner) handle(events []Event) daruma.Outcome {
	w.runs++
	var failed []int
	for i, e := range events {
		w.tries[e]++
		if w.poison(e) || w.tries[e] == 1 && w.of(e, "flaky", w.Flaky) {
			failed = append(failed, i)
		}
	}
	if len(failed) > 0 {
		w.Tally["failed runs"]++
	}
	if len(failed) > 0 && (w.Way == Async || !w.Partial) {
		return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Error", Message: "it broke"}}
	}
	for i, e := range events {
		if slices.Contains(failed, i) || w.Way == Stream && len(failed) > 0 && i > failed[0] {
			continue // it is tried again
		}
		if w.good[e]++; w.good[e] > 1 {
			w.Tally["run again"]++
		}
	}
	if w.Way == Async {
		return daruma.Outcome{Kind: daruma.Done, Payload: fmt.Appendf(nil, `{"run":%d}`, w.runs), Version: "$LATEST"}
	}
	answer, _ := json.Marshal(failed) // numbers always marshal
	return daruma.Outcome{Kind: daruma.Done, Payload: answer}
}
