// Package wiring reads from an app how its functions hang together: where the
// events of each come from, whether they come at least once and are tried again,
// and what each needs to do its work.
//
// What a function needs is found where the template tells the function about it: in the
// values of its environment and in its policies. What code finds out by itself is not known here.
//
// A Map never changes, and any number of goroutines may read it. The package reads the template file
// once more for the places of properties, and nothing else.
package wiring

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/tree"
)

// A Map is how an app's functions hang together.
type Map struct {
	App       *template.App
	Functions []*Function // by name
	root      *tree.Node
}

// A Function is one function with where its events come from and what it needs.
type Function struct {
	*catalog.Function
	ID     string // its logical ID, or its name
	Ways   []Way
	Needs  []Need
	Routes []*catalog.Route // with the time-outs that are in force
}

// What APIs wait for a function when nothing else is said:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const (
	restTimeout = 29 * time.Second
	httpTimeout = 30 * time.Second
)

// A WayKind is how events come to a function.
type WayKind string

// The kinds of way.
const (
	HTTP    WayKind = "http"    // somebody waits for the answer
	Queue   WayKind = "queue"   // from a queue, at least once
	Changes WayKind = "changes" // of a table, one after the other, until each is done or given up
	Event   WayKind = "event"   // asynchronously, at least once: topics, destinations, schedules, other functions
	Call    WayKind = "call"    // by who knows it
)

// A Way is one way in which events come to a function.
type Way struct {
	Kind    WayKind
	Name    string // the queue's or topic's logical ID, the route
	Mapping *template.Mapping
	Queue   *template.Queue
	Table   *template.Table
	Route   *catalog.Route
	At      string // "template.yaml:12:7"
}

// AtLeastOnce says whether the same event may come again by this way.
func (w Way) AtLeastOnce() bool { return w.Kind == Queue || w.Kind == Event }

// A Need is something that a function needs to do its work.
type Need struct {
	Kind     string // "table", "queue", "topic", "function" or "host"
	ID       string // its logical ID; a host's name
	Service  string // as requests to it are signed for; "" of hosts
	Resource string // its name; "" of hosts
	Host     string
	Variable string // in which the function is told of it; "" when a policy names it
	At       string
}

// Read reads how an app hangs together.
func Read(app *template.App) (*Map, error) {
	raw, err := os.ReadFile(app.Path)
	if err != nil {
		return nil, err
	}
	root, _ := tree.Read(shortName(app.Path), raw) // what is wrong with it Load has said
	m := &Map{App: app, root: root}
	for _, f := range app.Functions {
		one := &Function{Function: f, ID: f.LogicalID}
		if one.ID == "" {
			one.ID = f.Name
		}
		m.Functions = append(m.Functions, one)
	}
	for _, f := range m.Functions {
		m.needs(f)
	}
	for _, f := range m.Functions {
		m.ways(f)
	}
	return m, nil
}

func shortName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// At returns the place of a property of a resource; that of the resource when it does not have it.
func (m *Map) At(id string, path ...string) string {
	if m.root == nil {
		return ""
	}
	resources := m.root.Get("Resources")
	if resources == nil {
		return ""
	}
	field := resources.Field(id)
	if field == nil {
		return ""
	}
	at, n := field.Pos, field.Value
	for _, name := range append([]string{"Properties"}, path...) {
		f := n.Field(name)
		if f == nil {
			break
		}
		at, n = f.Pos, f.Value
	}
	return at.String()
}

// Function returns a function by its name or logical ID, or nil.
func (m *Map) Function(name string) *Function {
	for _, f := range m.Functions {
		if f.Name == name || f.ID == name {
			return f
		}
	}
	return nil
}

// queueURL is the path of a queue's URL: the account and the name.
var queueURL = regexp.MustCompile(`^https?://[^/]+/\d{12}/([^/]+)$`)

// queue returns the queue that a name, an ARN or a URL means, or nil.
func (m *Map) queue(ref string) *template.Queue {
	name := ref
	if parts := queueURL.FindStringSubmatch(ref); parts != nil {
		name = parts[1]
	} else if strings.HasPrefix(ref, "arn:") {
		name = arnName(ref, "sqs")
	}
	for i := range m.App.Queues {
		if q := &m.App.Queues[i]; q.Name == name && name != "" {
			return q
		}
	}
	return nil
}

// arnName is the name that an ARN of a service ends with; "" of another service's.
func arnName(arn, service string) string {
	if parts := strings.Split(arn, ":"); len(parts) == 6 && parts[2] == service {
		return parts[5]
	}
	return ""
}

// streamed returns the table whose changes an ARN names, or nil.
func (m *Map) streamed(arn string) *template.Table {
	_, rest, _ := strings.Cut(arn, ":table/")
	name, _, ok := strings.Cut(rest, "/stream/")
	for i := range m.App.Tables {
		if t := &m.App.Tables[i]; ok && t.Name == name {
			return t
		}
	}
	return nil
}

// needs finds what a function is told of.
func (m *Map) needs(f *Function) {
	add := func(n Need) {
		if n.ID != f.ID && !slices.ContainsFunc(f.Needs, func(o Need) bool { return o.Kind == n.Kind && o.ID == n.ID }) {
			f.Needs = append(f.Needs, n)
		}
	}
	names := make([]string, 0, len(f.Env))
	for name := range f.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if n, ok := m.named(f.Env[name]); ok {
			n.Variable, n.At = name, m.At(f.ID, "Environment", "Variables", name)
			add(n)
		}
	}
	for _, policy := range f.Policies {
		for _, t := range m.App.Tables {
			if strings.Contains(policy, `"`+t.Name+`"`) || strings.Contains(policy, "table/"+t.Name+`"`) {
				add(Need{Kind: "table", ID: t.LogicalID, Service: "dynamodb", Resource: t.Name, At: m.At(f.ID, "Policies")})
			}
		}
	}
}

// named says what a value of the environment names, if it is something a function can need.
func (m *Map) named(value string) (Need, bool) {
	if value == "" {
		return Need{}, false
	}
	for _, t := range m.App.Tables {
		if t.Name == value || strings.HasSuffix(value, ":table/"+t.Name) {
			return Need{Kind: "table", ID: t.LogicalID, Service: "dynamodb", Resource: t.Name}, true
		}
	}
	if q := m.queue(value); q != nil {
		return Need{Kind: "queue", ID: q.LogicalID, Service: "sqs", Resource: q.Name}, true
	}
	for _, t := range m.App.Topics {
		if t.Name == value || t.Name == arnName(value, "sns") {
			return Need{Kind: "topic", ID: t.LogicalID, Service: "sns", Resource: t.Name}, true
		}
	}
	for _, f := range m.Functions {
		if f.Name == value || strings.HasSuffix(value, ":function:"+f.Name) {
			return Need{Kind: "function", ID: f.ID, Service: "lambda", Resource: f.Name}, true
		}
	}
	if u, err := url.Parse(value); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" {
		return Need{Kind: "host", ID: u.Hostname(), Host: u.Hostname()}, true
	}
	return Need{}, false
}

// ways finds where a function's events come from.
func (m *Map) ways(f *Function) {
	for _, api := range m.App.APIs {
		for i := range api.Routes {
			if r := &api.Routes[i]; r.Target.Function == f.Name && r.Mock == nil {
				f.Ways = append(f.Ways, Way{Kind: HTTP, Name: r.Method + " " + r.Path, Route: r, At: r.Position})
				timed := *r
				if timed.Timeout == 0 {
					timed.Timeout = httpTimeout
					if api.Kind == catalog.REST {
						timed.Timeout = restTimeout
					}
				}
				f.Routes = append(f.Routes, &timed)
			}
		}
	}
	for i := range m.App.Mappings {
		if x := &m.App.Mappings[i]; x.Target.Function == f.Name && !x.Disabled {
			if q := m.queue(x.Source); q != nil {
				f.Ways = append(f.Ways, Way{Kind: Queue, Name: q.LogicalID, Mapping: x, Queue: q, At: x.Position})
			}
		}
	}
	for i := range m.App.Mappings {
		if x := &m.App.Mappings[i]; x.Target.Function == f.Name && !x.Disabled {
			if t := m.streamed(x.Source); t != nil {
				f.Ways = append(f.Ways, Way{Kind: Changes, Name: t.LogicalID, Mapping: x, Table: t, At: x.Position})
			}
		}
	}
	event := func(name, at string) {
		if !slices.ContainsFunc(f.Ways, func(w Way) bool { return w.Kind == Event }) {
			f.Ways = append(f.Ways, Way{Kind: Event, Name: name, At: at})
		}
	}
	for _, s := range m.App.Subscriptions {
		if strings.HasSuffix(s.Endpoint, ":function:"+f.Name) {
			event("topic "+s.Topic, s.Position)
		}
	}
	for _, e := range m.App.EventInvoke {
		if e.Function == f.Name {
			event("asynchronous invocations", e.Position)
		}
		if strings.HasSuffix(e.OnSuccess, ":function:"+f.Name) || strings.HasSuffix(e.OnFailure, ":function:"+f.Name) {
			event("destination of "+e.Function, m.At(f.ID))
		}
	}
	if f.DeadLetter != "" {
		event("asynchronous invocations", m.At(f.ID, "DeadLetterQueue"))
	}
	if len(f.Ways) == 0 {
		f.Ways = append(f.Ways, Way{Kind: Call, Name: "invocations", At: m.At(f.ID)})
	}
}

// TimedOutFile is the file of the experiment in which runs time out that are led to by a way. The first way is the one that is meant
// where nothing else is said.
func (f *Function) TimedOutFile(w Way) string {
	if w.Kind == f.Ways[0].Kind && w.Name == f.Ways[0].Name {
		return FileName(f.ID, "timed-out")
	}
	return FileName(f.ID, w.Name, "timed-out")
}

// FileName is the name of the file of an experiment: what it is about, in words with dashes.
func FileName(parts ...string) string {
	var b strings.Builder
	for i, r := range strings.Join(parts, "-") {
		switch {
		case r >= 'A' && r <= 'Z':
			if i > 0 && b.Len() > 0 && !strings.HasSuffix(b.String(), "-") && !upperRun(strings.Join(parts, "-"), i) {
				b.WriteByte('-')
			}
			b.WriteRune(r + 'a' - 'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-") + ".yaml"
}

// upperRun says whether the letter before is upper case too: an initialism is one word.
func upperRun(s string, i int) bool { return s[i-1] >= 'A' && s[i-1] <= 'Z' }
