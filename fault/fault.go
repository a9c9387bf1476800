// Package fault says what is to be broken on purpose. A [Fault] is a document:
// what kind, what it meets (its target), how much of it (its dose) and until
// when. A [State] says what has become of one that was put in force, which
// package inject does.
//
// [Parse] and [Read] refuse by name what is not known, and every fault that
// [Fault.Validate] lets pass can be put in force: whether a node has what it
// is for is all that is left to ask.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

// A Fault is what is asked for: a document, in JSON or YAML (see [Parse]).
type Fault struct {
	Kind   Kind   `json:"kind"`
	Target Target `json:"target"`
	Dose   Dose   `json:"dose,omitzero"`
	With   With   `json:"with,omitzero"`
	Seed   uint64 `json:"seed,omitempty"` // of what is left to chance; one is chosen when 0
	Why    string `json:"why,omitempty"`  // in words, for people who see it
}

// With are a kind's own parameters. The table of kinds in docs/faults.md says which takes which.
type With struct {
	Latency        Duration        `json:"latency,omitempty"`      // how much longer it takes; at least, with latencyMax; on average, with a distribution
	LatencyMax     Duration        `json:"latencyMax,omitempty"`   // at most
	Distribution   string          `json:"distribution,omitempty"` // "uniform" between latency and latencyMax, or "normal" or "exponential" around latency; "uniform" when ""
	When           string          `json:"when,omitempty"`         // "before" the function does its work, or "after": it has, and its answer is lost; "before" when ""
	Code           string          `json:"code,omitempty"`         // an error's type; of a service: "throttled", "internal", "denied", "condition-failed", "unavailable", or a code of the service's own
	Message        string          `json:"message,omitempty"`
	Status         int             `json:"status,omitempty"`      // HTTP, 100 to 599
	Body           string          `json:"body,omitempty"`        // what is answered, or handed over, instead
	ContentType    string          `json:"contentType,omitempty"` // of an answer with another status; its own, or "application/json", when ""
	Name           string          `json:"name,omitempty"`        // of a variable, or of a flag
	Value          string          `json:"value,omitempty"`       // empty when ""
	MemoryMB       int             `json:"memoryMB,omitempty"`
	LeftMB         int             `json:"leftMB,omitempty"`   // what is left of /tmp; nothing when neither this nor FilledMB is given
	FilledMB       int             `json:"filledMB,omitempty"` // what is taken of /tmp
	By             Duration        `json:"by,omitempty"`       // how much a clock is ahead; behind when below 0
	Limit          *int            `json:"limit,omitempty"`    // events at once
	BytesPerSecond int64           `json:"bytesPerSecond,omitempty"`
	PerSecond      float64         `json:"perSecond,omitempty"` // requests
	Effect         json.RawMessage `json:"effect,omitempty"`    // of a flag, an object for its SDK: {"latency": 300, "exception": {"message": "…"}, "data": {…}}
}

// given lists the parameters that are there, by their names in a document.
func (w *With) given() []string {
	var names []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"latency", w.Latency != 0}, {"latencyMax", w.LatencyMax != 0}, {"distribution", w.Distribution != ""}, {"when", w.When != ""},
		{"code", w.Code != ""}, {"message", w.Message != ""}, {"status", w.Status != 0}, {"body", w.Body != ""}, {"contentType", w.ContentType != ""}, {"name", w.Name != ""}, {"value", w.Value != ""},
		{"memoryMB", w.MemoryMB != 0}, {"leftMB", w.LeftMB != 0}, {"filledMB", w.FilledMB != 0}, {"by", w.By != 0}, {"effect", len(w.Effect) > 0}, {"limit", w.Limit != nil}, {"bytesPerSecond", w.BytesPerSecond != 0}, {"perSecond", w.PerSecond != 0},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// After says whether the function does its work first.
func (w *With) After() bool { return w.When == "after" }

// Validate says all that is wrong with a fault, and fills in defaults.
func (f *Fault) Validate() error {
	r, ok := rules[f.Kind]
	if !ok {
		return f.unknown()
	}
	errs := f.Target.validate(f.Kind, r)
	errs = append(errs, f.Dose.validate()...)
	given := f.With.given()
	for _, name := range given {
		if !slices.Contains(r.takes, name) {
			errs = append(errs, fmt.Errorf("with.%s: a %s fault does not take it%s", name, f.Kind, orTakes(r.takes)))
		}
	}
	if f.Kind == Flag && f.With.Name == "" {
		errs = append(errs, errors.New("with.name: a flag fault needs the flag's name"))
	}
	if r.needs != "" && !slices.Contains(given, r.needs) && (r.needs != "latency" || f.With.LatencyMax == 0) { // from nothing to latencyMax
		errs = append(errs, fmt.Errorf("with.%s: a %s fault needs it", r.needs, f.Kind))
	}
	errs = append(errs, f.With.validate()...)
	if f.Kind == BadRelease && f.With.Latency != 0 && f.With.Code+f.With.Message != "" {
		errs = append(errs, errors.New("with.latency: a bad release is slow, or fails with a code and a message"))
	}
	if f.Kind == BadRelease && f.With.Latency == 0 && f.With.LatencyMax != 0 {
		errs = append(errs, errors.New("with.latencyMax: it goes with a latency"))
	}
	if f.With.When != "" && f.Target.scope() != onFunction {
		errs = append(errs, errors.New("with.when: only a fault on a function has a before and an after"))
	}
	if err := errors.Join(errs...); err != nil {
		return &daruma.Error{Op: "read fault", Ref: string(f.Kind), Kind: daruma.KindInvalid, Err: err}
	}
	return nil
}

func orTakes(takes []string) string {
	if len(takes) == 0 {
		return "; it takes none"
	}
	return "; it takes " + strings.Join(takes, ", ")
}

func (f *Fault) unknown() error {
	e := &daruma.Error{Op: "read fault", Ref: string(f.Kind), Kind: daruma.KindInvalid}
	if hint, asked := missing[f.Kind]; asked {
		e.Kind, e.Err, e.Hint = daruma.KindUnsupported, errors.New("kind: this kind of fault is not supported"), hint
		return e
	}
	names := make([]string, 0, len(rules))
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	e.Err, e.Hint = errors.New("kind: there is no such kind of fault"), "there are "+strings.Join(names, ", ")
	return e
}

// validate checks each parameter by itself.
func (w *With) validate() []error {
	var errs []error
	check := func(bad bool, text string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(text, args...))
		}
	}
	check(w.Latency < 0 || w.Latency > LatencyMax, "with.latency: %s is not from 0 to %s", w.Latency, LatencyMax)
	check(w.LatencyMax != 0 && (w.LatencyMax < w.Latency || w.LatencyMax > LatencyMax), "with.latencyMax: %s is not from with.latency to %s", w.LatencyMax, LatencyMax)
	check(!slices.Contains([]string{"", "uniform", "normal", "exponential"}, w.Distribution), "with.distribution: %q is none of uniform, normal, exponential", w.Distribution)
	check(w.LatencyMax != 0 && w.Distribution != "" && w.Distribution != "uniform", "with.latencyMax: it is for a uniform distribution")
	check(!slices.Contains([]string{"", "before", "after"}, w.When), "with.when: %q is none of before, after", w.When)
	check(w.Status != 0 && (w.Status < 100 || w.Status > 599), "with.status: %d is not from 100 to 599", w.Status)
	check(len(w.Body) > bodyBytesMax, "with.body: it has more than %d bytes", bodyBytesMax)
	check(len(w.ContentType) > codeBytesMax || strings.ContainsFunc(w.ContentType, func(r rune) bool { return r < ' ' || r > '~' }), "with.contentType: it is no header of at most %d letters", codeBytesMax)
	check(len(w.Message) > textBytesMax, "with.message: it has more than %d bytes", textBytesMax)
	check(len(w.Code) > codeBytesMax || strings.ContainsFunc(w.Code, func(r rune) bool { return r <= ' ' || r > '~' }), "with.code: it is not a word of at most %d letters", codeBytesMax)
	check(w.MemoryMB < 0, "with.memoryMB: %d is not above 0", w.MemoryMB)
	check(w.LeftMB < 0, "with.leftMB: %d is below 0", w.LeftMB)
	check(w.FilledMB < 0, "with.filledMB: %d is below 0", w.FilledMB)
	check(w.FilledMB != 0 && w.LeftMB != 0, "with.filledMB: leftMB says how much is left already")
	check(w.By < -skewMax || w.By > skewMax, "with.by: %s is not from -%s to %s", w.By, skewMax, skewMax)
	check(len(w.Effect) > 0 && (w.Effect[0] != '{' || len(w.Effect) > textBytesMax), "with.effect: it is no object of at most %d bytes", textBytesMax)
	check(w.Limit != nil && *w.Limit < 0, "with.limit: it is below 0")
	check(w.BytesPerSecond < 0, "with.bytesPerSecond: %d is not above 0", w.BytesPerSecond)
	check(w.PerSecond < 0, "with.perSecond: %g is not above 0", w.PerSecond)
	check(strings.ContainsAny(w.Name, "=\x00") || len(w.Name) > codeBytesMax, "with.name: %q is no name of a variable", w.Name)
	check(strings.ContainsRune(w.Value, 0) || len(w.Value) > textBytesMax, "with.value: it has a zero byte, or more than %d bytes", textBytesMax)
	return errs
}

// String says a fault in one line: "latency of 300ms on Charge, 1 in 10".
func (f *Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	w := &f.With
	switch {
	case w.LatencyMax != 0:
		fmt.Fprintf(&b, " of %s to %s", w.Latency, w.LatencyMax)
	case w.Latency != 0:
		fmt.Fprintf(&b, " of %s", w.Latency)
	case w.Code != "":
		fmt.Fprintf(&b, " %s", w.Code)
	case w.Status != 0:
		fmt.Fprintf(&b, " %d", w.Status)
	case w.Name != "":
		fmt.Fprintf(&b, " %s", w.Name)
	case w.Limit != nil:
		fmt.Fprintf(&b, " of %d", *w.Limit)
	case w.By != 0:
		fmt.Fprintf(&b, " by %s", w.By)
	}
	fmt.Fprintf(&b, " on %s", f.Target.String())
	if text := f.Dose.share(); text != "" {
		b.WriteString(", " + text)
	}
	return b.String()
}
