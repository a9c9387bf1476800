package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/experiment"
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
