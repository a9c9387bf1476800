package daruma

import (
	"io"
	"time"
)

// Sizes that AWS fixes for one invocation (Lambda quotas).
const (
	PayloadBytesMax       = 6 << 20     // a synchronous request: 6,291,456 bytes
	ResponseBytesMax      = 6<<20 + 100 // a buffered answer: 6,291,556 bytes
	StreamedBytesMax      = 200 << 20   // a streamed answer
	LogTailBytesMax       = 4 << 10     // the log tail an invocation returns
	ClientContextBytesMax = 3583        // the encoded client context
)

// A Target names a function as its caller did.
type Target struct {
	Function  string // the function's name, never an ARN
	Qualifier string // a version, an alias or "$LATEST"; "" when the caller gave none
}

// String returns name or name:qualifier.
func (t Target) String() string {
	if t.Qualifier == "" {
		return t.Function
	}
	return t.Function + ":" + t.Qualifier
}

// An Invocation is one event on its way to one function.
type Invocation struct {
	ID            string    // request ID; the same in every attempt of one event
	Target        Target    // as the caller named it
	Payload       []byte    // JSON; an empty request body arrives here as {}
	At            time.Time // when the platform took the event in, by the app's clock
	Since         time.Time // when it began to wait for this run; At when zero
	Trace         string    // X-Amzn-Trace-Id: Root=1-…;Parent=…;Sampled=0|1; the parent is the span that asks
	Source        string    // who asked, for the timeline: "invoke", "http", "url", …
	Attempt       int       // the how manyth try of an event that nobody waits for; 0 when somebody does
	From          string    // the failure whose event this is, sent back: "F-17"; or ""
	ClientContext []byte    // decoded JSON, or nil
	Identity      []byte    // Cognito identity as JSON, or nil
	Tenant        string    // X-Amz-Tenant-Id, or ""

	// Stream receives a streamed answer as the function produces it; nil
	// asks for the whole answer in Outcome.Payload. A function that answers
	// buffered is written to Stream in one piece.
	Stream Stream

	Links []Link // the messages it hands over, up to LinksMax; nil when it is no batch of a queue
}

// A Stream takes a streamed answer. Begin comes first and once, then any
// number of writes. A Write that fails ends the copying; the function runs on
// to its own end. The end, good or bad, is told by the Outcome.
type Stream interface {
	// Begin tells which version of the function answers, and the answer's
	// content type as the function gave it.
	Begin(version, contentType string)
	io.Writer
}

// A Delivery is an invocation as one environment sees it: what the Runtime
// API answers to "next".
type Delivery struct {
	ID            string
	Deadline      time.Time // when the function will be killed
	ARN           string    // the function as it was invoked, qualifier included
	Trace         string
	ClientContext []byte
	Identity      []byte
	Tenant        string
	Payload       []byte
}
