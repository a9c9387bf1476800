// Package tape holds what one run asked hosts outside and what they answered:
// as values that can be written down ([Encode], [Decode]), made while it
// happens ([Recorder]) and answered from later ([Player]).
//
// It promises bounded space for whatever a function does, that secrets in
// headers, queries and members of the given names are not kept, and that a
// request is answered by the exchange that fits it best, each once, in their
// order. It knows nothing of connections and does no I/O.
//
// Values are plain data. Recorders and players may be used from any goroutine.
package tape

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Limits of what is kept.
const (
	ExchangesMax    = 256     // of one run; more are counted
	BodyBytesMax    = 1 << 20 // of one body; one that is longer is cut, and not answered from
	BytesMax        = 8 << 20 // of all bodies and headers of one tape
	BeforeMax       = 32      // exchanges before the run that are kept with it: those of the environment's start come first
	BeforeBytesMax  = 1 << 20
	missesMax       = 64 // texts that say what was not recorded
	headerBytesMax  = 64 << 10
	targetBytesMax  = 8 << 10 // of a path with its query
	textBytesMax    = 1 << 10
	encodedBytesMax = 2*BytesMax + 4<<20 // of what Decode reads, unpacked: bodies are in base64
)

// Kinds of exchange.
const (
	Request    = "request"    // HTTP
	Connection = "connection" // that was not made: Error says why
	Lookup     = "lookup"     // of a name that was not found
)

// Cloud is the host of requests that went to the endpoint which the platform
// tells SDKs, whatever its address is where they run.
const Cloud = "aws.endpoint"

// An Exchange is one thing that was asked, and what came of it.
type Exchange struct {
	Kind   string        `json:"kind"`
	Before bool          `json:"before,omitempty"` // it was before the run: at the environment's start, or in earlier runs
	At     time.Time     `json:"time"`
	Took   time.Duration `json:"tookNs"` // until the answer was whole, or failed

	Scheme string `json:"scheme,omitempty"` // "http" or "https"
	Host   string `json:"host"`             // as it was connected to: a name, an address or Cloud
	Port   int    `json:"port,omitempty"`
	Method string `json:"method,omitempty"`
	Target string `json:"target,omitempty"` // the path, escaped, with its query; secrets are left out
	// Operation is what AWS's JSON protocols name in X-Amz-Target: all their
	// requests have one path.
	Operation     string      `json:"operation,omitempty"`
	RequestHeader http.Header `json:"requestHeader,omitempty"`
	RequestBody   []byte      `json:"requestBody,omitempty"`
	RequestSHA256 string      `json:"requestSha256,omitempty"` // of the whole body as it was sent, in hex

	Status  int         `json:"status,omitempty"`
	Header  http.Header `json:"header,omitempty"`
	Body    []byte      `json:"body,omitempty"`
	Trailer http.Header `json:"trailer,omitempty"`
	Cut     bool        `json:"cut,omitempty"`     // the answer's body is longer than what is kept
	Pending bool        `json:"pending,omitempty"` // the run ended, or did not wait, before the answer was whole
	Error   string      `json:"error,omitempty"`   // why there is no answer, or no whole one
}

// String names the exchange: "POST https://api.example/orders".
func (x *Exchange) String() string {
	switch x.Kind {
	case Lookup:
		return "lookup of " + x.Host
	case Connection:
		return "connection to " + x.Host + ":" + strconv.Itoa(x.Port)
	}
	address := x.Host
	usual := x.Scheme == "http" && x.Port == 80 || x.Scheme == "https" && x.Port == 443
	if !usual && x.Port != 0 && x.Host != Cloud {
		address += ":" + strconv.Itoa(x.Port)
	}
	text := x.Method + " " + x.Scheme + "://" + address + x.Target
	if x.Operation != "" {
		text += " (" + x.Operation + ")"
	}
	return text
}

// bytes is what the exchange takes of a tape.
func (x *Exchange) bytes() int {
	return len(x.RequestBody) + len(x.Body) + len(x.Target) + len(x.Error) + headerBytes(x.RequestHeader) + headerBytes(x.Header) + headerBytes(x.Trailer) + 256
}

func headerBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 8
		}
	}
	return n
}

// A Tape is what one run asked outside, with what its environment had asked before.
type Tape struct {
	Version   int        `json:"version"` // 1 is the first
	Exchanges []Exchange `json:"exchanges"`
	Redacted  []string   `json:"redacted,omitempty"` // names beside the known ones whose values are not kept
	// Missed says what was not recorded and why: "db.example:5432 does not speak HTTP".
	Missed  []string `json:"missed,omitempty"`
	Dropped int      `json:"dropped,omitempty"` // exchanges beyond the limits
}

// version is the tape's format.
const version = 1

// target returns a URL's path with its query, without secrets and bounded.
func (r redactor) target(u *url.URL) string {
	text := u.EscapedPath()
	if text == "" {
		text = "/"
	}
	if q := r.query(u.RawQuery); q != "" {
		text += "?" + q
	}
	return cut(text, targetBytesMax)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
