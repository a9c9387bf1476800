// Package runtime is the door that function environments knock at: it speaks
// the Lambda Runtime, Extensions and Telemetry APIs (HTTP/1.1 on the
// environment's own loopback) and turns them into calls of a [Guest].
package runtime

import (
	"context"
	"io"

	"github.com/daruma-io/daruma"
)

// A Guest is one environment as the protocol needs it; package run's
// environment is one. Methods that are called in a wrong state return a
// *StateError, which the door answers with 403.
//
// The methods may be called from several goroutines at once: a hostile
// process may open many connections.
type Guest interface {
	// Next ends the invocation before it and waits for the next one. It
	// returns ctx's error when the connection ends first.
	Next(ctx context.Context) (*daruma.Delivery, error)
	// Respond answers invocation id with a whole body. The Guest keeps body.
	Respond(id, contentType string, body []byte) error
	// RespondStream answers invocation id from body as it comes; trailer is
	// read after body's end and tells a failure in mid-stream (both empty: none).
	RespondStream(id, contentType string, body io.Reader, trailer func() (errorType string, errorBody []byte)) error
	// Fail reports that the function failed. body is passed on byte for byte.
	Fail(id, errorType string, body []byte) error
	// InitFail reports that the runtime could not start; valid before the first Next only.
	InitFail(errorType string, body []byte) error

	// Register registers an extension and returns its identifier.
	Register(name string, events []string) (identifier string, info ExtensionInfo, err error)
	// ExtensionNext waits for the extension's next event.
	ExtensionNext(ctx context.Context, identifier string) (ExtensionEvent, error)
	// ExtensionFail takes an extension's /init/error (init true) or /exit/error.
	ExtensionFail(identifier, errorType string, init bool, body []byte) error
}

// ExtensionInfo is the answer to a registration.
type ExtensionInfo struct {
	FunctionName, FunctionVersion, Handler, AccountID string
}

// An ExtensionEvent is what an extension's next returns.
type ExtensionEvent struct {
	ID       string           // Lambda-Extension-Event-Identifier
	Shutdown string           // "spindown", "timeout" or "failure" for a SHUTDOWN event; "" for INVOKE
	Invoke   *daruma.Delivery // for INVOKE; its Payload is not passed on
	Deadline int64            // Unix milliseconds
}

// A StateError refuses a call that does not fit the environment's state.
type StateError struct {
	Status int    // HTTP status: 403, 400, 413
	Type   string // "InvalidStateTransition", "InvalidRequestID", "Extension.UnknownExtensionIdentifier", …
	Reason string
}

// Error returns the type and the reason.
func (e *StateError) Error() string { return e.Type + ": " + e.Reason }
