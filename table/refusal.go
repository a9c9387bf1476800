package table

import (
	"errors"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

// A Code says why a request was refused; doors name it as their clients do.
type Code uint8

// The codes.
const (
	Validation       Code = iota // the request is wrong for its tables or items
	ConditionFailed              // its condition does not hold
	NotFound                     // there is no such table, stream or index
	InUse                        // there is one already, or it is being changed
	Canceled                     // a transaction, with a reason for each action
	TokenMismatch                // a token was used for another transaction
	Throttled                    // provisioned throughput is used up
	LimitExceeded                // of a kind there are enough
	TrimmedData                  // of a stream, that is gone
	ExpiredIterator              // of a stream, after its time
	InvalidReference             // what is named is no ARN of ours
)

var kinds = [...]daruma.Kind{Validation: daruma.KindInvalid, ConditionFailed: daruma.KindConflict, NotFound: daruma.KindNotFound, InUse: daruma.KindExists, Canceled: daruma.KindConflict,
	TokenMismatch: daruma.KindInvalid, Throttled: daruma.KindThrottled, LimitExceeded: daruma.KindThrottled, TrimmedData: daruma.KindNotFound, ExpiredIterator: daruma.KindExpired, InvalidReference: daruma.KindInvalid}

// A Refusal is why a request was refused, in the service's words. It comes
// within a *daruma.Error of a fitting kind; errors.As finds it.
type Refusal struct {
	Code    Code
	Message string
	Item    value.Item // of ConditionFailed, when it was asked for
	Reasons []Reason   // of Canceled: one for each action, in order
	Table   string     // of Throttled
	Index   string     // of Throttled: the index whose throughput it is; "" for the table's
	Write   bool       // of Throttled: a write
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// A Reason says why an action of a transaction was refused. The zero Reason
// is one that would have been taken.
type Reason struct {
	Code    ReasonCode
	Message string
	Item    value.Item // of ReasonCondition, when it was asked for
}

// A ReasonCode is the word for a [Reason].
type ReasonCode string

// The words for reasons.
const (
	ReasonNone       ReasonCode = "None"
	ReasonCondition  ReasonCode = "ConditionalCheckFailed"
	ReasonValidation ReasonCode = "ValidationError"
	ReasonThrottled  ReasonCode = "ProvisionedThroughputExceeded"
)

const conditionFailed = "The conditional request failed"

func refuse(r *Refusal) error { return &daruma.Error{Kind: kinds[r.Code], Err: r} }

// invalid refuses a request as wrong.
func invalid(format string, args ...any) error {
	return refuse(&Refusal{Code: Validation, Message: fmt.Sprintf(format, args...)})
}

const wrongParameters = "One or more parameter values were invalid: "

func notFound() error {
	return refuse(&Refusal{Code: NotFound, Message: "Requested resource not found"})
}

// said makes a refusal of what package expression says.
func said(err error) error {
	if e, ok := errors.AsType[*expression.Error](err); ok {
		return invalid("%s", e.Message)
	}
	return err
}
