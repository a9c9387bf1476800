package ssm

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

func refusal(code, message string) *wire.Error {
	return &wire.Error{Status: http.StatusBadRequest, Code: code, Message: message}
}

func validation(message string) *wire.Error { return refusal("ValidationException", message) }

// constraint refuses a member as the service's own checks of requests do.
func constraint(member, value, must string) *wire.Error {
	return validation("1 validation error detected: Value '" + value + "' at '" + member + "' failed to satisfy constraint: Member must " + must)
}

func absent(member string) *wire.Error {
	return validation("1 validation error detected: Value null at '" + member + "' failed to satisfy constraint: Member must not be null")
}

// The refusals with a code of their own.
func noParameter(name string) *wire.Error {
	return refusal("ParameterNotFound", "Parameter "+name+" not found.")
}

func noVersion(version, name string) *wire.Error {
	return refusal("ParameterVersionNotFound", "Systems Manager could not find version "+version+" of "+name+". Verify the version and try again.")
}

// failed is the refusal for what parameters refuse.
func failed(err error) *wire.Error {
	switch {
	case errors.Is(err, parameter.ErrExists):
		return refusal("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case errors.Is(err, parameter.ErrType):
		return refusal("HierarchyTypeMismatchException", "Parameter Store doesn't support changing a parameter type in a hierarchy. For example, you can't change a parameter from a String type to a SecureString type. You must create a new, unique parameter.")
	case errors.Is(err, parameter.ErrPattern):
		return refusal("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: "+patternOf(err))
	case errors.Is(err, parameter.ErrTooMany):
		return refusal("ParameterLimitExceeded", "You have exceeded the number of parameters for this AWS account. The maximum is "+strconv.Itoa(parameter.ParametersMax)+".")
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge, daruma.KindNotFound:
		return validation(err.Error())
	case daruma.KindThrottled:
		return refusal("ThrottlingException", "Rate exceeded: "+err.Error())
	case daruma.KindUnavailable, daruma.KindFull, daruma.KindExpired:
		return &wire.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: err.Error()}
	}
	return &wire.Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: err.Error()}
}

// patternOf is the pattern that a value did not fit: the innermost error names it.
func patternOf(err error) (pattern string) {
	for {
		e, ok := errors.AsType[*daruma.Error](err)
		if !ok {
			return pattern
		}
		pattern, err = e.Ref, e.Err
	}
}
