package run_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

func (w *world) close() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.pool.Close(ctx); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

func TestAnExtensionStartsBeforeTheRuntimeAndSeesEveryEvent(t *testing.T) {
	w := newWorld(t, nil, function("log"))
	w.extensions("ext-plain")
	want(t, w.runID(`"x"`), daruma.Done, `"x"`)
	w.close()
	log := w.obs.Text()
	contains(t, log, `extension registered {"functionName":"f","functionVersion":"$LATEST","handler":"log"}`,
		`extension saw true {"eventType":"INVOKE","deadlineMs":`, `"requestId":"`+requestID+`","invokedFunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-`,
		`extension saw true {"eventType":"SHUTDOWN","deadlineMs":`, `"shutdownReason":"spindown"}`)
	if strings.Index(log, "extension registered") > strings.Index(log, "hello from init") {
		t.Errorf("got the runtime first, want the extension:\n%s", log)
	}
}

func TestExtensionsDoNotGetWhatIsTheRuntimesOwn(t *testing.T) {
	f := function("echo")
	f.Runtime, f.Env = "python3.12", map[string]string{"MINE": "1"}
	w := newWorld(t, nil, f)
	w.extensions("ext-plain")
	w.run("{}")
	log := w.obs.Text()
	contains(t, log, `"MINE=1"`, `"AWS_REGION=eu-west-1"`, `"AWS_LAMBDA_RUNTIME_API=`)
	for _, name := range []string{"AWS_EXECUTION_ENV=", "AWS_LAMBDA_LOG_", "AWS_XRAY_", "LAMBDA_RUNTIME_DIR=", "LAMBDA_TASK_ROOT=", `"_`} {
		if strings.Contains(log, name) {
			t.Errorf("an extension got %s", name)
		}
	}
}

func TestTheCallerIsAnsweredBeforeSlowExtensionsAreDone(t *testing.T) {
	w := newWorld(t, nil, timeout("pid", 20*time.Second))
	w.extensions("ext-slow")
	first := w.run("{}")
	if all := w.pool.Environments(); first.Kind != daruma.Done || len(all) != 1 || all[0].State != daruma.Busy {
		t.Errorf("got %v (%v) and %+v, want an answer while the extension is not done", first.Kind, first.Failure, all)
	}
	if second := w.run("{}"); second.Kind != daruma.Done || second.Environment == first.Environment {
		t.Errorf("got %v (%v) of %s, want another environment: the first is busy until its extension calls next", second.Kind, second.Failure, second.Environment)
	}
	w.letGo("slow")
	w.awaitFree()
	if third := w.run("{}"); third.Init != 0 {
		t.Error("got a third environment")
	}
}

func TestAnExtensionThatCrashesEndsTheInvocation(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 2*time.Second))
	w.extensions("ext-dies")
	want(t, w.runID(`"1s"`), daruma.Crashed, `{"errorType":"Extension.Crash","errorMessage":"RequestId: `+requestID+` Error: exit code 6"}`)
}

func TestAnExtensionThatCrashesDuringInitIsReported(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	w.extensions("ext-crash")
	want(t, w.runID(`{}`), daruma.Crashed, `{"errorType":"Extension.Crash","errorMessage":"RequestId: `+requestID+` Error: exit code 5"}`)
}

func TestAnExtensionsInitErrorIsReported(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	w.extensions("ext-initerror")
	want(t, w.runID(`{}`), daruma.Crashed, `{"errorType":"Extension.InitError","errorMessage":"RequestId: `+requestID+` Error: exit code 1"}`)
}

func TestAnExtensionThatCannotBeRunIsReported(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	w.extensions()
	writeFile(t, w.opt[0]+"/extensions/bad", "#!/nonexistent/interpreter\n")
	o := w.runID(`{}`)
	if o.Kind != daruma.Crashed || o.Failure.Type != "Extension.LaunchError" {
		t.Errorf("got %v %v, want Extension.LaunchError", o.Kind, o.Failure)
	}
}

func TestTheTimeoutCoversExtensions(t *testing.T) {
	w := newWorld(t, nil, timeout("echo", time.Second))
	w.extensions("ext-hangs")
	o := w.run(`"x"`)
	want(t, o, daruma.Done, `"x"`) // the caller has its answer
	w.await("the environment to be reset", func() bool { return w.maker.Resets.Load() > 0 })
	w.awaitState("warm")
	contains(t, strings.Join(w.states(), ","), "resetting timeout")
	want(t, w.run(`"y"`), daruma.Done, `"y"`)
}

func TestARuntimeIsAskedToEndOnlyWhenThereAreExtensions(t *testing.T) {
	w := newWorld(t, nil, function("internal"))
	want(t, w.run(`"x"`), daruma.Done, `"x"`)
	w.close()
	contains(t, w.obs.Text(), `registered {"functionName":"f","functionVersion":"$LATEST","handler":"internal","accountId":"123456789012"}`,
		`inside saw {"eventType":"INVOKE"`, "asked to end")
}

func TestAnExtensionThatDoesNotEndIsKilledAfterTwoSeconds(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	w.extensions("ext-deaf")
	want(t, w.run(`"x"`), daruma.Done, `"x"`)
	began := time.Now()
	w.close()
	if took := time.Since(began); took < 1900*time.Millisecond { // that it ends at all is close's to say
		t.Errorf("got %v, want about two seconds", took)
	}
}

func TestAnExtensionWithoutShutdownIsKilledAtOnce(t *testing.T) {
	w := newWorld(t, nil, function("internal"))
	w.extensions("ext-quiet")
	want(t, w.run(`"x"`), daruma.Done, `"x"`)
	began := time.Now()
	w.close()
	if took := time.Since(began); took > 1900*time.Millisecond {
		t.Errorf("got %v, want no wait of two seconds for one that did not ask for SHUTDOWN", took)
	}
	if strings.Contains(w.obs.Text(), "SHUTDOWN") {
		t.Errorf("got a SHUTDOWN event, want none:\n%s", w.obs.Text())
	}
}
