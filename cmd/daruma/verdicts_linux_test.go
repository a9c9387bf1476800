package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// plantedBugs are those of the apps in examples/experiments: which of the
// proposed experiments finds each, and which probe, in the words of the report.
var plantedBugs = map[string]struct{ file, probe string }{
	"fallback":    {"price-payments-down.yaml", "NO  during  requests are answered well, meanwhile"},
	"retry-storm": {"charge-payments-down.yaml", "NO  after   a run does not ask again and again"},
	"swallowed":   {"charge-payments-down.yaml", "NO  during  nothing claims to be done without it"},
	"twice":       {"charge-duplicate.yaml", "NO  after   each event has its effect in Payments once"},
	"visibility":  {"charge-orders-slow.yaml", "NO  after   no message comes back while it is worked on"},
}

// A trial is an app of examples/experiments: as it is broken, with the
// experiment that finds its bug, or fixed, with all that are proposed.
type trial struct {
	app, code string
	exit      int
	took      time.Duration
	held      int
	found     []string // why it did not hold
	output    string
}

// trialsAtOnce are run side by side: they wait more than they work.
const trialsAtOnce = 2

func TestWhatIsProposedFindsTheBugsThatWerePlantedAndPassesTheirFixes(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs Node.js, and minutes")
	}
	apps := copiedExamples(t)
	cache := t.TempDir()
	var trials []*trial
	for _, code := range []string{"broken", "fixed"} {
		for _, app := range apps {
			trials = append(trials, &trial{app: app, code: code})
		}
	}
	room := make(chan struct{}, trialsAtOnce)
	var all sync.WaitGroup
	for _, one := range trials {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			one.run(t, cache)
			if one.exit == exitUnknown { // a machine that is busy with other tests may say nothing; a deviation is none of those
				one.run(t, cache)
			}
		})
	}
	all.Wait()
	t.Logf("\n%s", verdictTable(trials))
	for _, one := range trials {
		name := filepath.Base(one.app)
		switch {
		case one.code == "fixed" && one.exit != 0:
			t.Errorf("the fixed %s ended with %d:\n%s", name, one.exit, one.output)
		case one.code == "broken" && (one.exit != 1 || !strings.Contains(one.output, "  "+plantedBugs[name].probe)):
			t.Errorf("the bug that is planted in %s was not found: exit code %d\n%s", name, one.exit, one.output)
		}
	}
}

// copiedExamples copies the apps, proposes experiments for each, and returns their directories.
func copiedExamples(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/experiments")); err != nil {
		t.Fatal(err)
	}
	apps, err := filepath.Glob(filepath.Join(dir, "*", "template.yaml"))
	if err != nil || len(apps) != len(plantedBugs) {
		t.Fatalf("got %q, %v, want an app for each bug", apps, err)
	}
	for i, path := range apps {
		apps[i] = filepath.Dir(path)
		if out, err := exec.Command("daruma", "experiment", "init", apps[i]).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return apps
}

func (o *trial) run(t *testing.T, cache string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "daruma", "experiment", "run", "-t", o.app, "--fresh", "--time-scale", "60", "--seed", "7", "-p", "Code="+o.code,
		"--data", filepath.Join(o.app, "state-"+o.code), "--report", filepath.Join(o.app, "out-"+o.code))
	if o.code == "broken" {
		cmd.Args = append(cmd.Args, filepath.Join(o.app, "experiments", plantedBugs[filepath.Base(o.app)].file))
	} else {
		cmd.Args = append(cmd.Args, "--all")
	}
	cmd.Env = append(os.Environ(), "DARUMA_CACHE="+cache)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Errorf("%s, %s: %v", o.app, o.code, err)
	}
	o.held, o.found = 0, nil
	o.exit, o.took, o.output = cmd.ProcessState.ExitCode(), time.Since(began), out.String()+errs.String()
	for line := range strings.Lines(out.String()) {
		switch line = strings.TrimSpace(line); {
		case line == "HELD":
			o.held++
		case strings.HasPrefix(line, "DEVIATED: "), strings.HasPrefix(line, "NOT JUDGED: "):
			o.found = append(o.found, line)
		}
	}
}

// verdictTable writes trials down for people.
func verdictTable(trials []*trial) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APP\tCODE\tEXIT\tTOOK\tHELD\tWHAT DID NOT")
	for _, o := range trials {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.0f s\t%d\t%s\n", filepath.Base(o.app), o.code, o.exit, o.took.Seconds(), o.held, strings.Join(o.found, "; "))
	}
	_ = w.Flush() // into memory
	return b.String()
}
