package daruma

import (
	"slices"
	"time"
)

// SpanKind says what a span tells of.
type SpanKind string

// The kinds of span.
const (
	SpanCall   SpanKind = "call"   // a request that somebody waited for, from its arrival at a door to its answer
	SpanAccept SpanKind = "accept" // an event taken in for later, from its arrival to its being durable
	SpanRun    SpanKind = "run"    // one try to have a function handle an event; its outcome says whether it ran
	SpanSend   SpanKind = "send"   // messages taken in by a queue or a topic, from their arrival to their being durable
	SpanPost   SpanKind = "post"   // one try to post a message to a URL
)

// LinksMax bounds the messages that one span names: those of the largest batch
// a queue without a window hands out, ten times over.
const LinksMax = 100

// A Link names a message that a span is about.
type Link struct {
	Message  string `json:"message"`            // its ID; of a delivery to a function, the request's
	To       string `json:"to,omitempty"`       // of a message that was published: whom it was handed to
	Receives int    `json:"receives,omitempty"` // of a run: the how manyth time it was received
	Trace    string `json:"trace,omitempty"`    // the root of its trace, when that is another one than the span's
	Span     string `json:"span,omitempty"`     // in that trace, what sent it
}

// A Span is one piece of a trace's story. What does not apply to its kind is
// left out. It is told when it has ended: a span that has children may be told
// after them.
type Span struct {
	ID     string    `json:"id"`               // 16 hexadecimal digits
	Parent string    `json:"parent,omitempty"` // the span it is a part of; it may be somebody else's, or not kept any more
	Trace  string    `json:"trace"`            // the trace's root
	State  string    `json:"state,omitempty"`  // the caller's tracestate, as it came in
	Kind   SpanKind  `json:"kind"`
	Name   string    `json:"name,omitempty"` // of all but a run: "GET /orders", "Invoke Charge", "Send inbox"
	At     time.Time `json:"time"`           // when it began, by the app's clock; of a run, when the event was handed over

	Wait     time.Duration `json:"waitNs,omitempty"` // before Init, by the app's clock: for room, for the next attempt
	Init     time.Duration `json:"initNs,omitempty"` // before At: an environment was started for it
	Duration time.Duration `json:"durationNs"`       // what it took, by the machine's clock

	Function    string      `json:"function,omitempty"`
	Version     string      `json:"version,omitempty"`
	Environment string      `json:"environment,omitempty"`
	Request     string      `json:"request,omitempty"`
	Source      string      `json:"source,omitempty"`  // of a run: who asked for it, "queue inbox"; of a send: what took it
	Attempt     int         `json:"attempt,omitempty"` // of a run or a post for which nobody waits: the how manyth it is
	From        string      `json:"from,omitempty"`    // of a run: the failure whose event it is, sent back: "F-17"
	Outcome     OutcomeKind `json:"outcome"`
	ErrorType   string      `json:"errorType,omitempty"`
	Status      int         `json:"status,omitempty"` // of all but a run: the HTTP status
	Cold        bool        `json:"cold,omitempty"`
	MemoryBytes int64       `json:"memoryBytes,omitempty"`
	Faults      []string    `json:"faults,omitempty"` // of a run: the faults asked for that met it, "FT-3 latency"
	Keys        []string    `json:"keys,omitempty"`   // values it is found by
	Links       []Link      `json:"links,omitempty"`  // the messages it is about, up to LinksMax
}

// About says whether a span is about a message.
func (s *Span) About(message string) bool {
	return slices.ContainsFunc(s.Links, func(l Link) bool { return l.Message == message })
}

// In says whether a span tells of a trace: it is a part of it, or of a message that is.
func (s *Span) In(root string) bool {
	return s.Trace == root || slices.ContainsFunc(s.Links, func(l Link) bool { return l.Trace == root })
}

// End returns when the span ended.
func (s Span) End() time.Time { return s.At.Add(s.Duration) }
