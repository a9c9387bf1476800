package lambda

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
	bin := wiretest.Python(t)
	w := newWorldOf(t, theirs)
	dir := t.TempDir()
	aws := func(args ...string) (string, error) {
		return wiretest.Command(dir, filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json"}, args...)...)
	}
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"lambda", "invoke", "--function-name", "f:prod", "--payload", `{"a":1}`, "out.json"}, want: `"ExecutedVersion": "$LATEST"`},
		{args: []string{"lambda", "invoke", "--function-name", "f", "--payload", `"fail"`, "out2.json"}, want: `"FunctionError": "Unhandled"`},
		{args: []string{"lambda", "list-functions", "--max-items", "1"}, want: `"FunctionName": "f"`},
		{args: []string{"lambda", "get-function-configuration", "--function-name", "f"}, want: `"State": "Active"`},
		{args: []string{"lambda", "wait", "function-active-v2", "--function-name", "f"}},
		{args: []string{"lambda", "invoke", "--function-name", "nope", "out3.json"}, want: "An error occurred (ResourceNotFoundException) when calling the Invoke operation: Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST", fail: true},
		{args: []string{"lambda", "delete-function", "--function-name", "f"}, want: "An error occurred (UnsupportedOperationException) when calling the DeleteFunction operation: DeleteFunction is not supported here", fail: true},
		{args: []string{"sts", "get-caller-identity"}, want: `"Arn": "arn:aws:iam::000000000000:user/operator"`},
		{args: []string{"s3", "ls"}, want: "(NotImplemented)", fail: true},
	} {
		out, err := aws(c.args...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("aws %s: got %v\n%s\nwant %s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "out.json")); string(b) != `{"a":1}` {
		t.Errorf("got %s, %v in the answer's file", b, err)
	}
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	w := newWorldOf(t, theirs)
	wiretest.JavaScript(t, "@aws-sdk/client-lambda", "testdata/clients/client.mjs", w.url)
}
