package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
)

func result(o conduct.Outcome) *conduct.Result {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	low, high, two := 0.0, 0.1, 2.0
	return &conduct.Result{
		File: "x.yaml", Title: `<b>Bank</b> | "down"`, Hypothesis: "orders are taken", Seed: 7, Outcome: o, Status: "completed", Started: began, Ended: began.Add(10 * time.Second), Scale: 60,
		Reasons: []string{"errors, during: it is 0.5; tolerated is at most 0.1"}, Document: map[string]any{"title": "Bank"},
		Phases: []conduct.PhaseTime{{Phase: experiment.Before, From: 0, To: 3}, {Phase: experiment.During, From: 3, To: 6}, {Phase: experiment.After, From: 7, To: 10}},
		Judged: []conduct.Judgement{
			{Probe: "errors", Phase: experiment.Before, Outcome: conduct.Held, Value: 0.0, Of: 30, Tolerance: "at most 0.1"},
			{Probe: "errors", Phase: experiment.During, Outcome: o, Value: 0.5, Of: 30, Tolerance: "at most 0.1", Why: "it is 0.5"},
			{Probe: "health", Phase: experiment.After, Outcome: conduct.Held, Value: map[string]any{"status": 200.0}, Tolerance: "exactly 200", Run: conduct.ActivityRun{Name: "health", Status: "succeeded", Started: began, Ended: began, Document: map[string]any{"name": "health", "type": "probe"}}},
		},
		Faults:    []conduct.FaultRun{{Injected: conduct.Injected{ID: "FT-1", Text: "error on Charge", Started: began, Seen: 30, Met: 30}, Name: "down", From: 3, To: 6}},
		Method:    []conduct.ActivityRun{{Name: "down", Status: "succeeded", Output: "FT-1", Started: began, Ended: began, Document: map[string]any{"name": "down"}}},
		Rollbacks: []conduct.ActivityRun{{Name: "up", Status: "failed", Error: "no", Started: began, Ended: began}},
		Happened:  []conduct.Happening{{At: began.Add(time.Minute), ID: "F-1", Function: "Charge", Text: "Error: <no>"}, {At: began.Add(2 * time.Minute), ID: "H-1", Text: "hold Charge", Repair: true}},
		Series:    []conduct.Series{{Probe: "errors", Low: &low, High: &high, Points: []conduct.Point{{At: 1, Value: 0}, {At: 5, Value: 0.5}, {At: 9, Value: 0}}}},
		Times:     conduct.Times{Detect: &two}, Account: conduct.Account{Accepted: 60, Done: 30, Failed: 30, PerEvent: 1.5},
	}
}

func TestAJournalHasTheShapeOfTheChaosToolkits(t *testing.T) {
	var b bytes.Buffer
	if err := Journal(&b, result(conduct.Deviated)); err != nil {
		t.Fatal(err)
	}
	var j map[string]any
	if err := json.Unmarshal(b.Bytes(), &j); err != nil {
		t.Fatal(err)
	}
	// The required members and their types: https://chaostoolkit.org/reference/api/journal/
	text := func(v any) bool { _, ok := v.(string); return ok }
	list := func(v any) bool { _, ok := v.([]any); return ok }
	number := func(v any) bool { _, ok := v.(float64); return ok }
	object := func(v any) bool { _, ok := v.(map[string]any); return ok }
	for name, is := range map[string]func(any) bool{"chaoslib-version": text, "platform": text, "node": text, "experiment": object, "start": text, "end": text, "duration": number, "status": text, "run": list, "rollbacks": list, "steady_states": object} {
		if !is(j[name]) {
			t.Errorf("%s is %T", name, j[name])
		}
	}
	if j["status"] != "completed" || j["deviated"] != true {
		t.Errorf("got %v, deviated %v: a run that deviated is completed", j["status"], j["deviated"])
	}
	states := j["steady_states"].(map[string]any)
	if !object(states["before"]) || !object(states["after"]) || !list(states["during"]) {
		t.Errorf("got %v", states)
	}
	if met := states["before"].(map[string]any)["steady_state_met"]; met != true {
		t.Errorf("got %v", met)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000", j["start"].(string)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"run", "rollbacks"} {
		for _, e := range j[name].([]any) {
			entry := e.(map[string]any)
			for _, must := range []string{"activity", "status", "start", "end", "duration", "output"} {
				if _, ok := entry[must]; !ok {
					t.Errorf("an entry of %s has no %s", name, must)
				}
			}
		}
	}
	b.Reset()
	if err := Journal(&b, result(conduct.Unknown)); err != nil || !strings.Contains(b.String(), `"status": "failed"`) {
		t.Errorf("what could not be judged is taken for completed: %v", err)
	}
}

func TestAJournalTellsTheRunAgain(t *testing.T) {
	var b bytes.Buffer
	was := result(conduct.Deviated)
	if err := Journal(&b, was); err != nil {
		t.Fatal(err)
	}
	var j struct{ Daruma *conduct.Result }
	if err := json.Unmarshal(b.Bytes(), &j); err != nil {
		t.Fatal(err)
	}
	if got := Compare(Pair{was, j.Daruma}); got != nil {
		t.Errorf("a run is different from itself: %q", got)
	}
	now := result(conduct.Held)
	now.Judged[1].Value = 0.05
	if got := strings.Join(Compare(Pair{now, j.Daruma}), "\n"); !strings.Contains(got, "it held, and deviated the last time") || !strings.Contains(got, "errors, during: 0.05 of 30, was 0.5 of 30") {
		t.Errorf("got %s", got)
	}
}

func TestJUnitTakesNeitherForWell(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, []Pair{{Now: result(conduct.Deviated)}, {Now: result(conduct.Unknown)}, {Now: result(conduct.Held)}}); err != nil {
		t.Fatal(err)
	}
	var got suites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 12 || got.Failures != 2 || got.Errors != 2 || len(got.Suites) != 3 {
		t.Errorf("got %d tests, %d failures, %d errors", got.Tests, got.Failures, got.Errors)
	}
}

func TestMarkdownKeepsItsTables(t *testing.T) {
	var b bytes.Buffer
	if err := Markdown(&b, []Pair{{Now: result(conduct.Deviated)}}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(b.String(), "\n") {
		if strings.HasPrefix(line, "| **") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 4 {
			t.Errorf("a row with other columns: %s", line)
		}
	}
	if strings.Contains(b.String(), "<b>") {
		t.Error("a title's markup is alive")
	}
}

func TestThePageNeedsNothingButItself(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, "Resilience", []Pair{{Now: result(conduct.Deviated)}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, not := range []string{"<script", "http://", "https://", "url(", "<link", "<img", "@import", "<b>Bank", "ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %s", not)
		}
	}
	plot := page[strings.Index(page, "<svg") : strings.Index(page, "</svg>")+6]
	d := xml.NewDecoder(strings.NewReader(plot))
	count := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the plot is not well-formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "class" {
					count[a.Value]++
				}
			}
		}
	}
	for class, want := range map[string]int{"band": 1, "broken": 1, "value": 1, "failure": 1, "repair": 1, "edge": 3} {
		if count[class] != want {
			t.Errorf("%s: got %d, want %d", class, count[class], want)
		}
	}
	points := regexp.MustCompile(`points="([^"]+)"`).FindStringSubmatch(plot)
	if points == nil || points[1] != "132.4,164 406,26 679.6,164" {
		t.Errorf("got the line %v", points)
	}
	// The fault was in force from 3 to 6 of 10 seconds.
	if !strings.Contains(plot, `<rect class="broken" x="269.2" y="26" width="205.2"`) {
		t.Errorf("the fault's window is not where it was:\n%s", plot)
	}
}

func TestTheTerminalSaysWhyFirst(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, Pair{Now: result(conduct.Deviated)}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(b.String(), "\n  DEVIATED: errors, during: it is 0.5; tolerated is at most 0.1\n") {
		t.Errorf("got %s", b.String())
	}
}
