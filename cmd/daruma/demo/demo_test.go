package demo

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "make the embedded example anew")

func TestTheEmbeddedExampleIsTheExample(t *testing.T) {
	const root = "../../../examples/orders"
	a := &txtar.Archive{Comment: []byte("examples/orders, to be embedded: go test ./cmd/daruma/demo -run Embedded -update\n")}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root:
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		a.Files = append(a.Files, txtar.File{Name: filepath.ToSlash(name), Data: text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := txtar.Format(a)
	if *update {
		if err := os.WriteFile("orders.txtar", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), string(orders)); diff != "" {
		t.Errorf("orders.txtar is not examples/orders; run this test with -update\n%s", diff)
	}
}

func TestACopyOfTheExampleKeepsWhatSomebodyChanged(t *testing.T) {
	dir := t.TempDir()
	if err := copyExample(dir); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "charge", "main.go")
	if err := os.WriteFile(changed, []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := copyExample(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(changed); err != nil || string(text) != "package main\n" {
		t.Errorf("got %q, %v, want what was changed", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Error(err)
	}
}

func TestTheAccountCountsEachOrderOnce(t *testing.T) {
	orders := []string{"1", "2", "3", "4", "5"}
	done := func(order string) bool { return order == "1" || order == "2" }
	kept := map[string]string{"2": "F-9", "3": "F-1"} // the second was charged, and then its function failed
	for pending, want := range map[int]Account{
		9: {Accepted: 5, Done: 2, Kept: 1, InProgress: 2, Failures: []string{"F-1"}},
		1: {Accepted: 5, Done: 2, Kept: 1, InProgress: 1, Lost: 1, Failures: []string{"F-1"}},
		0: {Accepted: 5, Done: 2, Kept: 1, Lost: 2, Failures: []string{"F-1"}},
	} {
		got := count(orders, done, kept, pending)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d in progress: %s", pending, diff)
		}
		if got.Closes() != (want.Lost == 0) {
			t.Errorf("%d in progress: closes: got %v", pending, got.Closes())
		}
	}
}

var story = []Line{
	{Seconds: 0.1, Kind: Step, Text: "An app that takes orders is in /a/directory/with/a/name/that/is/longer/than/a/line/of/a/terminal/would/be/and/more."},
	{Seconds: 12.3, Kind: Fall, Fall: 1, Title: "A bad order"},
	{Seconds: 12.4, Kind: Happened, Fall: 1, Part: Fell, Text: strings.Repeat("It fell and fell. ", 20)},
	{Seconds: 15.4, Kind: Happened, Fall: 1, Part: Stood, Text: "It stands."},
	{Seconds: 30, Kind: Closing, Account: &Account{Accepted: 123456, Done: 123455, Kept: 1, Failures: []string{"F-1"}}},
	{Seconds: 30, Kind: Closing, Account: &Account{Accepted: 2, Done: 1, Lost: 1}},
}

func TestWhatPeopleReadFitsATerminalAndIsPlainWhenPiped(t *testing.T) {
	var plain, coloured bytes.Buffer
	for _, l := range story {
		NewTeller(&plain, false).Tell(l)
		NewTeller(&coloured, true).Tell(l)
	}
	if strings.ContainsRune(plain.String(), '\x1b') {
		t.Errorf("got escapes without colours: %q", plain.String())
	}
	if !strings.ContainsRune(coloured.String(), '\x1b') {
		t.Error("got no colours")
	}
	for line := range strings.Lines(plain.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > Width && strings.Count(strings.TrimSpace(line), " ") > 0 {
			t.Errorf("%d characters: %s", n, line)
		}
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("ends in spaces: %q", line)
		}
	}
	for _, want := range []string{"fell      It fell", "It closes", "It does not close."} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is missing in\n%s", want, plain.String())
		}
	}
}

func TestTheJournalIsALineOfJSONEach(t *testing.T) {
	var out bytes.Buffer
	j := NewJournal(&out)
	for _, l := range story {
		j.Tell(l)
	}
	in := json.NewDecoder(&out)
	for _, want := range story {
		var got Line
		if err := in.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}
