package run_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

func TestAnAnswerComesBackAsItWasGiven(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	want(t, w.run(`{"a": 1}`), daruma.Done, `{"a": 1}`)
	want(t, w.run(``), daruma.Done, ``)
}

func TestAWarmEnvironmentIsUsedAgain(t *testing.T) {
	w := newWorld(t, nil, function("count"))
	o := w.run("{}")
	want(t, o, daruma.Done, "1")
	if o.Init <= 0 || o.Version != "$LATEST" {
		t.Errorf("got init %v and version %q, want some time and $LATEST", o.Init, o.Version)
	}
	w.awaitState("warm")
	second := w.run("{}")
	want(t, second, daruma.Done, "2")
	if second.Init != 0 || second.Environment != o.Environment {
		t.Errorf("got init %v in %s, want 0 in %s", second.Init, second.Environment, o.Environment)
	}
}

func TestAnErrorIsPassedOnAndTheEnvironmentKept(t *testing.T) {
	w := newWorld(t, nil, function("error"))
	o := w.run("{}")
	want(t, o, daruma.FunctionError, `{"errorMessage": "no",  "errorType":"MyError", "stackTrace":[]}`)
	if o.Failure.Type != "MyError" || o.Failure.Message != "no" {
		t.Errorf("got %v, want MyError: no", o.Failure)
	}
	w.awaitState("warm")
	if again := w.run("{}"); again.Environment != o.Environment || again.Init != 0 {
		t.Errorf("got another environment after an error")
	}
	if n := w.maker.Resets.Load(); n != 0 {
		t.Errorf("got %d resets, want 0", n)
	}
}

func TestARunGoesOnAfterItsCallerLeft(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 20*time.Second))
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan daruma.Outcome)
	go func() {
		done <- w.pool.Run(ctx, daruma.Invocation{ID: requestID, Target: daruma.Target{Function: "f"}, Payload: []byte(`"until its caller left"`)})
	}()
	w.awaitBusy(1)
	leave()
	if o := <-done; o.Kind != daruma.Unknown {
		t.Errorf("the caller got %v, want unknown", o.Kind)
	}
	w.letGo("its caller left")
	if s := w.awaitSpan(0); s.Outcome != daruma.Done {
		t.Errorf("got a run that ended as %v, want done", s.Outcome)
	}
	w.awaitState("warm")
	if text := w.obs.Text(); strings.Count(text, "INIT_START") != 1 || !strings.Contains(text, "END RequestId: "+requestID) {
		t.Errorf("got %s, want one environment, and the end of the run", text)
	}
}

func TestNextTellsEverythingAboutAnInvocation(t *testing.T) {
	w := newWorld(t, nil, function("headers"))
	o := w.runInvocation(daruma.Invocation{ID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", Target: daruma.Target{Function: "f", Qualifier: "$LATEST"}, Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0",
		ClientContext: []byte("{\n\"custom\":{}}"), Identity: []byte(`{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`), Tenant: "blue"})
	var h map[string][]string
	if err := json.Unmarshal(o.Payload, &h); err != nil {
		t.Fatalf("%v: %s", err, o.Payload)
	}
	for name, value := range map[string]string{
		"Content-Type":                        "application/json",
		"Lambda-Runtime-Aws-Request-Id":       "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST",
		"Lambda-Runtime-Trace-Id":             "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0",
		"Lambda-Runtime-Client-Context":       `{ "custom":{}}`,
		"Lambda-Runtime-Cognito-Identity":     `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`,
		"Lambda-Runtime-Aws-Tenant-Id":        "blue",
	} {
		if got := strings.Join(h[name], "|"); got != strings.Replace(value, "53995c3f42cd8ad8", w.awaitSpan(0).ID, 1) {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if d := strings.Join(h["Lambda-Runtime-Deadline-Ms"], ""); len(d) != 13 {
		t.Errorf("got deadline %q, want Unix milliseconds", d)
	}
	h = nil
	if err := json.Unmarshal(w.run("").Payload, &h); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Lambda-Runtime-Client-Context", "Lambda-Runtime-Cognito-Identity", "Lambda-Runtime-Aws-Tenant-Id"} {
		if _, there := h[name]; there {
			t.Errorf("got %s, want it left out when empty", name)
		}
	}
	if got := strings.Join(h["Lambda-Runtime-Invoked-Function-Arn"], ""); got != "arn:aws:lambda:eu-west-1:123456789012:function:f" {
		t.Errorf("got ARN %q, want one without a qualifier", got)
	}
	if got := strings.Join(h["Lambda-Runtime-Trace-Id"], ""); !strings.HasPrefix(got, "Root=1-") || !strings.Contains(got, ";Parent=") || !strings.HasSuffix(got, ";Sampled=0") {
		t.Errorf("got trace %q, want one that was made", got)
	}
}

func TestTheOfficialGoClientWorks(t *testing.T) {
	w := newWorld(t, nil, function("sdk"))
	o := w.runInvocation(daruma.Invocation{ID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", Payload: []byte(`{"x":1}`), Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
		ClientContext: []byte(`{"custom":{"k":"v"}}`), Identity: []byte(`{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`), Tenant: "t"})
	want(t, o, daruma.Done, `{"arn":"arn:aws:lambda:eu-west-1:123456789012:function:f","client":{"k":"v"},"id":"8476a536-e9f4-11e8-9739-2dfe598c3fcd","identity":"i","in":{"x":1},"left":true,"tenant":"t","trace":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=`+w.awaitSpan(0).ID+`;Sampled=0"}`)
	w.awaitState("warm")
	want(t, w.run(`{"do":"error"}`), daruma.FunctionError, `{"errorMessage":"as asked","errorType":"errorString"}`)
	w.awaitState("warm")
	if n := len(w.pool.Environments()); n != 1 || w.maker.Resets.Load() != 0 {
		t.Errorf("got %d environments and %d resets, want 1 and 0", n, w.maker.Resets.Load())
	}
	o = w.run(`{"do":"panic"}`)
	if o.Kind != daruma.FunctionError || o.Failure.Message != "as asked" || o.Failure.Type != "string" {
		t.Errorf("got %v %s, want the panic's text", o.Kind, o.Payload)
	}
	contains(t, string(o.Payload), `"stackTrace":[{"path":`)
	want(t, w.run(`{"do":"error"}`), daruma.FunctionError, `{"errorMessage":"as asked","errorType":"errorString"}`) // the process exited and was started again
}

func TestTheTrailersOfTheOfficialGoClientTellAFailure(t *testing.T) {
	w := newWorld(t, nil, function("sdk-reader"))
	want(t, w.run(`"whole"`), daruma.Done, `raw bytes`)
	want(t, w.run(`"broken"`), daruma.FunctionError, `{"errorMessage":"read failed","errorType":"errorString"}`)
	want(t, w.run(`"whole"`), daruma.Done, `raw bytes`)
}

func TestTheRuntimeAPIRefusesWhatDoesNotFitItsState(t *testing.T) {
	w := newWorld(t, nil, function("early-response"))
	o := w.run("{}")
	var said []string
	if err := json.Unmarshal(o.Payload, &said); err != nil {
		t.Fatalf("%v: %s", err, o.Payload)
	}
	compare(t, said, []string{
		`403 {"errorMessage":"State transition from Started to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`,
		`200 pong`,
		`404 `,
		`400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`,
		`403 {"errorMessage":"State transition from Running to InitError failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`,
	})
	said = nil
	w.awaitState("warm")
	if err := json.Unmarshal(w.run("{}").Payload, &said); err != nil {
		t.Fatal(err)
	}
	compare(t, said, []string{
		`403 {"errorMessage":"State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`,
		`403 {"errorMessage":"State transition from RuntimeResponseSentState to InvocationErrorResponse failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`,
		`400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`,
	})
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%d: got\n  %s\nwant\n  %s", i, g, w)
		}
	}
}

func TestNextWithoutAnAnswerGivesTheSameEventAgain(t *testing.T) {
	w := newWorld(t, nil, function("next-twice"))
	want(t, w.run("{}"), daruma.Done, "true")
}

func TestALostConnectionDoesNotLoseTheEvent(t *testing.T) {
	w := newWorld(t, nil, function("reconnect"))
	want(t, w.run("{}"), daruma.Done, "true")
}
