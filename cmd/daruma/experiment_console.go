package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
	"github.com/daruma-io/daruma/experiment/report"
)

// asked are the experiments that a node runs because its console was asked to: one at a time, as daruma experiment
// run does on a node that is running.
type asked struct {
	w        world
	template string // or the directory it is in
	data     string // of the node

	mu   sync.Mutex // guards what follows
	busy bool
	last int
	runs []*askedRun // oldest first, askedRunsMax at most
}

// askedRunsMax bounds the runs that are remembered. Their journals lie in the data directory.
const askedRunsMax = 20

type askedRun struct {
	console.ExperimentRun
	pair *report.Pair // nil while it runs, and when it could not be run
}

// experiments is what the console needs of them.
func (a *asked) experiments() console.Experiments {
	return console.Experiments{Begin: a.begin, List: a.list, Report: a.report}
}

// begin reads an experiment and keeps the node for it until what it returns has run.
func (a *asked) begin(q console.AskedExperiment) (func(context.Context, func(console.ExperimentRun)) console.ExperimentRun, error) {
	e, err := a.read(q)
	if err != nil {
		return nil, err
	}
	if err := conduct.MayKill(e, conduct.Config{}); err != nil { // nor itself
		return nil, err
	}
	if e.Node != (experiment.Node{}) {
		return nil, &daruma.Error{Op: "run the experiment", Ref: e.File, Kind: daruma.KindDenied, Err: errors.New("it wants a node of its own kind (node), and here is only this one"), Hint: "daruma experiment run starts one"}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		return nil, &daruma.Error{Op: "run the experiment", Ref: e.File, Kind: daruma.KindLocked, Err: errors.New("another experiment is under way"), Hint: "POST /api/experiment/stop ends it"}
	}
	a.busy, a.last = true, a.last+1
	run := &askedRun{ExperimentRun: console.ExperimentRun{ID: fmt.Sprintf("X-%d", a.last), File: e.File, Title: e.Title, Started: time.Now()}}
	a.runs = append(a.runs, run)
	if over := len(a.runs) - askedRunsMax; over > 0 {
		a.runs = slices.Delete(a.runs, 0, over)
	}
	return func(ctx context.Context, tell func(console.ExperimentRun)) console.ExperimentRun {
		return a.run(ctx, run, e, q.Vars, tell)
	}, nil
}

// read reads a document that was sent, or the file of a name in the app's directory of experiments.
func (a *asked) read(q console.AskedExperiment) (*experiment.Experiment, error) {
	w, name, raw := a.w, q.Name, q.Document
	if name != "" {
		if filepath.Base(name) != name || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			return nil, &daruma.Error{Op: "read the experiment", Ref: name, Kind: daruma.KindInvalid, Err: errors.New("it is no name of a file of YAML or JSON"), Hint: "name a file in " + experimentsDir + "/ beside the template"}
		}
		var err error
		if raw, err = os.ReadFile(filepath.Join(a.dir(), experimentsDir, name)); err != nil {
			return nil, &daruma.Error{Op: "read the experiment", Ref: name, Kind: daruma.KindNotFound, Err: err}
		}
		name = filepath.Join(experimentsDir, name)
	} else { // whoever sends one is trusted with the node, and not with this machine's programs and environment
		w.lookup, name = func(string) (string, bool) { return "", false }, "sent.yaml"
	}
	e, err := parseExperiment(w, name, raw, q.Vars)
	if err != nil {
		return nil, err
	}
	if q.Name == "" {
		e.File = "sent-" + slug(e.Title) + ".yaml"
		if one := programOf(e); one != "" {
			return nil, &daruma.Error{Op: "read the experiment", Ref: one, Kind: daruma.KindDenied, Err: errors.New("it runs a program of this machine"), Hint: "an experiment that does must be a file in " + experimentsDir + "/ beside the template"}
		}
	}
	if q.Seed != 0 {
		e.Seed = q.Seed
	}
	return e, nil
}

// programOf names an activity that runs a program; "" when none does.
func programOf(e *experiment.Experiment) string {
	all := slices.Concat(e.Probes, e.Method, e.Rollbacks)
	for _, g := range e.Guards {
		all = append(all, g.Activity)
	}
	for _, one := range all {
		if one.Provider.Process != nil || one.Tolerance != nil && one.Tolerance.Probe != nil && one.Tolerance.Probe.Provider.Process != nil {
			return one.Name
		}
	}
	return ""
}

// slug makes a title part of a file's name.
func slug(title string) string {
	const most = 60
	var b strings.Builder
	for _, word := range strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		if b.Len()+len(word) > most {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('-')
		}
		b.WriteString(word)
	}
	return b.String()
}

// dir is where the template is.
func (a *asked) dir() string {
	if info, err := os.Stat(a.template); err == nil && info.IsDir() {
		return a.template
	}
	return filepath.Dir(a.template)
}

// run runs one experiment and says what came of it. Its reports are written as those of the command are.
func (a *asked) run(ctx context.Context, run *askedRun, e *experiment.Experiment, vars map[string]string, tell func(console.ExperimentRun)) console.ExperimentRun {
	w := a.w
	w.dir, w.out, w.err = a.dir(), io.Discard, progress(func(text string) {
		line := console.ExperimentRun{ID: run.ID, File: run.File, Title: run.Title, Started: run.Started, Text: text}
		tell(line)
	})
	s := &session{w: w, template: a.template, data: a.data, list: []*experiment.Experiment{e}, vars: vars}
	s.given = func(string) bool { return false }
	err := s.putBackOld(ctx)
	var pairs []report.Pair
	if err == nil {
		pairs, err = s.all(ctx, "")
	}
	err = errors.Join(err, s.report(pairs))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy, run.Ended = false, time.Now()
	if err != nil {
		run.Error = err.Error()
	}
	code := exitUnknown
	if len(pairs) > 0 {
		r := pairs[0].Now
		run.pair, run.Outcome, run.Status, run.Reasons, code = &pairs[0], string(r.Outcome), r.Status, r.Reasons, r.Outcome.ExitCode()
	}
	run.ExitCode = &code
	return run.ExperimentRun
}

// progress is a writer that hands over each line, one write at a time.
type progress func(text string)

func (p progress) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		if text := strings.TrimSpace(string(line)); text != "" {
			p(text)
		}
	}
	return len(b), nil
}

func (a *asked) list() []console.ExperimentRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []console.ExperimentRun{}
	for _, one := range a.runs {
		all = append(all, one.ExperimentRun)
	}
	return all
}

// report writes what is known of a run that has ended.
func (a *asked) report(w io.Writer, id, form string) error {
	a.mu.Lock()
	i := slices.IndexFunc(a.runs, func(one *askedRun) bool { return one.ID == id })
	var pair *report.Pair
	if i >= 0 {
		pair = a.runs[i].pair
	}
	a.mu.Unlock()
	switch {
	case i < 0:
		return &daruma.Error{Op: "tell of the experiment", Ref: id, Kind: daruma.KindNotFound, Err: errors.New("there is no such run"), Hint: "GET /api/experiments lists the latest"}
	case pair == nil:
		return &daruma.Error{Op: "tell of the experiment", Ref: id, Kind: daruma.KindConflict, Err: errors.New("there is nothing to tell yet")}
	}
	pairs := []report.Pair{*pair}
	switch form {
	case "html":
		return report.HTML(w, "Resilience of "+filepath.Base(a.dir()), pairs, time.Now())
	case "markdown":
		return report.Markdown(w, pairs)
	case "junit":
		return report.JUnit(w, pairs)
	case "journal":
		return report.Journal(w, pair.Now)
	case "text":
		return report.Text(w, *pair)
	}
	return json.NewEncoder(w).Encode(pair.Now)
}
