package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
)

// chunkBytesMax is the most one PayloadChunk frame carries.
const chunkBytesMax = 64 << 10

// errEnded is what a write gets that comes after the answer's end.
var errEnded = errors.New("the caller is no longer there")

// invokeStream answers InvokeWithResponseStream: frames of the AWS event
// stream, PayloadChunk as the function writes, and InvokeComplete at the end.
func (d *Door) invokeStream(w http.ResponseWriter, r *wire.Request, name string) {
	a, err := d.ask(r, name, "InvokeWithResponseStream", requestResponse, dryRun)
	if err != nil {
		wire.Refuse(w, r, err)
		return
	}
	a.name(w.Header())
	if a.dryRun {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s := &stream{w: w, control: http.NewResponseController(w)}
	a.inv.Stream = s
	out := d.cfg.Runner.Run(r.HTTP.Context(), a.inv)
	d.tell(&a, s.end(r, &out, a.tail), &out)
}

// A stream is the daruma.Stream of one answer. The function may still be
// writing when its caller has left, so everything goes through mu.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex // guards the rest, and w
	version string     // X-Amz-Executed-Version
	begun   bool
	ended   bool
	failed  error
	encoder *eventstream.Encoder
	frame   bytes.Buffer
}

// Begin sends the answer's headers. The function's content type does not
// reach the caller: the answer is an event stream, whatever is in it.
func (s *stream) Begin(version, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
	s.begin()
}

func (s *stream) begin() {
	if s.begun || s.ended {
		return
	}
	s.begun = true
	s.encoder = eventstream.NewEncoder()
	h := s.w.Header()
	h["Content-Type"] = []string{"application/vnd.amazon.eventstream"}
	if s.version != "" {
		h["X-Amz-Executed-Version"] = []string{s.version}
	}
	s.w.WriteHeader(http.StatusOK)
	s.failed = s.control.Flush()
}

// Write sends p as one or more PayloadChunk frames and does not return before
// they are on their way.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, errEnded
	}
	s.begin()
	n := s.chunks(p)
	if s.failed == nil {
		s.failed = s.control.Flush()
	}
	return n, s.failed
}

// chunks sends p in PayloadChunk frames and returns how much of it was sent.
func (s *stream) chunks(p []byte) (n int) {
	for n < len(p) {
		chunk := p[n:min(len(p), n+chunkBytesMax)]
		if s.send("PayloadChunk", "application/octet-stream", chunk) != nil {
			return n
		}
		n += len(chunk)
	}
	return n
}

// send writes one frame.
func (s *stream) send(event, contentType string, payload []byte) error {
	if s.failed != nil {
		return s.failed
	}
	s.frame.Reset()
	s.failed = s.encoder.Encode(&s.frame, eventstream.Message{
		Headers: eventstream.Headers{
			{Name: ":event-type", Value: eventstream.StringValue(event)},
			{Name: ":content-type", Value: eventstream.StringValue(contentType)},
			{Name: ":message-type", Value: eventstream.StringValue("event")},
		},
		Payload: payload,
	})
	if s.failed == nil {
		_, s.failed = s.w.Write(s.frame.Bytes())
	}
	return s.failed
}

// complete is the payload of InvokeComplete.
type complete struct {
	ErrorCode    string `json:"ErrorCode,omitempty"`
	ErrorDetails string `json:"ErrorDetails,omitempty"`
	LogResult    string `json:"LogResult,omitempty"`
}

// end finishes the answer. An event that did not run is refused as Invoke
// refuses it, as long as nothing was sent. It returns the answer's status.
func (s *stream) end(r *wire.Request, out *daruma.Outcome, tail bool) (status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun && (!out.Kind.Ran() || out.Kind == daruma.Unknown) {
		s.ended = true
		return refuseOutcome(s.w, r, out).Status
	}
	if !s.begun {
		s.version = out.Version
		s.begin()
		if out.Kind == daruma.Done {
			s.chunks(out.Payload)
		}
	}
	var last complete
	if out.Kind != daruma.Done {
		last.ErrorCode, last.ErrorDetails = "Unhandled", string(errorPayload(out))
	}
	if tail {
		last.LogResult = logResult(out.LogTail)
	}
	b, err := json.Marshal(last)
	if err != nil {
		panic(err) // three strings always encode
	}
	_ = s.send("InvokeComplete", "application/json", b) // kept in failed
	s.ended = true
	return http.StatusOK
}
