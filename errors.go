package daruma

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the closed set of what can be wrong. A kind decides the answer at a
// door, whether dispatch tries again, and what heal thinks; nothing else does.
type Kind uint8

// The kinds of error.
const (
	KindInternal    Kind = iota // our own fault, and the zero value: an error nobody classified
	KindInvalid                 // the request is wrong and stays wrong
	KindNotFound                // what it names does not exist
	KindExists                  // it exists already
	KindConflict                // it changed meanwhile, or another change is under way
	KindDenied                  // the caller may not
	KindThrottled               // a limit was reached; later it may work
	KindNoCapacity              // the platform has no room; later it may work
	KindTooLarge                // it exceeds a size limit
	KindUnsupported             // valid, and not supported here
	KindFull                    // the disk is nearly full; reads and deletes go on
	KindCorrupt                 // stored data is damaged or missing
	KindLocked                  // another process holds it
	KindExpired                 // a deadline passed
	KindUnavailable             // a part of the platform is down or shutting down
	KindDoubtful                // it may or may not have happened
)

var kinds = [...]string{"internal", "invalid", "not found", "exists", "conflict", "denied", "throttled", "no capacity", "too large", "unsupported", "disk full", "corrupt", "locked", "expired", "unavailable", "unknown outcome"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "internal"
}

// Retryable says whether the same request may succeed later, unchanged.
func (k Kind) Retryable() bool {
	switch k {
	case KindThrottled, KindNoCapacity, KindFull, KindLocked, KindUnavailable, KindDoubtful, KindConflict:
		return true
	}
	return false
}

// Error is the one error type of the product. Wrap says what was being done;
// Hint says what the reader can do about it.
type Error struct {
	Op   string // what was being done: "open cell", "read template"
	Kind Kind
	Ref  string // what it was done to: a name, a path, "template.yaml:12:7"
	Err  error  // the cause; may be nil
	Hint string // what to do about it; may be ""
}

// Error reads as "ref: op: cause", leaving out what is empty.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	if e.Ref != "" {
		parts = append(parts, e.Ref)
	}
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	switch {
	case e.Err != nil:
		parts = append(parts, e.Err.Error())
	case e.Kind != KindInternal || len(parts) == 0:
		parts = append(parts, e.Kind.String())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalidf returns an error of KindInvalid whose cause [fmt.Errorf] makes.
func Invalidf(format string, args ...any) error {
	return &Error{Kind: KindInvalid, Err: fmt.Errorf(format, args...)}
}

// InvalidAt is Invalidf of what is wrong with ref.
func InvalidAt(ref, format string, args ...any) error {
	return &Error{Kind: KindInvalid, Ref: ref, Err: fmt.Errorf(format, args...)}
}

// Wrap says of an error what was being done, and to what; both may be "". Its
// kind and its hint stay. Of nil it is nil.
func Wrap(op, ref string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Ref: ref, Kind: KindOf(err), Err: err, Hint: HintOf(err)}
}

// KindOf returns the kind of the outermost *Error in err, and KindInternal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return KindInternal
}

// HintOf returns the first hint found in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
