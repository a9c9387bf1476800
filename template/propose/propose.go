// Package propose writes the experiments that fit an app: each function killed,
// timed out and throttled; each thing it needs slow, failing now and then, down and
// throttled; each queue with poison and each event twice.
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
	"strings"
	"time"

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
		for _, d := range drafts(m, f) {
			if !seen[d.file] {
				seen[d.file] = true
				all = append(all, Proposal{File: d.file, Title: d.title, Text: d.text(m)})
			}
		}
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
}

type probe struct{ name, when, tolerance, metric, rest string }

func drafts(m *wiring.Map, f *wiring.Function) []draft {
	way := f.Ways[0]
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
		if n.Kind == "table" && way.AtLeastOnce() {
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
	return append(all,
		probe{"requests are answered well", "[before, after]", "[0, 0.01]", "error-share", ""},
		probe{"requests are answered well, meanwhile", "[during]", errors, "error-share", ""})
}

func down(f *wiring.Function, way wiring.Way, n wiring.Need) draft {
	kind := "{ kind: error, target: " + target(f, n) + ", with: { code: internal } }"
	if n.Host != "" {
		kind = "{ kind: refused, target: " + target(f, n) + " }"
	}
	name := n.ID + " is down"
	d := draft{file: wiring.FileName(f.ID, n.ID, "down"), title: f.ID + " without " + n.ID, name: name, fault: kind, probes: well(f, way, "[0, 0.05]"),
		hyp: "While " + n.ID + " is down, callers of " + f.ID + " are answered all the same, and nothing is lost"}
	if way.AtLeastOnce() {
		d.hyp = "While " + n.ID + " is down nothing claims to be done, and afterwards everything is"
		d.during = 90 * time.Second // the retry after two minutes finds it well
		of := f.ID
		if way.Kind == wiring.Queue {
			of = way.Name
		}
		d.probes = append(d.probes, probe{"nothing claims to be done without it", "[during]", "0", "done", "of: " + quote(of)})
	}
	d.probes = append(d.probes, probe{"a run does not ask again and again", "[after]", "[0, 3]", "met-per-run", "of: " + quote(name) + ", per: " + quote(f.ID) + ", over: run"})
	return d
}

func slow(f *wiring.Function, way wiring.Way, n wiring.Need) draft {
	wait := min(f.Timeout/4, 500*time.Millisecond)
	d := draft{file: wiring.FileName(f.ID, n.ID, "slow"), title: f.ID + " with a slow " + n.ID, name: n.ID + " is slow",
		fault:  fmt.Sprintf("{ kind: latency, target: %s, with: { latency: %v } }", target(f, n), wait),
		probes: well(f, way, "[0, 0.01]"), hyp: "A slow " + n.ID + " makes " + f.ID + " slower, and nothing else"}
	if !way.AtLeastOnce() {
		d.probes = append(d.probes, probe{"nobody waits for too long", "[during]", fmt.Sprintf("[0, %d]", (f.Timeout / 2).Milliseconds()), "p95", ""})
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
	return draft{file: wiring.FileName(f.ID, "timed-out"), title: f.ID + " does not answer in time", name: "runs time out",
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

func slowConsumer(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(f.ID, "slow"), title: f.ID + " falls behind", name: f.ID + " is slow",
		fault:  fmt.Sprintf("{ kind: latency, target: { function: %s }, with: { latency: %v } }", quote(f.ID), f.Timeout*7/10),
		probes: append(well(f, way, ""), probe{"no message comes back while it is worked on", "[after]", "0", "duplicates", "of: " + quote(way.Name) + ", over: run"}),
		hyp:    "Slow work is late, and is done once"}
}

func poison(f *wiring.Function, way wiring.Way) draft {
	return draft{file: wiring.FileName(way.Name, "poison"), title: way.Name + " with poison", name: "some events are damaged",
		fault:  "{ kind: malformed, target: { function: " + quote(f.ID) + " }, dose: { oneIn: 10 } }",
		probes: []probe{{"nothing is lost", "[during, after]", "0", "lost", ""}, {"nothing is left over", "[before, after]", "0", "in-progress", "of: " + quote(way.Name)}},
		hyp:    "Poison is put aside, and the rest is done"}
}

func twice(f *wiring.Function, way wiring.Way) draft {
	fault := "{ kind: duplicate, target: { function: " + quote(f.ID) + " } }"
	if way.Kind == wiring.Queue { // the work is done, and nobody hears of it: the messages come again
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
	fmt.Fprintf(&b, "load:\n  - name: load\n    rate: 20 # a second\n%s", d.load(m))
	fmt.Fprintf(&b, "windows: { before: 30s, during: %v, after: 30s } # by the app's clock: --time-scale makes them shorter\n", d.during)
	fmt.Fprintf(&b, "method:\n  - name: %s\n    type: action\n    provider:\n      type: fault\n      fault: %s\n", quote(d.name), d.fault)
	fmt.Fprintf(&b, "blast-radius: { functions: [%s], for: 10m }\n", quote(d.f.ID))
	return b.String()
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
