// Package conduct runs experiments: it drives load, injects faults, watches
// what the platform counts, judges, and puts everything back.
//
//	before ──► during ──► mend ──► settle ──► after ──► rollbacks
//	   │          │ guard, Ctrl-C, stop: straight to mend and rollbacks, without judging
//	   └─ not steady: straight to rollbacks, and nothing can be said
//
// It promises that rollbacks run however a run ends; what a process that was
// killed has left to be rolled back lies in a file ([Underway]). It promises
// that nothing is green in silence: a fault that met nothing, a share of too few
// requests and a platform that did not answer each make the verdict "unknown". It promises that an app is not blamed for
// its machine: what deviated while work took several times as long as it does, and may have for that reason, is "unknown"
// too. Nothing becomes "held" by that. Faults end
// with the run at the latest: their leases are renewed by nothing else.
//
// Windows, waits and ages go by the app's clock; the rate of loads and what they measure by
// the machine's. What would change a verdict is never scaled: functions run as fast as they do.
// Run may be called once at a time for one platform.
package conduct

import (
	"context"
	"encoding/json"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
)

// A Platform is what an experiment is run on.
type Platform interface {
	// Count reads what the platform counts, all of one moment as nearly as may be.
	Count(ctx context.Context) (Counts, error)
	// Send sends one request and waits for its answer. What goes wrong is in the reply.
	Send(ctx context.Context, r Request) Reply
	// Alarm returns the state of an alarm: "OK", "ALARM" or "INSUFFICIENT_DATA".
	Alarm(ctx context.Context, name string) (string, error)
	// Break puts a fault in force.
	Break(ctx context.Context, fault json.RawMessage) (Injection, error)
	// Happened returns failures and repairs since a time of the app's clock, oldest first.
	Happened(ctx context.Context, since time.Time) ([]Happening, error)
}

// An Injection is one fault in force.
type Injection interface {
	// Status says how it goes, and has the fault go on: who does not ask for seconds is taken to be gone.
	Status(ctx context.Context) (Injected, error)
	// Mend ends the fault. When it returns the fault meets nothing any more.
	Mend(ctx context.Context) error
}

// An Injected says how a fault goes.
type Injected struct {
	ID      string    `json:"id"`
	Text    string    `json:"text"`
	Started time.Time `json:"started"` // by the app's clock
	Seen    int64     `json:"seen"`    // what it might have met
	Met     int64     `json:"met"`
	Ended   bool      `json:"ended,omitempty"`
}

// A Happening is a failure or a repair of the platform.
type Happening struct {
	At       time.Time `json:"at"`              // by the app's clock
	Since    float64   `json:"since,omitempty"` // seconds since the start of the run by the machine's clock, as nearly as is known
	ID       string    `json:"id"`              // "F-3", "H-2"
	Function string    `json:"function,omitempty"`
	Text     string    `json:"text"`
	Repair   bool      `json:"repair,omitempty"`
}

// A Request is one request of a load or of an activity. Exactly one part is set.
type Request struct {
	HTTP   *experiment.HTTP
	Invoke *experiment.Invoke
	Queue  *experiment.Queue
	Put    *experiment.Put
}

// A Reply is what came of a request.
type Reply struct {
	Status  int // of HTTP; of an invocation 200 or 202, and 500 when the function failed
	Headers map[string]string
	Body    []byte
	Err     error // there was no answer
}

// Config is what a run needs.
type Config struct {
	Platform Platform
	Clock    daruma.Clock // the app's
	Scale    int          // how many times as fast as the machine's it runs
	Dir      string       // where what is under way is written down; nowhere when ""
	StopDirs []string     // beside Dir, where somebody may ask the run to stop (see [Stop])
	Environ  []string     // of programs that activities run
	WorkDir  string       // of programs that activities run
	Progress func(text string)
	// Kill ends the platform as kill -9 would, leaves it down, starts it again on what it has left, and returns when it answers.
	// It is nil when the platform is not the caller's to kill: experiments that do are refused.
	Kill func(ctx context.Context, down time.Duration) (pid int, err error)
	// Beat waits its time, does a little work and says how long that took ([Pulse]). Nil: how late the machine is is not known.
	Beat  func(ctx context.Context) (Beat, error)
	Vars  map[string]string // values of the experiment's configuration, to be put back with
	Label string            // of the run: "strict", "resilient"; may be ""
}

// Limits.
const (
	tickEvery   = 250 * time.Millisecond // by the machine's clock
	waitMax     = 2 * time.Minute        // for what is in progress, and for enough requests
	putBackMax  = 2 * time.Minute        // of all rollbacks together
	goneAfter   = 10 * time.Second       // without an answer a platform is gone
	framesMax   = 20_000
	happenedMax = 500
)
