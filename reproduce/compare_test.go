package reproduce

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

func TestTheSameFailureIsRecognised(t *testing.T) {
	base := Side{Outcome: "function error", ErrorType: "TypeError", Message: "order 17 of 2026-01-02T03:04:05Z has no price", Location: ledger.Location{File: "app.py", Line: 7, Function: "handler"}, Duration: 10 * time.Millisecond}
	for name, step := range map[string]struct {
		change  func(*Side)
		verdict string
		differs int
	}{
		"nothing":         {func(*Side) {}, Same, 0},
		"a number":        {func(s *Side) { s.Message = "order 18 of 2026-01-03T03:04:05Z has no price" }, Same, 1},
		"an ID":           {func(s *Side) { s.Message += " 4c5d1f6e-0000-4000-8000-000000000001" }, Other, 1},
		"a word":          {func(s *Side) { s.Message = "order 17 has no name" }, Other, 1},
		"the error type":  {func(s *Side) { s.ErrorType = "KeyError" }, Other, 1},
		"the outcome":     {func(s *Side) { s.Outcome = daruma.TimedOut.String() }, Other, 1},
		"the line":        {func(s *Side) { s.Location.Line = 9 }, Same, 1},
		"the function":    {func(s *Side) { s.Location.Function = "other" }, Other, 1},
		"much more time":  {func(s *Side) { s.Duration = time.Second }, Same, 1},
		"a little time":   {func(s *Side) { s.Duration = 12 * time.Millisecond }, Same, 0},
		"a line of log":   {func(s *Side) { s.Log = []string{"START RequestId: x", "something else"} }, Same, 1},
		"the stack":       {func(s *Side) { s.Stack = []string{"at x"} }, Same, 1},
		"that it is well": {func(s *Side) { *s = Side{Outcome: daruma.Done.String(), Duration: s.Duration} }, Passed, 4},
	} {
		r := Result{Was: base, Is: base}
		step.change(&r.Is)
		r.compare()
		if r.Verdict != step.verdict || len(r.Differences) != step.differs {
			t.Errorf("%s: got %s with %+v, want %s with %d", name, r.Verdict, r.Differences, step.verdict, step.differs)
		}
		if got := r.Yes(); got != (step.verdict == Same) {
			t.Errorf("%s: got %t", name, got)
		}
		r.Current = true
		if got := r.Yes(); got != (step.verdict == Passed) {
			t.Errorf("%s, with the current code: got %t", name, got)
		}
	}
}
