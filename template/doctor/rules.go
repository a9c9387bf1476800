package doctor

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/wiring"
)

// rules is every rule there is, in the order in which people read them. docs/doctor.md has the same list.
var rules = []Rule{
	{"visibility", "a queue's messages come back while their function is still at work", visibility},
	{"no-dead-letter", "what is given up goes nowhere", noDeadLetter},
	{"few-receives", "a queue's messages are given up after a bad moment of their function", fewReceives},
	{"retries-multiply", "retries in two places multiply", retriesMultiply},
	{"batch-all-or-nothing", "one bad message has the whole batch come again", batchAllOrNothing},
	{"gateway-timeout", "a function may take longer than anybody waits for it", gatewayTimeout},
	{"unlimited-concurrency", "nothing bounds how many at once reach something small", unlimitedConcurrency},
	{"no-idempotency", "an event that comes twice may have its effect twice", noIdempotency},
	{"no-owner", "nobody is told when it fails", noOwner},
	{"never-exercised", "what happens without a dependency has never been seen", neverExercised},
}

const (
	visibilityDefault = 30 * time.Second // of queues
	retriesDefault    = 2                // of asynchronous invocations
	sdkAttempts       = 3                // of requests that AWS SDKs make, unless they are told otherwise
	receivesDefault   = 0                // without a dead-letter queue: for ever
)

func visibilityOf(q *template.Queue) time.Duration {
	if s, err := strconv.Atoi(q.Attributes["VisibilityTimeout"]); err == nil {
		return time.Duration(s) * time.Second
	}
	return visibilityDefault
}

// receivesOf is how often a message is received before it is put aside; 0 when it never is.
func receivesOf(q *template.Queue) int {
	var r struct {
		Max json.Number `json:"maxReceiveCount"`
	}
	d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(q.Attributes["RedrivePolicy"], `"maxReceiveCount":"`, `"maxReceiveCount": "`)))
	if d.Decode(&r) != nil {
		return receivesDefault
	}
	n, err := r.Max.Int64()
	if err != nil {
		return receivesDefault
	}
	return int(n)
}

// visibility: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for six times the time-out, and the window on top.
func visibility(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, w := range f.Ways {
			if w.Kind != wiring.Queue {
				continue
			}
			window := time.Duration(0)
			if w.Mapping.Window != nil {
				window = time.Duration(*w.Mapping.Window) * time.Second
			}
			v, want := visibilityOf(w.Queue), 6*f.Timeout+window
			if v >= want {
				continue
			}
			one := Finding{
				Severity: Warning, Resource: w.Name, Position: p.At(w.Name, "VisibilityTimeout"), Experiment: wiring.FileName(f.ID, w.Name, "slow"),
				Message: fmt.Sprintf("messages of %s are hidden for %v; %s may take %v, and six times that is wanted", w.Name, v, f.ID, f.Timeout),
				Why:     "a batch that is throttled or slow comes back and is handed over again while the first is still being worked on",
				Fix:     fmt.Sprintf("VisibilityTimeout: %d", int(want.Seconds())),
			}
			if v < f.Timeout {
				one.Severity = Error
				one.Message = fmt.Sprintf("messages of %s are hidden for %v, less than the %v that %s may take", w.Name, v, f.Timeout, f.ID)
				one.Why = "every message that takes longer is handed to a second run before the first has ended"
			}
			all = append(all, one)
		}
	}
	return all
}

func noDeadLetter(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, w := range f.Ways {
			switch {
			case w.Kind == wiring.Queue && receivesOf(w.Queue) == 0:
				all = append(all, Finding{
					Severity: Error, Resource: w.Name, Position: p.At(w.Name), Experiment: wiring.FileName(w.Name, "poison"),
					Message: fmt.Sprintf("%s has no dead-letter queue", w.Name),
					Why:     "a message that cannot be worked on is tried again until it is too old, and takes the place of others all that time",
					Fix:     "add a queue, and RedrivePolicy: { deadLetterTargetArn: !GetAtt …, maxReceiveCount: 5 }",
				})
			case w.Kind == wiring.Event && f.DeadLetter == "" && !onFailure(p, f):
				all = append(all, Finding{
					Severity: Warning, Resource: f.ID, Position: w.At, Experiment: wiring.FileName(f.ID, "killed"),
					Message: fmt.Sprintf("%s is invoked asynchronously and has neither a destination for failures nor a dead-letter queue", f.ID),
					Why:     "on AWS an event whose retries are used up is gone, with no trace but a metric; here it is kept among the failures",
					Fix:     "EventInvokeConfig: { DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt … } } }",
				})
			}
		}
	}
	return all
}

// receivesWanted: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html asks for at least 5.
const receivesWanted = 5

func fewReceives(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, w := range f.Ways {
			if w.Kind != wiring.Queue {
				continue
			}
			n := receivesOf(w.Queue)
			if n == 0 || n >= receivesWanted {
				continue
			}
			one := Finding{
				Severity: Warning, Resource: w.Name, Position: p.At(w.Name, "RedrivePolicy", "maxReceiveCount"),
				Message: fmt.Sprintf("messages of %s are given up when %s was handed them %d times; at least %d are wanted", w.Name, f.ID, n, receivesWanted),
				Why:     "a time-out, a process that ends and on AWS a throttle each use up a receive of the whole batch: a few bad moments, and sound messages are dead letters",
				Fix:     fmt.Sprintf("maxReceiveCount: %d", receivesWanted),
			}
			if n == 1 {
				one.Message = fmt.Sprintf("messages of %s are given up when %s was handed them once", w.Name, f.ID)
				one.Why = "a time-out, a process that ends and on AWS a throttle each use up a receive of the whole batch: one bad moment, and sound messages are dead letters"
				one.Experiment = f.TimedOutFile(w)
			}
			all = append(all, one)
		}
	}
	return all
}

func onFailure(p *patient, f *wiring.Function) bool {
	for _, e := range p.App.EventInvoke {
		if e.Function == f.Name && e.OnFailure != "" {
			return true
		}
	}
	return false
}

// attempts is how often an event of a way is tried at most.
func attempts(p *patient, f *wiring.Function, w wiring.Way) int {
	if w.Kind == wiring.Queue {
		if n := receivesOf(w.Queue); n > 0 {
			return n
		}
		return 1000 // until it is too old
	}
	for _, e := range p.App.EventInvoke {
		if e.Function == f.Name && e.Retries != nil {
			return 1 + *e.Retries
		}
	}
	return 1 + retriesDefault
}

func retriesMultiply(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, w := range f.Ways {
			if !w.AtLeastOnce() {
				continue
			}
			for _, n := range f.Needs {
				if n.Kind == "host" {
					continue // plain clients do not try again by themselves
				}
				if tries := attempts(p, f, w); tries*sdkAttempts >= 9 {
					all = append(all, Finding{
						Severity: Note, Resource: f.ID, Position: n.At, Experiment: wiring.FileName(f.ID, n.ID, "down"),
						Message: fmt.Sprintf("each event of %s is tried up to %d times, and each try asks %s up to %d times: %d in all", f.ID, tries, n.ID, sdkAttempts, tries*sdkAttempts),
						Why:     "when it is down it is asked so many times as often as when it is well, which keeps it down",
						Fix:     "retry in one place: AWS_MAX_ATTEMPTS: '1' in the function's environment, and leave it to the events",
					})
				}
			}
			break
		}
	}
	// Of functions that set it, the note is answered.
	kept := all[:0]
	for _, one := range all {
		if f := p.Function(one.Resource); f.Env["AWS_MAX_ATTEMPTS"] != "1" {
			kept = append(kept, one)
		}
	}
	return kept
}

func batchAllOrNothing(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, w := range f.Ways {
			if w.Kind != wiring.Queue || w.Mapping.Partial || w.Mapping.Batch != nil && *w.Mapping.Batch == 1 {
				continue
			}
			all = append(all, Finding{
				Severity: Warning, Resource: f.ID, Position: w.At, Experiment: wiring.FileName(w.Name, "poison"),
				Message: fmt.Sprintf("%s cannot say which messages of a batch from %s failed", f.ID, w.Name),
				Why:     "one message that fails has all of its batch come again, done or not; or the function swallows the failure, and the message is lost",
				Fix:     "FunctionResponseTypes: [ReportBatchItemFailures], and return batchItemFailures",
			})
		}
	}
	return all
}

func gatewayTimeout(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, r := range f.Routes {
			limit := r.Timeout
			if f.Timeout <= limit {
				continue
			}
			all = append(all, Finding{
				Severity: Error, Resource: f.ID, Position: p.At(f.ID, "Timeout"), Experiment: wiring.FileName(f.ID, "slow"),
				Message: fmt.Sprintf("%s may take %v, and %s %s waits for %v", f.ID, f.Timeout, r.Method, r.Path, limit),
				Why:     "the caller is told that it failed while the function goes on, and may do its work after that, or twice when the caller tries again",
				Fix:     fmt.Sprintf("Timeout: %d", max(1, int(limit.Seconds())-1)),
			})
			break
		}
	}
	return all
}

func unlimitedConcurrency(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		if f.Reserved != nil {
			continue
		}
		for _, w := range f.Ways {
			if w.Kind == wiring.Call || w.Kind == wiring.Changes || w.Mapping != nil && w.Mapping.AtOnce != nil {
				continue
			}
			for _, n := range f.Needs {
				if small := smallness(p, n); small != "" {
					proof := wiring.FileName(f.ID, n.ID, "throttled")
					if n.Service == "" {
						proof = wiring.FileName(f.ID, n.ID, "slow")
					}
					all = append(all, Finding{
						Severity: Warning, Resource: f.ID, Position: p.At(f.ID), Experiment: proof,
						Message: fmt.Sprintf("nothing bounds how many environments of %s reach %s, %s", f.ID, n.ID, small),
						Why:     "a burst of events becomes a burst of requests; what is overloaded gets slower, and slower functions run in more environments",
						Fix:     "ReservedConcurrentExecutions: 10, or ScalingConfig: { MaximumConcurrency: 10 } of its queue",
					})
				}
			}
			break
		}
	}
	return all
}

// smallness says why something cannot take just any number of requests; "" when it can.
func smallness(p *patient, n wiring.Need) string {
	switch n.Kind {
	case "host":
		return "a host that is not ours"
	case "table":
		for _, t := range p.App.Tables {
			var r struct {
				ProvisionedThroughput *struct{ WriteCapacityUnits json.Number }
			}
			if t.LogicalID == n.ID && json.Unmarshal([]byte(t.Request), &r) == nil && r.ProvisionedThroughput != nil {
				return fmt.Sprintf("a table with %s writes a second", r.ProvisionedThroughput.WriteCapacityUnits)
			}
		}
	}
	return ""
}

func noIdempotency(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		way := -1
		for i, w := range f.Ways {
			if w.AtLeastOnce() {
				way = i
			}
		}
		if way < 0 || len(f.Needs) == 0 {
			continue
		}
		found, read := mentions(f, idempotent)
		if found || !read {
			continue
		}
		all = append(all, Finding{
			Severity: Warning, Resource: f.ID, Position: f.Ways[way].At, Experiment: wiring.FileName(f.ID, "duplicate"),
			Message: fmt.Sprintf("%s may get the same event twice (%s), and its code shows no sign of expecting that", f.ID, f.Ways[way].Name),
			Why:     "what comes at least once comes twice one day: a payment is taken twice, a mail is sent twice",
			Fix:     "write with a key of the event and a condition (attribute_not_exists), or use Powertools' idempotency",
		})
	}
	return all
}

func noOwner(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		if f.Owner == "" {
			all = append(all, Finding{
				Severity: Warning, Resource: f.ID, Position: p.At(f.ID),
				Message: f.ID + " has no owner",
				Why:     "what fails in it is kept, and nobody in particular is told",
				Fix:     "Tags: { owner: team@example.com }, of the function or in Globals",
			})
		}
	}
	return all
}

func neverExercised(p *patient) (all []Finding) {
	for _, f := range p.Functions {
		for _, n := range f.Needs {
			done := false
			for _, x := range p.exercised {
				done = done || x.takesAway(n) && (x.Function == "" || fault.Like(x.Function, f.ID) || fault.Like(x.Function, f.Name))
			}
			if done {
				continue
			}
			all = append(all, Finding{
				Severity: Note, Resource: f.ID, Position: n.At, Experiment: wiring.FileName(f.ID, n.ID, "down"),
				Message: fmt.Sprintf("no experiment shows what %s does without the %s %s", f.ID, n.Kind, n.ID),
				Why:     "a fallback that only runs in a disaster is code that never ran",
				Fix:     "daruma experiment init && daruma experiment run --all",
			})
		}
	}
	return all
}
