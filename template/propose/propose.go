// Package propose writes the experiments that fit an app: each function killed,
// timed out and throttled; each thing it needs slow, failing now and then, down and
// throttled; each queue with poison, and each message and event twice; the changes of each
// table with poison, and where they stop; at last the platform killed, where an app
// keeps work that must outlive it.
//
// A proposal is a file for a person to read, run and change: what it takes for well is a
// hypothesis. Proposals are the same for the same app. Nothing is written here; the caller does.
package propose

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/wiring"
)

// A Proposal is one experiment.
type Proposal struct {
	File  string // its name, without a directory
	Title string
	Text  string // YAML
}

// All returns the experiments that fit an app. only narrows them to one function, when not "".
func All(m *wiring.Map, only string) []Proposal {
	var all []Proposal
	seen := map[string]bool{}
	for _, f := range m.Functions {
		if only != "" && f.ID != only && f.Name != only {
			continue
		}
		for _, d := range drafts(f) {
			if !seen[d.file] {
				seen[d.file] = true
				all = append(all, Proposal{File: d.file, Title: d.title, Text: d.text(m)})
			}
		}
	}
	if d, durable := platformKilled(m); durable && only == "" {
		all = append(all, Proposal{File: d.file, Title: d.title, Text: d.text(m)})
	}
	return all
}

// A draft is an experiment before it is written down.
type draft struct {
	f                *wiring.Function
	way              wiring.Way
	file, title, hyp string
	name, fault      string
	probes           []probe
	during           time.Duration
	kills            bool // the platform is killed while the fault is in force
	real             bool // it compares time-outs of the platform with those of functions, as they are on AWS
}

type probe struct{ name, when, tolerance, metric, rest string }

func drafts(f *wiring.Function) []draft {
	way := f.Ways[0]
	if way.Kind == wiring.Changes && itemOf(way.Table) == "" {
		return nil // nobody knows how to write into its table
	}
	var all []draft
	add := func(d draft) { // of the way that is meant at the time
		d.f, d.way = f, way
		if d.during == 0 {
			d.during = 60 * time.Second
		}
		all = append(all, d)
	}
	for _, n := range f.Needs {
		add(down(f, way, n))
		add(slow(f, way, n))
		if n.Service != "" {
			add(throttledNeed(f, way, n))
		}
		if n.Kind == "table" && (way.AtLeastOnce() || way.Kind == wiring.Changes) {
			add(flaky(f, n))
		}
	}
	add(killed(f, way))
	add(timedOut(f, way))
	add(throttled(f, way))
	if way.Kind != wiring.Queue {
		add(slowFunction(f, way))
	}
	for _, w := range f.Ways {
		if w.Kind == wiring.Queue {
			way = w
			add(slowConsumer(f, way))
			add(poison(f, way))
			if d := timedOut(f, way); d.file != f.TimedOutFile(f.Ways[0]) {
				d.title += ", with " + way.Name
				add(d)
			}
		}
	}
	for _, w := range f.Ways {
		if w.Kind == wiring.Changes && itemOf(w.Table) != "" {
			way = w
			add(poisonChange(f, way))
			add(stuck(f, way))
		}
	}
	for _, w := range f.Ways {
		if w.AtLeastOnce() {
			way = w
			add(twice(f, way))
			break
		}
	}
	return all
}

// target names what a function needs, as faults do.
func target(f *wiring.Function, n wiring.Need) string {
	if n.Host != "" {
		return fmt.Sprintf("{ function: %s, host: %s }", quote(f.ID), quote(n.Host))
	}
	return fmt.Sprintf("{ function: %s, service: %s, resource: %s }", quote(f.ID), n.Service, quote(n.ID))
}

// handedOver names a queue's messages that a function is handed, as faults do.
func handedOver(f *wiring.Function, way wiring.Way) string {
	return fmt.Sprintf("{ queue: %s, function: %s }", quote(way.Name), quote(f.ID))
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// well are the probes of every experiment: nothing is lost, and afterwards all is as before.
func well(f *wiring.Function, way wiring.Way, errors string) []probe {
	all := []probe{{"nothing is lost", "[during, after]", "0", "lost", ""}}
	if way.AtLeastOnce() {
		of := f.ID
		if way.Kind == wiring.Queue {
			of = way.Name
		}
		return append(all,
			probe{"every event ends well in the end", "[after]", "0", "failed", "of: " + quote(of) + ", over: run"},
			probe{"nothing is left over", "[before, after]", "0", "in-progress", "of: " + quote(of)})
	}
	if way.Kind == wiring.Changes {
		return append(all, doneInTheEnd(way))
	}
	return append(all,
		probe{"requests are answered well", "[before, after]", "[0, 0.01]", "error-share", ""},
		probe{"requests are answered well, meanwhile", "[during]", errors, "error-share", ""})
}

// doneInTheEnd is that no change of a table waits.
func doneInTheEnd(way wiring.Way) probe {
	return probe{"every change is done in the end", "[before, after]", "0", "age", "of: " + quote(way.Name)}
}

// effects are that each change has its effect in what the function writes into.
func effects(f *wiring.Function) (all []probe) {
	for _, n := range f.Needs {
		if n.Kind == "table" {
			all = append(all, probe{"each change has its effect in " + n.ID, "[after]", "{ type: relative, range: [0.95, 1.05] }", "items-per-request", "of: " + quote(n.ID) + ", over: run"})
		}
	}
	return all
}

func down(f *wiring.Function, way wiring.Way, n wiring.Need) draft {
	kind := "{ kind: error, target: " + target(f, n) + ", with: { code: internal } }"
	if n.Host != "" {
		kind = "{ kind: refused, target: " + target(f, n) + " }"
	}
	name := n.ID + " is down"
	d := draft{file: wiring.FileName(f.ID, n.ID, "down"), title: f.ID + " without " + n.ID, name: name, fault: kind, probes: well(f, way, "[0, 0.05]"),
		hyp: "While " + n.ID + " is down, callers of " + f.ID + " are answered all the same, and nothing is lost"}
	if way.Kind == wiring.Changes {
		d.hyp, d.during = "While "+n.ID+" is down changes wait, and afterwards they are done", 90*time.Second
	}
	if way.AtLeastOnce() {
		d.hyp = "While " + n.ID + " is down nothing claims to be done, and afterwards everything is"
		d.during = 90 * time.Second // the retry after two minutes finds it well
		of := f.ID
		if way.Kind == wiring.Queue {
			of = way.Name
		}
		d.probes = append(d.probes, probe{"nothing claims to be done without it", "[during]", "0", "done", "of: " + quote(of)})
	}
	if way.Kind == wiring.Changes { // each shard has one run at a time, and pauses: too few to say how often one asks
		return d
	}
	d.probes = append(d.probes, probe{"a run does not ask again and again", "[after]", "[0, 3]", "met-per-run", "of: " + quote(name) + ", per: " + quote(f.ID) + ", over: run"})
	return d
}

func slow(f *wiring.Function, way wiring.Way, n wiring.Need) draft {
	wait := min(f.Timeout/4, 500*time.Millisecond)
	d := draft{file: wiring.FileName(f.ID, n.ID, "slow"), title: f.ID + " with a slow " + n.ID, name: n.ID + " is slow",
		fault:  fmt.Sprintf("{ kind: latency, target: %s, with: { latency: %v } }", target(f, n), wait),
		probes: well(f, way, "[0, 0.01]"), hyp: "A slow " + n.ID + " makes " + f.ID + " slower, and nothing else"}
	if !way.AtLeastOnce() && way.Kind != wiring.Changes {
		d.probes = append(d.probes, probe{"nobody waits for too long", "[during]", fmt.Sprintf("[0, %d]", (f.Timeout * 4 / 5).Milliseconds()), "p95", ""}) // the start of more environments is in it
	}
	return d
}

func throttledNeed(f *wiring.Function, way wiring.Way, n wiring.Need) draft {
	return draft{file: wiring.FileName(f.ID, n.ID, "throttled"), title: f.ID + " while " + n.ID + " throttles", name: n.ID + " throttles",
		fault:  "{ kind: error, target: " + target(f, n) + ", dose: { oneIn: 3 }, with: { code: throttled } }",
		probes: well(f, way, "[0, 0.05]"), hyp: "What is throttled is tried again, until it is done"}
}

func flaky(f *wiring.Function, n wiring.Need) draft {
	return draft{file: wiring.FileName(f.ID, n.ID, "flaky"), title: f.ID + " while " + n.ID + " fails now and then", name: n.ID + " fails now and then",
		fault: "{ kind: error, target: " + target(f, n) + ", dose: { oneIn: 3 }, with: { code: denied } }",
		hyp:   "Each event has its effect, also when the first try failed",
		probes: []probe{{"nothing is lost", "[during, after]", "0", "lost", ""},
			{"each event has its effect in " + n.ID, "[after]", "{ type: relative, range: [0.95, 1.05] }", "items-per-request", "of: " + quote(n.ID) + ", over: run"}}}
}

func killed(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, "killed"), title: f.ID + " is killed at work", name: "processes are killed",
		fault:  "{ kind: kill, target: { function: " + quote(f.ID) + " }, dose: { oneIn: 5 } }",
		probes: well(f, way, "[0, 0.3]"), hyp: "Who is killed is replaced, and the work is done by another"}
}

func timedOut(f *wiring.Function, way wiring.Way) draft {
	return draft{file: f.TimedOutFile(way), title: f.ID + " does not answer in time", name: "runs time out",
		fault:  "{ kind: timeout, target: { function: " + quote(f.ID) + " }, dose: { oneIn: 8, max: 5 } }",
		probes: well(f, way, "[0, 0.3]"), hyp: "A run that hangs is ended, and its event is tried again"}
}

func throttled(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, "throttled"), title: f.ID + " is throttled", name: "runs are refused",
		fault:  "{ kind: throttle, target: { function: " + quote(f.ID) + " }, dose: { oneIn: 3 } }",
		probes: well(f, way, "[0, 0.4]"), hyp: "What is throttled waits for its turn"}
}

func slowFunction(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, "slow"), title: f.ID + " is slow", name: f.ID + " takes longer",
		fault:  fmt.Sprintf("{ kind: latency, target: { function: %s }, dose: { oneIn: 4 }, with: { latency: %v } }", quote(f.ID), f.Timeout*7/10),
		probes: well(f, way, "[0, 0.01]"), hyp: "Slow work is late, and callers still get their answers"}
}

// realMax is the longest time-out of a function whose slow runs are waited for by the machine's clock.
const realMax = 30 * time.Second

func slowConsumer(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, way.Name, "slow"), title: f.ID + " falls behind with " + way.Name, name: f.ID + " is slow",
		fault:  fmt.Sprintf("{ kind: latency, target: { function: %s }, with: { latency: %v } }", quote(f.ID), f.Timeout*6/10),
		probes: append(well(f, way, ""), probe{"no message comes back while it is worked on", "[after]", "0", "duplicates", "of: " + quote(way.Name) + ", over: run"}),
		real:   f.Timeout <= realMax,
		during: max(12*time.Second, 2*f.Timeout),
		hyp:    "Slow work is late, and is done once, also where nobody keeps it hidden for longer than the queue says"}
}

func poison(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(way.Name, "poison"), title: way.Name + " with poison", name: "some messages are poison",
		fault:  "{ kind: poison-record, target: " + handedOver(f, way) + ", dose: { oneIn: 10 } }",
		probes: []probe{{"nothing is lost", "[during, after]", "0", "lost", ""}, {"nothing is left over", "[before, after]", "0", "in-progress", "of: " + quote(way.Name)}},
		hyp:    "Poison is put aside, and the rest is done"}
}

func poisonChange(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, way.Name, "poison"), title: f.ID + " with a poison change of " + way.Name, name: "a change is poison",
		fault: "{ kind: poison-record, target: { table: " + quote(way.Name) + ", function: " + quote(f.ID) + " }, dose: { max: 1 } }",
		probes: []probe{{"nothing is lost", "[during, after]", "0", "lost", ""},
			{"changes behind the poison are done", "[during]", "[0, 60]", "age", "of: " + quote(way.Name)},
			doneInTheEnd(way)},
		during: 3 * time.Minute,
		hyp:    "A poison change is put aside, and those behind it are done"}
}

func stuck(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, way.Name, "stuck"), title: f.ID + " while changes of " + way.Name + " do not go on", name: "the shard is stuck",
		fault:  "{ kind: stuck-shard, target: { table: " + quote(way.Name) + ", function: " + quote(f.ID) + " } }",
		probes: append([]probe{{"nothing is lost", "[during, after]", "0", "lost", ""}, {"nothing is tried in vain", "[after]", "0", "run-errors", "of: " + quote(f.ID) + ", over: run"}, doneInTheEnd(way)}, effects(f)...),
		hyp:    "Changes that do not go on wait, and each is done afterwards"}
}

// itemOf is an item for a table whose key is made of texts and numbers, with each key another; "" of another table.
func itemOf(t *template.Table) string {
	var r struct {
		KeySchema            []struct{ AttributeName string }
		AttributeDefinitions []struct{ AttributeName, AttributeType string }
	}
	if json.Unmarshal([]byte(t.Request), &r) != nil || len(r.KeySchema) == 0 {
		return ""
	}
	var all []string
	for _, k := range r.KeySchema {
		for _, a := range r.AttributeDefinitions {
			switch {
			case a.AttributeName != k.AttributeName:
			case a.AttributeType == "S":
				all = append(all, quote(k.AttributeName)+`: { S: "${id}" }`)
			case a.AttributeType == "N":
				all = append(all, quote(k.AttributeName)+`: { N: "${n}" }`)
			default:
				return ""
			}
		}
	}
	return "{ " + strings.Join(all, ", ") + " }"
}

func twice(f *wiring.Function, way wiring.Way) draft {
	fault := "{ kind: duplicate, target: { function: " + quote(f.ID) + " } }"
	switch {
	case way.Kind == wiring.Queue && way.Queue.Attributes["FifoQueue"] != "true":
		fault = "{ kind: duplicate, target: " + handedOver(f, way) + " }"
	case way.Kind == wiring.Queue: // the work is done, and nobody hears of it: the messages come again
		fault = "{ kind: error, target: { function: " + quote(f.ID) + " }, dose: { oneIn: 2 }, with: { when: after, message: the answer is lost } }"
	}
	d := draft{file: wiring.FileName(f.ID, "duplicate"), title: f.ID + " gets events twice", name: "events come twice", fault: fault,
		probes: []probe{{"nothing is lost", "[during, after]", "0", "lost", ""}}, hyp: "An event that comes twice has its effect once"}
	for _, n := range f.Needs {
		if n.Kind == "table" {
			d.probes = append(d.probes, probe{"each event has its effect in " + n.ID + " once", "[after]", "{ type: relative, range: [0.95, 1.05] }", "items-per-request", "of: " + quote(n.ID) + ", over: run"})
		}
	}
	// After the faults each event comes once: judged over both, half of the doubled effects are seen, which is enough.
	return d
}

// killedPause is how long there is work before the platform is killed: about the middle of the window.
const killedPause = 30 * time.Second

// platformKilled kills the platform while there is work that must outlive it: events that
// come at least once, changes of tables, or requests whose work lies in a table. The
// first function that has some gets the load.
func platformKilled(m *wiring.Map) (d draft, durable bool) {
	d = draft{file: "platform-killed.yaml", title: "The platform is killed", kills: true, during: 2 * killedPause,
		hyp: "Nothing that was acknowledged is lost, and the app goes on in moments"}
	if d.f, d.way, durable = durableWay(m); !durable {
		return d, false
	}
	d.name = "each event takes its time, so that some are in progress"
	d.fault = fmt.Sprintf("{ kind: latency, target: { function: %s }, with: { latency: %v } }", quote(d.f.ID), min(d.f.Timeout/4, 400*time.Millisecond))
	for _, p := range well(d.f, d.way, "") {
		if p.metric == "error-share" && p.when == "[during]" {
			continue // nobody answers while it is down
		}
		d.probes = append(d.probes, p)
	}
	d.probes = append(d.probes, probe{"it is back soon", "[during]", "[1, 10000]", "platform-down", ""})
	return d, true
}

// durableWay finds a function that is handed what is stored, or else one that stores something.
func durableWay(m *wiring.Map) (*wiring.Function, wiring.Way, bool) {
	for _, kind := range []wiring.WayKind{wiring.Queue, wiring.Event, wiring.Changes} {
		for _, f := range m.Functions {
			for _, way := range f.Ways {
				if way.Kind == kind && (kind != wiring.Changes || itemOf(way.Table) != "") {
					return f, way, true
				}
			}
		}
	}
	for _, f := range m.Functions {
		if way := f.Ways[0]; way.Kind != wiring.Changes && slices.ContainsFunc(f.Needs, func(n wiring.Need) bool { return n.Kind == "table" }) {
			return f, way, true
		}
	}
	return nil, wiring.Way{}, false
}

func (d draft) text(m *wiring.Map) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Proposed by daruma experiment init. What it takes for well is a guess: read it, change it, keep it.\n")
	fmt.Fprintf(&b, "title: %s\n", quote(d.title))
	fmt.Fprintf(&b, "steady-state-hypothesis:\n  title: %s\n  probes:\n", quote(d.hyp))
	for _, p := range d.probes {
		rest := ""
		if p.rest != "" {
			rest = ", " + p.rest
		}
		fmt.Fprintf(&b, "    - name: %s\n      type: probe\n      when: %s\n      tolerance: %s\n      provider: { type: metric, metric: %s%s }\n", quote(p.name), p.when, p.tolerance, p.metric, rest)
	}
	rate, why := d.rate(m)
	fmt.Fprintf(&b, "load:\n  - name: load\n    rate: %d # a second%s\n%s", rate, why, d.load(m))
	if d.kills {
		fmt.Fprint(&b, "node: { time-scale: 60 } # a minute is a second; and so it runs on a node of its own, which may be killed\n")
	}
	if d.real {
		fmt.Fprint(&b, "node: { semantics: strict, time-scale: 1 } # as on AWS: with healing, what is worked on stays hidden, and a faster clock would have time-outs of queues end sooner than those of functions\n")
		fmt.Fprintf(&b, "windows: { before: 2s, during: %v, after: 2s, settle: 1m } # by the machine's clock\n", d.during)
	} else {
		fmt.Fprintf(&b, "windows: { before: 30s, during: %v, after: 30s } # by the app's clock: --time-scale makes them shorter\n", d.during)
	}
	fmt.Fprintf(&b, "method:\n  - name: %s\n    type: action\n    provider:\n      type: fault\n      fault: %s\n", quote(d.name), d.fault)
	if d.real { // what was received waits meanwhile, and must stay hidden: six times a time-out is what AWS asks for
		fmt.Fprintf(&b, "  - name: it is throttled at first\n    type: action\n    provider:\n      type: fault\n      fault: { kind: throttle, target: { function: %s }, dose: { for: %v } }\n", quote(d.f.ID), d.f.Timeout*3/2)
	}
	if d.kills {
		fmt.Fprintf(&b, "    pauses: { after: %v }\n  - name: it is killed\n    type: action\n    provider: { type: platform-killed }\n", killedPause)
	}
	within := "functions: [" + quote(d.f.ID) + "], "
	if d.kills { // every function ends with the platform
		within = ""
	}
	fmt.Fprintf(&b, "blast-radius: { %sfor: %v }\n", within, time.Duration(max(10, 40/rate))*time.Minute)
	return b.String()
}

// rateUsual is how many requests a second a load has.
const rateUsual = 20

// rate says how many requests a second the load has: half of what the tables that the function
// needs are provisioned for, where that is less than usual. More would throttle it all the time.
func (d draft) rate(m *wiring.Map) (rate int, why string) {
	rate = rateUsual
	for _, n := range d.f.Needs {
		for _, t := range m.App.Tables {
			if n.Kind != "table" || n.ID != t.LogicalID {
				continue
			}
			var request struct {
				ProvisionedThroughput struct{ WriteCapacityUnits int }
			}
			if json.Unmarshal([]byte(t.Request), &request) != nil {
				continue
			}
			if units := request.ProvisionedThroughput.WriteCapacityUnits; units > 0 && max(1, units/2) < rate {
				rate, why = max(1, units/2), fmt.Sprintf(", for the %d WriteCapacityUnits of %s", units, t.LogicalID)
			}
		}
	}
	return rate, why
}

// load says how the function gets its events.
func (d draft) load(m *wiring.Map) string {
	event := eventOf(m, d.f)
	switch d.way.Kind {
	case wiring.HTTP:
		path, method := d.way.Route.Path, d.way.Route.Method
		if strings.HasPrefix(path, "$") {
			path = "/"
		}
		path = parameters.ReplaceAllString(path, "$${id}")
		if method == "ANY" || method == "" {
			method = "GET"
		}
		body := ""
		if method != "GET" && method != "DELETE" && method != "HEAD" {
			body = ", headers: { Content-Type: application/json }, body: " + quote(event)
		}
		return fmt.Sprintf("    http: { url: %s, method: %s%s }\n", quote(path), method, body)
	case wiring.Queue:
		group := ""
		if d.way.Queue.Attributes["FifoQueue"] == "true" {
			group = ", group: \"${n}\""
		}
		return fmt.Sprintf("    queue: { queue: %s, body: %s%s }\n", quote(d.way.Name), quote(event), group)
	case wiring.Changes:
		return fmt.Sprintf("    put: { table: %s, item: %s }\n", quote(d.way.Name), itemOf(d.way.Table))
	case wiring.Event:
		return fmt.Sprintf("    invoke: { function: %s, async: true, event: %s }\n", quote(d.f.ID), event)
	}
	return fmt.Sprintf("    invoke: { function: %s, event: %s }\n", quote(d.f.ID), event)
}

// parameters are the variables of a route's path.
var parameters = regexp.MustCompile(`\{[^{}]*\}`)

const eventBytesMax = 16 << 10

// eventOf is the event that lies in events/ for a function, where sam keeps them, or one that says little.
func eventOf(m *wiring.Map, f *wiring.Function) string {
	for _, name := range []string{f.ID, strings.ToLower(f.ID), f.Name, "event"} {
		raw, err := os.ReadFile(filepath.Join(m.App.Dir, "events", name+".json"))
		if err != nil || len(raw) > eventBytesMax {
			continue
		}
		var v any
		if json.Unmarshal(raw, &v) != nil {
			continue
		}
		if b, err := json.Marshal(v); err == nil {
			return string(b)
		}
	}
	return `{"id":"${id}"}`
}
