package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/node"
)

// A fake is a node of which only the Lambda API and the list of functions are real.
type fake struct {
	dir    string // where commands are run
	events []daruma.Invocation
	runs   int
	refuse error // of every event
}

func (f *fake) Accept(_ context.Context, inv daruma.Invocation) error {
	if f.refuse == nil {
		f.events = append(f.events, inv)
	}
	return f.refuse
}

func (f *fake) Run(context.Context, daruma.Invocation) daruma.Outcome {
	f.runs++
	return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest, Payload: []byte("1")}
}

func (f *fake) Credential(key string) (wire.Credential, bool) {
	return wire.Credential{Secret: "0123456789abcdef", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", Account: node.Account}}, key == "AKIATEST"
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{dir: t.TempDir()}
	functions := []*catalog.Function{{Name: "report", LogicalID: "Report", Version: catalog.Latest}, {Name: "report", Version: "1"}}
	view := catalog.NewView(catalog.Place{Region: "us-east-1", Account: node.Account}, functions, []*catalog.Alias{{Function: "report", Name: "live", Version: "1"}}, nil, nil)
	door, err := lambda.New(lambda.Config{Runner: f, View: func() *catalog.View { return view }, Concurrency: struct{ lambda.Concurrency }{}, Settings: struct{ lambda.Settings }{}, Acceptor: f})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: f, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("lambda", door.Service())
	aws := httptest.NewServer(front)
	t.Cleanup(aws.Close)
	ps := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(console.Status{Functions: []console.Function{{Name: "report", LogicalID: "Report"}}})
	}))
	t.Cleanup(ps.Close)
	data := filepath.Join(f.dir, node.DataDir)
	address, err := json.Marshal(node.Address{AWS: aws.URL, Console: ps.URL, Data: data, PID: os.Getpid(), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"node.json": string(address), "credentials": "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = 0123456789abcdef\n"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// command runs daruma with these arguments.
func (f *fake) command(args ...string) (code int, out, errors string) {
	var stdout, stderr bytes.Buffer
	code = run(world{args: args, dir: f.dir, lookup: func(string) (string, bool) { return "", false }, in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestAnAsynchronousInvocationPrintsItsRequestID(t *testing.T) {
	f := newFake(t)
	code, out, errors := f.command("invoke", "Report", "--async", "--qualifier", "live", "--event", `{"a":1}`)
	if code != exitOK || errors != "" || len(f.events) != 1 || out != f.events[0].ID+"\n" || f.runs != 0 {
		t.Fatalf("got %d %q %q with %d events and %d runs", code, out, errors, len(f.events), f.runs)
	}
	if got := f.events[0]; got.Target.String() != "report:live" || string(got.Payload) != `{"a":1}` {
		t.Errorf("got %+v", got)
	}
	code, out, _ = f.command("invoke", "report", "--async", "--json")
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exitOK {
		t.Fatalf("got %d %q, %v", code, out, err)
	}
	if got := f.events[1]; answer["requestId"] != got.ID || answer["status"] != 202.0 || answer["trace"] != got.Trace || answer["payload"] != nil || answer["executedVersion"] != nil {
		t.Errorf("got %v for %+v", answer, got)
	}
}

func TestAnEventThatIsNotTakenEndsTheCommandWithAnError(t *testing.T) {
	f := newFake(t)
	f.refuse = &daruma.Error{Kind: daruma.KindThrottled}
	if code, out, errors := f.command("invoke", "Report", "--async"); code != exitFailed || out != "" || !strings.Contains(errors, "TooManyRequestsException: Rate Exceeded.") {
		t.Errorf("got %d %q %q", code, out, errors)
	}
	for _, flag := range []string{"--dry-run", "--logs", "--client-context={}"} {
		if code, _, errors := f.command("invoke", "Report", "--async", flag); code == exitOK || !strings.Contains(errors, "async") {
			t.Errorf("%s: got %d %q, want it refused", flag, code, errors)
		}
	}
	if code, out, _ := f.command("invoke", "Report"); code != exitOK || out != "1\n" || f.runs != 1 {
		t.Errorf("got %d %q after %d runs without --async", code, out, f.runs)
	}
}
