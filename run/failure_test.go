package run_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
)

const requestID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"

func (w *world) runID(payload string) daruma.Outcome {
	return w.runInvocation(daruma.Invocation{ID: requestID, Payload: []byte(payload)})
}

func timeout(handler string, d time.Duration) *catalog.Function {
	f := function(handler)
	f.Timeout = d
	return f
}

func TestAFunctionIsKilledAtItsDeadlineAndItsTmpKept(t *testing.T) {
	w := newWorld(t, nil, timeout("hang-once", 2*time.Second))
	o := w.runID("{}")
	want(t, o, daruma.TimedOut, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: `+requestID+` Error: Task timed out after 2.00 seconds"}`)
	if o.Duration < 2*time.Second || o.Failure.Type != "Sandbox.Timedout" {
		t.Errorf("got %v after %v, want Sandbox.Timedout after 2 s or more", o.Failure, o.Duration)
	}
	w.awaitState("warm")
	again := w.run("{}")
	want(t, again, daruma.Done, `{"n":1,"kept":"kept"}`) // memory is gone, /tmp is not
	if again.Environment != o.Environment || again.Init != 0 {
		t.Errorf("got environment %s with init %v, want the same one started within the call", again.Environment, again.Init)
	}
	contains(t, w.obs.Text(), "REPORT RequestId: "+requestID+"\tDuration: ", "\tStatus: timeout\n", requestID+" Task timed out after 2.00 seconds\n")
}

func TestTheDeadlineCountsFromTheEndOfInit(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", time.Second))
	want(t, w.run(`"600ms"`), daruma.Done, `"slept"`)
	want(t, w.run(`"600ms"`), daruma.Done, `"slept"`)
	if o := w.run(`"5s"`); o.Kind != daruma.TimedOut {
		t.Errorf("got %v, want timed out", o.Kind)
	}
}

func TestAProcessThatEndsIsReportedAndStartedAgain(t *testing.T) {
	w := newWorld(t, nil, function("exit"))
	prefix := `"errorMessage":"RequestId: ` + requestID + ` Error: `
	o := w.runID("0")
	want(t, o, daruma.Crashed, `{"errorType":"Runtime.ExitError",`+prefix+`Runtime exited without providing a reason"}`)
	w.awaitState("warm")
	want(t, w.runID("127"), daruma.Crashed, `{"errorType":"Runtime.ExitError",`+prefix+`Runtime exited with error: exit status 127"}`)
	w.awaitState("warm")
	back := w.run(`"fine"`)
	want(t, back, daruma.Done, `"fine"`)
	if back.Environment != o.Environment {
		t.Errorf("got another environment after a crash, want the same with new processes")
	}
	contains(t, w.obs.Text(), "\tStatus: error\tError Type: Runtime.ExitError\n", "platform: RequestId: "+requestID+" Error: Runtime exited with error: exit status 127\n")
}

func TestAProcessEndedByASignalSaysWhich(t *testing.T) {
	w := newWorld(t, nil, function("die"))
	want(t, w.runID("{}"), daruma.Crashed, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: `+requestID+` Error: Runtime exited with error: signal: killed"}`)
}

func TestAnAnswerThatWasWrittenBeforeTheExitCounts(t *testing.T) {
	w := newWorld(t, nil, function("answer-exit"))
	for range 20 {
		want(t, w.run("{}"), daruma.Done, `"last"`)
	}
}

func TestAnErrorDuringInitIsTriedAgainInsideTheInvocation(t *testing.T) {
	w := newWorld(t, nil, function("init-error-once"))
	o := w.run(`"second"`)
	want(t, o, daruma.Done, `"second"`)
	if o.Init != 0 {
		t.Errorf("got init %v, want 0: it is part of the invocation now", o.Init)
	}
	contains(t, w.obs.Text(), "stdout: first init\n", "INIT_REPORT Init Duration: ", "\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n")
	if strings.Contains(w.obs.Text(), "\tInit Duration:") && !strings.Contains(w.obs.Text(), "INIT_REPORT") {
		t.Errorf("got an Init Duration in REPORT, want none")
	}
}

func TestAnErrorDuringInitIsPassedOn(t *testing.T) {
	w := newWorld(t, nil, function("init-error"))
	for range 2 {
		o := w.run("{}")
		want(t, o, daruma.FunctionError, `{"errorMessage":"no module","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`)
		if o.Failure.Type != "Runtime.ImportModuleError" {
			t.Errorf("got %v, want Runtime.ImportModuleError", o.Failure)
		}
	}
}

func TestAnExitDuringInitIsReported(t *testing.T) {
	w := newWorld(t, nil, function("init-exit"))
	want(t, w.runID("{}"), daruma.Crashed, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: `+requestID+` Error: Runtime exited with error: exit status 7"}`)
	if got := strings.Count(w.obs.Text(), "INIT_START"); got != 2 {
		t.Errorf("got %d starts, want 2: one for init, one inside the invocation", got)
	}
}

func TestInitInsideTheInvocationIsBoundedByTheFunctionsTimeout(t *testing.T) {
	w := newWorld(t, func(c *run.Config) {
		serve := c.Launch
		c.Launch = func(f *catalog.Function) (run.Launch, error) {
			l, err := serve(f)
			command := l.Command
			started := false
			l.Command = func(path func(string) string) (run.Command, error) {
				cmd, err := command(path)
				if started {
					cmd.Argv = []string{"/bin/sleep", "60"}
				}
				started = true
				return cmd, err
			}
			return l, err
		}
	}, timeout("exit", 600*time.Millisecond))
	want(t, w.run(`"up"`), daruma.Done, `"up"`)
	if o := w.run("1"); o.Kind != daruma.Crashed {
		t.Fatalf("got %v, want crashed", o.Kind)
	}
	w.awaitState("warm")
	want(t, w.runID("{}"), daruma.TimedOut, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: `+requestID+` Error: Task timed out after 0.60 seconds"}`)
	contains(t, w.obs.Text(), "\tPhase: invoke\tStatus: timeout\n")
}

func TestAMissingEntryPointIsNamed(t *testing.T) {
	w := newWorld(t, func(c *run.Config) {
		c.Launch = func(*catalog.Function) (run.Launch, error) {
			return run.Launch{Command: func(func(string) string) (run.Command, error) {
				return run.Command{}, &daruma.Failure{Kind: daruma.KindInvalid, Type: "Runtime.InvalidEntrypoint", Message: "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}
			}}, nil
		}
	}, function("echo"))
	want(t, w.runID("{}"), daruma.Crashed, `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: `+requestID+` Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}`)
}

func TestAnEntryPointThatCannotBeRunIsNamed(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(broken, []byte("\x7fELFnot"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *run.Config) {
		c.Launch = func(*catalog.Function) (run.Launch, error) {
			return run.Launch{Command: func(func(string) string) (run.Command, error) {
				return run.Command{Argv: []string{broken}}, nil
			}}, nil
		}
	}, function("echo"))
	want(t, w.runID("{}"), daruma.Crashed, `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: `+requestID+` Error: fork/exec `+broken+`: exec format error"}`)
}

func TestAnUnsupportedRuntimeIsRefused(t *testing.T) {
	w := newWorld(t, func(c *run.Config) {
		c.Launch = func(*catalog.Function) (run.Launch, error) {
			return run.Launch{}, &daruma.Error{Kind: daruma.KindUnsupported, Ref: "cobol85"}
		}
	}, function("echo"))
	o := w.run("{}")
	if o.Kind != daruma.Refused || o.Failure.Kind != daruma.KindUnsupported {
		t.Errorf("got %v (%v), want refused, unsupported", o.Kind, o.Failure)
	}
	if s := w.awaitSpan(0); s.Outcome != daruma.Refused || s.Duration != 0 || s.Environment != "" {
		t.Errorf("got %+v told, want a try that did not run", s)
	}
}

func TestAFunctionThatDoesNotExistIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	o := w.runInvocation(daruma.Invocation{Target: daruma.Target{Function: "g"}})
	if o.Kind != daruma.Refused || o.Failure.Kind != daruma.KindNotFound || o.Failure.Message != "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:g" {
		t.Errorf("got %v (%v), want refused, not found", o.Kind, o.Failure)
	}
}

func TestNoRoomForAPlaceIsNoCapacity(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	full := error(&daruma.Error{Kind: daruma.KindNoCapacity, Op: "make a place"})
	w.maker.Fail.Store(&full)
	if o := w.run("{}"); o.Kind != daruma.NoCapacity || o.Failure.Kind != daruma.KindNoCapacity {
		t.Errorf("got %v (%v), want no capacity", o.Kind, o.Failure)
	}
	w.maker.Fail.Store(nil)
	want(t, w.run("{}"), daruma.Done, "{}")
}

func TestAnAnswerOfSixMegabytesIsTheMost(t *testing.T) {
	w := newWorld(t, nil, function("size"))
	o := w.run("6291556")
	if o.Kind != daruma.Done || len(o.Payload) != 6291556 {
		t.Fatalf("got %v and %d bytes, want done and 6291556", o.Kind, len(o.Payload))
	}
	w.awaitState("warm")
	o = w.runID("6291557")
	want(t, o, daruma.FunctionError, `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"RequestId: `+requestID+` Error: Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`)
	contains(t, w.obs.Text(), "\tStatus: error\tError Type: Function.ResponseSizeTooLarge\n")
	w.awaitState("warm")
	if o := w.run("3"); o.Kind != daruma.Done || string(o.Payload) != "zzz" || o.Init != 0 || w.maker.Resets.Load() != 0 {
		t.Errorf("got %v %q after %d resets, want the environment to live on", o.Kind, o.Payload, w.maker.Resets.Load())
	}
	answer := w.tmpFile("answer")
	if answer != `413 {"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}` {
		t.Errorf("got %q", answer)
	}
}

// tmpFile reads a file from the only environment's /tmp.
func (w *world) tmpFile(name string) string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.maker.Dir, "*", "tmp", name))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("got %v, %v, want one file named %s", files, err, name)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func TestACallerThatLeavesDoesNotStopTheFunction(t *testing.T) {
	w := newWorld(t, nil, function("sleep"))
	want(t, w.run(`"0s"`), daruma.Done, `"slept"`)
	w.awaitState("warm")
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan daruma.Outcome)
	go func() {
		answered <- w.pool.Run(ctx, daruma.Invocation{ID: requestID, Target: daruma.Target{Function: "f"}, Payload: []byte(`"300ms"`)})
	}()
	w.awaitState("busy")
	cancel()
	if o := <-answered; o.Kind != daruma.Unknown || o.Failure.Kind != daruma.KindDoubtful {
		t.Errorf("got %v (%v), want unknown", o.Kind, o.Failure)
	}
	w.await("the run's end", func() bool { return len(w.obs.Spans()) == 2 })
	if r := w.obs.Spans()[1]; r.Request != requestID || r.Outcome != daruma.Done || r.Duration < 300*time.Millisecond {
		t.Errorf("got %+v, want a run that went to its end", r)
	}
}
