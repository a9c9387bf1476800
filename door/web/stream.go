package web

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"
)

// streamHead marks a streamed answer that begins with its own status and
// headers as JSON, then eight NUL bytes, then the body.
const streamHead = "application/vnd.awslambda.http-integration-response"

// preludeBytesMax bounds the JSON before the body of a streamed answer.
const preludeBytesMax = 16 << 10

var preludeEnd = make([]byte, 8)

// A stream passes a function's streamed answer to the client as it comes. It
// is a daruma.Stream; close makes it let go of the client for good.
type stream struct {
	c    *call
	p    product
	w    http.ResponseWriter
	ctrl *http.ResponseController

	mu      sync.Mutex // guards what follows and every use of w
	closed  bool
	begun   bool
	framed  bool   // a prelude comes before the body
	prelude []byte // what has come of it
	sent    bool   // the status is on its way
	err     error  // why the answer cannot be used
}

var errClosed = errors.New("the client is no longer there")

// Begin takes the content type the function gave.
func (s *stream) Begin(_, contentType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.begun {
		return
	}
	s.begun = true
	if mediaType(contentType) == streamHead {
		s.framed = true
		return
	}
	if s.p == restAPI { // a proxy integration in mode STREAM needs the prelude
		s.err = errors.New("the streamed result has no " + streamHead + " content type")
		return
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	s.open(&answer{status: http.StatusOK, headers: []field{{name: "Content-Type", value: contentType}}})
}

// open sends status and headers at once.
func (s *stream) open(a *answer) {
	s.c.head(s.w.Header(), s.p, a)
	s.w.WriteHeader(a.status)
	s.sent = true
	s.err = s.flush()
}

func (s *stream) flush() error { return s.ctrl.Flush() }

// Write passes bytes on and flushes them.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, errClosed
	case s.err != nil:
		return 0, s.err
	}
	body := b
	if s.framed && !s.sent {
		var ok bool
		if body, ok = s.take(b); s.err != nil {
			return 0, s.err
		} else if !ok {
			return len(b), nil
		}
	}
	if len(body) > 0 {
		s.ctrl.SetWriteDeadline(time.Now().Add(writeTime))
		if _, s.err = s.w.Write(body); s.err == nil {
			s.err = s.flush()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(b), nil
}

// take collects the prelude; once it is whole it opens the answer and returns
// what of b belongs to the body.
func (s *stream) take(b []byte) (body []byte, whole bool) {
	from := max(0, len(s.prelude)-len(preludeEnd)+1)
	room := min(len(b), preludeBytesMax+len(preludeEnd)-len(s.prelude))
	before := len(s.prelude)
	s.prelude = append(s.prelude, b[:room]...)
	i := bytes.Index(s.prelude[from:], preludeEnd)
	if i < 0 {
		if len(s.prelude) >= preludeBytesMax+len(preludeEnd) {
			s.err = errors.New("the streamed result's status and headers are too long")
		}
		return nil, false
	}
	end := from + i
	a, err := decodeAnswer(s.prelude[:end], formHead)
	if err != nil {
		s.err = err
		return nil, false
	}
	s.open(&a)
	if s.err != nil {
		return nil, false
	}
	return b[end+len(preludeEnd)-before:], true
}

// close lets go of the client. It returns whether the status was sent and why
// the answer could not be used, if so.
func (s *stream) close() (sent bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.sent && s.err == nil {
		s.ctrl.SetWriteDeadline(time.Time{}) // the connection may live on
	}
	if s.err == nil && s.begun && !s.sent {
		s.err = errors.New("the streamed result ended before its status and headers")
	}
	return s.sent, s.err
}
