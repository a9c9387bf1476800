package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
	"github.com/daruma-io/daruma/experiment/report"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/node"
)

// Exit codes of experiment run.
const exitUnknown = 2 // it could not be judged

// experimentsDir is where an app's experiments lie, beside its template, and, in the data directory, what came of them.
const experimentsDir = "experiments"

func experimentCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "experiment",
		Short: "Break the app on purpose, and get a verdict",
		Long: `An experiment says what must stay true of an app, breaks something, and looks.
It ends with 0 when it held, 1 when it deviated, and 2 when nothing can be said:
too little traffic, a fault that met nothing, a state that was not steady.

Files are YAML or JSON, those of the Chaos Toolkit too: docs/experiments.md.`,
		Example: `  daruma experiment init            propose experiments that fit the template
  daruma experiment run --all       run everything in experiments/
  daruma experiment stop            end the one under way, and put everything back`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(experimentInitCommand(w), experimentRunCommand(w), experimentStopCommand(w))
	return c
}

type experimentFlags struct {
	all, asJSON, fresh        bool
	template, data, reports   string
	semantics                 string
	scale                     int
	seed                      uint64
	vars, params, upArguments []string
	given                     func(flag string) bool
}

func experimentRunCommand(w world) *cobra.Command {
	var f experimentFlags
	c := &cobra.Command{
		Use:   "run [FILE|DIR]…",
		Short: "Run experiments and judge them",
		Long: `Run experiments, one after the other, on the node that is running, or else on one
that is started for them with state of its own and ends with them (--fresh always
does that). Ctrl-C ends the experiment under way: faults end, rollbacks run.

Reports are written into .daruma/experiments, or to --report: report.html,
report.md for pull requests, junit.xml, and a journal for each experiment.

Exit code: 0 all held, 1 one deviated, 2 one could not be judged.`,
		Example: `  daruma experiment run --all
  daruma experiment run experiments/charge-down.yaml --time-scale 60
  daruma experiment run --all --fresh --time-scale 60 --report out      in CI
  daruma experiment run --all --semantics both                          as on AWS, and with healing`,
	}
	fl := c.Flags()
	fl.BoolVar(&f.all, "all", false, "every file in experiments/ beside the template; or name the application's directory")
	fl.StringVarP(&f.template, "template", "t", "", "the template, or the directory it is in (default: here, or above the experiments)")
	fl.StringVar(&f.data, "data", "", "the node's data directory (default: .daruma beside the template)")
	fl.StringVar(&f.reports, "report", "", "where reports are written (default: experiments in the data directory)")
	fl.BoolVar(&f.fresh, "fresh", false, "start a node for the run, even if one is running")
	fl.IntVar(&f.scale, "time-scale", 1, "of a node that is started: how many times as fast the app's clock runs")
	fl.StringVar(&f.semantics, "semantics", "", "of a node that is started: strict, resilient, or both, one after the other")
	fl.Uint64Var(&f.seed, "seed", 0, "make the same choices again")
	fl.StringArrayVar(&f.vars, "var", nil, "a value of the experiment's configuration, as NAME=VALUE; may be given again")
	fl.StringArrayVarP(&f.params, "param", "p", nil, "of a node that is started: a parameter's value, as NAME=VALUE; may be given again")
	fl.StringArrayVar(&f.upArguments, "up", nil, "of a node that is started: another argument of daruma up; may be given again")
	fl.BoolVar(&f.asJSON, "json", false, "print a line of JSON for each experiment")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.given = c.Flags().Changed
		code, err := f.run(c.Context(), w, args)
		switch {
		case err != nil: // never 1, which says that something deviated
			showError(w.err, err)
			return errExit(exitUnknown)
		case code != 0:
			return errExit(code)
		}
		return nil
	}
	return c
}

// A session is what experiments are run in.
type session struct {
	experimentFlags
	w        world
	template string
	data     string // where what is under way and reports lie
	list     []*experiment.Experiment
	vars     map[string]string
}

func (f experimentFlags) run(ctx context.Context, w world, args []string) (int, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &session{experimentFlags: f, w: w}
	if err := checkScale(f.scale); err != nil {
		return 0, err
	}
	if !slices.Contains([]string{"", "strict", "resilient", "both"}, f.semantics) {
		return 0, errUsage{fmt.Errorf("--semantics %q is none of strict, resilient and both", f.semantics)}
	}
	if err := s.open(args); err != nil {
		return 0, err
	}
	if err := s.putBackOld(ctx); err != nil {
		return 0, err
	}
	labels := []string{f.semantics}
	if f.semantics == "both" {
		labels = []string{"strict", "resilient"}
	}
	var pairs []report.Pair
	for _, label := range labels {
		done, err := s.all(ctx, label)
		pairs = append(pairs, done...)
		if err != nil {
			return 0, errors.Join(err, s.report(pairs))
		}
	}
	if !s.asJSON {
		if err := errors.Join(report.Beside(w.out, pairs), report.Summary(w.out, pairs)); err != nil {
			return 0, err
		}
	}
	if err := s.report(pairs); err != nil {
		return 0, err
	}
	asked := len(labels) * len(s.list)
	if left := asked - len(pairs); left > 0 {
		fmt.Fprintf(w.err, "%d of %d experiments were not run\n", left, asked)
	}
	return codeOf(pairs, asked), nil
}

// codeOf is the exit code of so many experiments that were asked for. Those that an interruption kept from being run are not held.
func codeOf(pairs []report.Pair, asked int) int {
	code := 0
	for _, p := range pairs {
		if c := p.Now.Outcome.ExitCode(); c == 1 || code == 0 {
			code = c
		}
	}
	if code == 0 && len(pairs) < asked {
		return exitUnknown
	}
	return code
}

// open finds the template and reads every experiment before anything is begun.
func (s *session) open(args []string) error {
	s.template = s.findTemplate(args)
	s.data = s.experimentFlags.data
	if s.data == "" {
		if info, err := os.Stat(s.template); err == nil && !info.IsDir() {
			s.data = filepath.Join(filepath.Dir(s.template), node.DataDir)
		} else {
			s.data = filepath.Join(s.template, node.DataDir)
		}
	} else {
		s.data = s.w.path(s.data)
	}
	files, err := s.files(args)
	if err != nil {
		return err
	}
	if s.vars, err = parseParams(s.experimentFlags.vars); err != nil {
		return err
	}
	var errs []error
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, &daruma.Error{Op: "read the experiment", Ref: name, Kind: daruma.KindNotFound, Err: err})
			continue
		}
		shown := name
		if rel, err := filepath.Rel(s.w.dir, name); err == nil && !strings.HasPrefix(rel, "..") {
			shown = rel
		}
		e, err := parseExperiment(s.w, shown, raw, s.vars)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.seed != 0 {
			e.Seed = s.seed
		}
		s.list = append(s.list, e)
	}
	return errors.Join(errs...)
}

func parseExperiment(w world, name string, raw []byte, vars map[string]string) (*experiment.Experiment, error) {
	return experiment.Parse(name, raw, experiment.Options{Lookup: w.lookup, Vars: vars, Fault: func(document []byte) error {
		_, err := fault.Parse(document)
		return err
	}})
}

// putBackOld plays the rollbacks of an experiment whose process is gone.
func (s *session) putBackOld(ctx context.Context) error {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return err
	}
	return putBack(ctx, s.w, s.data, false)
}

func putBack(ctx context.Context, w world, data string, told bool) error {
	u, err := conduct.ReadUnderway(data)
	if err != nil || u == nil {
		return err
	}
	if u.PID != os.Getpid() && syscall.Kill(u.PID, 0) == nil { // in a container the next process often has the number of the one before
		if told {
			return nil
		}
		return &daruma.Error{Op: "run experiments", Ref: u.Title, Kind: daruma.KindLocked, Err: fmt.Errorf("process %d is running it", u.PID), Hint: "daruma experiment stop ends it"}
	}
	fmt.Fprintf(w.err, "%s (%s) was not ended: its rollbacks are played now\n", u.Title, u.File)
	e, err := parseExperiment(w, u.File, []byte(u.Source), u.Vars)
	if err != nil {
		return err
	}
	var platform conduct.Platform = newLaboratory(node.Address{})
	if a, err := node.Find("", data); err == nil {
		platform = newLaboratory(a)
	}
	for _, done := range conduct.PutBack(ctx, e, conduct.Config{Platform: platform, Clock: daruma.SystemClock{}, WorkDir: w.dir, Environ: w.environ}) {
		fmt.Fprintf(w.err, "  %s: %s %s\n", done.Name, done.Status, done.Error)
	}
	return conduct.Clear(data)
}

// all runs every experiment: those that want a node of their own kind on one of that kind, and the others on one node.
func (s *session) all(ctx context.Context, label string) (pairs []report.Pair, err error) {
	var kinds []experiment.Node
	of := map[experiment.Node][]*experiment.Experiment{}
	for _, e := range s.list {
		if of[e.Node] == nil {
			kinds = append(kinds, e.Node)
		}
		of[e.Node] = append(of[e.Node], e)
	}
	for _, kind := range kinds {
		done, err := s.together(ctx, kind, label, of[kind])
		pairs = append(pairs, done...)
		if err != nil || ctx.Err() != nil {
			return pairs, err
		}
	}
	return pairs, nil
}

// together runs experiments that want the same of their node. A label is what the command asks of it, and comes first.
func (s *session) together(ctx context.Context, kind experiment.Node, label string, list []*experiment.Experiment) (pairs []report.Pair, err error) {
	a, err := node.Find("", s.data)
	label = cmp.Or(label, kind.Semantics)
	var own *tenant
	if err != nil || s.fresh || label != "" || kind.Scale > 0 {
		fmt.Fprintf(s.w.err, "starting %s for the experiments …\n", filepath.Base(s.template))
		args := []string{"--time-scale=" + strconv.Itoa(cmp.Or(kind.Scale, s.scale))}
		if label != "" {
			args = append(args, "--semantics="+label)
		}
		for _, p := range s.params {
			args = append(args, "--param="+p)
		}
		t, err := startTenant(ctx, s.w, s.template, append(args, s.upArguments...))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.close()) }()
		own, a = t, t.at
	} else if i := slices.IndexFunc([]string{"param", "up"}, s.given); i >= 0 {
		return nil, &daruma.Error{Op: "run experiments", Kind: daruma.KindInvalid, Err: fmt.Errorf("a node is running, and --%s is for one that is started", []string{"param", "up"}[i]), Hint: "leave it out, or say --fresh"}
	} else if s.given("time-scale") && s.scale != a.TimeScale {
		return nil, &daruma.Error{Op: "run experiments", Kind: daruma.KindInvalid, Err: fmt.Errorf("the node that is running has a clock %d times as fast", max(1, a.TimeScale)), Hint: "leave --time-scale out, or say --fresh"}
	}
	for _, e := range list { // before others have run for nothing
		if err := conduct.MayKill(e, conduct.Config{Kill: s.killer(own, nil)}); err != nil {
			return nil, err
		}
	}
	pulse := conduct.NewPulse()
	for _, e := range list {
		if own != nil {
			a = own.at
		}
		lab := newLaboratory(a)
		r, err := conduct.Run(ctx, e, conduct.Config{
			Platform: lab, Kill: s.killer(own, lab), Clock: daruma.NewScaledClock(a.TimeScale), Scale: a.TimeScale, Dir: s.data, StopDirs: []string{a.Data}, Vars: s.vars, WorkDir: s.w.dir, Environ: s.w.environ, Label: label, Beat: pulse.Beat,
			Progress: func(text string) { fmt.Fprintln(s.w.err, "  "+text) },
		})
		if err != nil {
			return pairs, err
		}
		p := report.Pair{Now: r, Last: s.last(r)}
		pairs = append(pairs, p)
		if s.asJSON {
			err = printJSON(s.w.out, r)
		} else {
			err = report.Text(s.w.out, p)
		}
		if err != nil || ctx.Err() != nil {
			return pairs, err
		}
	}
	return pairs, nil
}

// killer ends the node that was started here and starts it again; it is nil when none was.
func (s *session) killer(own *tenant, lab *laboratory) func(context.Context, time.Duration) (int, error) {
	if own == nil {
		return nil
	}
	return func(ctx context.Context, down time.Duration) (int, error) {
		pid, err := own.kill(ctx, down)
		if err == nil {
			lab.startedAgain(own.at)
		}
		return pid, err
	}
}

// journalName is where the journal of a run lies.
func (s *session) journalName(r *conduct.Result) string {
	name := strings.TrimSuffix(filepath.Base(r.File), filepath.Ext(r.File))
	if r.Label != "" {
		name += "." + r.Label
	}
	return filepath.Join(s.reportDir(), name+".journal.json")
}

func (s *session) reportDir() string {
	if s.reports == "" {
		return filepath.Join(s.data, experimentsDir)
	}
	return templatePath(s.w, []string{s.reports})
}

// last is the run of the same experiment before this one; nil when there is none that can be read.
func (s *session) last(r *conduct.Result) *conduct.Result {
	raw, err := os.ReadFile(s.journalName(r))
	if err != nil {
		return nil
	}
	var j struct{ Daruma *conduct.Result }
	if json.Unmarshal(raw, &j) != nil {
		return nil
	}
	return j.Daruma
}

// report writes every report, each whole or not at all.
func (s *session) report(pairs []report.Pair) error {
	if len(pairs) == 0 {
		return nil
	}
	dir := s.reportDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	write := func(name string, f func(*os.File) error) error {
		tmp, err := os.CreateTemp(dir, ".report-*")
		if err != nil {
			return err
		}
		err = errors.Join(f(tmp), tmp.Close(), os.Chmod(tmp.Name(), 0o644))
		if err == nil {
			err = os.Rename(tmp.Name(), name)
		}
		if err != nil {
			_ = os.Remove(tmp.Name()) // what went wrong first is the error
		}
		return err
	}
	errs := []error{
		write(filepath.Join(dir, "report.md"), func(f *os.File) error { return report.Markdown(f, pairs) }),
		write(filepath.Join(dir, "junit.xml"), func(f *os.File) error { return report.JUnit(f, pairs) }),
		write(filepath.Join(dir, "report.html"), func(f *os.File) error {
			return report.HTML(f, "Resilience of "+filepath.Base(s.template), pairs, time.Now())
		}),
	}
	for _, p := range pairs {
		errs = append(errs, write(s.journalName(p.Now), func(f *os.File) error { return report.Journal(f, p.Now) }))
	}
	fmt.Fprintf(s.w.err, "\nreports: %s\n", filepath.Join(dir, "report.html"))
	return errors.Join(errs...)
}

func experimentStopCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "stop",
		Short: "End the experiment under way and every fault",
		Long: `End every fault at once and have the experiment under way play its rollbacks. One
whose process is gone has its rollbacks played by this command.`,
		Args: cobra.NoArgs,
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		dir := *data
		a, err := node.Find(w.dir, dir)
		if err == nil {
			dir = a.Data
		} else if dir == "" {
			dir = filepath.Join(w.dir, node.DataDir)
		}
		u, err := conduct.ReadUnderway(dir)
		if err != nil {
			return err
		}
		stopped := map[string]any{"stopped": u != nil}
		if u != nil {
			if err := conduct.Stop(dir); err != nil {
				return err
			}
			stopped["title"] = u.Title
			if err := putBack(c.Context(), w, dir, true); err != nil {
				return err
			}
		}
		if a.Console != "" {
			if body, err := ask(c.Context(), a, "DELETE", "/api/faults?all=true"); err == nil {
				body.Close()
			}
		}
		switch {
		case *asJSON:
			return printJSON(w.out, stopped)
		case u == nil:
			fmt.Fprintln(w.out, "no experiment is under way")
		default:
			fmt.Fprintf(w.out, "%s ends, and puts everything back\n", u.Title)
		}
		return nil
	}
	return c
}
