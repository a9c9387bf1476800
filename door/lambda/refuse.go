package lambda

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
)

// user is the Type member of errors that are the caller's.
var user = [][2]string{{"Type", "User"}}

// The errors of the Lambda API. Which of them spell their text "Message" and
// which "message" is as in the service's model.

func notFound(text string) *wire.Error {
	return &wire.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: text, MessageKey: "Message", Members: user}
}

func invalidParameter(text string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "InvalidParameterValueException", Message: text, Members: user}
}

func invalidContent(text string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "InvalidRequestContentException", Message: text, Members: user}
}

func conflict(text string) *wire.Error {
	return &wire.Error{Status: http.StatusConflict, Code: "ResourceConflictException", Message: text, Members: user}
}

func denied(text string) *wire.Error {
	return &wire.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: text, MessageKey: "Message"}
}

func unsupported(text string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "UnsupportedOperationException", Message: text, Members: user}
}

func tooLarge() *wire.Error {
	return &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestTooLargeException", Members: user,
		Message: "Request must be smaller than " + strconv.Itoa(daruma.PayloadBytesMax) + " bytes for the InvokeFunction operation"}
}

func throttled(reason string) *wire.Error {
	return &wire.Error{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate Exceeded.", Members: [][2]string{{"Reason", reason}, {"Type", "User"}}}
}

func service(text string) *wire.Error {
	return &wire.Error{Status: http.StatusInternalServerError, Code: "ServiceException", Message: text, MessageKey: "Message", Members: [][2]string{{"Type", "Service"}}}
}

// refuseOutcome answers for an event that did not run, or of which nobody
// knows whether it did. It returns the answer.
func refuseOutcome(w http.ResponseWriter, r *wire.Request, out *daruma.Outcome) *wire.Error {
	why := out.Failure
	if why == nil {
		why = &daruma.Failure{Message: "The function did not run: " + out.Kind.String() + "."}
	}
	var err *wire.Error
	switch out.Kind {
	case daruma.Throttled, daruma.NoCapacity:
		reason := why.Reason
		if reason == "" {
			reason = "ConcurrentInvocationLimitExceeded"
		}
		err = throttled(reason)
		after := max(1, math.Ceil(why.After.Seconds()))
		w.Header()["Retry-After"] = []string{strconv.Itoa(int(min(after, (15 * time.Minute).Seconds())))}
	case daruma.Refused:
		err = fromKind(why.Kind, why.Message)
	case daruma.Unknown:
		err = service("It is not known whether the function ran to its end: " + why.Message)
	default: // Held, and what should not get here
		err = service(why.Message)
	}
	wire.Refuse(w, r, err)
	return err
}

// fromKind is the error of the Lambda API for a kind of ours.
func fromKind(kind daruma.Kind, text string) *wire.Error {
	switch kind {
	case daruma.KindInvalid:
		return invalidParameter(text)
	case daruma.KindNotFound:
		return notFound(text)
	case daruma.KindExists, daruma.KindConflict:
		return conflict(text)
	case daruma.KindDenied:
		return denied(text)
	case daruma.KindTooLarge:
		return &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestTooLargeException", Message: text, Members: user}
	case daruma.KindUnsupported:
		return unsupported(text)
	case daruma.KindThrottled, daruma.KindNoCapacity:
		return throttled("ConcurrentInvocationLimitExceeded")
	}
	return service(text)
}
