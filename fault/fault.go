// Package fault breaks things on purpose: it keeps the faults that are in force
// and stands, as decorators, on the seams between the platform and what runs.
//
//	door ── [Faults.Runner] ── pool ── environment ── [Faults.Station] ── runtime
//	                                       │
//	            [Faults.Place] ────────────┤ memory, /tmp, variables of a place
//	            [Faults.Dial]  ────────────┤ names and connections to hosts outside
//	            [Faults.Call]  ────────────┘ requests to the cloud's services
//
// A [Fault] is a document: what kind, what it meets (its target), how much of it
// (its dose) and until when. [Faults.Start] puts it in force as "FT-3". It ends
// when its time is over, when [Faults.Stop] says so, when the context that it
// was started with ends, which is how whoever asked for it holds it, or when
// its lease is not renewed. Faults live in memory only, by design: they end
// with the process, however that ends.
//
// It promises that no function is changed and every runtime is met alike; that
// the same seed makes the same choices for the same sequence of events; that an
// event which is held by a fault goes on as soon as the fault ends; and that
// each run, request and connection that a fault met is marked with it: in the
// span, the function's log, the counts, and the ledger, so that nobody takes it
// for nature. While no fault is in force each decorator costs one load of a
// pointer.
//
// It keeps nothing on disk, starts nothing by itself but timers, and imports no
// door. All exported methods may be called from any goroutine.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
)

// An ID names a fault that was started: "FT-3". Numbers begin anew with each
// process, as faults do.
type ID uint64

// String returns "FT-3".
func (id ID) String() string { return "FT-" + strconv.FormatUint(uint64(id), 10) }

// MarshalText writes "FT-3".
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads "FT-3"; "ft-3" is the same.
func (id *ID) UnmarshalText(b []byte) error {
	head, number, ok := strings.Cut(string(b), "-")
	v, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || v == 0 || !strings.EqualFold(head, "FT") {
		return &daruma.Error{Op: "read ID", Ref: string(b), Kind: daruma.KindInvalid, Err: errors.New("it does not look like FT-3")}
	}
	*id = ID(v)
	return nil
}

// A Kind says what a fault does.
type Kind string

// The kinds of fault. What each may target and takes is in the table below.
const (
	Latency     Kind = "latency"     // it takes longer: an event, a request to a service, a connection to a host
	ColdStart   Kind = "cold-start"  // environments take longer to start
	Error       Kind = "error"       // the function, or the service, answers with an error
	Status      Kind = "status"      // the function answers with another HTTP status
	Corrupt     Kind = "corrupt"     // the function's answer is cut or replaced
	Malformed   Kind = "malformed"   // the function is handed a damaged event
	Timeout     Kind = "timeout"     // the function does not answer until it is killed at its deadline
	Kill        Kind = "kill"        // the function's process is killed
	Memory      Kind = "memory"      // environments have less memory
	Disk        Kind = "disk"        // environments have no room in /tmp
	Variable    Kind = "variable"    // environments have another value in a variable
	Throttle    Kind = "throttle"    // the function is refused as one over its limit of concurrency
	Concurrency Kind = "concurrency" // the function may run so many events at once
	Duplicate   Kind = "duplicate"   // an event that nobody waits for is handed over twice
	DNS         Kind = "dns"         // a host's name does not exist
	Refused     Kind = "refused"     // a host, or a service, drops connections at once
	Blackhole   Kind = "blackhole"   // a host, or a service, takes and never answers
	Slow        Kind = "slow"        // a host's connections carry few bytes a second
	Capacity    Kind = "capacity"    // a service, or one table of it, takes so many requests a second
	Flag        Kind = "flag"        // a failure flag in the function's own code has an effect
)

// A rule is what a kind may meet and what it takes.
type rule struct {
	targets []scope
	takes   []string // fields of With
	needs   string   // the one of these that must be given; "" for none
	halves  bool     // it may come after the function has done its work
}

// rules is the table of kinds.
var rules = map[Kind]rule{
	Latency:     {targets: []scope{onFunction, onService, onHost}, takes: []string{"latency", "latencyMax", "distribution", "when"}, needs: "latency", halves: true},
	ColdStart:   {targets: []scope{onFunction}, takes: []string{"latency", "latencyMax", "distribution"}, needs: "latency"},
	Error:       {targets: []scope{onFunction, onService}, takes: []string{"code", "message", "status", "when"}, halves: true},
	Status:      {targets: []scope{onFunction}, takes: []string{"status", "body", "when"}, needs: "status", halves: true},
	Corrupt:     {targets: []scope{onFunction}, takes: []string{"body"}},
	Malformed:   {targets: []scope{onFunction}, takes: []string{"body"}},
	Timeout:     {targets: []scope{onFunction}, takes: []string{"when"}, halves: true},
	Kill:        {targets: []scope{onFunction}, takes: []string{"when"}, halves: true},
	Memory:      {targets: []scope{onFunction}, takes: []string{"memoryMB"}, needs: "memoryMB"},
	Disk:        {targets: []scope{onFunction}, takes: []string{"leftMB", "filledMB"}},
	Variable:    {targets: []scope{onFunction}, takes: []string{"name", "value"}, needs: "name"},
	Throttle:    {targets: []scope{onFunction}},
	Concurrency: {targets: []scope{onFunction}, takes: []string{"limit"}, needs: "limit"},
	Duplicate:   {targets: []scope{onFunction}},
	DNS:         {targets: []scope{onHost}},
	Refused:     {targets: []scope{onHost, onService}},
	Blackhole:   {targets: []scope{onHost, onService}},
	Slow:        {targets: []scope{onHost}, takes: []string{"bytesPerSecond"}, needs: "bytesPerSecond"},
	Capacity:    {targets: []scope{onService}, takes: []string{"perSecond"}, needs: "perSecond"},
	Flag:        {targets: []scope{onFunction}, takes: []string{"name", "effect"}, needs: "effect"},
}

// missing are kinds that people ask for and that are refused by name, with what to do instead.
var missing = map[Kind]string{
	"clock-skew":    "",
	"queue-delay":   "a latency on the function that takes the queue's messages is near",
	"queue-reorder": "",
	"poison-record": "a malformed fault on the function that reads it is near",
	"stuck-shard":   "",
	"permission":    "an error fault on the service, with code denied, is what the function would see",
	"cors":          "a status or corrupt fault with a body of your own is near",
	"secret":        "a variable fault takes a variable away, an error fault on the service its answer",
	"bad-release":   "an error fault with target version or alias meets one release alone",
	"region":        "there is one region",
}

// Kinds returns every kind there is, in order.
func Kinds() []Kind {
	all := make([]Kind, 0, len(rules))
	for k := range rules {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

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
	Status         int             `json:"status,omitempty"` // HTTP, 100 to 599
	Body           string          `json:"body,omitempty"`   // what is answered, or handed over, instead
	Name           string          `json:"name,omitempty"`   // of a variable, or of a flag
	Value          string          `json:"value,omitempty"`  // empty when ""
	MemoryMB       int             `json:"memoryMB,omitempty"`
	LeftMB         int             `json:"leftMB,omitempty"`   // what is left of /tmp; nothing when neither this nor FilledMB is given
	FilledMB       int             `json:"filledMB,omitempty"` // what is taken of /tmp
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
		{"code", w.Code != ""}, {"message", w.Message != ""}, {"status", w.Status != 0}, {"body", w.Body != ""}, {"name", w.Name != ""}, {"value", w.Value != ""},
		{"memoryMB", w.MemoryMB != 0}, {"leftMB", w.LeftMB != 0}, {"filledMB", w.FilledMB != 0}, {"effect", len(w.Effect) > 0}, {"limit", w.Limit != nil}, {"bytesPerSecond", w.BytesPerSecond != 0}, {"perSecond", w.PerSecond != 0},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// after says whether the function does its work first.
func (w *With) after() bool { return w.When == "after" }

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
	if r.needs != "" && !slices.Contains(given, r.needs) {
		errs = append(errs, fmt.Errorf("with.%s: a %s fault needs it", r.needs, f.Kind))
	}
	errs = append(errs, f.With.validate()...)
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
		e.Kind, e.Err, e.Hint = daruma.KindUnsupported, errors.New("kind: this kind of fault is not supported yet"), hint
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
	check(w.Latency < 0 || w.Latency > latencyMax, "with.latency: %s is not from 0 to %s", w.Latency, latencyMax)
	check(w.LatencyMax != 0 && (w.LatencyMax < w.Latency || w.LatencyMax > latencyMax), "with.latencyMax: %s is not from with.latency to %s", w.LatencyMax, latencyMax)
	check(!slices.Contains([]string{"", "uniform", "normal", "exponential"}, w.Distribution), "with.distribution: %q is none of uniform, normal, exponential", w.Distribution)
	check(w.LatencyMax != 0 && w.Distribution != "" && w.Distribution != "uniform", "with.latencyMax: it is for a uniform distribution")
	check(!slices.Contains([]string{"", "before", "after"}, w.When), "with.when: %q is none of before, after", w.When)
	check(w.Status != 0 && (w.Status < 100 || w.Status > 599), "with.status: %d is not from 100 to 599", w.Status)
	check(len(w.Body) > bodyBytesMax, "with.body: it has more than %d bytes", bodyBytesMax)
	check(len(w.Message) > textBytesMax, "with.message: it has more than %d bytes", textBytesMax)
	check(len(w.Code) > codeBytesMax || strings.ContainsFunc(w.Code, func(r rune) bool { return r <= ' ' || r > '~' }), "with.code: it is not a word of at most %d letters", codeBytesMax)
	check(w.MemoryMB < 0, "with.memoryMB: %d is not above 0", w.MemoryMB)
	check(w.LeftMB < 0, "with.leftMB: %d is below 0", w.LeftMB)
	check(w.FilledMB < 0, "with.filledMB: %d is below 0", w.FilledMB)
	check(w.FilledMB != 0 && w.LeftMB != 0, "with.filledMB: leftMB says how much is left already")
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
	}
	fmt.Fprintf(&b, " on %s", f.Target.String())
	if text := f.Dose.share(); text != "" {
		b.WriteString(", " + text)
	}
	return b.String()
}
