package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcomesOf runs the experiments of an app and returns the outcome of each, by the name of its journal.
func outcomesOf(t *testing.T, app string, scale int) map[string]string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "daruma", "experiment", "run", "--all", "-t", app, "--fresh", "--seed", "7", "--time-scale", strconv.Itoa(scale), "--data", filepath.Join(dir, "state"), "--report", dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%d times as fast: %v\n%s", scale, err, out)
	journals, err := filepath.Glob(filepath.Join(dir, "*.journal.json"))
	if err != nil || len(journals) == 0 {
		t.Fatalf("got no journals, %v", err)
	}
	all := map[string]string{}
	for _, name := range journals {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var j struct{ Daruma struct{ Outcome string } }
		if err := json.Unmarshal(raw, &j); err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = j.Daruma.Outcome
	}
	return all
}

func TestTheSameSeedHasTheSameVerdictsHoweverFastTheClockRuns(t *testing.T) {
	if !long() {
		t.Skip("twenty minutes by the machine's clock: DARUMA_LONG=1 runs it; one experiment is compared in testdata/script/experiments.txtar")
	}
	const app = "../../examples/orders"
	if diff := cmp.Diff(outcomesOf(t, app, 60), outcomesOf(t, app, 1)); diff != "" {
		t.Errorf("60 times as fast, and as fast as the machine's:\n%s", diff)
	}
}
