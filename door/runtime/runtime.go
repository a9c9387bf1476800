// Package runtime is the door that function environments knock at: it speaks
// the Lambda Runtime and Extensions APIs (HTTP/1.1 on the environment's own
// loopback) and turns them into calls of a [Guest]. Who asks for the Telemetry
// API is told that it is not supported.
//
// The server is written for this protocol alone. A connection has one
// goroutine, which reads, parses and answers; an invocation is written to the
// connection that waits for it by whoever brings it, so that a warm call
// wakes no goroutine of the door. What a client sends is bounded in every
// direction (connections, header and body sizes, time for a half-sent
// header), because the client is a function's process and may be hostile.
//
// The package holds no state of an environment: that is the Guest's. [Serve]
// may be called for any number of environments at once.
package runtime

import (
	"context"
	"io"
	"net"

	"github.com/daruma-io/daruma"
)

// A Guest is one life of an environment's processes, as the protocol needs
// it; package run's Session is one. Calls that do not fit its state return a
// *daruma.StateError, which the door answers with its status.
//
// The methods may be called from several goroutines at once: a hostile
// process may open many connections.
type Guest interface {
	Runtime
	Extensions
}

// Runtime is the runtime's half of a Guest.
type Runtime interface {
	// Attach tells of a connection's first call of the Runtime API. deliver
	// writes an invocation to it and may be called once after each Next, from
	// any goroutine, even before Next returns. It blocks while the process
	// does not read.
	Attach(deliver func(*daruma.Delivery) error) (link uint64)
	// Detach tells that the connection is gone, and all it had sent was read.
	Detach(link uint64)
	// Next ends the invocation before it and asks for the next one.
	Next(link uint64) error
	Answers
}

// Answers is what a runtime tells about an invocation.
type Answers interface {
	// Respond answers invocation id with a whole body, which the Guest keeps.
	// A body of more than daruma.ResponseBytesMax was too long; the door
	// passes one byte more than that at most.
	Respond(id, contentType string, body []byte) error
	// RespondStream answers invocation id from body as it comes; trailer is
	// read after body's end and tells a failure in mid-stream (both empty: none).
	RespondStream(id, contentType string, body io.Reader, trailer func() (errorType string, errorBody []byte)) error
	// Fail reports that the function failed. body is passed on byte for byte;
	// nil asks for a body made of errorType.
	Fail(id, errorType string, body []byte) error
	// InitFail reports that the runtime could not start; valid before the first Next only.
	InitFail(errorType string, body []byte) error
}

// Extensions is the extensions' half of a Guest.
type Extensions interface {
	// Register registers an extension.
	Register(name string, events []string) (daruma.Registration, error)
	// ExtensionNext asks for the extension's next event, which deliver writes
	// to its connection, once, from any goroutine, even before ExtensionNext returns.
	ExtensionNext(identifier string, deliver func(daruma.ExtensionEvent) error) error
	// ExtensionFail takes an extension's /init/error (init true) or /exit/error.
	ExtensionFail(identifier, errorType string, init bool, body []byte) error
}

// Limits of one environment.
const (
	connectionsMax  = 64             // more are closed at once
	headerBytesMax  = 1<<20 + 64<<10 // the X-Ray error cause alone may have a MiB
	headerFieldsMax = 128
	smallBytes      = 64 << 10  // a request that holds more at once needs one of largeMax places
	largeMax        = 4         // requests of more than smallBytes held at once
	controlBytesMax = 64 << 10  // the body of a registration or subscription
	trailerBytesMax = 256 << 10 // trailers of a streamed answer
	drainBytesMax   = 32 << 20  // what is read and thrown away to keep a connection
)

// Serve answers the processes of one environment on ln until ctx ends. It
// closes ln and returns once every connection is closed. Its error is nil
// when ctx ended it.
func Serve(ctx context.Context, ln net.Listener, g Guest) error {
	s := &server{guest: g, conns: map[*conn]struct{}{}, large: make(chan struct{}, largeMax), stop: make(chan struct{})}
	unhook := context.AfterFunc(ctx, func() { s.shut(ln) })
	defer unhook()
	err := s.accept(ln)
	s.shut(ln)
	s.wait.Wait()
	if ctx.Err() != nil {
		return nil
	}
	if s.broken != nil {
		return s.broken
	}
	return err
}
