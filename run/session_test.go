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

func TestARunIsTheParentOfWhatItsFunctionCalls(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	const root = "1-5759e988-bd862e3fe1be46a994272793"
	for _, tt := range []struct {
		header string
		active bool
		sample func() bool
		want   string // RUN stands for the run's own span
		parent string
	}{
		{"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=x:1;Self=y", true, yes, "Root=" + root + ";Parent=RUN;Sampled=0;Lineage=x:1;Self=y", "53995c3f42cd8ad8"},
		{"Root=" + root, true, yes, "Root=" + root + ";Parent=RUN;Sampled=1", ""},
		{"Root=" + root, true, no, "Root=" + root + ";Parent=RUN;Sampled=0", ""},
		{"Self=x; Root=" + root + ";Sampled=?", false, yes, "Root=" + root + ";Parent=RUN;Sampled=0;Self=x", ""},
		{"", false, no, "Root=NEW;Parent=RUN;Sampled=0", ""},
		{"Root=1-zz", false, no, "Root=NEW;Parent=RUN;Sampled=0", ""},
	} {
		inv := daruma.Invocation{Trace: tt.header}
		c := &call{inv: inv, span: begin(inv)}
		want := strings.NewReplacer("RUN", c.span.ID, "NEW", c.span.Trace).Replace(tt.want)
		if got := c.header(tt.active, tt.sample); got != want || c.span.Parent != tt.parent || daruma.TraceRoot(got) != c.span.Trace || len(c.span.ID) != 16 {
			t.Errorf("%q: got %q in %+v, want %q", tt.header, got, c.span, want)
		}
	}
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
