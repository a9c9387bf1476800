package lambda

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
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

// clientsVar opts in to tests with the clients of other languages. They take
// minutes, and need a package registry unless its value is a directory where
// they were installed before (a virtual environment "venv" and "node_modules").
const clientsVar = "DARUMA_CLIENTS"

// clientsDir returns where the clients are or are to be installed.
func clientsDir(t *testing.T) string {
	t.Helper()
	v := os.Getenv(clientsVar)
	if v == "" {
		t.Skip("the clients of other languages are tried only when " + clientsVar + " is 1, or a directory to keep them in")
	}
	if v == "1" {
		return t.TempDir()
	}
	if err := os.MkdirAll(v, 0o755); err != nil {
		t.Fatal(err)
	}
	return v
}

// command runs a program with nothing of this process' AWS configuration.
func command(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=")
	out, err := c.CombinedOutput()
	return string(out), err
}

// python returns a virtual environment's bin directory that has boto3 and the CLI.
func python(t *testing.T) string {
	t.Helper()
	dir := clientsDir(t)
	bin := filepath.Join(dir, "venv", "bin")
	if _, err := os.Stat(filepath.Join(bin, "aws")); err == nil {
		return bin
	}
	if out, err := command(dir, "python3", "-m", "venv", "venv"); err != nil {
		t.Skipf("no virtual environment of Python can be made here: %v\n%s", err, out)
	}
	if out, err := command(dir, filepath.Join(bin, "pip"), "install", "-q", "boto3", "awscli"); err != nil {
		t.Skipf("boto3 and awscli cannot be installed here: %v\n%s", err, out)
	}
	return bin
}

func TestBoto3GetsWhatItExpects(t *testing.T) {
	bin := python(t)
	w := newWorldOf(t, theirs)
	script, err := filepath.Abs("testdata/clients/client.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := command(t.TempDir(), filepath.Join(bin, "python"), script, w.url)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	bin := python(t)
	w := newWorldOf(t, theirs)
	dir := t.TempDir()
	aws := func(args ...string) (string, error) {
		return command(dir, filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json"}, args...)...)
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
	dir := clientsDir(t)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@aws-sdk", "client-lambda")); err != nil {
		if out, err := command(dir, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "@aws-sdk/client-lambda"); err != nil {
			t.Skipf("@aws-sdk/client-lambda cannot be installed here: %v\n%s", err, out)
		}
	}
	script, err := os.ReadFile("testdata/clients/client.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, theirs)
	out, err := command(dir, "node", "client.mjs", w.url)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}
