package dispatch_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
)

var broken = daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Error", Message: "it broke"}}

func TestInAnOutageEventsOfAFunctionAreHeldAndThoseOfOthersFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(append(many(200, "A"), many(200, "B")...)...)
		var down atomic.Bool
		down.Store(true)
		var mu sync.Mutex
		var calls []time.Time
		r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
			if inv.Target.Function == "A" {
				mu.Lock()
				calls = append(calls, time.Now())
				mu.Unlock()
				if down.Load() {
					return broken
				}
			}
			return lasting(10*time.Millisecond)(ctx, inv)
		})
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r, Heal: heal.New(heal.Config{Most: 16}), Total: 40})()
		pass(t, 30*time.Second)
		done := 0
		for _, kind := range s.see().settled {
			switch kind {
			case daruma.Done:
				done++
			default:
				t.Fatalf("an event is settled as %v", kind)
			}
		}
		if done != 200 || len(s.see().queue) == 0 {
			t.Fatalf("%d of the other function's 200 are done, %d wait", done, len(s.see().queue))
		}
		mu.Lock()
		if len(calls) > 60 {
			t.Errorf("%d calls in half a minute", len(calls))
		}
		for i := 10; i+2 < len(calls); i++ {
			if calls[i].Sub(calls[0]) > time.Second && calls[i+2].Sub(calls[i]) < time.Second {
				t.Errorf("three probes in %v", calls[i+2].Sub(calls[i]))
			}
		}
		mu.Unlock()
		down.Store(false)
		pass(t, 10*time.Second)
		if n := len(s.see().queue); n != 0 {
			t.Fatalf("ten seconds after the outage %d wait", n)
		}
	})
}

func TestAFailureInDoubtKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A", "A")
		n := 0
		var mu sync.Mutex
		r := runner(func(context.Context, daruma.Invocation) daruma.Outcome {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == 1 {
				return broken
			}
			return daruma.Outcome{Kind: daruma.Done}
		})
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r, Heal: heal.New(heal.Config{Most: 1}), Total: 1})()
		pass(t, 10*time.Millisecond)
		if got := s.see().settled; len(got) != 2 || got[1] != daruma.FunctionError || got[2] != daruma.Done {
			t.Fatalf("settled: %v", got)
		}
	})
}

func TestWhatAnAnswerMeansIsForTheSourceToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A")
		s.queue[0].Read = func(o daruma.Outcome) (daruma.Outcome, []string) {
			o.Kind = daruma.FunctionError
			return o, nil
		}
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(time.Second)})()
		pass(t, time.Minute)
		if got := s.see().settled[1]; got != daruma.FunctionError {
			t.Fatalf("settled as %v", got)
		}
	})
}

func TestTheLimitOfAFunctionCountsForAllItsSourcesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSource(many(50, "F")...), newSource(many(50, "F")...)
		var now, most atomic.Int64
		r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			return lasting(time.Second)(ctx, inv)
		})
		defer run(t, dispatch.Config{Sources: []dispatch.Source{a, b}, Runner: r, Heal: heal.New(heal.Config{Most: 6}), Total: 40})()
		pass(t, time.Minute)
		if len(a.see().settled)+len(b.see().settled) != 100 || most.Load() != 6 {
			t.Fatalf("%d and %d are settled, %d ran at once", len(a.see().settled), len(b.see().settled), most.Load())
		}
	})
}
