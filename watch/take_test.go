package watch

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

func TestWhatCameSinceIsTakenOnce(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	ran := func(outcome daruma.OutcomeKind, took time.Duration) {
		w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "F", Version: "1", Outcome: outcome, Duration: took})
	}
	busy := func(id string, s daruma.EnvironmentState) {
		w.Changed(daruma.Environment{ID: id, Function: "F", State: s})
	}
	ran(daruma.Done, time.Second)
	ran(daruma.FunctionError, 3*time.Second)
	ran(daruma.TimedOut, 5*time.Second)
	ran(daruma.Throttled, 0)
	ran(daruma.NoCapacity, 0)
	ran(daruma.Held, 0)
	w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "F", Outcome: daruma.FunctionError, Source: daruma.Reproduction})
	busy("a", daruma.Starting)
	busy("a", daruma.Busy)
	busy("b", daruma.Busy)
	busy("b", daruma.Busy) // told twice
	busy("a", daruma.Warm)
	got := w.Take()["F"]
	if got.Runs != 3 || got.Failures != 2 || got.Throttles != 2 || got.Peak != 2 || got.Durations.Count != 3 || got.Durations.Sum != 9000 || got.Durations.Min != 1000 || got.Durations.Max != 5000 {
		t.Errorf("got %+v", got)
	}
	ran(daruma.Done, time.Second)
	if got := w.Take()["F"]; got.Runs != 1 || got.Failures != 0 || got.Throttles != 0 || got.Peak != 1 || got.Durations.Count != 1 {
		t.Errorf("then: got %+v", got)
	}
	busy("b", daruma.Gone)
	w.Take()
	if got := w.Take()["F"]; got.Runs != 0 || got.Peak != 0 || got.Durations.Count != 0 {
		t.Errorf("when nothing came: got %+v", got)
	}
}
