package run_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

// A sink is a caller that takes a stream.
type sink struct {
	contentType string
	data        bytes.Buffer
	writes      int
	fail        error
	began       chan struct{}
}

func (s *sink) Begin(_, contentType string) { s.contentType = contentType }

func (s *sink) Write(p []byte) (int, error) {
	s.writes++
	if s.began != nil && s.writes == 1 {
		close(s.began)
	}
	if s.fail != nil {
		return 0, s.fail
	}
	return s.data.Write(p)
}

func (w *world) runStream(payload string, s *sink) daruma.Outcome {
	return w.runInvocation(daruma.Invocation{ID: requestID, Payload: []byte(payload), Stream: s})
}

func TestAStreamedAnswerReachesTheCallerAsItComes(t *testing.T) {
	w := newWorld(t, nil, function("stream"))
	var s sink
	o := w.runStream(`"go"`, &s)
	if o.Kind != daruma.Done || o.Payload != nil || s.data.String() != "first second." || s.contentType != "text/special" {
		t.Errorf("got %v, payload %q, stream %q of %q", o.Kind, o.Payload, s.data.String(), s.contentType)
	}
	want(t, w.run(`"go"`), daruma.Done, "first second.") // for a caller who wants it whole
}

func TestABufferedAnswerIsWrittenToAStreamInOnePiece(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	var s sink
	o := w.runStream(`"all at once"`, &s)
	if o.Kind != daruma.Done || s.writes != 1 || s.data.String() != `"all at once"` {
		t.Errorf("got %v and %d writes of %q", o.Kind, s.writes, s.data.String())
	}
}

func TestTrailersTellAFailureInMidStream(t *testing.T) {
	w := newWorld(t, nil, function("stream"))
	var s sink
	o := w.runStream(`"trailers"`, &s)
	want(t, o, daruma.FunctionError, `{"errorMessage":"mid","errorType":"Mid"}`)
	if s.data.String() != "first " || o.Failure.Type != "Mid" {
		t.Errorf("got %q and %v", s.data.String(), o.Failure)
	}
}

func TestAStreamThatIsCutOffIsTruncated(t *testing.T) {
	w := newWorld(t, nil, function("stream"))
	var s sink
	o := w.runStream(`"cut"`, &s)
	if o.Kind != daruma.FunctionError || o.Failure.Type != "Runtime.TruncatedResponse" || s.data.String() != "first " {
		t.Errorf("got %v %v after %q", o.Kind, o.Failure, s.data.String())
	}
	w.awaitState("warm")
	if o := w.runStream(`"go"`, &s); o.Kind != daruma.Done || o.Init != 0 {
		t.Errorf("got %v, want the environment to live on", o.Kind)
	}
}

func TestAnUnknownResponseModeIsRefused(t *testing.T) {
	w := newWorld(t, nil, function("stream"))
	o := w.run(`"mode"`)
	if o.Kind != daruma.FunctionError || o.Failure.Type != "Runtime.InvalidResponseModeHeader" {
		t.Errorf("got %v %v", o.Kind, o.Failure)
	}
	want(t, w.run(`"go"`), daruma.Done, "first second.")
	if got := w.tmpFile("answer"); got != `400 {"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}` {
		t.Errorf("got %q", got)
	}
}

func TestACallerThatStopsTakingAStreamDoesNotStopTheFunction(t *testing.T) {
	w := newWorld(t, nil, function("stream"))
	s := sink{fail: errors.New("gone")}
	if o := w.runStream(`"go"`, &s); o.Kind != daruma.Done || s.writes != 1 {
		t.Errorf("got %v after %d writes, want done after one", o.Kind, s.writes)
	}
}

func TestAStreamIsNotWrittenAfterItsCallerLeft(t *testing.T) {
	w := newWorld(t, nil, timeout("stream", 5*time.Second))
	want(t, w.run(`"go"`), daruma.Done, "first second.")
	ctx, cancel := context.WithCancel(context.Background())
	s := &sink{began: make(chan struct{})}
	done := make(chan daruma.Outcome)
	go func() {
		done <- w.pool.Run(ctx, daruma.Invocation{ID: requestID, Target: daruma.Target{Function: "f"}, Payload: []byte(`"hang"`), Stream: s})
	}()
	<-s.began
	cancel()
	if o := <-done; o.Kind != daruma.Unknown {
		t.Errorf("got %v, want unknown", o.Kind)
	}
	s.writes = 0 // the race detector sees a write after this
}

func TestATimeoutEndsAStream(t *testing.T) {
	w := newWorld(t, nil, timeout("stream", 700*time.Millisecond))
	var s sink
	o := w.runStream(`"hang"`, &s)
	if o.Kind != daruma.TimedOut || s.data.String() != "first " {
		t.Errorf("got %v after %q", o.Kind, s.data.String())
	}
}
