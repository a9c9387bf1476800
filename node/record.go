package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/egress/trust"
	"github.com/daruma-io/daruma/reproduce"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/tape"
	"github.com/daruma-io/daruma/template"
)

// reproducing is what recording and reproducing failures takes.
type reproducing struct {
	policy        egress.Policy
	trust         *trust.Authority
	session       func() (*trust.Authority, error) // made when it is first needed
	recordings    *reproduce.Shelf
	recording     []string      // the functions that are recorded, by name, as the node starts
	reproductions chan struct{} // one for each that is under way
}

// openTrust opens the authorities that functions trust.
func (n *Node) openTrust() (err error) {
	if n.trust, n.session, err = openTrust(n.cfg.Data); err != nil {
		return err
	}
	n.reproductions = make(chan struct{}, reproductionsMax)
	n.recordings = &reproduce.Shelf{Dir: filepath.Join(n.cfg.Data, "recordings")}
	return nil
}

// openTrust opens the authority for the cloud's names that is kept in a data
// directory, and says how one for a session is made.
func openTrust(data string) (base *trust.Authority, session func() (*trust.Authority, error), err error) {
	dir := filepath.Join(data, "trust")
	if base, err = trust.Open(dir, egress.CloudDomains, "", time.Now); err != nil {
		return nil, nil, err
	}
	return base, sync.OnceValues(func() (*trust.Authority, error) {
		return trust.Session(base, filepath.Join(dir, "session"), "", time.Now)
	}), nil
}

// checkRecord refuses to record functions there are not.
func (n *Node) checkRecord(t *template.App) error {
	var names, recorded []string
	for _, f := range t.Functions {
		names = append(names, f.LogicalID)
		if n.recorded(f) {
			recorded = append(recorded, f.Name)
		}
	}
	for _, asked := range n.cfg.Record {
		if !slices.ContainsFunc(t.Functions, func(f *catalog.Function) bool { return f.Name == asked || f.LogicalID == asked }) {
			return &daruma.Error{Op: "record", Ref: asked, Kind: daruma.KindInvalid, Err: fmt.Errorf("the app has no such function"), Hint: "it has " + strings.Join(names, ", ")}
		}
	}
	n.recording = recorded
	return nil
}

// tellRecording says what recording means here.
func (n *Node) tellRecording() {
	if len(n.recording) == 0 {
		return
	}
	names := strings.Join(n.recording, ", ")
	if !n.own() {
		n.cfg.Progress("recording of " + names + " what goes to AWS_ENDPOINT_URL, and no more: plain processes reach other hosts by themselves")
		return
	}
	n.cfg.Progress("recording what hosts outside tell " + names + ": their TLS ends here, with an authority made for this session")
}

// recorded says whether what f is told from outside is kept with its failures.
func (n *Node) recorded(f *catalog.Function) bool {
	return f.Record || slices.Contains(n.cfg.Record, f.Name) || f.LogicalID != "" && slices.Contains(n.cfg.Record, f.LogicalID)
}

// tap records an environment of a function that is recorded.
func (n *Node) tap(who egress.Ref) egress.Tap {
	f := n.catalog.View().Function(who.Function, who.Version)
	if f == nil || !n.recorded(f) {
		return egress.Tap{}
	}
	return egress.Tap{Recorder: tape.NewRecorder(who.Current, slices.Concat(n.cfg.RecordRedact, f.RecordRedact))}
}

// files are what an environment of f trusts.
func (n *Node) files(f *catalog.Function) trust.Files {
	if n.recorded(f) {
		a, err := n.session()
		if err == nil {
			return a.Files()
		}
		n.cfg.Log.Warn("a function's TLS cannot be recorded", "function", f.Name, "error", err)
	}
	return n.trust.Files()
}

// taping is a Runner that keeps what a run was told from outside when it
// failed, before that is known to anybody.
type taping struct {
	daruma.Runner
	node *Node
}

// Run runs an event and names the recording of a run that failed.
func (t taping) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	o := t.Runner.Run(ctx, inv)
	if o.Environment == "" || !route.Of(o.Kind).Recorded {
		return o
	}
	made := t.node.egress.Take(o.Environment, inv.ID)
	if made == nil {
		return o
	}
	name, err := t.node.recordings.Keep(made)
	if err != nil {
		t.node.cfg.Log.Warn("a recording was not kept", "function", inv.Target.Function, "request", inv.ID, "error", err)
		return o
	}
	o.Recording = name
	return o
}
