package web

import (
	"math"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
)

// What each product says when a function cannot be asked or its result cannot
// be used. Statuses, bodies and even their spaces differ between products and
// clients depend on them (Developer Guide, "Gateway response types", and
// recorded answers).
var (
	notFound = [...]refusal{
		httpAPI:     {404, "", `{"message":"Not Found"}`},
		restAPI:     {403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`},
		functionURL: forbiddenURL,
	}
	forbidden = [...]refusal{
		httpAPI:     {404, "", `{"message":"Not Found"}`},
		restAPI:     {403, "ForbiddenException", `{"message":"Forbidden"}`},
		functionURL: forbiddenURL,
	}
	badAnswer = [...]refusal{
		httpAPI:     {500, "", `{"message":"Internal Server Error"}`},
		restAPI:     {502, "InternalServerErrorException", `{"message": "Internal server error"}`},
		functionURL: {502, "InternalServerErrorException", `Internal Server Error`},
	}
	misconfigured = [...]refusal{
		httpAPI:     {500, "", `{"message":"Internal Server Error"}`},
		restAPI:     {500, "InternalServerErrorException", `{"message": "Internal server error"}`},
		functionURL: {502, "InternalServerErrorException", `Internal Server Error`},
	}
	timedOut = [...]refusal{
		httpAPI:     {503, "", `{"message":"Service Unavailable"}`},
		restAPI:     {504, "InternalServerErrorException", `{"message": "Endpoint request timed out"}`},
		functionURL: {502, "InternalServerErrorException", `Internal Server Error`},
	}
	notRun = [...]refusal{
		httpAPI:     {503, "", `{"message":"Service Unavailable"}`},
		restAPI:     {502, "InternalServerErrorException", `{"message": "Internal server error"}`},
		functionURL: {502, "InternalServerErrorException", `Internal Server Error`},
	}
	tooLarge = [...]refusal{
		httpAPI:     {413, "", `{"message":"Request Entity Too Large"}`},
		restAPI:     {413, "RequestTooLargeException", `{"message":"Request Too Long"}`},
		functionURL: {413, "RequestEntityTooLargeException", `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`},
	}
	headersTooLarge = [...]refusal{
		httpAPI:     {431, "", `{"message":"Request Header Fields Too Large"}`},
		restAPI:     {431, "BadRequestException", `{"message":"Request Header Fields Too Large"}`},
		functionURL: {431, "BadRequestException", `{"Message":"Request Header Fields Too Large"}`},
	}
	badRequest = [...]refusal{
		httpAPI:     {400, "", `{"message":"Bad Request"}`},
		restAPI:     {400, "BadRequestException", `{"message":"Bad Request"}`},
		functionURL: {400, "BadRequestException", `{"Message":"Bad Request"}`},
	}
)

var forbiddenURL = refusal{403, "AccessDeniedException", `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`}

// refusalFor says what a product answers when a run did not end well. late
// says that the door stopped waiting.
func refusalFor(p product, out *daruma.Outcome, late bool) refusal {
	if late {
		return timedOut[p]
	}
	switch out.Kind {
	case daruma.Throttled:
		if p == functionURL {
			return throttledURL(out.Failure)
		}
		return notRun[p]
	case daruma.NoCapacity, daruma.Held:
		return notRun[p]
	case daruma.Refused:
		if out.Failure != nil && out.Failure.Kind == daruma.KindTooLarge {
			return tooLarge[p]
		}
		return misconfigured[p]
	}
	return badAnswer[p]
}

// throttledURL is the answer that Invoke gives.
func throttledURL(f *daruma.Failure) refusal {
	reason := "ConcurrentInvocationLimitExceeded"
	if f != nil && f.Reason != "" {
		reason = f.Reason
	}
	body := appendField([]byte(`{"Type":"User"`), "Reason", reason)
	return refusal{429, "TooManyRequestsException", string(append(body, `,"message":"Rate Exceeded."}`...))}
}

// retryAfter is the value of Retry-After for a throttled call: whole seconds, at least one.
func retryAfter(f *daruma.Failure) string {
	after := time.Second
	if f != nil {
		after = max(after, f.After)
	}
	return strconv.Itoa(int(math.Ceil(after.Seconds())))
}
