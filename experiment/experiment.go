// Package experiment holds what an experiment is: a steady state and how far it
// may stray, what is done to the app, what bounds and guards it, and what
// puts things back.
//
// A file is YAML or JSON. The format of the Chaos Toolkit
// (https://chaostoolkit.org/reference/api/experiment/) is read as it is; ours is
// a superset, described in docs/experiments.md: loads, windows, faults, metrics of the platform,
// guards and a blast radius. What cannot be honoured is refused by
// name with its place, never skipped; what the Chaos Toolkit would pass over is a warning.
//
// The package reads and judges values. It starts nothing, keeps nothing and
// does no I/O; experiment/conduct runs experiments and experiment/report tells of
// them. Values do not change once read, so any goroutine may use them.
package experiment

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-io/daruma/template/tree"
)

// A Phase is a part of an experiment's run.
type Phase string

// The phases, in their order.
const (
	Before Phase = "before" // nothing is broken yet
	During Phase = "during" // from the first fault on, until the method has ended
	After  Phase = "after"  // everything is put back
)

// Phases lists them in their order.
func Phases() []Phase { return []Phase{Before, During, After} }

// An Experiment is one file.
type Experiment struct {
	File        string
	Title       string
	Description string
	Hypothesis  string // in words; the steady state's title when the file has none
	Tags        []string
	Probes      []Activity // of the steady state
	Loads       []Load
	Windows     Windows
	Method      []Activity
	Rollbacks   []Activity
	Guards      []Guard
	Blast       Blast
	Node        Node
	Strategy    string // "default", "before-method-only", "after-method-only", "during-method-only" or "continuously"
	Seed        uint64 // of what is left to chance; chosen by who runs it when 0
	Samples     int    // how many requests or events a share needs to be judged
	Document    any    // as it was read, for journals
	Source      []byte // the file
	Warnings    tree.Problems
}

// Windows say how long each phase takes at least, by the app's clock.
type Windows struct {
	Before, During, After time.Duration
	Settle                time.Duration // for how long after the faults what is in progress may take to end
}

// An Activity is a probe, which looks, or an action, which does.
type Activity struct {
	Probe      bool
	Name       string
	Provider   Provider
	Tolerance  *Tolerance // of probes in the steady state and in guards
	When       []Phase    // in which phases a probe of the steady state is judged
	Background bool
	Pauses     [2]time.Duration // before and after, by the app's clock
	Pos        tree.Pos
	Document   any
}

// A Guard aborts the experiment when its probe is outside of its tolerance.
type Guard struct {
	Activity
	Every time.Duration // by the machine's clock
}

// A Node is what an experiment wants of the node that it is run on: it is not run on another. Zero values want nothing.
type Node struct {
	Semantics string // "strict" or "resilient"
	Scale     int    // how many times as fast as the machine's the app's clock runs
}

// A Blast is the bounds of what an experiment may meet. Zero values bound nothing.
type Blast struct {
	Functions []string
	Share     float64       // of a target that a fault may meet at most
	For       time.Duration // how long faults may be in force, by the app's clock
}

// Any says whether something is bounded.
func (b Blast) Any() bool { return len(b.Functions) > 0 || b.Share > 0 || b.For > 0 }

// A Provider is how an activity is done: exactly one of its parts is set.
type Provider struct {
	Type    string // "http", "process", "metric", "invoke", "queue", "alarm", "fault", "wait", "platform-killed"
	HTTP    *HTTP
	Process *Process
	Metric  *Metric
	Invoke  *Invoke
	Queue   *Queue
	Alarm   string          // the name of an alarm, or its logical ID
	Fault   json.RawMessage // a fault's document
	Wait    time.Duration   // by the app's clock
	Kill    *Kill
}

// A Kill is the end of the platform itself, as by kill -9, and its start on what it has left.
type Kill struct {
	Down time.Duration // for how long it stays down, by the machine's clock: the app's stands still
}

// An HTTP is a request; its answer is {status, headers, body}.
type HTTP struct {
	URL       string // from "/" on: of the app's HTTP API
	Method    string
	Headers   map[string]string
	Arguments any // query parameters of GET, else the body: fields of a form, or JSON
	Body      string
	Timeout   time.Duration
}

// A Process is a program; its answer is {status, stdout, stderr}.
type Process struct {
	Path      string
	Arguments []string
	Shell     string // the arguments as one text, for a shell
	Timeout   time.Duration
}

// A Metric is a question about what the platform counts.
type Metric struct {
	Name string
	Of   string // a function, queue, table, load or fault; everything when ""
	Per  string // a second name, of metrics that set one against the other
	Over string // "phase", or "run": since the first fault
}

// An Invoke calls a function.
type Invoke struct {
	Function string
	Event    json.RawMessage
	Async    bool
}

// A Queue sends a message.
type Queue struct {
	Name  string
	Body  string
	Group string
}

// A Put writes an item into a table.
type Put struct {
	Table string
	Item  json.RawMessage // attributes as the table's API has them: {"id": {"S": "1"}}
}

// A Load is requests that come at a rate, whatever becomes of those before.
type Load struct {
	Name   string
	Rate   float64 // a second of the machine's clock: functions run as fast as they do
	Max    int     // so many may wait for their answers at once; more are counted as missed
	Expect []int   // status codes that are well; 200 to 399 when empty
	HTTP   *HTTP
	Invoke *Invoke
	Queue  *Queue
	Put    *Put
	Pos    tree.Pos
}

// Target names what the load goes to.
func (l Load) Target() string {
	switch {
	case l.HTTP != nil:
		return l.HTTP.Method + " " + l.HTTP.URL
	case l.Invoke != nil && l.Invoke.Async:
		return l.Invoke.Function + " (asynchronously)"
	case l.Invoke != nil:
		return l.Invoke.Function
	case l.Put != nil:
		return "table " + l.Put.Table
	default:
		return "queue " + l.Queue.Name
	}
}

// Limits and defaults.
const (
	samplesDefault = 20
	rateMax        = 2000
	atOnceDefault  = 64
	timeoutDefault = 30 * time.Second
	activitiesMax  = 200
	windowMax      = 24 * time.Hour
	downMax        = time.Minute
)

// Breaks says whether the experiment has faults of its own.
func (e *Experiment) Breaks() bool {
	for _, a := range e.Method {
		if a.Provider.Fault != nil {
			return true
		}
	}
	return false
}

// Kills says whether the experiment ends the platform itself: that is for who has started it.
func (e *Experiment) Kills() bool {
	return slices.ContainsFunc(e.Method, func(a Activity) bool { return a.Provider.Kill != nil })
}

// InPhase returns the probes that are judged in a phase.
func (e *Experiment) InPhase(p Phase) []Activity {
	var list []Activity
	for _, a := range e.Probes {
		for _, w := range a.When {
			if w == p {
				list = append(list, a)
			}
		}
	}
	return list
}

// Takes names the function or queue that takes what the load sends in and keeps it; "" when somebody waits for an answer instead.
func (l Load) Takes() string {
	switch {
	case l.Invoke != nil && l.Invoke.Async:
		return l.Invoke.Function
	case l.Queue != nil:
		return l.Queue.Name
	}
	return ""
}
