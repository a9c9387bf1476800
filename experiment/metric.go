package experiment

// A Measure is one metric that probes may ask for.
type Measure struct {
	Name  string
	Of    string // what Of names: "function", "queue", "table", "load", "fault", "platform" (which has no name) or "events", which is a function or a queue
	Must  bool   // Of must be given
	Per   string // what Per names; "" when there is none
	Unit  string // of the value: "", "ms", "s"
	Text  string // what it says
	Share bool   // it is set against a number of requests or events, of which there must be enough
}

// measures is every metric there is. docs/experiments.md has the same table.
var measures = []Measure{
	{Name: "lost", Of: "events", Text: "accepted events and messages that are nowhere: not in progress, not done, not kept as failed"},
	{Name: "accepted", Of: "events", Text: "events and messages taken in; of everything, without dead letters that lie in their queues"},
	{Name: "done", Of: "events", Text: "events that ended well, and messages that were deleted"},
	{Name: "failed", Of: "events", Text: "events given up, each in the ledger, and messages that became dead letters"},
	{Name: "in-progress", Of: "events", Text: "events and messages that have not ended"},
	{Name: "dead-letters", Of: "events", Text: "events and messages that were put aside"},
	{Name: "attempts-per-event", Of: "events", Text: "runs or receives for each event that was accepted", Share: true},
	{Name: "duplicates", Of: "queue", Text: "messages that came back after they had been received"},
	{Name: "age", Of: "queue or table", Unit: "s", Text: "age of the oldest message that was never received, or of the oldest change of a table that a function has not done"},
	{Name: "runs", Of: "function", Text: "runs of functions"},
	{Name: "run-errors", Of: "function", Text: "runs that did not end well; of no run nothing is known"},
	{Name: "run-error-share", Of: "function", Text: "share of runs that did not end well", Share: true},
	{Name: "run-p50", Of: "function", Unit: "ms", Text: "functions' own time, the median", Share: true},
	{Name: "run-p99", Of: "function", Unit: "ms", Text: "functions' own time, 99 of 100", Share: true},
	{Name: "throttled", Of: "function", Text: "tries that were refused for want of concurrency"},
	{Name: "requests", Of: "load", Text: "requests of the load that were answered"},
	{Name: "errors", Of: "load", Text: "requests that were not answered well; of no request nothing is known"},
	{Name: "error-share", Of: "load", Text: "share of requests that were not answered well", Share: true},
	{Name: "p50", Of: "load", Unit: "ms", Text: "time to the answer of what was sent, the median", Share: true},
	{Name: "p95", Of: "load", Unit: "ms", Text: "time to the answer, 95 of 100", Share: true},
	{Name: "p99", Of: "load", Unit: "ms", Text: "time to the answer, 99 of 100", Share: true},
	{Name: "items", Of: "table", Must: true, Text: "items in a table"},
	{Name: "items-per-request", Of: "table", Must: true, Per: "load", Text: "items that a table gained for each request of a load", Share: true},
	{Name: "faults-met", Of: "fault", Text: "runs, requests and connections that a fault met"},
	{Name: "met-per-request", Of: "fault", Per: "load", Text: "how often a fault was met for each request of a load: how far retries multiply", Share: true},
	{Name: "platform-down", Of: "platform", Unit: "ms", Text: "how long the platform did not answer after it was killed, by the machine's clock"},
	{Name: "met-per-run", Of: "fault", Per: "function", Text: "how often a fault was met in each run of a function while it was in force: how far one run tries again by itself"},
}

// Measures returns every metric there is.
func Measures() []Measure { return measures }

// MeasureNamed returns a metric by its name.
func MeasureNamed(name string) (Measure, bool) {
	for _, m := range measures {
		if m.Name == name {
			return m, true
		}
	}
	return Measure{}, false
}
