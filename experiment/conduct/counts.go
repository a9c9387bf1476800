package conduct

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// Counts is what a platform counts at one moment. All numbers but the states only grow.
type Counts struct {
	At        time.Time // by the app's clock
	Functions map[string]Function
	Queues    map[string]Queue
	Tables    map[string]int64   // items
	Ages      map[string]float64 // by table: how old the oldest change is that a function has not done, in seconds
	Dropped   int64              // failures dropped with nobody having looked at them

	faults map[string]Injected
	down   time.Duration    // for how long the platform was down since the run began
	acked  map[string]int64 // answered with yes, by the function or queue; read before the rest
	base   map[string]int64 // what these had accepted when the run began
	real   time.Time        // by the machine's clock
}

// A Function is what is counted of a function: its asynchronous events, and all its runs.
type Function struct {
	Accepted, InProgress, Done, Failed, Attempts, Throttled, DeadLetters int64
	Runs, Failures                                                       int64
	Timeouts                                                             int64         // runs that were ended at their time-out and that no fault met
	Durations                                                            []Bucket      // of runs, cumulative, ascending
	Running                                                              int64         // runs that have not ended
	Timeout                                                              time.Duration // of a run, by the machine's clock
}

// A Bucket counts runs that took at most so many seconds.
type Bucket struct {
	Seconds float64
	Count   int64
}

// A Queue is what is counted of a queue.
type Queue struct {
	Sent, InProgress, Deleted, Ended, DeadLetters, Received, Returned int64 // Ended: expired, purged or moved
	AgeS                                                              float64
	DeadLetterOf                                                      bool // what lies in it is not in progress
}

// lost is what was taken in and is nowhere, by name. A name of "" means everything.
func (c Counts) lost(of string) int64 {
	var n int64
	for name, f := range c.Functions {
		if of == "" || of == name {
			n += f.Accepted - f.InProgress - f.Done - f.Failed
		}
	}
	for name, q := range c.Queues {
		if of == "" || of == name {
			n += q.Sent - q.InProgress - q.Deleted - q.Ended - q.DeadLetters
		}
	}
	if of == "" {
		n += c.Dropped
	}
	return n
}

// events adds up what is counted of events and messages.
func (c Counts) events(of string, f func(Function) int64, q func(Queue) int64) int64 {
	var n int64
	for name, one := range c.Functions {
		if of == "" || of == name {
			n += f(one)
		}
	}
	for name, one := range c.Queues {
		if of == "" || of == name {
			n += q(one)
		}
	}
	return n
}

// inProgress is what has not ended, dead letters apart.
func (c Counts) inProgress(of string) int64 {
	return c.events(of, func(f Function) int64 { return f.InProgress }, func(q Queue) int64 { return q.InProgress - q.apart(of) })
}

// accepted is what was taken in.
func (c Counts) accepted(of string) int64 {
	return c.events(of, func(f Function) int64 { return f.Accepted }, func(q Queue) int64 { return q.Sent - q.apart(of) })
}

// apart is the dead letters that lie in a queue: of everything they are what was
// taken in, and failed, where they come from.
func (q Queue) apart(of string) int64 {
	if q.DeadLetterOf && of == "" {
		return q.InProgress
	}
	return 0
}

// behind is how many tables have changes that functions have not done.
func (c Counts) behind() (n int64) {
	for _, age := range c.Ages {
		if age > 0 {
			n++
		}
	}
	return n
}

// known says whether something of that name is counted.
func (c Counts) known(of string) bool {
	_, f := c.Functions[of]
	_, q := c.Queues[of]
	_, t := c.Tables[of]
	return f || q || t
}

// missing says that what a metric names is not there; "" when it is. Loads and faults are those of the experiment.
func (c Counts) missing(m experiment.Metric) string {
	switch kind, _ := experiment.MeasureNamed(m.Name); {
	case kind.Of != "load" && kind.Of != "fault" && m.Of != "" && !c.known(m.Of):
		return fmt.Sprintf("there is no %s called %q", kind.Of, m.Of)
	case kind.Per == "function" && m.Per != "" && !c.known(m.Per):
		return fmt.Sprintf("there is no function called %q", m.Per)
	}
	return ""
}

// durations adds the runs of functions between two moments up, by bucket.
func durations(from, to Counts, of string) []Bucket {
	sum := map[float64]int64{}
	for name, f := range to.Functions {
		if of != "" && of != name {
			continue
		}
		for i, b := range f.Durations {
			n := b.Count
			if was := from.Functions[name].Durations; i < len(was) {
				n -= was[i].Count
			}
			sum[b.Seconds] += n
		}
	}
	var all []Bucket
	for _, s := range slices.Sorted(maps.Keys(sum)) {
		all = append(all, Bucket{s, sum[s]})
	}
	return all
}

// quantile estimates, within its bucket in proportion, what a share of runs stayed below, in seconds.
func quantile(buckets []Bucket, q float64) (float64, int64) {
	if len(buckets) == 0 {
		return 0, 0
	}
	total := buckets[len(buckets)-1].Count
	if total == 0 {
		return 0, 0
	}
	rank, below, low := q*float64(total), int64(0), 0.0
	for _, b := range buckets {
		if float64(b.Count) >= rank {
			in := float64(b.Count - below)
			if in == 0 || b.Seconds > 1e9 {
				return low, total
			}
			return low + (b.Seconds-low)*(rank-float64(below))/in, total
		}
		below, low = b.Count, b.Seconds
	}
	return low, total
}

// unaccepted is what loads were told is taken in, and is not counted as that.
func (c Counts) unaccepted(of string) int64 {
	var n int64
	for name, acked := range c.acked {
		if of != "" && of != name {
			continue
		}
		accepted := c.Functions[name].Accepted + c.Queues[name].Sent
		n += max(0, acked-(accepted-c.base[name]))
	}
	return n
}
