package run

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run/sandbox"
)

// idle returns a session of an environment that has no processes.
func idle() *Session {
	p := New(Config{View: func() *catalog.View {
		return catalog.NewView(catalog.Place{Account: "42"}, nil, nil, nil, nil)
	}})
	f := &catalog.Function{Name: "f", Version: "7", Handler: "h"}
	return newSession(newEnvironment(p, p.group(f), f))
}

func wantRefused(t *testing.T, err error, kind, reason string) {
	t.Helper()
	state, ok := errors.AsType[*daruma.StateError](err)
	if !ok || state.Status != 403 || state.Type != kind || state.Reason != reason {
		t.Errorf("got %v, want 403 %s: %s", err, kind, reason)
	}
}

func TestRegistrationsThatAreWrongAreForbidden(t *testing.T) {
	s := idle()
	s.extensions.all = []*extension{{name: "outside", external: true, state: "Started"}}
	_, err := s.Register("inside", []string{"SHUTDOWN"})
	wantRefused(t, err, "Extension.InvalidEventType", "SHUTDOWN: InvalidEventType")
	_, err = s.Register("outside", []string{"REBOOT"})
	wantRefused(t, err, "Extension.InvalidEventType", "REBOOT: InvalidEventType")
	outside, err := s.Register("outside", []string{"INVOKE", "SHUTDOWN"})
	if err != nil || outside.FunctionName != "f" || outside.FunctionVersion != "7" || outside.Handler != "h" || outside.AccountID != "42" {
		t.Fatalf("got %+v, %v", outside, err)
	}
	_, err = s.Register("outside", nil)
	wantRefused(t, err, "Extension.InvalidExtensionState", "State transition from Registered to Registered failed for extension outside. Error: State transition is not allowed")
	inside, err := s.Register("inside", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Register("inside", nil)
	wantRefused(t, err, "Extension.InvalidExtensionState", "Extension with this name already registered")
	for i := range 8 {
		if _, err := s.Register(strings.Repeat("x", i+1), nil); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Register("eleventh", nil)
	wantRefused(t, err, "Extension.TooManyExtensions", "Extension limit (10) reached")
	wantRefused(t, s.ExtensionNext("22222222-2222-4222-8222-222222222222", nil), "Extension.UnknownExtensionIdentifier", "Unknown extension 22222222-2222-4222-8222-222222222222")
	if err := s.ExtensionFail(inside.Identifier, "Extension.Bad", true, nil); err != nil {
		t.Error(err)
	}
	wantRefused(t, s.ExtensionNext(inside.Identifier, nil), "Extension.InvalidExtensionState", "State transition from InitError to Ready failed for extension "+inside.Identifier+". Error: State transition is not allowed")
	if err := s.ExtensionFail(outside.Identifier, "Extension.Bad", false, nil); err != nil {
		t.Error(err)
	}
	s.extensions.all, s.state = nil, ready
	s.settle()
	_, err = s.Register("late", nil)
	wantRefused(t, err, "Extension.RegistrationClosed", "Extension registration closed already")
}

func TestTheErrorTypeOfAHeaderIsRecordedAsAWSDoes(t *testing.T) {
	for given, want := range map[string]string{
		"Runtime.ImportModuleError": "Runtime.ImportModuleError", "Function.Custom": "Function.Custom", "Function.x": "Function.Unknown",
		"MyError": "Runtime.Unknown", "": "Runtime.Unknown", "Runtime.x": "Runtime.Unknown", "my.Runtime.Error": "my.Runtime.Error", "Runtime.E": "Runtime.Unknown",
	} {
		if got := category(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

func TestOutOfMemoryHasItsOwnType(t *testing.T) {
	o := exited(sandbox.Exit{Signal: syscall.SIGKILL, OutOfMemory: true}).outcome("r")
	if o.Kind != daruma.Crashed || o.Failure.Type != "Runtime.OutOfMemory" || o.Failure.Message != "RequestId: r Error: Runtime exited with error: signal: killed" {
		t.Errorf("got %v %v", o.Kind, o.Failure)
	}
}

func TestATraceIsCompletedAndNeverReplaced(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	if got := trace(root+";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=x", yes); got != root+";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=x" {
		t.Errorf("got %q", got)
	}
	if got := trace(root, yes); !strings.HasPrefix(got, root+";Parent=") || !strings.HasSuffix(got, ";Sampled=1") || len(got) != len(root)+len(";Parent=0123456789abcdef;Sampled=1") {
		t.Errorf("got %q", got)
	}
	if got := trace("", no); len(got) != len(root)+len(";Parent=0123456789abcdef;Sampled=0") || !strings.HasSuffix(got, ";Sampled=0") {
		t.Errorf("got %q", got)
	}
	if got := traceRoot("Self=x; " + root + ";Sampled=1"); got != root[len("Root="):] {
		t.Errorf("got %q", got)
	}
}

func FuzzTrace(f *testing.F) {
	f.Add("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
	f.Add(";;=;Root=")
	f.Fuzz(func(t *testing.T, header string) {
		if got := trace(header, func() bool { return false }); trace(got, func() bool { return true }) != got {
			t.Errorf("%q: got %q, which is not complete", header, got)
		}
		traceRoot(header)
	})
}

func FuzzCategoryAndPosted(f *testing.F) {
	f.Add("Runtime.X", []byte(`{"errorType":"A","errorMessage":"b"}`))
	f.Add("..Function.", []byte(`{"errorType":1,"errorMessage":{}}`))
	f.Fuzz(func(t *testing.T, errType string, payload []byte) {
		if got := posted(errType, payload); got.Type == "" {
			t.Errorf("got no type for %q %q", errType, payload)
		}
	})
}

// A told counts deliveries to one connection.
type told int

func (n *told) deliver(*daruma.Delivery) error { *n++; return nil }

func TestAnEventGoesToWhoAsksWhenItsConnectionIsGone(t *testing.T) {
	var first, second told
	s := idle()
	a := s.Attach(first.deliver)
	if err := s.Next(a); err != nil {
		t.Fatal(err)
	}
	c := &call{function: s.env.function, done: make(chan struct{})}
	c.delivery.Deadline = time.Now().Add(time.Hour)
	if !s.begin(c) {
		t.Fatal("got a life that is over")
	}
	defer s.timer.Stop()
	b := s.Attach(second.deliver)
	if err := s.Next(b); err != nil { // before the end of the first is seen
		t.Fatal(err)
	}
	if first != 1 || second != 0 {
		t.Fatalf("got %d and %d deliveries, want 1 and 0 while the first is there", first, second)
	}
	s.Detach(a)
	s.Detach(a)
	if second != 1 {
		t.Errorf("got %d deliveries to the second, want 1", second)
	}
}
