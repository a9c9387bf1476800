package fault

import "slices"

// A Kind says what a fault does.
type Kind string

// The kinds of fault. What each may target and takes is in the table below.
const (
	Latency     Kind = "latency"       // it takes longer: an event, a request to a service, a connection to a host
	ColdStart   Kind = "cold-start"    // environments take longer to start
	Error       Kind = "error"         // the function, or the service, answers with an error
	Status      Kind = "status"        // the function answers with another HTTP status
	Corrupt     Kind = "corrupt"       // the function's answer is cut or replaced
	Malformed   Kind = "malformed"     // the function is handed a damaged event
	Timeout     Kind = "timeout"       // the function does not answer until it is killed at its deadline
	Kill        Kind = "kill"          // the function's process is killed
	Memory      Kind = "memory"        // environments have less memory
	Disk        Kind = "disk"          // environments have no room in /tmp
	Variable    Kind = "variable"      // environments have another value in a variable
	Secret      Kind = "secret"        // environments lack a variable
	ClockSkew   Kind = "clock-skew"    // environments have another time of day
	Throttle    Kind = "throttle"      // the function is refused as one over its limit of concurrency
	Concurrency Kind = "concurrency"   // the function may run so many events at once
	Duplicate   Kind = "duplicate"     // an event that nobody waits for, or a message, is handed over twice
	QueueDelay  Kind = "queue-delay"   // a queue's messages are visible later
	Reorder     Kind = "queue-reorder" // a queue's messages are overtaken
	BadRelease  Kind = "bad-release"   // a release of the function goes wrong
	DNS         Kind = "dns"           // a host's name does not exist
	Refused     Kind = "refused"       // a host, or a service, drops connections at once
	Blackhole   Kind = "blackhole"     // a host, or a service, takes and never answers
	Slow        Kind = "slow"          // a host's connections carry few bytes a second
	Capacity    Kind = "capacity"      // a service, or one table of it, takes so many requests a second
	Permission  Kind = "permission"    // the function's role does not allow what it asks a service for
	Poison      Kind = "poison-record" // the same messages or changes are always handed over damaged
	StuckShard  Kind = "stuck-shard"   // a table's changes stop where they are
	CORS        Kind = "cors"          // an API's answers lose the headers by which browsers share them
	Flag        Kind = "flag"          // a failure flag in the function's own code has an effect
)

// A rule is what a kind may meet and what it takes.
type rule struct {
	targets []scope
	takes   []string // fields of With
	needs   string   // the one of these that must be given; "" for none
	of      bool     // the target must name a function as well, whose requests are met
}

// rules is the table of kinds.
var rules = map[Kind]rule{
	Latency:     {targets: []scope{onFunction, onService, onHost}, takes: []string{"latency", "latencyMax", "distribution", "when"}, needs: "latency"},
	ColdStart:   {targets: []scope{onFunction}, takes: []string{"latency", "latencyMax", "distribution"}, needs: "latency"},
	Error:       {targets: []scope{onFunction, onService}, takes: []string{"code", "message", "status", "when"}},
	Status:      {targets: []scope{onFunction}, takes: []string{"status", "body", "contentType", "when"}, needs: "status"},
	Corrupt:     {targets: []scope{onFunction}, takes: []string{"body"}},
	Malformed:   {targets: []scope{onFunction}, takes: []string{"body"}},
	Timeout:     {targets: []scope{onFunction}, takes: []string{"when"}},
	Kill:        {targets: []scope{onFunction}, takes: []string{"when"}},
	Memory:      {targets: []scope{onFunction}, takes: []string{"memoryMB"}, needs: "memoryMB"},
	Disk:        {targets: []scope{onFunction}, takes: []string{"leftMB", "filledMB"}},
	Variable:    {targets: []scope{onFunction}, takes: []string{"name", "value"}, needs: "name"},
	Secret:      {targets: []scope{onFunction}, takes: []string{"name"}, needs: "name"},
	ClockSkew:   {targets: []scope{onFunction}, takes: []string{"by"}, needs: "by"},
	Throttle:    {targets: []scope{onFunction}},
	Concurrency: {targets: []scope{onFunction}, takes: []string{"limit"}, needs: "limit"},
	Duplicate:   {targets: []scope{onFunction, onQueue}},
	QueueDelay:  {targets: []scope{onQueue}, takes: []string{"latency", "latencyMax", "distribution"}, needs: "latency"},
	Reorder:     {targets: []scope{onQueue}, takes: []string{"latency"}},
	BadRelease:  {targets: []scope{onFunction}, takes: []string{"code", "message", "latency", "latencyMax", "distribution"}},
	DNS:         {targets: []scope{onHost}},
	Refused:     {targets: []scope{onHost, onService}},
	Blackhole:   {targets: []scope{onHost, onService}},
	Slow:        {targets: []scope{onHost}, takes: []string{"bytesPerSecond"}, needs: "bytesPerSecond"},
	Capacity:    {targets: []scope{onService}, takes: []string{"perSecond"}, needs: "perSecond"},
	Permission:  {targets: []scope{onService}, of: true},
	Poison:      {targets: []scope{onQueue, onTable}, takes: []string{"body"}},
	StuckShard:  {targets: []scope{onTable}},
	CORS:        {targets: []scope{onAPI}},
	Flag:        {targets: []scope{onFunction}, takes: []string{"name", "effect"}, needs: "effect"},
}

// missing are kinds that people ask for and that are refused by name, with what to do instead.
var missing = map[Kind]string{
	"region": "there is one region",
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

// early says whether a kind meets events before a version is chosen for them.
func early(k Kind) bool { return k == Throttle || k == Concurrency || k == Duplicate }

// onPlaces says whether a kind meets environments as they are made.
func onPlaces(k Kind) bool {
	return k == Memory || k == Disk || k == Variable || k == Secret || k == ClockSkew
}
