package experiment

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/template/tree"
)

// activity reads a probe or an action.
func (r *reader) activity(n *tree.Node, probe bool) Activity {
	a := Activity{Pos: n.Pos, Probe: probe}
	if n.Kind == tree.Map && n.Get("ref") != nil {
		return r.reference(n, probe)
	}
	if !r.fields(n, "an activity", false, "type", "name", "provider", "tolerance", "background", "pauses", "controls", "contributions", "configuration", "secrets", "when", "every") {
		return a
	}
	a.Document = n.Value()
	a.Name = r.must(n, "an activity", "name")
	switch kind := r.text(n, "type"); {
	case kind == "probe":
		a.Probe = true
	case kind == "action" && probe:
		r.wrong(n.Pos, "", "%q must be a probe here: actions change things", a.Name)
	case kind == "action" || kind == "" && probe:
	default:
		r.wrong(n.Pos, "it is probe or action", "the activity %q has the type %q", a.Name, kind)
	}
	r.noControls(n)
	a.Background = r.flag(n, "background")
	if p := n.Get("pauses"); p != nil && r.fields(p, "pauses", true, "before", "after") {
		a.Pauses = [2]time.Duration{r.duration(p, "before", windowMax), r.duration(p, "after", windowMax)}
	}
	if t := n.Get("tolerance"); t != nil {
		a.Tolerance = r.tolerance(t)
	}
	p := n.Get("provider")
	if p == nil {
		r.wrong(n.Pos, "", "the activity %q has no provider", a.Name)
		return a
	}
	a.Provider = r.provider(p)
	acts := a.Provider.Fault != nil || a.Provider.Queue != nil || a.Provider.Wait > 0 || a.Provider.Kill != nil
	if a.Probe && acts {
		r.wrong(p.Pos, "make it an action", "the probe %q has the provider %s, which changes things", a.Name, a.Provider.Type)
	}
	return a
}

// reference is an activity that stands for one of the same name before it.
func (r *reader) reference(n *tree.Node, probe bool) Activity {
	name := r.text(n, "ref")
	for _, a := range slices.Concat(r.e.Probes, r.e.Method, r.e.Rollbacks) {
		if a.Name == name {
			return a
		}
	}
	r.wrong(n.Pos, "an activity may refer to one that is written before it", "there is no activity %q to refer to", name)
	return Activity{Pos: n.Pos, Probe: probe}
}

func (r *reader) provider(n *tree.Node) Provider {
	p := Provider{Type: r.text(n, "type")}
	if n.Kind != tree.Map {
		r.wrong(n.Pos, "", "a provider must be a map, not %s", n.Kind)
		return p
	}
	switch p.Type {
	case "http":
		p.HTTP = r.http(n)
	case "process":
		p.Process = r.process(n)
	case "metric":
		p.Metric = r.metric(n)
	case "invoke":
		if r.fields(n, "the provider invoke", true, "type", "function", "event", "async") {
			p.Invoke = r.invoke(n)
		}
	case "queue":
		if r.fields(n, "the provider queue", true, "type", "queue", "body", "group") {
			p.Queue = r.queue(n)
		}
	case "alarm":
		if r.fields(n, "the provider alarm", true, "type", "alarm") {
			p.Alarm = r.must(n, "the provider alarm", "alarm")
		}
	case "fault":
		p.Fault = r.fault(n)
	case "wait":
		if r.fields(n, "the provider wait", true, "type", "for") {
			r.must(n, "the provider wait", "for")
			p.Wait = r.duration(n, "for", windowMax)
		}
	case "platform-killed":
		p.Kill = &Kill{}
		if r.fields(n, "the provider platform-killed", true, "type", "down") {
			p.Kill.Down = r.duration(n, "down", downMax)
		}
	case "python":
		r.wrong(n.Pos, "use fault, metric, invoke, queue, http or process; or run the function with: type: process, path: python3, arguments: [-c, …]",
			"the provider python (%s.%s) is not run: this is no Python", r.text(n, "module"), r.text(n, "func"))
	default:
		r.wrong(n.Pos, "it is http, process, metric, invoke, queue, alarm, fault, wait or platform-killed", "there is no provider %q", p.Type)
	}
	return p
}

func (r *reader) http(n *tree.Node) *HTTP {
	if !r.fields(n, "the provider http", false, "type", "url", "method", "headers", "arguments", "body", "timeout", "expected_status", "verify_tls", "max_retries", "secrets") {
		return nil
	}
	h := &HTTP{URL: r.must(n, "the provider http", "url"), Method: strings.ToUpper(r.text(n, "method")), Headers: map[string]string{}, Body: r.text(n, "body")}
	if h.Method == "" {
		h.Method = "GET"
	}
	if !strings.HasPrefix(h.URL, "/") && !strings.HasPrefix(h.URL, "http://") && !strings.HasPrefix(h.URL, "https://") && h.URL != "" {
		r.wrong(n.Get("url").Pos, "it begins with http://, https:// or, for the app's own API, with /", "%q is no URL", h.URL)
	}
	if v := n.Get("verify_tls"); v != nil && v.Text == "false" {
		r.wrong(v.Pos, "give the server a certificate that this machine trusts", "verify_tls: false is not supported")
	}
	if v := n.Get("headers"); v != nil && v.Kind == tree.Map {
		for _, f := range v.Fields {
			h.Headers[f.Name] = r.text(v, f.Name)
		}
	} else if v != nil && v.Kind != tree.Null {
		r.wrong(v.Pos, "", "headers must be a map")
	}
	if v := n.Get("arguments"); v != nil {
		h.Arguments = r.fillAll(v.Value())
	}
	h.Timeout = r.timeout(n)
	return h
}

// timeout reads seconds, or what the Chaos Toolkit allows too: a pair for connecting and for reading.
func (r *reader) timeout(n *tree.Node) time.Duration {
	if v := n.Get("timeout"); v != nil && v.Kind == tree.List {
		var all time.Duration
		for _, one := range v.Items {
			all += r.duration(&tree.Node{Kind: tree.Map, Fields: []tree.Field{{Name: "timeout", Value: one}}}, "timeout", time.Hour)
		}
		return all
	}
	if d := r.duration(n, "timeout", time.Hour); d > 0 {
		return d
	}
	return timeoutDefault
}

func (r *reader) process(n *tree.Node) *Process {
	if !r.fields(n, "the provider process", false, "type", "path", "arguments", "timeout", "secrets") {
		return nil
	}
	p := &Process{Path: r.must(n, "the provider process", "path"), Timeout: r.timeout(n)}
	v := n.Get("arguments")
	switch {
	case v == nil || v.Kind == tree.Null:
	case v.IsScalar():
		p.Shell = r.fill(v.Text)
	case v.Kind == tree.List:
		p.Arguments = r.texts(n, "arguments")
	case v.Kind == tree.Map:
		for _, f := range v.Fields {
			p.Arguments = append(p.Arguments, f.Name)
			if s := r.text(v, f.Name); s != "" {
				p.Arguments = append(p.Arguments, s)
			}
		}
	}
	return p
}

func (r *reader) metric(n *tree.Node) *Metric {
	if !r.fields(n, "the provider metric", true, "type", "metric", "of", "per", "over") {
		return nil
	}
	m := &Metric{Name: r.must(n, "the provider metric", "metric"), Of: r.text(n, "of"), Per: r.text(n, "per"), Over: r.text(n, "over")}
	kind, ok := MeasureNamed(m.Name)
	if !ok {
		var names []string
		for _, k := range measures {
			names = append(names, k.Name)
		}
		hint := tree.Near(m.Name, names)
		if hint == "" {
			hint = "there are " + strings.Join(names, ", ")
		}
		r.wrong(n.Pos, hint, "there is no metric %q", m.Name)
		return m
	}
	if kind.Must && m.Of == "" {
		r.wrong(n.Pos, "say which with of", "the metric %s needs the name of a %s", m.Name, kind.Of)
	}
	if kind.Per == "" && m.Per != "" {
		r.wrong(n.Pos, "", "the metric %s is not set against anything: per means nothing", m.Name)
	}
	switch m.Over {
	case "":
		m.Over = "phase"
	case "phase", "run":
	default:
		r.wrong(n.Pos, "it is phase or run", "a metric is over a phase or the run, not over %q", m.Over)
	}
	return m
}

func (r *reader) invoke(n *tree.Node) *Invoke {
	i := &Invoke{Function: r.must(n, "an invoke", "function"), Event: json.RawMessage("{}"), Async: r.flag(n, "async")}
	if v := n.Get("event"); v != nil {
		b, err := json.Marshal(r.fillAll(v.Value()))
		if err != nil {
			r.wrong(v.Pos, "", "the event is no JSON: %v", err)
		}
		i.Event = b
	}
	return i
}

func (r *reader) queue(n *tree.Node) *Queue {
	q := &Queue{Name: r.must(n, "a queue", "queue"), Group: r.text(n, "group")}
	switch v := n.Get("body"); {
	case v == nil:
		r.wrong(n.Pos, "", "a message has no body")
	case v.IsScalar():
		q.Body = r.fill(v.Text)
	default:
		q.Body = said(r.fillAll(v.Value()))
	}
	return q
}

func (r *reader) put(n *tree.Node) *Put {
	p := &Put{Table: r.must(n, "a put", "table"), Item: json.RawMessage("{}")}
	v := n.Get("item")
	if v == nil || v.Kind != tree.Map || len(v.Fields) == 0 {
		r.wrong(n.Pos, `each attribute with its type: { id: { S: "${id}" } }`, "a put has no item")
		return p
	}
	for _, f := range v.Fields {
		if f.Value.Kind != tree.Map || len(f.Value.Fields) != 1 {
			r.wrong(f.Pos, `say it as the table's API does: { S: text }, { N: "1" }, …`, "the attribute %s has no type", f.Name)
		}
	}
	b, err := json.Marshal(r.fillAll(v.Value()))
	if err != nil {
		r.wrong(v.Pos, "", "the item is no JSON: %v", err)
	}
	p.Item = b
	return p
}

func (r *reader) fault(n *tree.Node) json.RawMessage {
	if !r.fields(n, "the provider fault", true, "type", "fault") {
		return nil
	}
	v := n.Get("fault")
	if v == nil || v.Kind != tree.Map {
		r.wrong(n.Pos, "see docs/faults.md", "the provider fault has no fault")
		return nil
	}
	document, err := json.Marshal(r.fillAll(v.Value()))
	if err == nil && r.o.Fault != nil {
		err = r.o.Fault(document)
	}
	switch {
	case err != nil:
		r.wrong(v.Pos, "see docs/faults.md", "%v", err)
	case r.o.Fault == nil:
		r.wrong(v.Pos, "", "there is nothing here that injects faults")
	}
	return document
}

func (r *reader) load(n *tree.Node) Load {
	l := Load{Pos: n.Pos, Name: "load", Max: atOnceDefault}
	if !r.fields(n, "a load", true, "name", "rate", "at-once", "expect", "http", "invoke", "queue", "put") {
		return l
	}
	if s := r.text(n, "name"); s != "" {
		l.Name = s
	}
	if slices.ContainsFunc(r.e.Loads, func(o Load) bool { return o.Name == l.Name }) {
		r.wrong(n.Pos, "give it another name", "there are two loads called %q", l.Name)
	}
	r.must(n, "a load", "rate")
	l.Rate = r.number(n, "rate", 0.01, rateMax)
	if n.Get("at-once") != nil {
		l.Max = int(r.number(n, "at-once", 1, 1000))
	}
	for _, s := range r.texts(n, "expect") {
		if f, ok := Number(s); ok && f >= 100 && f <= 599 {
			l.Expect = append(l.Expect, int(f))
		} else {
			r.wrong(n.Get("expect").Pos, "", "expect must be a list of status codes, and %q is none", s)
		}
	}
	given := 0
	if v := n.Get("http"); v != nil {
		given++
		l.HTTP = r.http(v)
	}
	if v := n.Get("invoke"); v != nil && r.fields(v, "invoke", true, "function", "event", "async") {
		given++
		l.Invoke = r.invoke(v)
	}
	if v := n.Get("queue"); v != nil && r.fields(v, "queue", true, "queue", "body", "group") {
		given++
		l.Queue = r.queue(v)
	}
	if v := n.Get("put"); v != nil && r.fields(v, "put", true, "table", "item") {
		given++
		l.Put = r.put(v)
	}
	if given != 1 {
		r.wrong(n.Pos, "", "a load has one of http, invoke, queue and put, and this has %d", given)
	}
	return l
}

func (r *reader) tolerance(n *tree.Node) *Tolerance {
	t := &Tolerance{}
	switch {
	case n.Kind == tree.Map:
		r.toleranceMap(n, t)
	case n.Kind == tree.List:
		if len(n.Items) == 2 {
			low, lowOK := Number(n.Items[0].Value())
			high, highOK := Number(n.Items[1].Value())
			if lowOK && highOK && n.Items[0].Kind == tree.Number && n.Items[1].Kind == tree.Number {
				t.Form, t.Low, t.High = "range", low, high
				return t
			}
		}
		t.Form, t.Among = "among", n.Value().([]any)
	case n.IsScalar():
		t.Form, t.Equals = "equals", r.fillAll(n.Value())
	default:
		r.wrong(n.Pos, "it is a value, a list, or a map with a type", "there is no tolerance in %s", n.Kind)
	}
	return t
}

func (r *reader) toleranceMap(n *tree.Node, t *Tolerance) {
	t.Form, t.Target = r.text(n, "type"), r.text(n, "target")
	switch t.Form {
	case "range", "relative":
		known := []string{"type", "target", "range"}
		r.fields(n, "a tolerance of type "+t.Form, true, known...)
		of := r.list(n, "range")
		if len(of) != 2 {
			r.wrong(n.Pos, "", "a range has two numbers")
			return
		}
		var lowOK, highOK bool
		t.Low, lowOK = Number(of[0].Value())
		t.High, highOK = Number(of[1].Value())
		if !lowOK || !highOK || t.Low > t.High {
			r.wrong(n.Pos, "", "a range has two numbers, the lower one first")
		}
	case "regex":
		r.fields(n, "a tolerance of type regex", true, "type", "target", "pattern")
		re, err := regexp.Compile(r.must(n, "a tolerance of type regex", "pattern"))
		if err != nil {
			r.wrong(n.Pos, "patterns are those of RE2, without look-around", "%v", err)
		}
		t.Regex = re
	case "jsonpath":
		r.fields(n, "a tolerance of type jsonpath", true, "type", "target", "path", "expect", "count")
		path, err := ParsePath(r.must(n, "a tolerance of type jsonpath", "path"))
		if err != nil {
			r.wrong(n.Pos, "", "%v", err)
		}
		t.Path = path
		if v := n.Get("expect"); v != nil {
			if list, ok := r.fillAll(v.Value()).([]any); ok {
				t.Expect = list
			} else {
				t.Expect = []any{r.fillAll(v.Value())}
			}
		}
		if n.Get("count") != nil {
			count := int(r.number(n, "count", 0, foundMax))
			t.Count = &count
		}
	case "probe":
		a := r.activity(n, true)
		t.Probe = &a
		if a.Provider.HTTP == nil && a.Provider.Process == nil {
			r.wrong(n.Pos, "", "a tolerance that is a probe has the provider http or process")
		}
	default:
		r.wrong(n.Pos, "it is range, relative, regex, jsonpath or probe", "there is no tolerance of type %q", t.Form)
	}
}
