// Package refuse says why requests to tables are refused, in the words of the
// service, so that doors tell them as their clients expect. It holds nothing; its
// functions may be called from any goroutine.
package refuse

import (
	"errors"
	"fmt"
	"strings"

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

// An Error is why a request was refused, in the service's words. It comes
// within a *daruma.Error of a fitting kind; errors.AsType finds it.
type Error struct {
	Code    Code
	Message string
	Item    value.Item // of ConditionFailed, when it was asked for
	Reasons []Reason   // of Canceled: one for each action, in order
	Table   string     // of Throttled
	Index   string     // of Throttled: the index whose throughput it is; "" for the table's
	Write   bool       // of Throttled: a write
	// OfAction says that in a transaction it is the reason of one action, and in no
	// other request anything else.
	OfAction bool
}

// Error returns the message.
func (r *Error) Error() string { return r.Message }

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

// ConditionMessage is what is said of a condition that does not hold.
const ConditionMessage = "The conditional request failed"

// Of is a refusal as an error of its kind.
func Of(r *Error) error { return &daruma.Error{Kind: kinds[r.Code], Err: r} }

// Invalid refuses a request as wrong.
func Invalid(format string, args ...any) error {
	return Of(&Error{Code: Validation, Message: fmt.Sprintf(format, args...)})
}

// WrongParameters begins what is said of values that are wrong.
const WrongParameters = "One or more parameter values were invalid: "

// NoResource refuses a request for what is not there.
func NoResource() error {
	return Of(&Error{Code: NotFound, Message: "Requested resource not found"})
}

// Said makes a refusal of what package expression says.
func Said(err error) error {
	if e, ok := errors.AsType[*expression.Error](err); ok {
		return Invalid("%s", e.Message)
	}
	return err
}

// Mismatch refuses an item or a key that is none of its table: in a transaction, its action.
func Mismatch(format string, args ...any) error {
	return Of(&Error{Code: Validation, Message: fmt.Sprintf(format, args...), OfAction: true})
}

// NoKey refuses a key that is none of its table.
func NoKey() error {
	return Mismatch("The provided key element does not match the schema")
}

// OfAction says whether err is, in a transaction, the reason of one action.
func OfAction(err error) bool {
	r, ok := errors.AsType[*Error](err)
	return ok && r.OfAction
}

// Text is what a refusal says.
func Text(err error) string {
	if r, ok := errors.AsType[*Error](err); ok {
		return r.Message
	}
	return err.Error()
}

// NoTable refuses a request for a table that is not there.
func NoTable(name string) error {
	return Of(&Error{Code: NotFound, Message: "Requested resource not found: Table: " + name + " not found"})
}

// ReasonOf says why one action of a transaction was refused, and false for
// what is no refusal.
func ReasonOf(err error) (Reason, bool) {
	r, ok := errors.AsType[*Error](err)
	if !ok {
		return Reason{}, false
	}
	switch r.Code {
	case ConditionFailed:
		return Reason{Code: ReasonCondition, Message: r.Message, Item: r.Item}, true
	case Throttled:
		return Reason{Code: ReasonThrottled, Message: r.Message}, true
	}
	return Reason{Code: ReasonValidation, Message: r.Message}, true
}

// Cancel refuses a transaction with a reason for each of its actions.
func Cancel(reasons []Reason) error {
	words := make([]string, len(reasons))
	for i := range reasons {
		if reasons[i].Code == "" {
			reasons[i].Code = ReasonNone
		}
		words[i] = string(reasons[i].Code)
	}
	return Of(&Error{Code: Canceled, Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(words, ", ") + "]", Reasons: reasons})
}
