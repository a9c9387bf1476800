package daruma

import "time"

// SpanKind says what a span tells of.
type SpanKind string

// The kinds of span.
const (
	SpanCall   SpanKind = "call"   // a request that somebody waited for, from its arrival at a door to its answer
	SpanAccept SpanKind = "accept" // an event taken in for later, from its arrival to its being durable
	SpanRun    SpanKind = "run"    // one try to have a function handle an event; its outcome says whether it ran
)

// A Span is one piece of a trace's story. What does not apply to its kind is
// left out. It is told when it has ended: a span that has children may be told
// after them.
type Span struct {
	ID     string    `json:"id"`               // 16 hexadecimal digits
	Parent string    `json:"parent,omitempty"` // the span it is a part of; it may be somebody else's, or not kept any more
	Trace  string    `json:"trace"`            // the trace's root
	State  string    `json:"state,omitempty"`  // the caller's tracestate, as it came in
	Kind   SpanKind  `json:"kind"`
	Name   string    `json:"name,omitempty"` // of a call or an accept: "GET /orders", "Invoke Charge"
	At     time.Time `json:"time"`           // when it began, by the app's clock; of a run, when the event was handed over

	Wait     time.Duration `json:"waitNs,omitempty"` // before Init, by the app's clock: for room, for the next attempt
	Init     time.Duration `json:"initNs,omitempty"` // before At: an environment was started for it
	Duration time.Duration `json:"durationNs"`       // what it took, by the machine's clock

	Function    string      `json:"function,omitempty"`
	Version     string      `json:"version,omitempty"`
	Environment string      `json:"environment,omitempty"`
	Request     string      `json:"request,omitempty"`
	Source      string      `json:"source,omitempty"`  // of a run: who asked for it
	Attempt     int         `json:"attempt,omitempty"` // of a run for which nobody waits: the how manyth it is
	From        string      `json:"from,omitempty"`    // of a run: the failure whose event it is, sent back: "F-17"
	Outcome     OutcomeKind `json:"outcome"`
	ErrorType   string      `json:"errorType,omitempty"`
	Status      int         `json:"status,omitempty"` // of a call or an accept: the HTTP status
	Cold        bool        `json:"cold,omitempty"`
	MemoryBytes int64       `json:"memoryBytes,omitempty"`
	Faults      []string    `json:"faults,omitempty"` // of a run: the faults asked for that met it, "FT-3 latency"
	Keys        []string    `json:"keys,omitempty"`   // values it is found by
}

// End returns when the span ended.
func (s Span) End() time.Time { return s.At.Add(s.Duration) }
