// Package pattern says whether an event is wanted: it compiles the patterns
// that rules and event source mappings choose events with, and the filter
// policies that subscriptions choose messages with, and matches them.
//
//	{"state": ["open", {"prefix": "re"}],         every key must be satisfied,
//	 "$or": [{"size": [{"numeric": [">", 9]}]},   one of its array suffices,
//	         {"size": [{"exists": false}]}]}      and one of $or
//
// It promises that a compiled pattern answers in time bounded by its own size
// times that of the event, whatever both are (there is no back-tracking), and
// that a pattern that is refused is refused with the words and the place that
// the services use. Each line of AWS's guides that it follows is in
// docs/semantics/patterns.md.
//
// It does not keep anything, does no I/O, and knows no service: which dialect
// is meant is the caller's to say. Patterns and values may be used from any
// goroutine at once.
package pattern

import (
	"errors"
	"fmt"

	"github.com/daruma-io/daruma"
)

// Limits of patterns.
const (
	RuleCharactersMax    = 4096    // of a pattern of a rule or an archive; a door refuses less where the service does
	MappingCharacterMax  = 4096    // of one filter of an event source mapping
	MappingFiltersMax    = 10      // filters of one event source mapping
	PolicyBytesMax       = 256_000 // of a filter policy
	PolicyKeysMax        = 5       // top-level keys of a filter policy
	PolicyCombinationMax = 150     // values of its keys, multiplied
	AlternativesMax      = 1000    // that the $or of one pattern multiply to

	nestingMax = 1000    // depth of a pattern
	leavesMax  = 100_000 // fields of all alternatives together
)

// A Pattern is one that has been compiled. The zero value matches nothing.
type Pattern struct {
	alternatives []*node
}

// A SyntaxError says what is wrong with a pattern, in the words of the services.
type SyntaxError struct {
	Reason       string
	Source       string // the pattern; "" when the place in it is not told
	Line, Column int    // where its reader stood, from 1, in UTF-16 units
}

// sourceMax is how much of a pattern an error quotes.
const sourceMax = 500

// Error returns the reason, and where.
func (e *SyntaxError) Error() string {
	if e.Source == "" {
		return e.Reason
	}
	source, rest := e.Source, ""
	if r := []rune(source); len(r) > sourceMax {
		source, rest = string(r[:sourceMax]), fmt.Sprintf("[truncated %d chars]", len(r)-sourceMax)
	}
	return fmt.Sprintf("%s\n at [Source: (String)\"%s\"%s; line: %d, column: %d]", e.Reason, source, rest, e.Line, e.Column)
}

// Reason returns what a [SyntaxError] within err says, and the error's own text when there is none.
func Reason(err error) string {
	if is, ok := errors.AsType[*SyntaxError](err); ok {
		return is.Error()
	}
	return err.Error()
}

func refused(err error) error {
	return &daruma.Error{Op: "compile pattern", Kind: daruma.KindInvalid, Err: err}
}

// Compile compiles the pattern of a rule or an archive: every operator there
// is. A pattern that is not valid is KindInvalid, with a [SyntaxError] in it.
func Compile(text string) (*Pattern, error) {
	if n := len([]rune(text)); n > RuleCharactersMax {
		return nil, refused(&SyntaxError{Reason: fmt.Sprintf("Event pattern is too long: %d characters, at most %d are taken", n, RuleCharactersMax)})
	}
	return compile(text, true)
}

func compile(text string, wildcards bool) (*Pattern, error) {
	c := &compiler{text: text, tokens: tokenize(text), wildcards: wildcards}
	fields, err := c.pattern()
	if err != nil {
		return nil, refused(err)
	}
	return &Pattern{alternatives: trees(fields)}, nil
}

// Matches says whether the pattern wants v, which is an event or another
// object. It never panics.
func (p *Pattern) Matches(v Value) bool {
	for _, root := range p.alternatives {
		m := match{event: v.of}
		if m.satisfied(root, v.of, true) {
			return true
		}
	}
	return false
}
