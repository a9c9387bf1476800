package sqs

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/quote"
)

// A fail is one kind of error: its name in the JSON protocol and its code in
// the query protocol, which SDKs look for in both.
type kind struct {
	status int
	shape  string // of the JSON protocol
	code   string // of the query protocol
}

const (
	own   = "com.amazonaws.sqs#"
	coral = "com.amazon.coral.service#"
	older = "AWS.SimpleQueueService."
)

var (
	nonExistentQueue   = kind{400, own + "QueueDoesNotExist", older + "NonExistentQueue"}
	queueNameExists    = kind{400, own + "QueueNameExists", "QueueAlreadyExists"}
	deletedRecently    = kind{400, own + "QueueDeletedRecently", older + "QueueDeletedRecently"}
	purgeInProgress    = kind{403, own + "PurgeQueueInProgress", older + "PurgeQueueInProgress"}
	tooManyEntries     = kind{400, own + "TooManyEntriesInBatchRequest", older + "TooManyEntriesInBatchRequest"}
	emptyBatch         = kind{400, own + "EmptyBatchRequest", older + "EmptyBatchRequest"}
	idsNotDistinct     = kind{400, own + "BatchEntryIdsNotDistinct", older + "BatchEntryIdsNotDistinct"}
	invalidEntryID     = kind{400, own + "InvalidBatchEntryId", older + "InvalidBatchEntryId"}
	batchTooLong       = kind{400, own + "BatchRequestTooLong", older + "BatchRequestTooLong"}
	invalidContents    = kind{400, own + "InvalidMessageContents", "InvalidMessageContents"}
	handleInvalid      = kind{400, own + "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"}
	notInFlight        = kind{400, own + "MessageNotInflight", older + "MessageNotInflight"}
	overLimit          = kind{403, own + "OverLimit", "OverLimit"}
	invalidName        = kind{400, own + "InvalidAttributeName", "InvalidAttributeName"}
	invalidValue       = kind{400, own + "InvalidAttributeValue", "InvalidAttributeValue"}
	invalidAddress     = kind{404, own + "InvalidAddress", "InvalidAddress"}
	unsupported        = kind{400, own + "UnsupportedOperation", older + "UnsupportedOperation"}
	resourceNotFound   = kind{404, own + "ResourceNotFoundException", "ResourceNotFoundException"}
	throttled          = kind{403, own + "RequestThrottled", "RequestThrottled"}
	invalidParameter   = kind{400, coral + "InvalidParameterValueException", "InvalidParameterValue"}
	missingParameter   = kind{400, own + "MissingRequiredParameterException", "MissingParameter"}
	invalidAction      = kind{400, coral + "UnknownOperationException", "InvalidAction"}
	serialization      = kind{400, coral + "SerializationException", "MalformedInput"}
	internalFailure    = kind{500, coral + "InternalFailure", "InternalFailure"}
	serviceUnavailable = kind{503, coral + "ServiceUnavailableException", "ServiceUnavailable"}
)

// A failure is an answer that refuses a request, or one entry of it.
type failure struct {
	kind
	message string
}

func fault(k kind, message string) *failure { return &failure{k, message} }

func faultf(k kind, format string, args ...any) *failure {
	return &failure{k, fmt.Sprintf(format, args...)}
}

// noQueue has the text of the JSON protocol; see [call.refuse] for the other.
func noQueue() *failure { return fault(nonExistentQueue, "The specified queue does not exist.") }

func missing(parameter string) *failure {
	return fault(missingParameter, "The request must contain the parameter "+parameter+".")
}

// badValue says what is wrong with the value of a parameter.
func badValue(value any, parameter, reason string) *failure {
	return faultf(invalidParameter, "Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

// failureOf is what an error of the noun is here.
func failureOf(err error) *failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, queue.ErrNoQueue):
		return noQueue()
	case errors.Is(err, queue.ErrRemoved):
		return fault(deletedRecently, "You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	case errors.Is(err, queue.ErrInFlight):
		return fault(overLimit, "Too many messages are in flight: the limit of the queue was reached.")
	case errors.Is(err, queue.ErrHandle):
		return fault(handleInvalid, "The input receipt handle is invalid.")
	case errors.Is(err, queue.ErrNotInFlight):
		return fault(notInFlight, "The message referred to is not in flight.")
	case errors.Is(err, queue.ErrStale):
		return fault(invalidParameter, "The receipt handle has expired.")
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge, daruma.KindUnsupported:
		return fault(invalidParameter, "One or more parameters are invalid. Reason: "+reason(err))
	case daruma.KindNotFound:
		return fault(invalidParameter, reason(err))
	case daruma.KindThrottled:
		return fault(throttled, reason(err))
	case daruma.KindFull, daruma.KindUnavailable, daruma.KindDoubtful, daruma.KindExpired, daruma.KindNoCapacity:
		return fault(serviceUnavailable, reason(err))
	}
	if errors.Is(err, context.Canceled) {
		return fault(serviceUnavailable, "The request was given up.")
	}
	return fault(internalFailure, "The request processing has failed because of an unknown error, exception or failure.")
}

// reason is the innermost text of an error, without what was done with what.
func reason(err error) string {
	for {
		e, ok := errors.AsType[*daruma.Error](err)
		if !ok || e.Err == nil {
			return err.Error()
		}
		err = e.Err
	}
}

// refuse answers a call with an error, in its protocol.
func (c *call) refuse(w http.ResponseWriter, f *failure) {
	blame := "Sender"
	if f.status >= 500 {
		blame = "Receiver"
	}
	h := w.Header()
	if !c.query {
		h["Content-Type"] = []string{"application/x-amz-json-1.0"}
		h["X-Amzn-Query-Error"] = []string{f.code + ";" + blame}
		b := quote.Append(append([]byte(nil), `{"__type":`...), f.shape)
		b = quote.Append(append(b, `,"message":`...), f.message)
		w.WriteHeader(f.status)
		w.Write(append(b, '}'))
		return
	}
	message := f.message
	if f.kind == nonExistentQueue {
		message = "The specified queue does not exist for this wsdl version."
	}
	h["Content-Type"] = []string{"text/xml"}
	var b strings.Builder
	b.WriteString(xml.Header + `<ErrorResponse xmlns="` + namespace + `"><Error><Type>` + blame + "</Type><Code>" + f.code + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(message)) // a Builder takes everything
	b.WriteString("</Message><Detail/></Error><RequestId>" + c.ID + "</RequestId></ErrorResponse>")
	w.WriteHeader(f.status)
	w.Write([]byte(b.String()))
}
