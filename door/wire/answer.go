package wire

import (
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// answer is the http.ResponseWriter that handlers get: it knows whether
// anything was sent, and does not wait for ever for a client that does not read.
type answer struct {
	http.ResponseWriter
	started bool
	bounded time.Time // when the time for writing was bounded last
}

// WriteHeader sends the headers.
func (a *answer) WriteHeader(status int) {
	a.start()
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a piece of the answer, within answerTimeMax.
func (a *answer) Write(p []byte) (int, error) {
	a.start()
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) start() {
	a.started = true
	now := time.Now()
	if now.Sub(a.bounded) < time.Second { // headers and answer in one go
		return
	}
	a.bounded = now
	if d, ok := a.ResponseWriter.(deadliner); ok {
		_ = d.SetWriteDeadline(now.Add(answerTimeMax)) // fails when it is closed, as the next write will
	}
}

// deadliner is what net/http's own response writers offer.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// readWithin bounds the time for reading the body; the zero time unbounds it,
// which a handler that runs for minutes depends on.
func (a *answer) readWithin(t time.Time) {
	if d, ok := a.ResponseWriter.(deadliner); ok {
		_ = d.SetReadDeadline(t) // fails when it is closed, as the next read will
	}
}

// body reads the request's body, of a length that was announced. Memory grows
// with what arrives, not with what was promised. The time for it is unbounded
// once it is whole.
func (x *exchange) body(bytesMax int64, tooLarge *Error) ([]byte, *Error) {
	n := x.req.HTTP.ContentLength
	if n == 0 {
		return nil, nil
	}
	if n < 0 || len(x.req.HTTP.TransferEncoding) > 0 {
		return nil, &Error{Status: http.StatusLengthRequired, Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header; Transfer-Encoding is not accepted.", closes: true}
	}
	if n > bytesMax {
		if tooLarge == nil {
			tooLarge = &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge", Message: "The request is larger than this service accepts."}
		}
		return nil, tooLarge
	}
	buf := make([]byte, min(n, 64<<10))
	var have int64
	for {
		k, err := io.ReadFull(x.req.HTTP.Body, buf[have:])
		have += int64(k)
		if err != nil {
			return nil, &Error{Status: http.StatusBadRequest, Code: "IncompleteBody", Message: "The request body ended before its Content-Length was reached.", closes: true}
		}
		if have == n {
			break
		}
		grown := make([]byte, min(n, 4*have))
		copy(grown, buf)
		buf = grown
	}
	x.answer.readWithin(time.Time{})
	return buf, nil
}

// drain throws a body away that nobody read. The time for it stays bounded:
// net/http reads on what does not come.
func (x *exchange) drain() {
	r := x.req.HTTP
	if x.req.Body != nil || r.ContentLength <= 0 || r.ContentLength > 4*drainBytesMax || r.Header.Get("Expect") != "" {
		return
	}
	x.answer.readWithin(time.Now().Add(headerTimeMax))
	_, _ = io.CopyN(io.Discard, r.Body, drainBytesMax) // what is cut short ends with its connection
}

// stack is the text of a panic's stack, bounded.
func stack() string {
	s := debug.Stack()
	return string(s[:min(len(s), 8<<10)])
}
