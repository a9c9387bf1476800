package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
)

// Limits of what is kept of one failure. Texts that are longer are cut, events
// that are larger are refused.
const (
	EventBytesMax    = 6 << 20
	MessageBytesMax  = 4 << 10
	StackBytesMax    = 8 << 10
	LogBytesMax      = 16 << 10
	LogLinesMax      = 200
	AttemptsMax      = 16 // the first and the last ones are kept
	CorrelationsMax  = 8
	TagsMax          = 50
	textBytesMax     = 1 << 10 // any other text
	handoverBytesMax = 16 << 10
)

// An ID names a failure: "F-17". Numbers ascend and are never given twice.
type ID uint64

// A GroupID names a group of failures: "G-3".
type GroupID uint64

// A RepairID names a repair in the healing log: "H-4".
type RepairID uint64

// String returns "F-17".
func (id ID) String() string { return "F-" + strconv.FormatUint(uint64(id), 10) }

// String returns "G-3".
func (id GroupID) String() string { return "G-" + strconv.FormatUint(uint64(id), 10) }

// String returns "H-4".
func (id RepairID) String() string { return "H-" + strconv.FormatUint(uint64(id), 10) }

// String returns "N-12".
func (id NoticeID) String() string { return "N-" + strconv.FormatUint(uint64(id), 10) }

// MarshalText writes "N-12".
func (id NoticeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads "N-12".
func (id *NoticeID) UnmarshalText(b []byte) error { return parseID("N", b, (*uint64)(id)) }

// MarshalText writes "F-17".
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes "G-3".
func (id GroupID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes "H-4".
func (id RepairID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads "F-17"; "f-17" is the same.
func (id *ID) UnmarshalText(b []byte) error { return parseID("F", b, (*uint64)(id)) }

// UnmarshalText reads "G-3".
func (id *GroupID) UnmarshalText(b []byte) error { return parseID("G", b, (*uint64)(id)) }

// UnmarshalText reads "H-4".
func (id *RepairID) UnmarshalText(b []byte) error { return parseID("H", b, (*uint64)(id)) }

func parseID(letter string, b []byte, n *uint64) error {
	head, number, ok := strings.Cut(string(b), "-")
	v, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || !strings.EqualFold(head, letter) {
		return &daruma.Error{Op: "read ID", Ref: string(b), Kind: daruma.KindInvalid, Err: fmt.Errorf("it does not look like %s-17", letter)}
	}
	*n = v
	return nil
}

// A Hop is where an event failed.
type Hop string

// The hops there are.
const (
	Call        Hop = "call"        // a caller waited for the answer and got a failure
	Async       Hop = "async"       // an event accepted for later was given up
	Destination Hop = "destination" // what came of an event could not be handed on
	DeadLetter  Hop = "dead letter" // an event given up could not be put aside where it should be
	Queued      Hop = "queue"       // a message was received too often and is a dead letter now
	Streamed    Hop = "stream"      // records of a stream failed, or grew too old, before they were done
	Published   Hop = "topic"       // a message that was published could not be delivered to a subscription
)

// Runs says whether what fails at a hop is a function that runs.
func (h Hop) Runs() bool { return h == Call || h == Async || h == Queued || h == Streamed }

// A State is what became of a failure.
type State string

// The states there are.
const (
	Open      State = "open"
	Redriven  State = "redriven"
	Discarded State = "discarded"
	Resolved  State = "resolved"
)

// A Failure is one event that failed at one hop. What the caller of [Record]
// leaves out stays out.
type Failure struct {
	Number ID        `json:"id"`
	At     time.Time `json:"at"`
	Group  GroupID   `json:"group"`
	State  State     `json:"state"`
	Closed time.Time `json:"closed,omitzero"` // when it was no longer open
	Reason string    `json:"reason,omitempty"`
	From   ID        `json:"from,omitempty"` // the failure whose event was redriven and failed again as this one
	To     ID        `json:"to,omitempty"`   // the failure its redriven event ended as

	Hop        Hop               `json:"hop"`
	Function   string            `json:"function"`
	Qualifier  string            `json:"qualifier,omitempty"` // as it was invoked: an alias, a version or nothing
	Version    string            `json:"version,omitempty"`   // the version that ran last
	CodeSHA256 string            `json:"codeSha256,omitempty"`
	Revision   string            `json:"revision,omitempty"` // of the function's configuration
	Owner      string            `json:"owner,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`

	Condition string        `json:"condition,omitempty"` // why it was given up, in AWS's words
	Outcome   string        `json:"outcome,omitempty"`   // of the last run, a daruma.OutcomeKind in words
	ErrorType string        `json:"errorType,omitempty"`
	Message   string        `json:"message,omitempty"`
	Stack     []string      `json:"stack,omitempty"`
	Location  Location      `json:"location,omitzero"` // the first frame that is the function's own
	Log       []string      `json:"log,omitempty"`     // the last lines of the last run
	Attempts  []Attempt     `json:"attempts,omitempty"`
	Runs      int           `json:"runs"`              // attempts that counted
	NotRun    int           `json:"notRun,omitempty"`  // times it could not run
	Accepted  time.Time     `json:"accepted,omitzero"` // when the platform took the event in
	Duration  time.Duration `json:"durationNs,omitempty"`

	Request      string            `json:"request"`
	Trace        string            `json:"trace,omitempty"` // the trace's root
	TraceHeader  string            `json:"traceHeader,omitempty"`
	Source       string            `json:"source,omitempty"`
	Client       string            `json:"client,omitempty"`       // who asked
	Correlations map[string]string `json:"correlations,omitempty"` // declared path → value in the event
	Depth        int               `json:"depth,omitempty"`        // destinations behind one another

	Did  string `json:"did,omitempty"`  // what the platform did
	Next string `json:"next,omitempty"` // what a person can do

	// Recording names what was kept of the last run's exchanges with hosts
	// outside; "" when nothing was.
	Recording string `json:"recording,omitempty"`

	// Faults are the faults, asked for, that met one of its runs: "FT-3 latency".
	// What they did is no nature.
	Faults []string `json:"faults,omitempty"`

	EventBytes int             `json:"eventBytes"`
	Redacted   []string        `json:"redacted,omitempty"` // declared paths whose values are not kept
	Handover   json.RawMessage `json:"handover,omitempty"` // of a destination: how it was to be handed on

	// Sensitive and Correlate are JSON paths ("$.card.number",
	// "$.items[*].token"), declared for the function. They are not kept.
	Sensitive []string `json:"sensitive,omitempty"`
	Correlate []string `json:"correlate,omitempty"`
}

// An Attempt is one try, of a kind that counted or one that did not.
type Attempt struct {
	At          time.Time     `json:"at"`
	Duration    time.Duration `json:"durationNs,omitempty"`
	Environment string        `json:"environment,omitempty"`
	Version     string        `json:"version,omitempty"`
	Outcome     string        `json:"outcome"`
	ErrorType   string        `json:"errorType,omitempty"`
	Message     string        `json:"message,omitempty"`
	Faults      []string      `json:"faults,omitempty"` // asked for, that met it
	Alone       bool          `json:"alone,omitempty"`  // most other events went well around it
}

// Alone says whether one of an event's attempts failed while most other events
// went well: then the event is to blame, and not what all of them need.
func Alone(attempts []Attempt) bool {
	return slices.ContainsFunc(attempts, func(a Attempt) bool { return a.Alone })
}

// trim cuts everything to its limit.
func (f *Failure) trim() {
	f.Message = Cut(f.Message, MessageBytesMax)
	for _, s := range []*string{&f.Function, &f.Qualifier, &f.Version, &f.CodeSHA256, &f.Revision, &f.Owner, &f.Condition, &f.Outcome, &f.ErrorType,
		&f.Request, &f.Trace, &f.TraceHeader, &f.Source, &f.Client, &f.Did, &f.Next, &f.Reason, &f.Recording, &f.Location.File, &f.Location.Function} {
		*s = Cut(*s, textBytesMax)
	}
	f.Faults = Head(f.Faults, textBytesMax)
	f.Stack = Head(f.Stack, StackBytesMax)
	f.Log = Tail(f.Log, LogLinesMax, LogBytesMax)
	if n := len(f.Attempts); n > AttemptsMax {
		f.Attempts = append(f.Attempts[:AttemptsMax/2:AttemptsMax/2], f.Attempts[n-AttemptsMax/2:]...)
	}
	for i := range f.Attempts {
		a := &f.Attempts[i]
		a.Message, a.ErrorType, a.Environment, a.Version = Cut(a.Message, textBytesMax), Cut(a.ErrorType, textBytesMax), Cut(a.Environment, textBytesMax), Cut(a.Version, textBytesMax)
		a.Faults = Head(a.Faults, textBytesMax)
	}
	f.Tags = trimTags(f.Tags)
	if len(f.Handover) > handoverBytesMax {
		f.Handover = nil
	}
}

// Cut returns the first n bytes of s at most, whole characters only.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Head keeps the first lines, up to a number of bytes.
func Head(lines []string, bytes int) []string {
	for i, l := range lines {
		if bytes -= len(l); bytes < 0 {
			return lines[:i:i]
		}
	}
	return lines
}

// Tail keeps the last lines, up to a number of them and of bytes.
func Tail(lines []string, n, bytes int) []string {
	lines = lines[max(0, len(lines)-n):]
	for i := len(lines) - 1; i >= 0; i-- {
		if bytes -= len(lines[i]); bytes < 0 {
			return lines[i+1:]
		}
	}
	return lines
}
