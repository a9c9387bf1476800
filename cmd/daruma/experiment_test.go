package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
	"github.com/daruma-io/daruma/experiment/report"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/propose"
	"github.com/daruma-io/daruma/template/wiring"
)

func TestWhatIsProposedForTheExamplesCanBeRead(t *testing.T) {
	templates, err := filepath.Glob("../../examples/experiments/*/template.yaml")
	if err != nil || len(templates) < 5 {
		t.Fatalf("got %q, %v", templates, err)
	}
	for _, path := range append(templates, "../../examples/orders/template.yaml") {
		app, err := template.Load(t.Context(), template.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		m, err := wiring.Read(app)
		if err != nil {
			t.Fatal(err)
		}
		w := world{lookup: os.LookupEnv}
		for _, p := range propose.All(m, "") {
			e, err := parseExperiment(w, p.File, []byte(p.Text), nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", path, err, p.Text)
				continue
			}
			if len(e.Warnings) > 0 || !e.Breaks() {
				t.Errorf("%s: %s: %v", path, p.File, e.Warnings)
			}
		}
	}
}

func TestWhatProcessesThatAreGoneCountedIsCountedOn(t *testing.T) {
	before := conduct.Function{Runs: 7, Failures: 2, Throttled: 1, Accepted: 9, Durations: []conduct.Bucket{{Seconds: 1, Count: 5}, {Seconds: 2, Count: 7}}}
	got := goneOn(conduct.Function{Runs: 3, Accepted: 11, Durations: []conduct.Bucket{{Seconds: 1, Count: 1}, {Seconds: 2, Count: 3}}}, before)
	want := conduct.Function{Runs: 10, Failures: 2, Throttled: 1, Accepted: 11, Durations: []conduct.Bucket{{Seconds: 1, Count: 6}, {Seconds: 2, Count: 10}}}
	if !reflect.DeepEqual(got, want) { // what is accepted is in the store, and goes on by itself
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := goneOn(conduct.Function{}, before).Durations; !slices.Equal(got, before.Durations) {
		t.Errorf("a process that has run nothing yet: got %v", got)
	}
}

func TestANodeThatIsRunningIsNotKilled(t *testing.T) {
	if (&session{}).killer(nil, nil) != nil {
		t.Error("a node that nobody here has started may be killed")
	}
}

func TestEveryMetricIsInTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../../docs/experiments.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range experiment.Measures() {
		if !strings.Contains(string(text), "\n| `"+m.Name+"` |") {
			t.Errorf("docs/experiments.md says nothing of the metric %s", m.Name)
		}
	}
}

func TestWhatWasNotRunIsNotHeld(t *testing.T) {
	pair := func(o conduct.Outcome) report.Pair { return report.Pair{Now: &conduct.Result{Outcome: o}} }
	held, deviated, unknown := pair(conduct.Held), pair(conduct.Deviated), pair(conduct.Unknown)
	for _, c := range []struct {
		pairs []report.Pair
		asked int
		want  int
	}{
		{[]report.Pair{held, held}, 2, 0}, {[]report.Pair{held}, 2, 2}, {nil, 1, 2}, {[]report.Pair{deviated}, 2, 1}, {[]report.Pair{unknown, deviated, held}, 3, 1}, {[]report.Pair{held, unknown}, 2, 2},
	} {
		if got := codeOf(c.pairs, c.asked); got != c.want {
			t.Errorf("%d of %d: got %d, want %d", len(c.pairs), c.asked, got, c.want)
		}
	}
}

func TestAnExperimentOfAProcessThatHadThisNumberIsPutBack(t *testing.T) {
	data := t.TempDir()
	u := conduct.Underway{File: "x.yaml", Title: "x", PID: os.Getpid(), Source: "title: x\nsteady-state-hypothesis: { title: x, probes: [] }\nmethod: []\nrollbacks: [{ name: put back, type: action, provider: { type: process, path: /bin/true } }]\n"}
	raw, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "experiment.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := putBack(t.Context(), world{dir: data, err: &said, lookup: os.LookupEnv}, data, false); err != nil {
		t.Fatal(err)
	}
	if u, err := conduct.ReadUnderway(data); u != nil || err != nil || !strings.Contains(said.String(), "put back: succeeded") {
		t.Errorf("got %+v, %v: %s", u, err, said.String())
	}
}
