package daruma

import (
	"errors"
	"strings"
	"time"
)

// OutcomeKind is the closed set of what can come of handing an event to a
// function. The zero value is not an outcome.
type OutcomeKind uint8

// The kinds of outcome.
const (
	_             OutcomeKind = iota
	Done                      // the function answered
	FunctionError             // the function's code reported an error; the environment lives on
	TimedOut                  // the function was killed at its deadline
	Crashed                   // the process ended, ran out of memory, or never came up
	Throttled                 // the function's own limit of concurrency was reached; it did not run
	NoCapacity                // the platform could not start an environment; it did not run
	Held                      // something the event needs is known to be down; it did not run
	Refused                   // the event or its target is not valid; it did not run and never will
	Unknown                   // it may or may not have run to its end; nobody saw
)

var outcomeKinds = [...]string{"none", "done", "function error", "timed out", "crashed", "throttled", "no capacity", "held", "refused", "unknown"}

// String returns the kind in words.
func (k OutcomeKind) String() string {
	if int(k) < len(outcomeKinds) {
		return outcomeKinds[k]
	}
	return "none"
}

// MarshalText writes the kind in words.
func (k OutcomeKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *OutcomeKind) UnmarshalText(b []byte) error {
	for i, text := range outcomeKinds {
		if string(b) == text {
			*k = OutcomeKind(i)
			return nil
		}
	}
	return &Error{Op: "read outcome", Ref: string(b), Kind: KindInvalid, Err: errors.New("there is no such kind")}
}

// Ran says whether the function's code may have seen the event. What did not
// run has not failed: it spends no attempt.
func (k OutcomeKind) Ran() bool {
	switch k {
	case Done, FunctionError, TimedOut, Crashed, Unknown:
		return true
	}
	return false
}

// An Outcome is what came of one run of one event.
type Outcome struct {
	Kind    OutcomeKind
	Payload []byte   // the function's answer, or its error as the runtime posted it, byte for byte
	Failure *Failure // why it is not Done; nil when it is

	Version     string        // the version that was chosen, "$LATEST" or a number; "" when none was
	Revision    string        // of that version's configuration when it was chosen; "" when none was
	Recording   string        // names what was kept of its exchanges with hosts outside; "" for nothing
	Faults      []string      // the faults asked for that met it, "FT-3 latency"; they are no nature
	Environment string        // the environment that ran it; "" when none did
	Init        time.Duration // time spent starting the environment for this event; 0 when it was warm
	Duration    time.Duration // the function's own time
	MemoryBytes int64         // most memory the environment has used; 0 when not known
	LogTail     []byte        // the last LogTailBytesMax bytes this run logged
}

// A Failure says why a run did not end well, in the words a caller sees.
type Failure struct {
	Kind    Kind          // KindNotFound, KindThrottled, …: what a door makes a status code of
	Type    string        // errorType: "Sandbox.Timedout", "Runtime.ExitError", the function's own
	Message string        // errorMessage
	Reason  string        // for Throttled: ReservedFunctionConcurrentInvocationLimitExceeded, …
	After   time.Duration // for Throttled: when to try again; 0 when not known
	Alone   bool          // most other events went well around it: this one is to blame itself
}

// Error makes a Failure an error.
func (f *Failure) Error() string {
	if f.Type == "" {
		return f.Message
	}
	return f.Type + ": " + f.Message
}

// LogLines returns the lines of LogTail, without the first when it was cut.
func (o Outcome) LogLines() []string {
	text := strings.TrimRight(string(o.LogTail), "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	if len(o.LogTail) >= LogTailBytesMax && len(all) > 1 {
		all = all[1:]
	}
	return all
}
