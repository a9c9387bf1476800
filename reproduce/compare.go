package reproduce

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// A Side is how a run ended.
type Side struct {
	Outcome   string          `json:"outcome"`
	ErrorType string          `json:"errorType,omitempty"`
	Message   string          `json:"message,omitempty"`
	Location  ledger.Location `json:"location,omitzero"`
	Stack     []string        `json:"stack,omitempty"`
	Duration  time.Duration   `json:"durationNs"`
	Log       []string        `json:"log,omitempty"`
}

// A Difference is one thing that was otherwise.
type Difference struct {
	What   string `json:"what"`
	Was    string `json:"was"`
	Is     string `json:"is"`
	Counts bool   `json:"counts"` // it makes the failure another one
}

func was(f *ledger.Failure) Side {
	return Side{Outcome: f.Outcome, ErrorType: f.ErrorType, Message: f.Message, Location: f.Location, Stack: f.Stack, Duration: f.Duration, Log: f.Log}
}

func is(o daruma.Outcome) Side {
	s := Side{Outcome: o.Kind.String(), Duration: o.Duration, Log: o.LogLines()}
	if o.Failure != nil {
		s.ErrorType, s.Message = o.Failure.Type, ledger.Cut(o.Failure.Message, ledger.MessageBytesMax)
		s.Stack, s.Location = ledger.Trace(o.Payload)
	}
	return s
}

// compare fills in the differences and the verdict.
func (r *Result) compare() {
	add := func(what, was, is string, counts bool) {
		if was != is {
			r.Differences = append(r.Differences, Difference{what, was, is, counts})
		}
	}
	w, i := r.Was, r.Is
	add("outcome", w.Outcome, i.Outcome, true)
	add("error type", w.ErrorType, i.ErrorType, true)
	add("message", w.Message, i.Message, plain(w.Message) != plain(i.Message))
	add("location", w.Location.String(), i.Location.String(), place(w.Location) != place(i.Location))
	if plainLines(w.Stack) != plainLines(i.Stack) {
		add("stack", strings.Join(w.Stack, "\n"), strings.Join(i.Stack, "\n"), false)
	}
	if ratio := float64(i.Duration+time.Millisecond) / float64(w.Duration+time.Millisecond); ratio > 2 || ratio < 0.5 {
		add("duration", w.Duration.Round(time.Microsecond).String(), i.Duration.Round(time.Microsecond).String(), false)
	}
	onlyWas, onlyIs := unlike(w.Log, i.Log)
	add("log", strings.Join(onlyWas, "\n"), strings.Join(onlyIs, "\n"), false)
	switch {
	case i.Outcome == daruma.Done.String():
		r.Verdict = Passed
	case slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Counts }):
		r.Verdict = Other
	default:
		r.Verdict = Same
	}
}

// Yes says whether the question that was asked is answered with yes: does it
// fail as it did, or, with the current code, does it end well.
func (r *Result) Yes() bool {
	return r.Verdict == Same && !r.Current || r.Verdict == Passed && r.Current
}

// place is what stays of a location when lines move.
func place(l ledger.Location) string {
	if l.Function != "" {
		return l.File + " " + l.Function
	}
	return l.String()
}

// passing is what differs between two runs of the same: IDs, times, numbers.
var passing = regexp.MustCompile(`[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|0x[0-9a-fA-F]+|\d+(?:[.:T-]\d+)*Z?`)

func plain(s string) string { return passing.ReplaceAllString(s, "#") }

func plainLines(lines []string) string { return plain(strings.Join(lines, "\n")) }

// platformLine are the lines in which the platform tells of an invocation.
var platformLine = regexp.MustCompile(`^(START RequestId|END RequestId|REPORT RequestId|INIT_START|INIT_REPORT|XRAY TraceId|RequestId: \S+ Error)|"type":"platform\.`)

// logLinesMax is how many lines of each side a difference names.
const logLinesMax = 20

// unlike returns the lines that only one of two logs has.
func unlike(was, is []string) (onlyWas, onlyIs []string) {
	count := map[string]int{}
	for _, l := range is {
		count[plain(l)]++
	}
	for _, l := range was {
		if k := plain(l); count[k] > 0 {
			count[k]--
		} else if !platformLine.MatchString(l) && strings.TrimSpace(l) != "" {
			onlyWas = append(onlyWas, l)
		}
	}
	count = map[string]int{}
	for _, l := range was {
		count[plain(l)]++
	}
	for _, l := range is {
		if k := plain(l); count[k] > 0 {
			count[k]--
		} else if !platformLine.MatchString(l) && strings.TrimSpace(l) != "" {
			onlyIs = append(onlyIs, l)
		}
	}
	return onlyWas[:min(len(onlyWas), logLinesMax)], onlyIs[:min(len(onlyIs), logLinesMax)]
}
