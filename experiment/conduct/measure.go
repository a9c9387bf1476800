package conduct

import (
	"math"
	"slices"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// A sample is one request of a load.
type sample struct {
	at   time.Time // by the machine's clock
	took time.Duration
	ok   bool
	late bool // its time was over before its answer

	unsent bool // too many waited: it has no time
}

// A window is what happened between two moments.
type window struct {
	from, to Counts
	loads    map[string][]sample // of all the run
	mended   Counts              // when the faults ended; zero while they have not
}

// requests returns the requests of a load, or of all, that were begun in the window.
func (w window) requests(of string) []sample {
	var all []sample
	for name, list := range w.loads {
		if of != "" && of != name {
			continue
		}
		for _, s := range list {
			if !s.at.Before(w.from.real) && s.at.Before(w.to.real) {
				all = append(all, s)
			}
		}
	}
	return all
}

// A measured is what a metric amounts to. Of is how many requests or events a share is of; −1 when it is no share.
type measured struct {
	value float64
	of    int64
	none  string // why there is no value
}

// measure works out a metric.
func (w window) measure(m experiment.Metric) measured {
	if why := w.to.missing(m); why != "" {
		return measured{none: why}
	}
	kind, _ := experiment.MeasureNamed(m.Name)
	switch kind.Of {
	case "load":
		return w.ofLoad(m)
	case "fault":
		return w.ofFault(m)
	case "table":
		return w.ofTable(m)
	case "function":
		return w.ofFunction(m)
	case "platform":
		return plain((w.to.down - w.from.down).Milliseconds())
	}
	return w.ofEvents(m)
}

func plain(n int64) measured { return measured{value: float64(n), of: -1} }

// among is how many of all there were: of nothing nothing is known, and 0 would look well.
func among(part, all int64) measured {
	if all <= 0 {
		return share(part, all)
	}
	return plain(part)
}

func share(part, all int64) measured {
	if all <= 0 {
		return measured{none: "there was nothing to measure", of: 0}
	}
	return measured{value: float64(part) / float64(all), of: all}
}

func (w window) ofEvents(m experiment.Metric) measured {
	grown := func(f func(Function) int64, q func(Queue) int64) int64 {
		return w.to.events(m.Of, f, q) - w.from.events(m.Of, f, q)
	}
	accepted := w.to.accepted(m.Of) - w.from.accepted(m.Of)
	switch m.Name {
	case "lost":
		return plain(w.to.lost(m.Of) + w.to.unaccepted(m.Of))
	case "accepted":
		return plain(accepted)
	case "done":
		return plain(grown(func(f Function) int64 { return f.Done }, func(q Queue) int64 { return q.Deleted }))
	case "failed":
		return plain(grown(func(f Function) int64 { return f.Failed }, func(q Queue) int64 { return q.DeadLetters }))
	case "dead-letters":
		return plain(grown(func(f Function) int64 { return f.DeadLetters }, func(q Queue) int64 { return q.DeadLetters }))
	case "in-progress":
		return plain(w.to.inProgress(m.Of))
	case "attempts-per-event":
		return share(grown(func(f Function) int64 { return f.Attempts }, func(q Queue) int64 { return q.Received }), accepted)
	case "duplicates":
		return plain(grown(func(Function) int64 { return 0 }, func(q Queue) int64 { return q.Returned }))
	}
	oldest := 0.0 // age
	for name, q := range w.to.Queues {
		if m.Of == "" && !q.DeadLetterOf || m.Of == name {
			oldest = math.Max(oldest, q.AgeS)
		}
	}
	for name, age := range w.to.Ages {
		if m.Of == "" || m.Of == name {
			oldest = math.Max(oldest, age)
		}
	}
	return measured{value: oldest, of: -1}
}

func (w window) ofFunction(m experiment.Metric) measured {
	grown := func(f func(Function) int64) int64 {
		none := func(Queue) int64 { return 0 }
		return w.to.events(m.Of, f, none) - w.from.events(m.Of, f, none)
	}
	runs := func(f Function) int64 { return f.Runs }
	bad := func(f Function) int64 { return f.Failures }
	at := func(q float64) measured {
		s, n := quantile(durations(w.from, w.to, m.Of), q)
		if n == 0 {
			return share(0, 0)
		}
		return measured{value: s * 1000, of: n}
	}
	switch m.Name {
	case "runs":
		return plain(grown(runs))
	case "run-errors":
		return among(grown(bad), grown(runs))
	case "run-error-share":
		return share(grown(bad), grown(runs))
	case "run-p50":
		return at(0.5)
	case "run-p99":
		return at(0.99)
	}
	return plain(grown(func(f Function) int64 { return f.Throttled }))
}

func (w window) ofLoad(m experiment.Metric) measured {
	all := w.requests(m.Of)
	bad := int64(0)
	var took []time.Duration
	for _, s := range all {
		if !s.ok {
			bad++
		}
		if !s.unsent {
			took = append(took, s.took)
		}
	}
	slices.Sort(took)
	n := int64(len(all))
	at := func(q float64) measured {
		if len(took) == 0 {
			return share(0, 0)
		}
		i := min(len(took)-1, int(math.Ceil(q*float64(len(took))))-1)
		return measured{value: float64(took[max(0, i)].Microseconds()) / 1000, of: int64(len(took))}
	}
	switch m.Name {
	case "requests":
		return plain(n)
	case "errors":
		return among(bad, n)
	case "p50":
		return at(0.50)
	case "p95":
		return at(0.95)
	case "p99":
		return at(0.99)
	}
	return share(bad, n)
}

// timeouts counts runs of any function that were ended at their time-out and that no fault met.
func (w window) timeouts() int64 {
	of := func(f Function) int64 { return f.Timeouts }
	none := func(Queue) int64 { return 0 }
	return w.to.events("", of, none) - w.from.events("", of, none)
}

// unanswered counts requests of loads whose time was over before their answer.
func (w window) unanswered() (n int64) {
	for _, s := range w.requests("") {
		if s.late {
			n++
		}
	}
	return n
}

func (w window) ofTable(m experiment.Metric) measured {
	if m.Name == "items" {
		return plain(w.to.Tables[m.Of])
	}
	return share(w.to.Tables[m.Of]-w.from.Tables[m.Of], int64(len(w.requests(m.Per))))
}

func (w window) ofFault(m experiment.Metric) measured {
	var met int64
	for name, f := range w.to.faults {
		if m.Of == "" || m.Of == name {
			met += f.Met - w.from.faults[name].Met
		}
	}
	if m.Name == "faults-met" {
		return plain(met)
	}
	broken := w // what came after the fault had ended could not meet it
	if at := w.mended.real; at.After(w.from.real) && at.Before(w.to.real) {
		broken.to = w.mended
	}
	if m.Name == "met-per-run" {
		sum := func(c Counts, of func(Function) int64) int64 {
			return c.events(m.Per, of, func(Queue) int64 { return 0 })
		}
		ended := func(f Function) int64 { return f.Runs }
		return share(met, sum(broken.to, ended)-sum(w.from, ended)+sum(broken.to, func(f Function) int64 { return f.Running }))
	}
	return share(met, int64(len(broken.requests(m.Per))))
}
