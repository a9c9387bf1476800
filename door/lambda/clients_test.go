package lambda

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire/wiretest"
)

// theirs is what the other languages' clients are answered: it depends on the
// event, since the clients cannot reach into the test.
func theirs(_ context.Context, inv daruma.Invocation) daruma.Outcome {
	switch string(inv.Payload) {
	case `"fail"`:
		return daruma.Outcome{Kind: daruma.FunctionError, Version: catalog.Latest, Payload: []byte(`{"errorType":"E","errorMessage":"m"}`)}
	case `"throttle"`:
		return daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", After: time.Millisecond}}
	case `"stream"`:
		inv.Stream.Begin("$LATEST", "text/plain")
		inv.Stream.Write([]byte("one"))
		inv.Stream.Write([]byte("two"))
		return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest, LogTail: []byte("log")}
	}
	return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest, Payload: inv.Payload, LogTail: []byte("START\nEND\n")}
}

func TestBoto3GetsWhatItExpects(t *testing.T) {
	w := newWorldOf(t, theirs)
	wiretest.PythonScript(t, nil, "testdata/clients/client.py", w.url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	w := newWorldOf(t, theirs)
	dir := wiretest.CLI(t, w.url, "", []wiretest.Step{
		{Args: []string{"lambda", "invoke", "--function-name", "f:prod", "--payload", `{"a":1}`, "out.json"}, Want: `"ExecutedVersion": "$LATEST"`},
		{Args: []string{"lambda", "invoke", "--function-name", "f", "--payload", `"fail"`, "out2.json"}, Want: `"FunctionError": "Unhandled"`},
		{Args: []string{"lambda", "list-functions", "--max-items", "1"}, Want: `"FunctionName": "f"`},
		{Args: []string{"lambda", "get-function-configuration", "--function-name", "f"}, Want: `"State": "Active"`},
		{Args: []string{"lambda", "wait", "function-active-v2", "--function-name", "f"}},
		{Args: []string{"lambda", "invoke", "--function-name", "nope", "out3.json"}, Want: "An error occurred (ResourceNotFoundException) when calling the Invoke operation: Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST", Fail: true},
		{Args: []string{"lambda", "delete-function", "--function-name", "f"}, Want: "An error occurred (UnsupportedOperationException) when calling the DeleteFunction operation: DeleteFunction is not supported here", Fail: true},
		{Args: []string{"sts", "get-caller-identity"}, Want: `"Arn": "arn:aws:iam::000000000000:user/operator"`},
		{Args: []string{"s3", "ls"}, Want: "(NotImplemented)", Fail: true},
	})
	if b, err := os.ReadFile(filepath.Join(dir, "out.json")); string(b) != `{"a":1}` {
		t.Errorf("got %s, %v in the answer's file", b, err)
	}
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	w := newWorldOf(t, theirs)
	wiretest.NodeScript(t, []string{"@aws-sdk/client-lambda"}, "testdata/clients/client.mjs", w.url)
}
