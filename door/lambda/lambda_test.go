package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// place is where the tests' functions belong.
var place = catalog.Place{Region: "us-east-1", Account: "000000000000"}

var modified = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// keys is the tests' one credential.
type keys struct{}

func (keys) Credential(accessKey string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDA", Account: "000000000000"}}, accessKey == "AKID"
}

// runner answers every invocation with do, and keeps the last.
type runner struct {
	mu   sync.Mutex
	last daruma.Invocation
	runs int
	do   func(ctx context.Context, inv daruma.Invocation) daruma.Outcome
}

func (r *runner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	r.mu.Lock()
	r.last = inv
	r.runs++
	do := r.do
	r.mu.Unlock()
	return do(ctx, inv)
}

// echo answers with the event itself.
func echo(_ context.Context, inv daruma.Invocation) daruma.Outcome {
	return daruma.Outcome{Kind: daruma.Done, Payload: inv.Payload, Version: catalog.Latest, LogTail: []byte("START\nEND\n")}
}

// answers is a runner that always says the same.
func answers(out daruma.Outcome) func(context.Context, daruma.Invocation) daruma.Outcome {
	return func(context.Context, daruma.Invocation) daruma.Outcome { return out }
}

// reservations is the tests' Concurrency: it changes the world's catalog.
type reservations struct{ w *world }

func (s reservations) SetReserved(_ context.Context, function string, n *int) error {
	if function == "locked" {
		return &daruma.Error{Kind: daruma.KindConflict, Ref: function, Err: errors.New("The operation cannot be performed at this time. An update is in progress for resource: " + function)}
	}
	s.w.reserve(function, n)
	return nil
}

// A world is a door behind a front on a real listener, with an SDK client.
type world struct {
	t        testing.TB
	runner   *runner
	view     atomic.Pointer[catalog.View]
	fs       []*catalog.Function
	url      string
	client   *sdk.Client
	attempts atomic.Int64 // requests that reached the server
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, echo)
}

// newWorldOf is newWorld with functions that do what do does. It is set before
// anything is served: a client in another process asks without this one's
// memory being in step.
func newWorldOf(t testing.TB, do func(context.Context, daruma.Invocation) daruma.Outcome) *world {
	t.Helper()
	w := &world{t: t, runner: &runner{do: do}}
	w.fs = functions()
	w.reserve("", nil)
	w.serve(Config{View: w.view.Load, Concurrency: reservations{w}, Settings: untouched{}})
	return w
}

// untouched are settings that no test of this world changes.
type untouched struct{ Settings }

// serve makes a door of cfg with the world's runner, and a client for it.
func (w *world) serve(cfg Config) {
	t := w.t
	t.Helper()
	cfg.Runner = w.runner
	door, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("lambda", door.Service())
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.attempts.Add(1)
		front.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.client = sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: &w.url, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		}),
	})
}

// reserve replaces the view by one where function has n reserved.
func (w *world) reserve(function string, n *int) {
	for i, f := range w.fs {
		if f.Name == function && f.Version == catalog.Latest {
			changed := *f
			changed.Reserved = n
			w.fs[i] = &changed
		}
	}
	w.view.Store(catalog.NewView(place, w.fs, []*catalog.Alias{
		{Function: "f", Name: "prod", Version: "1", Description: "what users see", Revision: "r-prod"},
		{Function: "f", Name: "canary", Version: "1", Second: "2", Weight: 0.25, Revision: "r-canary"},
	}, nil, []*catalog.Layer{
		{Name: "base", Version: 1, ARN: "arn:aws:lambda:us-east-1:000000000000:layer:base:1", Code: catalog.Code{SHA256: "c2hhMQ==", Bytes: 10}, Created: modified},
		{Name: "base", Version: 2, ARN: "arn:aws:lambda:us-east-1:000000000000:layer:base:2", Code: catalog.Code{SHA256: "c2hhMg==", Bytes: 20}, Runtimes: []string{"nodejs22.x"}, Created: modified},
		{Name: "other", Version: 1, ARN: "arn:aws:lambda:us-east-1:000000000000:layer:other:1", Code: catalog.Code{SHA256: "c2hhMw==", Bytes: 30}, Created: modified},
	}))
}

func functions() []*catalog.Function {
	f := func(name, version string) *catalog.Function {
		return &catalog.Function{
			Name: name, Version: version, Runtime: "nodejs22.x", Handler: "index.handler", Architecture: "x86_64",
			Timeout: 3 * time.Second, MemoryMB: 128, StorageMB: 512, Modified: modified, Revision: "rev-" + name + version,
			Code: catalog.Code{Dir: "/code", SHA256: "c2hh", Bytes: 1234},
		}
	}
	full := f("f", catalog.Latest)
	full.Description, full.Role, full.Env = "the <main> one", "arn:aws:iam::000000000000:role/r", map[string]string{"A": "1 & 2"}
	full.Layers = []catalog.Layer{{Name: "base", Version: 1, ARN: "arn:aws:lambda:us-east-1:000000000000:layer:base:1", Code: catalog.Code{Bytes: 10}}}
	full.Tags, full.Tracing, full.LogFormat, full.LogLevel = map[string]string{"team": "a"}, "Active", "JSON", "WARN"
	full.VPC = &catalog.VPC{Subnets: []string{"subnet-1", "subnet-2"}, SecurityGroups: []string{"sg-1"}, IPv6: true}
	full.URL = &catalog.URL{ID: "abc123", Auth: catalog.AuthNone, Stream: true, CORS: &catalog.CORS{Origins: []string{"*"}, MaxAge: 60, Methods: []string{"GET"}}}
	return []*catalog.Function{full, f("f", "1"), f("f", "2"), f("g", catalog.Latest), f("locked", catalog.Latest)}
}

// wantError checks an SDK error's code, status and text, and its request ID.
func wantError(t *testing.T, err error, status int, code, text string) {
	t.Helper()
	var api smithy.APIError
	var response interface {
		HTTPStatusCode() int
		ServiceRequestID() string
	}
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status || api.ErrorMessage() != text {
		t.Errorf("got %d %s %q,\nwant %d %s %q", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code, text)
	}
	if response.ServiceRequestID() == "" {
		t.Error("got no request ID")
	}
}

// send sends one signed request and returns the answer as it was on the wire.
func (w *world) send(method, path, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, sha(body), "lambda", "us-east-1", time.Now()); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(b)
}

func (w *world) invoke(in *sdk.InvokeInput) (*sdk.InvokeOutput, error) {
	if in.FunctionName == nil {
		in.FunctionName = aws.String("f")
	}
	return w.client.Invoke(context.Background(), in)
}

func TestInvokeAnswersWithThePayloadTheVersionAndTheLogTail(t *testing.T) {
	w := newWorld(t)
	out, err := w.invoke(&sdk.InvokeInput{Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail})
	if err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != 200 || string(out.Payload) != `{"a":1}` || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil {
		t.Errorf("got %d %s version %v error %v", out.StatusCode, out.Payload, out.ExecutedVersion, out.FunctionError)
	}
	if log, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult)); string(log) != "START\nEND\n" {
		t.Errorf("got log %q", log)
	}
	if inv := w.runner.last; inv.Source != "invoke" || inv.Target != (daruma.Target{Function: "f"}) || len(inv.ID) != 36 {
		t.Errorf("got invocation %+v", inv)
	}
}

func TestTheRequestIDOfTheAnswerIsThatOfTheInvocation(t *testing.T) {
	w := newWorld(t)
	resp, _ := w.send("POST", "/2015-03-31/functions/f/invocations", "")
	if got := resp.Header.Get("x-amzn-RequestId"); got != w.runner.last.ID || got == "" {
		t.Errorf("got %q, want %q", got, w.runner.last.ID)
	}
}

func TestTheLogTailIsLeftOutUnlessAskedForAndIsItsLastFourKilobytes(t *testing.T) {
	w := newWorld(t)
	tail := bytes.Repeat([]byte("x"), 5000)
	tail = append(tail, "end"...)
	w.runner.do = answers(daruma.Outcome{Kind: daruma.Done, Payload: []byte("1"), Version: "1", LogTail: tail})
	out, err := w.invoke(&sdk.InvokeInput{})
	if err != nil || out.LogResult != nil {
		t.Errorf("got %v, %v, want no log", out, err)
	}
	out, err = w.invoke(&sdk.InvokeInput{LogType: types.LogTypeTail})
	if err != nil {
		t.Fatal(err)
	}
	if log, _ := base64.StdEncoding.DecodeString(*out.LogResult); len(log) != 4096 || !bytes.HasSuffix(log, []byte("end")) {
		t.Errorf("got %d bytes of log", len(log))
	}
}

func TestAFunctionIsFoundByEveryFormOfItsName(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, qualifier, want string }{
		{"f", "", "f"},
		{"f:prod", "", "f:prod"},
		{"f", "prod", "f:prod"},
		{"f:prod", "prod", "f:prod"},
		{"f", "2", "f:2"},
		{"f", "$LATEST", "f:$LATEST"},
		{"f:$LATEST", "", "f:$LATEST"},
		{"function:f", "", "f"},
		{"000000000000:f", "", "f"},
		{"000000000000:function:f:1", "", "f:1"},
		{"us-east-1:000000000000:function:f", "", "f"},
		{"arn:aws:lambda:us-east-1:000000000000:function:f", "", "f"},
		{"arn:aws:lambda:us-east-1:000000000000:function:f:canary", "", "f:canary"},
		{"arn:aws:lambda:us-east-1:000000000000:function:f", "1", "f:1"},
	} {
		in := &sdk.InvokeInput{FunctionName: &c.name}
		if c.qualifier != "" {
			in.Qualifier = &c.qualifier
		}
		if _, err := w.invoke(in); err != nil {
			t.Errorf("%s %s: got %v", c.name, c.qualifier, err)
			continue
		}
		if got := w.runner.last.Target.String(); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.name, c.qualifier, got, c.want)
		}
	}
}

func TestAnUnknownFunctionIsNamedByItsARNAsItWasAskedFor(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]string{
		"nope":         "nope:$LATEST",
		"nope:1":       "nope:1",
		"f:9":          "f:9",
		"f:staging":    "f:staging",
		"nope:$LATEST": "nope:$LATEST",
	} {
		_, err := w.invoke(&sdk.InvokeInput{FunctionName: &name})
		wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:"+want)
		var typed *types.ResourceNotFoundException
		if !errors.As(err, &typed) || aws.ToString(typed.Type) != "User" {
			t.Errorf("got %T, want a ResourceNotFoundException of Type User", err)
		}
	}
	if w.runner.runs != 0 {
		t.Errorf("got %d runs, want none", w.runner.runs)
	}
}

func TestTwoQualifiersThatDifferAreRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.invoke(&sdk.InvokeInput{FunctionName: aws.String("f:prod"), Qualifier: aws.String("1")})
	wantError(t, err, 400, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.")
}

func TestANameThatFitsNoPatternIsAValidationError(t *testing.T) {
	w := newWorld(t)
	_, err := w.invoke(&sdk.InvokeInput{FunctionName: aws.String("not/a name")})
	wantError(t, err, 400, "ValidationException", `1 validation error detected: Value 'not/a name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: `+namespacedName.text)
	long := strings.Repeat("n", 257)
	_, err = w.invoke(&sdk.InvokeInput{FunctionName: &long, Qualifier: aws.String("a b")})
	wantError(t, err, 400, "ValidationException", `2 validation errors detected: Value '`+long+`' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 256; Value 'a b' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: `+qualifierShape.text)
}

func TestAnotherRegionAndAnotherAccountAreOutOfReach(t *testing.T) {
	w := newWorld(t)
	_, err := w.invoke(&sdk.InvokeInput{FunctionName: aws.String("arn:aws:lambda:eu-west-1:000000000000:function:f")})
	wantError(t, err, 404, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')")
	_, err = w.invoke(&sdk.InvokeInput{FunctionName: aws.String("111111111111:function:f")})
	wantError(t, err, 403, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/operator is not authorized to perform: lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:111111111111:function:f because no resource-based policy allows the lambda:InvokeFunction action")
}

func TestAnEmptyBodyIsAnEmptyObject(t *testing.T) {
	w := newWorld(t)
	out, err := w.invoke(&sdk.InvokeInput{})
	if err != nil || string(out.Payload) != "{}" {
		t.Errorf("got %s, %v, want {}", out.Payload, err)
	}
}

func TestABodyThatIsNoJSONIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []types.InvocationType{"", types.InvocationTypeEvent, types.InvocationTypeDryRun} {
		for body, want := range map[string]string{
			"hello":    "Could not parse request body into json: invalid character 'h' looking for beginning of value",
			`{"a":1}x`: "Could not parse request body into json: invalid character 'x' after top-level value",
			"\"\xff\"": "Could not parse request body into json: Invalid UTF-8",
		} {
			_, err := w.invoke(&sdk.InvokeInput{Payload: []byte(body), InvocationType: kind})
			wantError(t, err, 400, "InvalidRequestContentException", want)
		}
	}
	if w.runner.runs != 0 {
		t.Errorf("got %d runs, want none", w.runner.runs)
	}
}

func TestDryRunChecksEverythingAndRunsNothing(t *testing.T) {
	w := newWorld(t)
	out, err := w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeDryRun})
	if err != nil || out.StatusCode != 204 || len(out.Payload) != 0 || out.ExecutedVersion != nil || out.LogResult != nil {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = w.invoke(&sdk.InvokeInput{InvocationType: types.InvocationTypeDryRun, FunctionName: aws.String("nope")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST")
	if w.runner.runs != 0 {
		t.Errorf("got %d runs, want none", w.runner.runs)
	}
}

func TestEventIsRefusedOnceAndNotTriedAgain(t *testing.T) {
	w := newWorld(t)
	client := sdk.New(w.client.Options(), func(o *sdk.Options) { o.RetryMaxAttempts = 5 })
	_, err := client.Invoke(context.Background(), &sdk.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent})
	wantError(t, err, 400, "UnsupportedOperationException", "InvocationType Event is not supported here: asynchronous delivery does not exist yet, and nothing was queued. Use RequestResponse.")
	if n := w.attempts.Load(); n != 1 {
		t.Errorf("got %d attempts, want 1", n)
	}
	_, err = w.client.InvokeAsync(context.Background(), &sdk.InvokeAsyncInput{FunctionName: aws.String("f"), InvokeArgs: strings.NewReader("{}")}) //nolint:staticcheck // deprecated, and still called
	wantError(t, err, 400, "UnsupportedOperationException", "InvokeAsync is not supported here: asynchronous delivery does not exist yet, and nothing was queued. Use Invoke with InvocationType RequestResponse.")
}

func TestUnknownTypesAreValidationErrors(t *testing.T) {
	w := newWorld(t)
	_, err := w.invoke(&sdk.InvokeInput{InvocationType: "Later", LogType: "Head"})
	wantError(t, err, 400, "ValidationException", "2 validation errors detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]; Value 'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]")
}

func TestClientContextArrivesDecoded(t *testing.T) {
	w := newWorld(t)
	encode := func(s string) *string { return aws.String(base64.StdEncoding.EncodeToString([]byte(s))) }
	if _, err := w.invoke(&sdk.InvokeInput{ClientContext: encode(`{"custom":{"a":"b"}}`)}); err != nil {
		t.Fatal(err)
	}
	if got := string(w.runner.last.ClientContext); got != `{"custom":{"a":"b"}}` {
		t.Errorf("got %s", got)
	}
	for _, bad := range []*string{aws.String("***"), encode("no json"), encode("[1]"), encode("null")} {
		_, err := w.invoke(&sdk.InvokeInput{ClientContext: bad})
		wantError(t, err, 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
	}
	_, err := w.invoke(&sdk.InvokeInput{ClientContext: encode(`{"a":"` + strings.Repeat("x", 2700) + `"}`)})
	wantError(t, err, 400, "InvalidRequestContentException", "Client context must be no more than 3583 bytes of base64-encoded data.")
}

func TestATenantIDIsHandedOnWhenItIsValid(t *testing.T) {
	w := newWorld(t)
	if _, err := w.invoke(&sdk.InvokeInput{TenantId: aws.String("tenant 1/blue")}); err != nil || w.runner.last.Tenant != "tenant 1/blue" {
		t.Errorf("got %q, %v", w.runner.last.Tenant, err)
	}
	_, err := w.invoke(&sdk.InvokeInput{TenantId: aws.String("a;b")})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value 'a;b' at 'tenantId' failed to satisfy constraint: Member must satisfy regular expression pattern: "+tenantShape.text)
}

func TestADurableExecutionNameIsRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.invoke(&sdk.InvokeInput{DurableExecutionName: aws.String("once")})
	wantError(t, err, 400, "UnsupportedOperationException", "Durable executions are not supported here.")
}

func TestAFailedRunIsStatus200WithFunctionErrorUnhandled(t *testing.T) {
	w := newWorld(t)
	posted := `{"errorMessage":"boom","errorType":"Error","trace":[]}`
	for name, c := range map[string]struct {
		out  daruma.Outcome
		want string
	}{
		"an error the runtime posted": {daruma.Outcome{Kind: daruma.FunctionError, Payload: []byte(posted), Version: "2", Failure: &daruma.Failure{Type: "Error", Message: "boom"}}, posted},
		"a timeout":                   {daruma.Outcome{Kind: daruma.TimedOut, Version: "2", Failure: &daruma.Failure{Type: "Sandbox.Timedout", Message: "RequestId: x Error: Task timed out after 3.00 seconds"}}, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: x Error: Task timed out after 3.00 seconds"}`},
		"a crash":                     {daruma.Outcome{Kind: daruma.Crashed, Version: "2", Failure: &daruma.Failure{Type: "Runtime.ExitError", Message: "RequestId: x Error: Runtime exited without providing a reason"}}, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: x Error: Runtime exited without providing a reason"}`},
	} {
		w.runner.do = answers(c.out)
		out, err := w.invoke(&sdk.InvokeInput{})
		if err != nil || out.StatusCode != 200 || aws.ToString(out.FunctionError) != "Unhandled" || string(out.Payload) != c.want || aws.ToString(out.ExecutedVersion) != "2" {
			t.Errorf("%s: got %+v %s, %v", name, out, out.Payload, err)
		}
	}
}

func TestWhatDidNotRunIsAnErrorOfTheAPI(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		out    daruma.Outcome
		status int
		code   string
		text   string
	}{
		{daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Kind: daruma.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "no"}}, 429, "TooManyRequestsException", "Rate Exceeded."},
		{daruma.Outcome{Kind: daruma.NoCapacity}, 429, "TooManyRequestsException", "Rate Exceeded."},
		{daruma.Outcome{Kind: daruma.Held, Failure: &daruma.Failure{Message: "held: the table is down"}}, 500, "ServiceException", "held: the table is down"},
		{daruma.Outcome{Kind: daruma.Unknown, Failure: &daruma.Failure{Message: "the node stopped"}}, 500, "ServiceException", "It is not known whether the function ran to its end: the node stopped"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindInvalid, Message: "bad"}}, 400, "InvalidParameterValueException", "bad"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindNotFound, Message: "gone"}}, 404, "ResourceNotFoundException", "gone"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindConflict, Message: "busy"}}, 409, "ResourceConflictException", "busy"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindTooLarge, Message: "big"}}, 413, "RequestTooLargeException", "big"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindDenied, Message: "no"}}, 403, "AccessDeniedException", "no"},
		{daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindUnsupported, Message: "not here"}}, 400, "UnsupportedOperationException", "not here"},
		{daruma.Outcome{}, 500, "ServiceException", "The function did not run: none."},
	} {
		w.runner.do = answers(c.out)
		_, err := w.invoke(&sdk.InvokeInput{})
		wantError(t, err, c.status, c.code, c.text)
	}
}

func TestAThrottleSaysWhyAndWhenToComeBack(t *testing.T) {
	w := newWorld(t)
	w.runner.do = answers(daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", After: 2500 * time.Millisecond}})
	_, err := w.invoke(&sdk.InvokeInput{})
	var typed *types.TooManyRequestsException
	if !errors.As(err, &typed) || typed.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded || aws.ToString(typed.RetryAfterSeconds) != "3" || aws.ToString(typed.Type) != "User" {
		t.Errorf("got %+v", typed)
	}
}

func TestAPayloadAboveSixMebibytesIs413AndTheLimitItselfIsNot(t *testing.T) {
	w := newWorld(t)
	w.runner.do = answers(daruma.Outcome{Kind: daruma.Done, Payload: []byte("1"), Version: catalog.Latest})
	whole := []byte(`"` + strings.Repeat("a", daruma.PayloadBytesMax-2) + `"`)
	if _, err := w.invoke(&sdk.InvokeInput{Payload: whole}); err != nil {
		t.Errorf("got %v for the limit itself", err)
	}
	_, err := w.invoke(&sdk.InvokeInput{Payload: append(whole, ' ')})
	wantError(t, err, 413, "RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
}

func TestTheTraceOfTheCallerGoesInAndComesOut(t *testing.T) {
	w := newWorld(t)
	root := "1-5759e988-bd862e3fe1be46a994272793"
	own, _ := daruma.Chained("", "f")
	var told daruma.Span
	w.serve(Config{View: w.view.Load, Concurrency: reservations{w}, Settings: untouched{}, Spanned: func(s daruma.Span) { told = s }})
	for sent, want := range map[string]string{
		"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1":                                        "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;" + own,
		"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:0":                     "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:0|" + strings.TrimPrefix(own, "Lineage="),
		"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;" + strings.Replace(own, ":0", ":7", 1): "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;" + strings.Replace(own, ":0", ":8", 1),
		"Sampled=?; Parent=53995c3f42cd8ad8; Root=" + root:                                           "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=?;" + own, // f samples by itself
	} {
		resp, _ := w.send("POST", "/2015-03-31/functions/f/invocations", "", "X-Amzn-Trace-Id", sent)
		want = strings.Replace(want, "53995c3f42cd8ad8", told.ID, 1)
		if got := resp.Header.Get("X-Amzn-Trace-Id"); got != want || w.runner.last.Trace != want {
			t.Errorf("%s: got %q and %q, want %q", sent, got, w.runner.last.Trace, want)
		}
		if told.Parent != "53995c3f42cd8ad8" || told.Trace != root || told.Name != "Invoke f" || told.Request != w.runner.last.ID || told.Status != 200 || told.Outcome != daruma.Done {
			t.Errorf("%s: told %+v", sent, told)
		}
	}
	own, _ = daruma.Chained("", "g")
	for _, sent := range []string{"", "rubbish", "Root=1-zz"} {
		resp, _ := w.send("POST", "/2015-03-31/functions/g/invocations", "", "X-Amzn-Trace-Id", sent)
		got := resp.Header.Get("X-Amzn-Trace-Id")
		parts := strings.Split(got, ";")
		if len(parts) != 4 || parts[3] != own || daruma.TraceRoot(parts[0]) == "" || len(parts[1]) != len("Parent=")+16 || parts[2] != "Sampled=0" {
			t.Errorf("%q: got %q, want a new trace", sent, got)
		}
	}
}

func TestATraceparentIsTakenOverByInvoke(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{requestResponse, dryRun} {
		resp, _ := w.send("POST", "/2015-03-31/functions/f/invocations", "", "X-Amz-Invocation-Type", kind, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		header := resp.Header.Get("X-Amzn-Trace-Id")
		got, _ := daruma.ParseTrace(header)
		if got.Root != "1-4bf92f35-77b34da6a3ce929d0e0e4736" || got.Sampled != "1" || got.Parent == "00f067aa0ba902b7" || resp.Header.Get("Traceparent") != got.TraceParent() {
			t.Errorf("%s: got %s and %s", kind, header, resp.Header.Get("Traceparent"))
		}
	}
}

// TestErrorsAreTheBytesAWSSends compares whole answers: which key an error's
// text has, the order of members, and the header that names it.
func TestErrorsAreTheBytesAWSSends(t *testing.T) {
	w := newWorld(t)
	type recorded struct {
		method, path, body string
		out                *daruma.Outcome
		status             int
		kind, want         string
	}
	invocations := "/2015-03-31/functions/f/invocations"
	for _, c := range []recorded{
		{"POST", "/2015-03-31/functions/nope/invocations", "", nil, 404, "ResourceNotFoundException", `{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST"}`},
		{"POST", invocations, "{", nil, 400, "InvalidRequestContentException", `{"Type":"User","message":"Could not parse request body into json: unexpected end of JSON input"}`},
		{"POST", "/2015-03-31/functions/f%3A1/invocations?Qualifier=2", "", nil, 400, "InvalidParameterValueException", `{"Type":"User","message":"The derived qualifier from the function name does not match the specified qualifier."}`},
		{"POST", invocations, "", &daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Reason: "ConcurrentInvocationLimitExceeded"}}, 429, "TooManyRequestsException", `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`},
		{"POST", invocations, "", &daruma.Outcome{Kind: daruma.Held, Failure: &daruma.Failure{Message: "down"}}, 500, "ServiceException", `{"Type":"Service","Message":"down"}`},
		{"POST", invocations, "", &daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindConflict, Message: "busy"}}, 409, "ResourceConflictException", `{"Type":"User","message":"busy"}`},
		{"POST", invocations, strings.Repeat(" ", daruma.PayloadBytesMax+1), nil, 413, "RequestTooLargeException", `{"Type":"User","message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`},
		{"POST", "/2015-03-31/functions", "{}", nil, 400, "UnsupportedOperationException", `{"Type":"User","message":"CreateFunction is not supported here: functions and what belongs to them come from the template. Change the template instead."}`},
		{"GET", "/2015-03-31/functions/f/policy", "", nil, 404, "ResourceNotFoundException", `{"Type":"User","Message":"The resource you requested does not exist."}`},
		{"GET", "/1999-01-01/teapots", "", nil, 404, "UnknownOperationException", `{"message":"No operation of this service has the method and path GET /1999-01-01/teapots"}`},
	} {
		w.runner.do = echo
		if c.out != nil {
			w.runner.do = answers(*c.out)
		}
		resp, body := w.send(c.method, c.path, c.body)
		if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.kind || body != c.want || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s:\ngot  %d %s %s\nwant %d %s %s", c.method, c.path, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), body, c.status, c.kind, c.want)
		}
	}
}

func TestACallerThatLeavesCancelsTheWaitingForItsAnswer(t *testing.T) {
	w := newWorld(t)
	started, cancelled := make(chan struct{}), make(chan struct{})
	w.runner.do = func(ctx context.Context, _ daruma.Invocation) daruma.Outcome {
		close(started)
		<-ctx.Done()
		close(cancelled)
		return daruma.Outcome{Kind: daruma.Unknown}
	}
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		<-started
		leave()
	}()
	if _, err := w.client.Invoke(ctx, &sdk.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("1")}); err == nil {
		t.Error("got an answer for a caller that left")
	}
	<-cancelled
}

func TestASuccessfulAnswerHasTheHeadersAWSSendsAndNoOthers(t *testing.T) {
	w := newWorld(t)
	resp, _ := w.send("POST", "/2015-03-31/functions/f/invocations", "{}")
	var names []string
	for n := range resp.Header {
		names = append(names, n)
	}
	sort.Strings(names)
	if got, want := fmt.Sprint(names), "[Content-Length Content-Type Date X-Amz-Executed-Version X-Amzn-Requestid X-Amzn-Trace-Id]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func sha(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}
