package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// acceptor keeps the events it is given, or refuses them with err.
type acceptor struct {
	events []daruma.Invocation // requests of these tests come one after the other
	err    error
}

func (a *acceptor) Accept(_ context.Context, inv daruma.Invocation) error {
	if a.err == nil {
		a.events = append(a.events, inv)
	}
	return a.err
}

// accepting is a world whose door takes asynchronous invocations.
func accepting(t testing.TB) (*world, *acceptor) {
	w, a := newWorld(t), &acceptor{}
	w.serve(Config{View: w.view.Load, Concurrency: reservations{w}, Settings: untouched{}, Acceptor: a})
	return w, a
}

func TestAnEventIsAcceptedAndNotRun(t *testing.T) {
	w, a := accepting(t)
	out, err := w.invoke(&sdk.InvokeInput{FunctionName: aws.String("f:prod"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail, TenantId: aws.String("t")})
	if err != nil || out.StatusCode != 202 || len(out.Payload) != 0 || out.ExecutedVersion != nil || out.LogResult != nil || out.FunctionError != nil {
		t.Fatalf("got %+v, %v, want 202 and nothing else", out, err)
	}
	if w.runner.runs != 0 || len(a.events) != 1 {
		t.Fatalf("got %d runs and %d events, want none and one", w.runner.runs, len(a.events))
	}
	got := a.events[0]
	if got.Target != (daruma.Target{Function: "f", Qualifier: "prod"}) || string(got.Payload) != `{"a":1}` || got.Source != "invoke" || got.Tenant != "t" || got.At.IsZero() || daruma.Chain(got.Trace, "f") != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestAnAcceptedEventsAnswerHasItsRequestIDAndNothingOfARun(t *testing.T) {
	w, a := accepting(t)
	for _, c := range []struct{ path, kind string }{{"/2015-03-31/functions/f/invocations", event}, {"/2014-11-13/functions/f/invoke-async/", ""}, {"/2014-11-13/functions/f/invoke-async?Qualifier=nope", requestResponse}} {
		headers := []string{"X-Amz-Log-Type", "Tail"}
		if c.kind != "" {
			headers = append(headers, "X-Amz-Invocation-Type", c.kind)
		}
		resp, body := w.send("POST", c.path, "", headers...)
		var names []string
		for n := range resp.Header {
			names = append(names, n)
		}
		sort.Strings(names)
		if got, want := fmt.Sprint(names), "[Content-Length Date X-Amzn-Requestid X-Amzn-Trace-Id]"; resp.StatusCode != 202 || body != "" || got != want {
			t.Errorf("%s: got %d %q with %s, want 202, nothing and %s", c.path, resp.StatusCode, body, got, want)
		}
		last := a.events[len(a.events)-1]
		if resp.Header.Get("x-amzn-RequestId") != last.ID || resp.Header.Get("X-Amzn-Trace-Id") != last.Trace || string(last.Payload) != "{}" || last.Target.Qualifier != "" {
			t.Errorf("%s: got %v for %+v", c.path, resp.Header, last)
		}
	}
}

// An asyncInvoker is the official client with an operation that it has still, for
// programs written before it was deprecated.
type asyncInvoker interface {
	InvokeAsync(context.Context, *sdk.InvokeAsyncInput, ...func(*sdk.Options)) (*sdk.InvokeAsyncOutput, error)
}

func (w *world) async() asyncInvoker { return w.client }

func TestInvokeAsyncIsAnEventToo(t *testing.T) {
	w, a := accepting(t)
	out, err := w.async().InvokeAsync(context.Background(), &sdk.InvokeAsyncInput{FunctionName: aws.String("f"), InvokeArgs: strings.NewReader(`{"a":1}`)})
	if err != nil || out.Status != 202 || len(a.events) != 1 || string(a.events[0].Payload) != `{"a":1}` {
		t.Errorf("got %+v, %v and %v", out, err, a.events)
	}
	_, err = w.async().InvokeAsync(context.Background(), &sdk.InvokeAsyncInput{FunctionName: aws.String("nope"), InvokeArgs: strings.NewReader("{}")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST")
	_, err = w.async().InvokeAsync(context.Background(), &sdk.InvokeAsyncInput{FunctionName: aws.String("f"), InvokeArgs: strings.NewReader("{")})
	wantError(t, err, 400, "InvalidRequestContentException", "Could not parse request body into json: unexpected end of JSON input")
}

func TestTheClientContextIsCheckedAndNotPassedWithAnEvent(t *testing.T) {
	w, a := accepting(t)
	if _, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent, ClientContext: aws.String("e30=")}); err != nil || a.events[0].ClientContext != nil {
		t.Errorf("got %v and %+v, want no client context", err, a.events)
	}
	_, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent, ClientContext: aws.String("***")})
	wantError(t, err, 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
}

func TestAnEventAboveOneMebibyteIs413AndTheLimitItselfIsNot(t *testing.T) {
	w, a := accepting(t)
	whole := []byte(`"` + strings.Repeat("a", EventBytesMax-2) + `"`)
	if _, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent, Payload: whole}); err != nil || len(a.events) != 1 {
		t.Errorf("got %v for the limit itself", err)
	}
	const want = "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
	_, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent, Payload: append(whole, ' ')})
	wantError(t, err, 413, "RequestEntityTooLargeException", want)
	_, err = w.async().InvokeAsync(context.Background(), &sdk.InvokeAsyncInput{FunctionName: aws.String("f"), InvokeArgs: strings.NewReader(string(whole) + " ")})
	wantError(t, err, 413, "RequestEntityTooLargeException", want)
	if _, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeDryRun, Payload: append(whole, ' ')}); err != nil {
		t.Errorf("got %v for a dry run", err)
	}
	if len(a.events) != 1 {
		t.Errorf("got %d events, want 1", len(a.events))
	}
}

func TestAnEventThatIsWrongIsNotAccepted(t *testing.T) {
	w, a := accepting(t)
	invoke := func(in sdk.InvokeInput) error {
		in.InvocationType = types.InvocationTypeEvent
		_, err := w.invoke(&in)
		return err
	}
	wantError(t, invoke(sdk.InvokeInput{Payload: []byte("{")}), 400, "InvalidRequestContentException", "Could not parse request body into json: unexpected end of JSON input")
	wantError(t, invoke(sdk.InvokeInput{FunctionName: aws.String("f:9")}), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:9")
	wantError(t, invoke(sdk.InvokeInput{FunctionName: aws.String("f:prod"), Qualifier: aws.String("1")}), 400, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.")
	if _, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeDryRun}); err != nil {
		t.Error(err)
	}
	_, err := w.client.InvokeWithResponseStream(context.Background(), &sdk.InvokeWithResponseStreamInput{FunctionName: aws.String("f"), InvocationType: "Event"})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value 'Event' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [RequestResponse, DryRun]")
	if len(a.events) != 0 {
		t.Errorf("got %d events, want none", len(a.events))
	}
}

func TestAnEventThatCannotBeTakenIsRefusedByKind(t *testing.T) {
	w, a := accepting(t)
	for _, c := range []struct {
		err    error
		status int
		code   string
		text   string
	}{
		{&daruma.Error{Kind: daruma.KindThrottled}, 429, "TooManyRequestsException", "Rate Exceeded."},
		{&daruma.Error{Kind: daruma.KindNoCapacity}, 429, "TooManyRequestsException", "Rate Exceeded."},
		{&daruma.Error{Kind: daruma.KindFull, Err: errors.New("1 MB is left")}, 500, "ServiceException", "The event was not taken in, because the disk is nearly full: 1 MB is left"},
		{&daruma.Error{Kind: daruma.KindUnavailable, Err: errors.New("shutting down")}, 500, "ServiceException", "The event was not taken in: shutting down"},
		{&daruma.Error{Kind: daruma.KindDoubtful, Err: errors.New("the disk failed")}, 500, "ServiceException", "It is not known whether the event was taken in: the disk failed"},
		{&daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("gone")}, 404, "ResourceNotFoundException", "gone"},
		{&daruma.Error{Kind: daruma.KindTooLarge, Err: errors.New("big")}, 413, "RequestTooLargeException", "big"},
		{errors.New("who knows"), 500, "ServiceException", "who knows"},
	} {
		a.err = c.err
		_, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent})
		wantError(t, err, c.status, c.code, c.text)
	}
	a.err = &daruma.Error{Kind: daruma.KindThrottled, Err: &daruma.Failure{Kind: daruma.KindThrottled, Reason: "ConcurrentInvocationLimitExceeded"}}
	for _, want := range []types.ThrottleReason{types.ThrottleReasonConcurrentInvocationLimitExceeded, types.ThrottleReasonFunctionInvocationRateLimitExceeded} {
		_, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeEvent})
		var typed *types.TooManyRequestsException
		if !errors.As(err, &typed) || typed.Reason != want || aws.ToString(typed.RetryAfterSeconds) != "1" {
			t.Errorf("got %+v, want the reason %s and to come back after a second", typed, want)
		}
		a.err = &daruma.Error{Kind: daruma.KindThrottled}
	}
}

// chained is a trace in which f was invoked n times.
func chained(n int) string {
	trace := daruma.NewTrace(modified).String()
	for range n {
		trace, _ = daruma.Chained(trace, "f")
	}
	return trace
}

func TestTheSeventeenthInvocationInAChainIsStoppedUnlessAllowed(t *testing.T) {
	w, a := accepting(t)
	const invocations, streaming = "/2015-03-31/functions/f/invocations", "/2021-11-15/functions/f/response-streaming-invocations"
	for _, path := range []string{invocations, streaming} {
		if resp, body := w.send("POST", path, "", "X-Amzn-Trace-Id", chained(15)); resp.StatusCode != 200 || daruma.Chain(w.runner.last.Trace, "f") != 16 {
			t.Errorf("%s: got %d %s for the sixteenth invocation", path, resp.StatusCode, body)
		}
		runs := w.runner.runs
		resp, body := w.send("POST", path, "", "X-Amzn-Trace-Id", chained(16))
		want := `{"Type":"User","Message":"Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped your function's invocation."}`
		if resp.StatusCode != 400 || resp.Header.Get("x-amzn-ErrorType") != "RecursiveInvocationException" || body != want || w.runner.runs != runs {
			t.Errorf("%s: got %d %s %s for the seventeenth", path, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), body)
		}
	}
	if resp, _ := w.send("POST", strings.Replace(invocations, "/f/", "/g/", 1), "", "X-Amzn-Trace-Id", chained(16)); resp.StatusCode != 200 {
		t.Errorf("got %d for another function", resp.StatusCode)
	}
	if resp, _ := w.send("POST", invocations, "", "X-Amzn-Trace-Id", chained(16), "X-Amz-Invocation-Type", dryRun); resp.StatusCode != 204 {
		t.Errorf("got %d for a dry run", resp.StatusCode)
	}
	// An event is accepted: it is the acceptor that lets it fail.
	if resp, _ := w.send("POST", invocations, "", "X-Amzn-Trace-Id", chained(16), "X-Amz-Invocation-Type", event); resp.StatusCode != 202 || daruma.Chain(a.events[0].Trace, "f") != 17 {
		t.Errorf("got %d and %v for an event", resp.StatusCode, a.events)
	}
	for _, f := range w.fs {
		if f.Name == "f" && f.Version == catalog.Latest {
			f.Recursion = catalog.RecursionAllow
		}
	}
	if resp, _ := w.send("POST", invocations+"?Qualifier=1", "", "X-Amzn-Trace-Id", chained(40)); resp.StatusCode != 200 {
		t.Errorf("got %d where loops are allowed", resp.StatusCode)
	}
}

func TestALoopThroughTheTraceOfItsEnvironmentEnds(t *testing.T) {
	w := newWorld(t)
	w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		w.runner.mu.Lock()
		runs := w.runner.runs
		w.runner.mu.Unlock()
		if runs > 100 {
			return daruma.Outcome{Kind: daruma.Done, Payload: []byte(`"endless"`), Version: "1"}
		}
		// As every SDK does: the trace of the environment goes along.
		resp, body := w.send("POST", "/2015-03-31/functions/f/invocations", "", "X-Amzn-Trace-Id", inv.Trace)
		if resp.StatusCode != http.StatusOK {
			return daruma.Outcome{Kind: daruma.Done, Payload: fmt.Appendf(nil, `"stopped after %d: %s"`, runs, resp.Header.Get("x-amzn-ErrorType")), Version: "1"}
		}
		return daruma.Outcome{Kind: daruma.Done, Payload: []byte(body), Version: "1"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := w.client.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("f")})
	if err != nil || string(out.Payload) != `"stopped after 16: RecursiveInvocationException"` {
		t.Errorf("got %s, %v", out.Payload, err)
	}
}
