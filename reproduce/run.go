package reproduce

import (
	"context"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/tape"
)

// Networks a reproduction may have.
const (
	Recorded = "recorded" // hosts outside, and the cloud, are answered for from the recording
	Live     = "live"     // they are reached, with all that this does there
	Deny     = "deny"     // nothing is reached
)

// Options say how a case is run.
type Options struct {
	Network string        `json:"network,omitempty"` // Recorded when "", or Live where a rig cannot keep a function from the network
	Timeout time.Duration `json:"timeoutNs,omitempty"`
	Debug   bool          `json:"debug,omitempty"` // wait for a debugger; time-outs are off
	Install bool          `json:"install,omitempty"`
	Event   []byte        `json:"event,omitempty"` // instead of the failure's
	Current bool          `json:"current,omitempty"`
}

// A Scene is what a rig plays.
type Scene struct {
	Invocation daruma.Invocation
	View       *catalog.View     // there is one function in it
	Function   *catalog.Function // this one
	Player     *tape.Player      // who answers for hosts outside; nil: they do
	Debug      bool
	Install    bool               // what the debugger needs may be fetched
	Note       func(text string)  // is told, before Play returns, what is not as it was
	Tell       func(Attach) error // is told how a debugger is attached, once it can be
}

// An Attach says how a debugger is attached.
type Attach struct {
	Address string `json:"address"` // host:port
	Command string `json:"command"`
	VSCode  string `json:"vscode"` // a launch configuration
}

// A Rig runs one event in a fresh environment, and returns when that is gone.
type Rig interface {
	Play(ctx context.Context, s Scene) (daruma.Outcome, error)
	// Closed says whether it can keep a function from the network.
	Closed() bool
}

// Verdicts.
const (
	Same   = "same"   // it failed in the same way
	Passed = "passed" // it ended well
	Other  = "other"  // it failed in another way
)

// A Result is what a reproduction came to.
type Result struct {
	Failure     string       `json:"failure"`
	Function    string       `json:"function"`
	Version     string       `json:"version"`
	CodeSHA256  string       `json:"codeSha256"`
	Current     bool         `json:"current,omitempty"`
	Request     string       `json:"request"`
	Trace       string       `json:"trace,omitempty"`
	Verdict     string       `json:"verdict"`
	Was         Side         `json:"was"`
	Is          Side         `json:"is"`
	Differences []Difference `json:"differences,omitempty"`
	Network     Network      `json:"network"`
	Notes       []string     `json:"notes,omitempty"`
	Answer      []byte       `json:"answer,omitempty"` // the function's, when it ended well
}

// A Network says what became of what the function asked outside.
type Network struct {
	Mode string `json:"mode"`
	tape.Report
	NotRecorded []string `json:"notRecorded,omitempty"` // at the time
}

// Run runs a case on a rig. tell, which may be nil, is told how a debugger
// is attached.
//
// An error is that it could not be run; that it fails is the Result's to say.
// KindUnsupported when the rig cannot do what is asked.
func Run(ctx context.Context, c *Case, o Options, rig Rig, tell func(Attach) error) (*Result, error) {
	ref := c.Failure.Number.String()
	wrong := func(kind daruma.Kind, hint, format string, args ...any) (*Result, error) {
		return nil, &daruma.Error{Op: "reproduce", Ref: ref, Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	notes := append([]string(nil), c.Notes...)
	if o.Network == "" {
		o.Network = Recorded
		if !rig.Closed() {
			o.Network = Live
			notes = append(notes, "functions run as plain processes here: their network cannot be played back, and was reached")
		}
	}
	s := Scene{Debug: o.Debug, Install: o.Install, Tell: tell}
	switch o.Network {
	case Live:
	case Recorded, Deny:
		if !rig.Closed() {
			return wrong(daruma.KindUnsupported, "--network live", "functions run as plain processes here: their network cannot be %s", map[string]string{Recorded: "played back", Deny: "denied"}[o.Network])
		}
		s.Player = c.player(o.Network)
	default:
		return wrong(daruma.KindInvalid, "", "network %q is none of recorded, live, deny", o.Network)
	}
	f := *c.Function
	f.Reserved, f.URL = nil, nil // nobody else runs it here
	if o.Timeout > 0 {
		f.Timeout = o.Timeout
	}
	if o.Debug {
		f.Timeout = DebugTime
	}
	event := c.Event
	if o.Event != nil {
		event = o.Event
	}
	s.Function, s.View = &f, c.view(&f)
	s.Invocation = daruma.Invocation{ID: c.Failure.Request, Target: c.target(), Payload: event, Trace: c.Failure.TraceHeader, Source: daruma.Reproduction, From: ref}
	if s.Invocation.ID == "" {
		s.Invocation.ID = daruma.NewID()
	}
	s.Note = func(text string) { notes = append(notes, text) }
	out, err := rig.Play(ctx, s)
	if err != nil {
		return wrong(daruma.KindOf(err), daruma.HintOf(err), "%w", err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if k := out.Kind; !k.Ran() || k == daruma.Unknown {
		return wrong(daruma.KindNoCapacity, "", "it did not run (%s): %w", k, out.Failure)
	}
	r := &Result{Failure: ref, Function: f.Name, Version: f.Version, CodeSHA256: f.Code.SHA256, Current: c.Current, Request: s.Invocation.ID, Trace: c.Failure.Trace,
		Was: was(c.Failure), Is: is(out), Network: Network{Mode: o.Network}, Notes: notes}
	if s.Player != nil {
		r.Network.Report = s.Player.Report()
	}
	if c.Tape != nil {
		r.Network.NotRecorded = c.Tape.Missed
		if n := c.Tape.Dropped; n > 0 {
			r.Network.NotRecorded = append(r.Network.NotRecorded, fmt.Sprintf("%d exchanges beyond what is kept of one run", n))
		}
	}
	if out.Kind == daruma.Done {
		r.Answer = out.Payload
	}
	r.compare()
	return r, nil
}

// DebugTime is how long a debugged run may take.
const DebugTime = 24 * time.Hour

// player answers for hosts outside in a network.
func (c *Case) player(network string) *tape.Player {
	switch {
	case network == Deny:
		return tape.NewPlayer(nil, "the network is denied")
	case c.Tape == nil:
		return tape.NewPlayer(nil, "nothing was recorded when it failed")
	}
	return tape.NewPlayer(c.Tape, "it was not recorded")
}
