package run_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// wantTimeout says that a villain is killed at its deadline, and that its
// environment works again.
func wantTimeout(t *testing.T, handler, payload string) {
	t.Helper()
	w := newWorld(t, nil, timeout(handler, 400*time.Millisecond))
	o := w.run(payload)
	if o.Kind != daruma.TimedOut || o.Duration > 5*time.Second {
		t.Errorf("got %v %v after %v, want timed out", o.Kind, o.Failure, o.Duration)
	}
	w.awaitState("warm")
}

func TestAHalfOpenAnswerEndsAtTheDeadline(t *testing.T) { wantTimeout(t, "half-open", "{}") }

func TestAProcessThatNeverReadsEndsAtTheDeadline(t *testing.T) {
	wantTimeout(t, "never-reads", `"`+strings.Repeat("x", 6<<20-2)+`"`)
}

func TestAProcessThatIgnoresSIGTERMEndsAtTheDeadline(t *testing.T) { wantTimeout(t, "stubborn", "{}") }

func TestAnAnswerThatIsCutOffIsTruncated(t *testing.T) {
	w := newWorld(t, nil, function("cut-off"))
	o := w.run("{}")
	if o.Kind != daruma.FunctionError || o.Failure.Type != "Runtime.TruncatedResponse" {
		t.Errorf("got %v %v", o.Kind, o.Failure)
	}
}

func TestAnExitInTheMiddleOfAnAnswerIsOneError(t *testing.T) {
	w := newWorld(t, nil, function("cut-exit"))
	for range 5 {
		o := w.run("{}")
		if o.Kind != daruma.FunctionError || o.Failure.Type != "Runtime.TruncatedResponse" {
			t.Errorf("got %v %v, want the truncated answer: it is what was seen first", o.Kind, o.Failure)
		}
		w.awaitState("warm")
	}
}

func TestManyConnectionsStopAtALimit(t *testing.T) {
	w := newWorld(t, nil, timeout("many-connections", time.Second))
	o := w.run(`"x"`)
	if o.Kind != daruma.Done && o.Kind != daruma.Crashed && o.Kind != daruma.TimedOut {
		t.Errorf("got %v %v", o.Kind, o.Failure)
	}
}

func TestAVillainDoesNotDisturbItsNeighbour(t *testing.T) {
	villain := timeout("flood", 5*time.Second)
	villain.Name = "villain"
	w := newWorld(t, nil, function("echo"), villain)
	want(t, w.run("1"), daruma.Done, "1")
	var wait sync.WaitGroup
	wait.Go(func() {
		w.runInvocation(daruma.Invocation{Target: daruma.Target{Function: "villain", Qualifier: catalog.Latest}, Payload: []byte("200000000")})
	})
	for range 200 {
		want(t, w.run("2"), daruma.Done, "2")
	}
	wait.Wait()
}
