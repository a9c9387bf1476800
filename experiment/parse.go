package experiment

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

// Options say what a file may rest on.
type Options struct {
	Lookup func(string) (string, bool) // the environment's variables, for configuration of type env; none when nil
	Vars   map[string]string           // values of configuration that come before those of the file
	Fault  func(document []byte) error // checks a fault's document; every one is refused when nil
}

// Parse reads one experiment. file is the name that places carry.
//
// Errors: KindInvalid around tree.Problems with everything that is wrong, each with its place.
func Parse(file string, data []byte, o Options) (*Experiment, error) {
	r := &reader{o: o, e: &Experiment{File: file, Source: data, Samples: samplesDefault}}
	root, problems := tree.Read(file, data)
	r.problems = problems
	if root != nil {
		r.experiment(root)
	}
	var wrong tree.Problems
	for _, p := range r.problems {
		if p.Warning {
			r.e.Warnings = append(r.e.Warnings, p)
		} else {
			p.Message = strings.TrimPrefix(p.Message, "Template format error: ") // it is no template
			wrong = append(wrong, p)
		}
	}
	if len(wrong) > 0 {
		return nil, &daruma.Error{Op: "read the experiment", Kind: daruma.KindInvalid, Err: wrong.Sort()}
	}
	return r.e, nil
}

// A reader reads one document and collects what is wrong with it.
type reader struct {
	o        Options
	e        *Experiment
	vars     map[string]any
	problems tree.Problems
}

func (r *reader) wrong(pos tree.Pos, hint, format string, args ...any) {
	r.problems = append(r.problems, tree.Problem{Position: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) warn(pos tree.Pos, format string, args ...any) {
	r.problems = append(r.problems, tree.Problem{Position: pos, Message: fmt.Sprintf(format, args...), Warning: true})
}

// fields checks a map's names: those of known, and of passed, which are read by others and change nothing here.
func (r *reader) fields(n *tree.Node, what string, strict bool, known ...string) bool {
	if n == nil || n.Kind != tree.Map {
		if n != nil && n.Kind != tree.Broken {
			r.wrong(n.Pos, "", "%s must be a map, not %s", what, n.Kind)
		}
		return false
	}
	for _, f := range n.Fields {
		if slices.Contains(known, f.Name) {
			continue
		}
		hint := tree.Near(f.Name, known)
		if strict {
			if hint == "" {
				hint = "it has " + strings.Join(known, ", ")
			}
			r.wrong(f.Pos, hint, "%s has no field %s", what, f.Name)
			continue
		}
		if hint != "" {
			hint = "; " + hint
		}
		r.warn(f.Pos, "%s: the field %s means nothing here%s", what, f.Name, hint)
	}
	return true
}

func (r *reader) text(n *tree.Node, name string) string {
	v := n.Get(name)
	if v == nil || v.Kind == tree.Null || v.Kind == tree.Broken {
		return ""
	}
	if !v.IsScalar() {
		r.wrong(v.Pos, "", "%s must be a text, not %s", name, v.Kind)
		return ""
	}
	return r.fill(v.Text)
}

func (r *reader) must(n *tree.Node, what, name string) string {
	s := r.text(n, name)
	if s == "" && n.Get(name) == nil {
		r.wrong(n.Pos, "", "%s has no %s", what, name)
	}
	return s
}

func (r *reader) number(n *tree.Node, name string, low, high float64) float64 {
	v := n.Get(name)
	if v == nil {
		return 0
	}
	f, err := strconv.ParseFloat(r.fill(v.Text), 64)
	if !v.IsScalar() || err != nil || f != f || f < low || f > high {
		r.wrong(v.Pos, "", "%s must be a number from %v to %v", name, low, high)
		return 0
	}
	return f
}

func (r *reader) flag(n *tree.Node, name string) bool {
	v := n.Get(name)
	if v == nil {
		return false
	}
	if v.Kind != tree.Bool {
		r.wrong(v.Pos, "", "%s must be true or false", name)
		return false
	}
	return v.Text == "true"
}

// duration reads a duration: a number of seconds, or a text such as 300ms or 1m30s.
func (r *reader) duration(n *tree.Node, name string, most time.Duration) time.Duration {
	v := n.Get(name)
	if v == nil {
		return 0
	}
	s := r.fill(v.Text)
	d, err := time.ParseDuration(s)
	if f, isNumber := strconv.ParseFloat(s, 64); isNumber == nil && f >= 0 && f <= most.Seconds() {
		d, err = time.Duration(f*float64(time.Second)), nil
	}
	if !v.IsScalar() || err != nil || d < 0 || d > most {
		r.wrong(v.Pos, "", "%s must be seconds or a duration such as 300ms or 1m30s, at most %v", name, most)
		return 0
	}
	return d
}

func (r *reader) list(n *tree.Node, name string) []*tree.Node {
	v := n.Get(name)
	if v == nil || v.Kind == tree.Null {
		return nil
	}
	if v.Kind != tree.List {
		r.wrong(v.Pos, "", "%s must be a list, not %s", name, v.Kind)
		return nil
	}
	if len(v.Items) > activitiesMax {
		r.wrong(v.Pos, "", "%s has more than %d entries", name, activitiesMax)
		return nil
	}
	return v.Items
}

func (r *reader) texts(n *tree.Node, name string) []string {
	var all []string
	for _, v := range r.list(n, name) {
		if !v.IsScalar() {
			r.wrong(v.Pos, "", "%s must be a list of texts", name)
			continue
		}
		all = append(all, r.fill(v.Text))
	}
	return all
}

// experimentFields are those of the Chaos Toolkit, and behind them ours.
var experimentFields = []string{"version", "title", "description", "tags", "contributions", "configuration", "secrets", "steady-state-hypothesis", "method", "rollbacks", "runtime", "extensions", "controls",
	"hypothesis", "load", "windows", "guards", "blast-radius", "seed", "samples", "node"}

func (r *reader) experiment(n *tree.Node) {
	e := r.e
	if !r.fields(n, "an experiment", false, experimentFields...) {
		return
	}
	e.Document = n.Value()
	r.configuration(n)
	e.Title, e.Description = r.must(n, "the experiment", "title"), r.text(n, "description")
	e.Tags = r.texts(n, "tags")
	e.Seed = uint64(r.number(n, "seed", 0, 1<<53))
	if n.Get("samples") != nil {
		e.Samples = int(r.number(n, "samples", 1, 1e6))
	}
	r.runtime(n.Get("runtime"))
	steady := n.Get("steady-state-hypothesis")
	if steady != nil && r.fields(steady, "steady-state-hypothesis", false, "title", "probes", "controls") {
		r.noControls(steady)
		e.Hypothesis = r.text(steady, "title")
		for _, p := range r.list(steady, "probes") {
			a := r.activity(p, true)
			if a.Tolerance == nil {
				r.wrong(p.Pos, "say which values are well", "the probe %q of the steady state has no tolerance", a.Name)
			}
			a.When = r.when(p)
			e.Probes = append(e.Probes, a)
		}
	}
	if s := r.text(n, "hypothesis"); s != "" {
		e.Hypothesis = s
	}
	r.noControls(n)
	for _, l := range r.list(n, "load") {
		e.Loads = append(e.Loads, r.load(l))
	}
	r.windows(n.Get("windows"))
	r.bounds(n.Get("blast-radius"))
	r.node(n.Get("node"))
	if n.Get("method") == nil {
		r.wrong(n.Pos, "an empty list only looks at the steady state", "the experiment has no method")
	}
	for _, a := range r.list(n, "method") {
		e.Method = append(e.Method, r.activity(a, false))
	}
	for _, a := range r.list(n, "rollbacks") {
		one := r.activity(a, false)
		if one.Provider.Kill != nil {
			r.wrong(a.Pos, "put it into the method", "the rollback %q kills the platform, which puts nothing back", one.Name)
		}
		if one.Provider.Fault != nil {
			r.wrong(a.Pos, "put it into the method: faults end before rollbacks run", "the rollback %q puts a fault in force, and nothing would end it", one.Name)
		}
		e.Rollbacks = append(e.Rollbacks, one)
	}
	for _, g := range r.list(n, "guards") {
		e.Guards = append(e.Guards, r.guard(g))
	}
	r.faultsWithin()
	r.resolve()
}

func (r *reader) runtime(n *tree.Node) {
	r.e.Strategy = "default"
	if n == nil || !r.fields(n, "runtime", false, "rollbacks", "hypothesis") {
		return
	}
	if h := n.Get("hypothesis"); h != nil && r.fields(h, "runtime.hypothesis", false, "strategy") {
		s := r.text(h, "strategy")
		if !slices.Contains([]string{"default", "before-method-only", "after-method-only", "during-method-only", "continuously"}, s) {
			r.wrong(h.Pos, "it is default, before-method-only, after-method-only, during-method-only or continuously", "there is no hypothesis strategy %q", s)
		}
		r.e.Strategy = s
	}
	if b := n.Get("rollbacks"); b != nil && r.fields(b, "runtime.rollbacks", false, "strategy") {
		if s := r.text(b, "strategy"); s != "always" {
			r.warn(b.Pos, "rollbacks always run here, whatever the strategy %q says", s)
		}
	}
}

// noControls refuses what would run Python in the middle of it all.
func (r *reader) noControls(n *tree.Node) {
	if c := n.Get("controls"); c != nil && (len(c.Items) > 0 || len(c.Fields) > 0) {
		r.wrong(c.Pos, "take them out; reports and guards are built in", "controls are Python modules, which are not run")
	}
}

func (r *reader) when(n *tree.Node) []Phase {
	if n.Get("when") == nil {
		switch r.e.Strategy {
		case "before-method-only":
			return []Phase{Before}
		case "after-method-only":
			return []Phase{After}
		case "during-method-only":
			return []Phase{During}
		case "continuously":
			return Phases()
		}
		return []Phase{Before, After}
	}
	var all []Phase
	for _, s := range r.texts(n, "when") {
		if p := Phase(s); slices.Contains(Phases(), p) {
			all = append(all, p)
		} else {
			r.wrong(n.Get("when").Pos, "it is before, during or after", "there is no phase %q", s)
		}
	}
	if len(all) == 0 {
		r.wrong(n.Get("when").Pos, "it is before, during or after", "a probe must be judged in some phase")
	}
	return all
}

func (r *reader) windows(n *tree.Node) {
	w := &r.e.Windows
	if len(r.e.Loads) > 0 || n != nil {
		*w = Windows{Before: 10 * time.Second, During: 30 * time.Second, After: 10 * time.Second}
	}
	w.Settle = 5 * time.Minute
	if n == nil || !r.fields(n, "windows", true, "before", "during", "after", "settle") {
		return
	}
	for name, d := range map[string]*time.Duration{"before": &w.Before, "during": &w.During, "after": &w.After, "settle": &w.Settle} {
		if n.Get(name) != nil {
			*d = r.duration(n, name, windowMax)
		}
	}
}

func (r *reader) bounds(n *tree.Node) {
	if n == nil || !r.fields(n, "blast-radius", true, "functions", "share", "for") {
		return
	}
	r.e.Blast = Blast{Functions: r.texts(n, "functions"), Share: r.number(n, "share", 0, 1), For: r.duration(n, "for", windowMax)}
}

func (r *reader) node(n *tree.Node) {
	if n == nil || !r.fields(n, "node", true, "semantics", "time-scale") {
		return
	}
	w := &r.e.Node
	if w.Semantics = r.text(n, "semantics"); w.Semantics != "" && w.Semantics != "strict" && w.Semantics != "resilient" {
		r.wrong(n.Get("semantics").Pos, "", "semantics is strict or resilient, not %q", w.Semantics)
	}
	if v := n.Get("time-scale"); v != nil {
		scale := r.number(n, "time-scale", 1, daruma.TimeScaleMax)
		if w.Scale = int(scale); float64(w.Scale) != scale {
			r.wrong(v.Pos, "", "time-scale must be a whole number")
		}
	}
}

func (r *reader) guard(n *tree.Node) Guard {
	g := Guard{Activity: r.activity(n, true), Every: r.duration(n, "every", time.Hour)}
	if g.Every == 0 {
		g.Every = time.Second
	}
	if g.Every < 100*time.Millisecond {
		r.wrong(n.Pos, "", "every must be at least 100ms")
	}
	if g.Tolerance == nil {
		r.wrong(n.Pos, "say which values are well; the others abort", "the guard %q has no tolerance", g.Name)
	} else if g.Tolerance.Form == "relative" || g.Tolerance.Form == "probe" {
		r.wrong(n.Pos, "", "a guard's tolerance is a value, a list, a range, a regex or a jsonpath")
	}
	return g
}

// faultsWithin checks that the faults stay within the blast radius.
func (r *reader) faultsWithin() {
	b := r.e.Blast
	for _, a := range r.e.Method {
		if a.Provider.Kill != nil && len(b.Functions) > 0 {
			r.wrong(a.Pos, "leave functions out of it", "%q ends the platform and with it every function, which is outside of the blast radius", a.Name)
		}
		if a.Provider.Fault == nil {
			continue
		}
		var f struct {
			Target struct{ Function string }
			Dose   struct {
				Rate  float64
				OneIn int
			}
		}
		if json.Unmarshal(a.Provider.Fault, &f) != nil {
			continue // it has been refused already
		}
		if len(b.Functions) > 0 && !slices.Contains(b.Functions, f.Target.Function) {
			of := f.Target.Function
			if of == "" {
				of = "every function"
			}
			r.wrong(a.Pos, "name a function in the fault's target, or widen the radius", "the fault %q is for %s, which is outside of the blast radius", a.Name, of)
		}
		share := f.Dose.Rate
		if f.Dose.OneIn > 0 {
			share = 1 / float64(f.Dose.OneIn)
		} else if share == 0 {
			share = 1
		}
		if b.Share > 0 && share > b.Share {
			r.wrong(a.Pos, "lower its dose, or widen the radius", "the fault %q meets a share of %v, more than the %v of the blast radius", a.Name, share, b.Share)
		}
	}
}

// resolve checks that metrics name loads and faults that there are.
func (r *reader) resolve() {
	loads, faults := map[string]bool{}, map[string]bool{}
	for _, l := range r.e.Loads {
		loads[l.Name] = true
	}
	for _, a := range r.e.Method {
		if a.Provider.Fault != nil {
			faults[a.Name] = true
		}
	}
	check := func(a Activity) {
		m := a.Provider.Metric
		if m == nil {
			return
		}
		kind, _ := MeasureNamed(m.Name)
		switch {
		case kind.Of != "platform":
		case m.Of != "":
			r.wrong(a.Pos, "leave of out", "the metric %s is of the platform, and there is only one", m.Name)
		case !r.e.Kills():
			r.wrong(a.Pos, "the method needs the provider platform-killed", "the metric %s needs a platform that is killed", m.Name)
		}
		for _, use := range []struct{ of, name string }{{kind.Of, m.Of}, {kind.Per, m.Per}} {
			among, what := loads, "load"
			if use.of == "fault" {
				among, what = faults, "fault"
			} else if use.of != "load" {
				continue
			}
			if use.name != "" && !among[use.name] || len(among) == 0 {
				r.wrong(a.Pos, "name one that the experiment has", "the metric %s needs a %s, and there is none called %q", m.Name, what, use.name)
			}
		}
	}
	for _, a := range slices.Concat(r.e.Probes, r.e.Method, r.e.Rollbacks) {
		check(a)
	}
	for _, g := range r.e.Guards {
		check(g.Activity)
	}
}
