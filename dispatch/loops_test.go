package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/queue"
)

// looping refuses the seventeenth invocation of a chain.
func looping(inv daruma.Invocation) *daruma.Failure {
	n := daruma.Chain(inv.Trace, inv.Target.Function)
	if n <= daruma.ChainMax {
		return nil
	}
	return &daruma.Failure{Kind: daruma.KindInvalid, Type: "RecursiveInvocationException", Message: fmt.Sprintf("invocation %d of %s", n, inv.Target.Function)}
}

func TestAMessageThatAFunctionSendsToItselfForEverIsGivenUpAndTheOthersFlow(t *testing.T) {
	x := &mapped{refuse: looping}
	x.answer = func(bodies []string) daruma.Outcome {
		x.mu.Lock()
		trace := x.runs[len(x.runs)-1].Trace
		x.mu.Unlock()
		for _, b := range bodies {
			if b != "loop" {
				continue
			}
			if _, err := x.q.Send(x.Context(), "Q", queue.Message{Body: []byte(b), Trace: trace}); err != nil { // as every SDK does
				x.Error(err)
			}
		}
		return daruma.Outcome{Kind: daruma.Done}
	}
	flow(t, queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "D", After: 5}}, mapping.Settings{Batch: 1}, x, func(x *mapped) {
		x.send("a", "loop", "b")
		pass(x.T, time.Minute)
		runs := 0
		for _, batch := range x.ran() {
			if batch[0] == "loop" {
				runs++
			}
		}
		if a := x.account(); runs != daruma.ChainMax || a.Deleted != 2+daruma.ChainMax || a.DeadLetters != 1 {
			x.Fatalf("%d runs, %+v", runs, a)
		}
		all, err := x.l.Find(x.Context(), ledger.Query{})
		if err != nil || len(all.Failures) != 1 || all.Failures[0].ErrorType != "RecursiveInvocationException" || all.Failures[0].Condition != "RecursiveInvocationException" {
			x.Fatalf("the ledger has %+v, %v", all.Failures, err)
		}
		// Who sends it on its way again begins a new chain.
		if _, err := x.q.Redrive(x.Context(), all.Failures[0].Number, nil); err != nil {
			x.Fatal(err)
		}
		pass(x.T, time.Minute)
		if a := x.account(); a.Deleted != 2+2*daruma.ChainMax || a.DeadLetters != 2 {
			x.Fatalf("redriven: %+v", a)
		}
	})
}
