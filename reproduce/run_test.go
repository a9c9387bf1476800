package reproduce

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/tape"
)

// A stub is a rig that plays what it is told.
type stub struct {
	open    bool
	outcome daruma.Outcome
	err     error
	scene   Scene
}

func (s *stub) Closed() bool { return !s.open }
func (s *stub) Play(_ context.Context, scene Scene) (daruma.Outcome, error) {
	s.scene = scene
	return s.outcome, s.err
}

func broken() daruma.Outcome {
	return daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "Error", Message: "it broke"}, Payload: []byte(`{"errorType":"Error"}`)}
}

// some is a view with a function that has had two revisions, and a failure of the first.
func some(t *testing.T) (*catalog.View, *ledger.Failure) {
	t.Helper()
	at := func(revision string) *catalog.Function {
		return &catalog.Function{Name: "f", Version: "$LATEST", Revision: revision, Timeout: time.Second, Reserved: new(int), Code: catalog.Code{Dir: t.TempDir(), SHA256: "code " + revision}}
	}
	v := catalog.NewView(catalog.Place{}, []*catalog.Function{at("r2")}, nil, nil, nil).WithPast([]*catalog.Function{at("r1")})
	return v, &ledger.Failure{Number: 17, Hop: ledger.Async, Function: "f", Qualifier: "live", Revision: "r1", CodeSHA256: "code r1", Outcome: "function error", ErrorType: "Error", Message: "it broke", Request: "r-1", TraceHeader: "Root=1-a-b"}
}

func TestACaseIsRunAsItWasWithItsRequestIDAndTrace(t *testing.T) {
	v, f := some(t)
	c, err := Of(f, []byte("event"), v, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Tape = &tape.Tape{Version: 1, Missed: []string{"db.example:5432"}, Dropped: 2}
	rig := &stub{outcome: broken()}
	r, err := Run(t.Context(), c, Options{}, rig, nil)
	if err != nil {
		t.Fatal(err)
	}
	inv := rig.scene.Invocation
	if inv.ID != "r-1" || inv.Trace != "Root=1-a-b" || inv.Source != daruma.Reproduction || inv.From != "F-17" || string(inv.Payload) != "event" {
		t.Errorf("got %+v", inv)
	}
	got, err := rig.scene.View.Resolve(inv.Target, 0)
	if err != nil || got.Code.SHA256 != "code r1" || got.Reserved != nil {
		t.Errorf("got %+v, %v, want what failed, without a limit that others share", got, err)
	}
	if rig.scene.Player == nil || r.Verdict != Same || r.Network.Mode != Recorded || len(r.Network.NotRecorded) != 2 {
		t.Errorf("got %+v", r)
	}
	if c.Function.Reserved == nil {
		t.Error("the case was changed")
	}
}

func TestWhatIsNotThereIsSaidWithWhatCanBeDone(t *testing.T) {
	for name, step := range map[string]struct {
		change  func(*ledger.Failure, *catalog.View)
		current bool
		kind    daruma.Kind
		hint    string
	}{
		"a hop that is no run":    {func(f *ledger.Failure, _ *catalog.View) { f.Hop = ledger.Destination }, false, daruma.KindUnsupported, "redrive F-17"},
		"an event that never ran": {func(f *ledger.Failure, _ *catalog.View) { f.Revision = "" }, false, daruma.KindNotFound, "--current"},
		"a revision that is gone": {func(f *ledger.Failure, _ *catalog.View) { f.Revision = "r0" }, false, daruma.KindNotFound, "--current"},
		"code that is gone":       {func(_ *ledger.Failure, v *catalog.View) { os.RemoveAll(v.Revision("f", "r1").Code.Dir) }, false, daruma.KindNotFound, "--current"},
		"other code":              {func(f *ledger.Failure, _ *catalog.View) { f.CodeSHA256 = "x" }, false, daruma.KindNotFound, "--current"},
		"a function that is gone": {func(f *ledger.Failure, _ *catalog.View) { f.Function = "g" }, true, daruma.KindNotFound, ""},
	} {
		v, f := some(t)
		f.Qualifier = ""
		step.change(f, v)
		_, err := Of(f, nil, v, step.current)
		if daruma.KindOf(err) != step.kind || !strings.Contains(daruma.HintOf(err), step.hint) {
			t.Errorf("%s: got %v (%s), want %v with %q", name, err, daruma.HintOf(err), step.kind, step.hint)
		}
	}
	v, f := some(t)
	f.Qualifier, f.Redacted = "", []string{"$.pin"}
	c, err := Of(f, nil, v, true)
	if err != nil || c.Function.Revision != "r2" || !strings.Contains(strings.Join(c.Notes, ""), "$.pin") {
		t.Errorf("got %+v, %v, want what is deployed now, and a note", c, err)
	}
}

func TestANetworkThatCannotBeClosedIsNotSaidToBe(t *testing.T) {
	v, f := some(t)
	c, err := Of(f, nil, v, false)
	if err != nil {
		t.Fatal(err)
	}
	rig := &stub{open: true, outcome: broken()}
	for _, network := range []string{Recorded, Deny} {
		if _, err := Run(t.Context(), c, Options{Network: network}, rig, nil); daruma.KindOf(err) != daruma.KindUnsupported || daruma.HintOf(err) != "--network live" {
			t.Errorf("%s: got %v", network, err)
		}
	}
	r, err := Run(t.Context(), c, Options{}, rig, nil)
	if err != nil || r.Network.Mode != Live || len(r.Notes) != 1 || rig.scene.Player != nil {
		t.Errorf("got %+v, %v, want it live, and said", r, err)
	}
	if _, err := Run(t.Context(), c, Options{Network: "some"}, rig, nil); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v", err)
	}
}

func TestWhatDidNotRunIsNoResult(t *testing.T) {
	v, f := some(t)
	c, err := Of(f, nil, v, false)
	if err != nil {
		t.Fatal(err)
	}
	full := daruma.Outcome{Kind: daruma.NoCapacity, Failure: &daruma.Failure{Message: "full"}}
	for name, rig := range map[string]*stub{"no room": {outcome: full}, "unknown": {outcome: daruma.Outcome{Kind: daruma.Unknown, Failure: &daruma.Failure{Message: "gone"}}}, "an error": {err: errors.New("no place")}} {
		if r, err := Run(t.Context(), c, Options{}, rig, nil); err == nil {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	rig := &stub{outcome: daruma.Outcome{Kind: daruma.Done, Payload: []byte("7")}}
	r, err := Run(t.Context(), c, Options{Debug: true, Timeout: time.Minute, Event: []byte("other")}, rig, nil)
	if err != nil || r.Verdict != Passed || string(r.Answer) != "7" || rig.scene.Function.Timeout != DebugTime || string(rig.scene.Invocation.Payload) != "other" {
		t.Errorf("got %+v, %v with %+v", r, err, rig.scene)
	}
}
