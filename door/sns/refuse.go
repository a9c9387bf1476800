package sns

import (
	"errors"
	"net/http"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/topic"
)

func refusal(status int, code, message string) *wire.Error {
	return &wire.Error{Status: status, Code: code, Message: message}
}

func invalidParameter(what string) *wire.Error {
	return refusal(http.StatusBadRequest, "InvalidParameter", "Invalid parameter: "+what)
}

func parameterValue(message string) *wire.Error {
	return refusal(http.StatusBadRequest, "ParameterValueInvalid", message)
}

func validation(message string) *wire.Error {
	return refusal(http.StatusBadRequest, "ValidationError", "1 validation error detected: "+message)
}

func unsupported(message string) *wire.Error {
	return refusal(http.StatusBadRequest, "UnsupportedOperation", message)
}

func noTopic() *wire.Error { return refusal(http.StatusNotFound, "NotFound", "Topic does not exist") }

func noSubscription() *wire.Error {
	return refusal(http.StatusNotFound, "NotFound", "Subscription does not exist")
}

// fromError is the refusal for what topics refuse.
func fromError(err error) *wire.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, topic.ErrNoTopic):
		return noTopic()
	case errors.Is(err, topic.ErrNoSubscription):
		return noSubscription()
	case errors.Is(err, topic.ErrArchive):
		return refusal(http.StatusBadRequest, "InvalidState", "Invalid state: Cannot delete a topic with an ArchivePolicy")
	case errors.Is(err, topic.ErrReplays):
		return refusal(http.StatusForbidden, "ReplayLimitExceeded", err.Error())
	}
	if is, ok := errors.AsType[*wire.Error](err); ok {
		return is
	}
	if is, ok := errors.AsType[*pattern.SyntaxError](err); ok {
		return invalidParameter(is.Error())
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindExists, daruma.KindUnsupported:
		return invalidParameter(err.Error())
	case daruma.KindTooLarge:
		return invalidParameter("Message too long")
	case daruma.KindNotFound:
		return refusal(http.StatusNotFound, "NotFound", err.Error())
	case daruma.KindThrottled, daruma.KindConflict:
		return refusal(http.StatusTooManyRequests, "Throttled", err.Error())
	case daruma.KindUnavailable, daruma.KindFull, daruma.KindExpired:
		return refusal(http.StatusServiceUnavailable, "ServiceUnavailable", err.Error())
	}
	return refusal(http.StatusInternalServerError, "InternalError", err.Error())
}
