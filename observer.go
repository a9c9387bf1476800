package daruma

import "time"

// An Observer is told what happens to events. Its methods return quickly,
// never block on I/O and may be called from any goroutine; what it cannot
// keep it drops and counts.
type Observer interface {
	// Logged is told each line an environment or the platform wrote about a function.
	Logged(Line)
	// Spanned is told the end of each span, after the caller could be answered.
	Spanned(Span)
	// Changed is told when an environment changes state.
	Changed(Environment)
}

// Stream names for Line.Stream.
const (
	Stdout   = "stdout"
	Stderr   = "stderr"
	Platform = "platform" // START, END, REPORT, INIT_START and our own remarks
)

// Reproduction is the Source of runs that are no attempts: an event that
// failed is run again to see why. They are told of, and not counted.
const Reproduction = "reproduce"

// A Line is one line of log.
type Line struct {
	At          time.Time `json:"time"`
	Function    string    `json:"function"`
	Version     string    `json:"version,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Request     string    `json:"request,omitempty"` // request ID, "" outside of an invocation
	Trace       string    `json:"trace,omitempty"`   // the trace's root
	Stream      string    `json:"stream"`            // Stdout, Stderr or Platform
	Source      string    `json:"source,omitempty"`  // Reproduction, or ""
	Text        string    `json:"text"`              // without the line's end; JSON log lines as they were written
}

// EnvironmentState is where an environment is in its life.
type EnvironmentState string

// The states of an environment.
const (
	Starting  EnvironmentState = "starting"
	Warm      EnvironmentState = "warm" // ready and idle
	Busy      EnvironmentState = "busy"
	Resetting EnvironmentState = "resetting" // its process is gone; /tmp is kept
	Gone      EnvironmentState = "gone"
)

// An Environment is one place where one version of a function runs.
type Environment struct {
	ID       string           `json:"id"`
	Function string           `json:"function"`
	Version  string           `json:"version"`
	State    EnvironmentState `json:"state"`
	Since    time.Time        `json:"since"` // when it came into this state
	Started  time.Time        `json:"started"`
	Runs     int64            `json:"runs"`
	Request  string           `json:"request,omitempty"` // what it is busy with
	PID      int              `json:"pid,omitempty"`
	Cause    string           `json:"cause,omitempty"` // why it is gone or reset: "idle", "timeout", "crash", "init", "deploy", "shutdown"
	Fault    string           `json:"fault,omitempty"` // while resetting: what was wrong, "Runtime.ExitError: exit status 1"
}
