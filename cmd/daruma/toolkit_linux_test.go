package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/door/wire/wiretest"
	"github.com/daruma-io/daruma/fault"
)

// exitCode is that of a program that ran.
func exitCode(t *testing.T, out string, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("%v\n%s", err, out)
	}
	return exit.ExitCode()
}

// journalOf reads a journal.
func journalOf(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var j map[string]any
	if err := json.Unmarshal(text, &j); err != nil {
		t.Fatal(err)
	}
	return j
}

// shapeOf adds to all what type each value within v has, by its path. What an
// activity put out is its own.
func shapeOf(all map[string]string, path string, v any) {
	all[path] = fmt.Sprintf("%T", v)
	switch v := v.(type) {
	case map[string]any:
		for name, is := range v {
			if name != "output" && name != "daruma" {
				shapeOf(all, path+"."+name, is)
			}
		}
	case []any:
		for _, is := range v {
			shapeOf(all, path+"[]", is)
		}
	}
}

// The stock command line of the Chaos Toolkit breaks and mends through the
// platform's HTTP API; what it says of a file, daruma experiment says, too; and
// its own reports read the journals of both.
func TestTheChaosToolkitDrivesThePlatformAndReadsItsJournals(t *testing.T) {
	bin := wiretest.Programs(t, "chaostoolkit", "chaostoolkit-reporting")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/toolkit")); err != nil {
		t.Fatal(err)
	}
	p := startPlatform(t, dir)
	for name, value := range map[string]string{"DARUMA_WEB": p.address.Web, "DARUMA_CONSOLE": p.address.Console, "DARUMA_TOKEN": p.address.Token} {
		t.Setenv(name, value)
	}
	chaos := func(args ...string) (string, int) {
		t.Helper()
		out, err := wiretest.Command(dir, filepath.Join(bin, "chaos"), append([]string{"--no-version-check", "--no-log-file", "--settings", "none.yaml"}, args...)...)
		return out, exitCode(t, out, err)
	}
	if out, code := chaos("validate", "experiment.json"); code != 0 {
		t.Errorf("validate: got %d\n%s", code, out)
	}
	for _, c := range []struct {
		name, function string
		code           int
	}{{"held", "Other", 0}, {"deviated", "Hello", 1}} {
		out, code := chaos("run", "--journal-path", "theirs.json", "--var", "function="+c.function, "experiment.json")
		theirs := journalOf(t, filepath.Join(dir, "theirs.json"))
		if code != c.code || theirs["status"] != "completed" || theirs["deviated"] != (code == 1) {
			t.Errorf("%s: the Chaos Toolkit says %d\n%s", c.name, code, out)
		}
		p.allMended(c.name)
		ours, err := exec.Command("daruma", "experiment", "run", filepath.Join(dir, "experiment.json"), "--data", p.address.Data, "--var", "function="+c.function, "--report", filepath.Join(dir, c.name)).CombinedOutput()
		if got := exitCode(t, string(ours), err); got != c.code {
			t.Errorf("%s: daruma says %d, the Chaos Toolkit %d\n%s", c.name, got, code, ours)
		}
		p.allMended(c.name)
	}
	const journal = "deviated/experiment.journal.json"
	want, got := map[string]string{}, map[string]string{}
	shapeOf(want, "", journalOf(t, filepath.Join(dir, "theirs.json")))
	shapeOf(got, "", journalOf(t, filepath.Join(dir, journal)))
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] && path != ".experiment.dry" { // what a run adds to the experiment
			t.Errorf("journal: %s is %q, want %q", path, got[path], want[path])
		}
	}
	report := func(name string) string {
		t.Helper()
		out, err := wiretest.Command(dir, filepath.Join(bin, "python"), "report.py", name)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		_, definition, _ := strings.Cut(out, "### Definition")
		definition, _, _ = strings.Cut(definition, "### Result")
		return definition
	}
	said := report(journal)
	if diff := cmp.Diff(report("theirs.json"), said); diff != "" || !strings.Contains(strings.Join(strings.Fields(said), " "), "not verified") {
		t.Errorf("their report of our journal differs (-theirs +ours)\n%s", diff)
	}
}

// allMended checks that no fault is in force.
func (p *platform) allMended(when string) {
	p.t.Helper()
	var all []fault.State
	if err := get(p.t.Context(), p.address, "/api/faults", &all); err != nil {
		p.t.Fatal(err)
	}
	for _, s := range all {
		if s.Ended.IsZero() {
			p.t.Errorf("%s: %s is in force still", when, s.ID)
		}
	}
}
