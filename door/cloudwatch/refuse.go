package cloudwatch

import (
	"errors"
	"net/http"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/door/wire"
)

func parameter(message string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "InvalidParameterValueException", Query: "InvalidParameterValue", Message: message}
}

func combination(message string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "InvalidParameterCombinationException", Query: "InvalidParameterCombination", Message: message}
}

func absent(member string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "MissingRequiredParameterException", Query: "MissingParameter", Message: "The parameter " + member + " is required."}
}

// validation refuses a member as the service's own checks of requests do.
func validation(member, value, must string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: "ValidationError", Query: "ValidationError", Message: "1 validation error detected: Value '" + value + "' at '" + member + "' failed to satisfy constraint: Member must " + must}
}

func noAlarm() *wire.Error {
	return &wire.Error{Status: http.StatusNotFound, Code: "ResourceNotFound", Query: "ResourceNotFound", Message: "There is no such alarm."}
}

func internal(message string) *wire.Error {
	return &wire.Error{Status: http.StatusInternalServerError, Code: "InternalServiceFault", Query: "InternalServiceError", Message: message}
}

// failed is the refusal for what alarms refuse.
func failed(err error) *wire.Error {
	switch {
	case errors.Is(err, alarm.ErrMissing):
		return noAlarm()
	case errors.Is(err, alarm.ErrTooMany):
		return &wire.Error{Status: http.StatusBadRequest, Code: "LimitExceededFault", Query: "LimitExceeded", Message: "There are as many alarms as there may be."}
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge:
		return parameter(err.Error())
	case daruma.KindThrottled:
		return &wire.Error{Status: http.StatusBadRequest, Code: "ThrottlingException", Query: "Throttling", Message: err.Error()}
	case daruma.KindUnavailable, daruma.KindFull, daruma.KindExpired:
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: err.Error()}
	}
	return internal(err.Error())
}
