package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// A fault is why a call does not end well, before it is known which call that is.
type fault struct {
	kind    daruma.OutcomeKind
	err     daruma.Kind
	errType string // "Runtime.ExitError"
	text    string // without "RequestId: … Error: "
	payload []byte // what the function posted, instead of errType and text
	again   bool   // processes came up and failed: they get another chance
	cause   string // for the environment's record: "timeout", "crash", "init"
}

// outcome says the fault in the words of one request.
func (f *fault) outcome(id string) daruma.Outcome {
	o := daruma.Outcome{Kind: f.kind, Payload: f.payload}
	if f.payload != nil {
		o.Failure = posted(f.errType, f.payload)
		return o
	}
	message := "RequestId: " + id + " Error: " + f.text
	o.Failure = &daruma.Failure{Kind: f.err, Type: f.errType, Message: message}
	o.Payload = errorPayload(f.errType, message)
	return o
}

// recorded is the error type as the platform's own lines have it.
func (f *fault) recorded() string {
	if f.payload != nil {
		return category(f.errType)
	}
	return f.errType
}

// errorPayload is what AWS answers when the platform, not the function, reports an error.
func errorPayload(errType, message string) []byte {
	data, _ := json.Marshal(struct { // two strings cannot fail
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errType, message})
	return data
}

// posted reads a failure out of what a function reported. What is not there stays empty.
func posted(errType string, payload []byte) *daruma.Failure {
	var said struct {
		Type    any `json:"errorType"`
		Message any `json:"errorMessage"`
	}
	f := &daruma.Failure{Kind: daruma.KindInvalid, Type: category(errType)}
	if json.Unmarshal(payload, &said) == nil {
		if s, ok := said.Type.(string); ok && s != "" {
			f.Type = s
		}
		f.Message, _ = said.Message.(string)
	}
	return f
}

// category is the error type a runtime gave in its header, as AWS records it:
// what does not contain Runtime.X or Function.X is Runtime.Unknown.
func category(errType string) string {
	for rest := errType; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		head, tail := rest[:dot], rest[dot+1:]
		if (strings.HasSuffix(head, "Runtime") || strings.HasSuffix(head, "Function")) &&
			len(tail) > 1 && 'A' <= tail[0] && tail[0] <= 'Z' && 'A' <= tail[1]&^0x20 && tail[1]&^0x20 <= 'Z' {
			return errType
		}
		rest = tail
	}
	if strings.HasPrefix(errType, "Function.") {
		return "Function.Unknown"
	}
	return "Runtime.Unknown"
}

// exited is the fault of a runtime's process that ended.
func exited(e sandbox.Exit) *fault {
	f := &fault{kind: daruma.Crashed, err: daruma.KindInternal, errType: "Runtime.ExitError", cause: "crash"}
	switch {
	case e.Signal != 0:
		f.text = "Runtime exited with error: signal: " + e.Signal.String()
	case e.Code != 0:
		f.text = "Runtime exited with error: exit status " + strconv.Itoa(e.Code)
	default:
		f.text = "Runtime exited without providing a reason"
	}
	if e.OutOfMemory {
		f.errType = "Runtime.OutOfMemory"
	}
	return f
}

// extensionExited is the fault of an extension's process that ended.
// errType is "Extension.InitError" or "Extension.ExitError" when it had said so.
func extensionExited(e sandbox.Exit, errType string) *fault {
	text := "exit code " + strconv.Itoa(e.Code)
	if e.Signal != 0 {
		text = "signal: " + e.Signal.String()
	}
	if errType == "" {
		errType = "Extension.Crash"
	}
	return &fault{kind: daruma.Crashed, err: daruma.KindInternal, errType: errType, text: text, cause: "crash"}
}

// timedOut is the fault of a function that was killed at its deadline.
func timedOut(seconds float64) *fault {
	return &fault{kind: daruma.TimedOut, err: daruma.KindExpired, errType: "Sandbox.Timedout", cause: "timeout",
		text: fmt.Sprintf("Task timed out after %.2f seconds", seconds)}
}

// notStarted is the fault of processes that could not be started.
func notStarted(err error) *fault {
	if f, ok := errors.AsType[*daruma.Failure](err); ok {
		return &fault{kind: daruma.Crashed, err: f.Kind, errType: f.Type, text: f.Message, cause: "init"}
	}
	switch kind := daruma.KindOf(err); kind {
	case daruma.KindInvalid, daruma.KindUnsupported:
		return &fault{kind: daruma.Refused, err: kind, errType: "InvalidRuntimeException", text: err.Error(), cause: "init"}
	default:
		if kind == daruma.KindInternal {
			kind = daruma.KindNoCapacity
		}
		return &fault{kind: daruma.NoCapacity, err: kind, errType: "ServiceException", text: err.Error(), cause: "init"}
	}
}

// notRun is the outcome of an event that no environment saw.
func notRun(kind daruma.OutcomeKind, failure *daruma.Failure) daruma.Outcome {
	return daruma.Outcome{Kind: kind, Failure: failure}
}

// throttled is the outcome of an event over a limit of concurrency.
func throttled(reason string) daruma.Outcome {
	return notRun(daruma.Throttled, &daruma.Failure{Kind: daruma.KindThrottled, Type: "TooManyRequestsException", Message: "Rate Exceeded.", Reason: reason})
}

// noCapacity is the outcome of an event for which there was no room.
func noCapacity(kind daruma.Kind, why string) daruma.Outcome {
	return notRun(daruma.NoCapacity, &daruma.Failure{Kind: kind, Type: "ServiceException", Message: why})
}
