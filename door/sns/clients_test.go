package sns_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clientsVar names a directory in which the clients of other languages are
// kept, or 1 for one that goes with the test. They need a package registry
// unless they are there already.
const clientsVar = "DARUMA_CLIENTS"

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

// python returns the bin directory of a virtual environment that has boto3 and the CLI.
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

func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/clients/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBoto3GetsWhatItExpects(t *testing.T) {
	bin := python(t)
	w := newWorld(t)
	out, err := command(t.TempDir(), filepath.Join(bin, "python"), script(t, "client.py"), w.url)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	dir := clientsDir(t)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@aws-sdk", "client-sns")); err != nil {
		if out, err := command(dir, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "@aws-sdk/client-sns"); err != nil {
			t.Skipf("@aws-sdk/client-sns cannot be installed here: %v\n%s", err, out)
		}
	}
	text, err := os.ReadFile(script(t, "client.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client-sns.mjs"), text, 0o600); err != nil { // it finds node_modules beside it
		t.Fatal(err)
	}
	w := newWorld(t)
	out, err := command(dir, "node", "client-sns.mjs", w.url)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	bin := python(t)
	w := newWorld(t)
	const arn = "arn:aws:sns:us-east-1:000000000000:cli"
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"create-topic", "--name", "cli"}, want: `"TopicArn": "` + arn + `"`},
		{args: []string{"subscribe", "--topic-arn", arn, "--protocol", "https", "--notification-endpoint", "https://example.com/"}, want: `"SubscriptionArn": "pending confirmation"`},
		{args: []string{"list-subscriptions"}, want: `"SubscriptionArn": "PendingConfirmation"`},
		{args: []string{"publish", "--topic-arn", arn, "--message", "hello", "--message-attributes", `{"k":{"DataType":"String","StringValue":"v"}}`}, want: `"MessageId"`},
		{args: []string{"publish", "--topic-arn", arn + "x", "--message", "hello"}, want: "An error occurred (NotFound) when calling the Publish operation: Topic does not exist", fail: true},
		{args: []string{"set-sms-attributes", "--attributes", "MonthlySpendLimit=1"}, want: "(UnsupportedOperation)", fail: true},
		{args: []string{"delete-topic", "--topic-arn", arn}},
	} {
		out, err := command(t.TempDir(), filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json", "sns"}, c.args...)...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("aws sns %s: got %v\n%s\nwant %s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
}
