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
		File: "x.yaml", Title: `<b>Bank</b> | "down"`, Hypothesis: "orders are taken", Seed: 7, Outcome: o, Status: "completed", Started: began, Ended: began.Add(10 * time.Second), Scale: 60, Broke: began,
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
		Happened:  []conduct.Happening{{At: began.Add(time.Minute), Since: 4, ID: "F-1", Function: "Charge", Text: "Error: <no>"}, {At: began.Add(2 * time.Minute), Since: 5, ID: "H-1", Text: "hold Charge", Repair: true}},
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
	if _, err := time.Parse("2006-01-02T15:04:05.000000-07:00", j["start"].(string)); err != nil {
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
	if got := strings.Join(Compare(Pair{now, j.Daruma}), "\n"); !strings.Contains(got, "it held, and deviated the last time") || !strings.Contains(got, "errors, during: 0.05 (n=30), was 0.5 (n=30)") {
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
		if strings.HasPrefix(line, "| **") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 5 {
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
	plot := page[strings.Index(page, "<figure") : strings.Index(page, "</figure>")+9]
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
					for _, class := range strings.Fields(a.Value) {
						count[class]++
					}
				}
			}
		}
	}
	for class, want := range map[string]int{"band": 2, "broken": 1, "value": 1, "failure": 1, "repair": 1, "edge": 3, "phase": 3, "deviated": 1} {
		if count[class] != want {
			t.Errorf("%s: got %d, want %d", class, count[class], want)
		}
	}
	points := regexp.MustCompile(`points="([^"]+)"`).FindStringSubmatch(plot)
	if points == nil || points[1] != "100,100 500,0 900,100" {
		t.Errorf("got the line %v", points)
	}
	// The fault was in force from 3 to 6 of 10 seconds.
	for _, want := range []string{
		`<rect class="broken" x="300" y="0" width="300"`,
		// Up to 0.1 of 0.5 is tolerated, and only where it is judged: before and while something was broken.
		`<rect class="band" x="0" y="80" width="300" height="20">`, `<rect class="band" x="300" y="80" width="300" height="20">`,
		`<span class="phase deviated" style="left:30%">during: deviated</span>`,
		`<a class="mark failure" style="left:40%" href="#e1-F-1"`, `<a class="mark repair" style="left:50%" href="#e1-H-1"`,
	} {
		if !strings.Contains(plot, want) {
			t.Errorf("the plot has no %s:\n%s", want, plot)
		}
	}
	for _, want := range []string{`id="e1-F-1"`, `<span class="dim">1m0s </span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

func TestWhatNeverMovesTakesLittleRoomAndWhatIsAlikeIsDrawnOnce(t *testing.T) {
	r := result(conduct.Held)
	flat := conduct.Series{Probe: "health", Points: []conduct.Point{{At: 1, Value: 0}, {At: 9, Value: 0}}}
	again := r.Series[0]
	again.Probe = "errors, meanwhile"
	r.Series = []conduct.Series{flat, r.Series[0], again}
	var b bytes.Buffer
	if err := HTML(&b, "Resilience", []Pair{{Now: r}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	figures := regexp.MustCompile(`<figure[^>]*><figcaption><b>[^<]*</b>`).FindAllString(b.String(), -1)
	if got := strings.Join(figures, " "); got != `<figure><figcaption><b>errors; errors, meanwhile</b> <figure class="flat"><figcaption><b>health</b>` {
		t.Errorf("got %s", got)
	}
	r.Judged[2].Outcome = conduct.Deviated // what was not well is never made small
	b.Reset()
	if err := HTML(&b, "Resilience", []Pair{{Now: r}}, time.Unix(0, 0)); err != nil || strings.Contains(b.String(), `<figure class="flat"`) {
		t.Errorf("a probe that deviated is drawn small: %v", err)
	}
}

func TestAReportSaysWhatThePreviousRunSaid(t *testing.T) {
	last := result(conduct.Held)
	last.Judged[1].Value = 0.025
	p := []Pair{{Now: result(conduct.Deviated), Last: last}}
	var page, comment bytes.Buffer
	if err := errors.Join(HTML(&page, "Resilience", p, time.Unix(0, 0)), Markdown(&comment, p)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), `<td class="dim">0.025 (n=30)</td>`) || !strings.Contains(page.String(), "it deviated, and held the last time") {
		t.Error("the page does not say it")
	}
	if !strings.Contains(comment.String(), "| deviated | during | errors | 0.5 (n=30) | at most 0.1 | 0.025 (n=30) |\n") {
		t.Errorf("got %s", comment.String())
	}
}

func TestACommentHasRoomForWhatDidNotHoldFirst(t *testing.T) {
	var pairs []Pair
	for range 200 {
		pairs = append(pairs, Pair{Now: result(conduct.Held)})
	}
	bad := result(conduct.Deviated)
	bad.Title = "The last one"
	pairs = append(pairs, Pair{Now: bad})
	var b bytes.Buffer
	if err := Markdown(&b, pairs); err != nil {
		t.Fatal(err)
	}
	_, details, _ := strings.Cut(b.String(), "<details")
	first, _, _ := strings.Cut(details, "\n")
	if b.Len() > 65_536 || first != " open><summary>The last one: deviated</summary>" || !strings.Contains(b.String(), " more there is no room here") {
		t.Errorf("got %d characters, and first %s", b.Len(), first)
	}
}

func TestATerminalEndsWithWhatDidNotHold(t *testing.T) {
	pairs := []Pair{{Now: result(conduct.Held)}, {Now: result(conduct.Deviated)}}
	pairs[1].Now.Title = "Down"
	var b bytes.Buffer
	if err := Summary(&b, pairs); err != nil {
		t.Fatal(err)
	}
	if want := "\n1 held, 1 deviated, 0 not judged\n  DEVIATED   Down: errors, during: it is 0.5; tolerated is at most 0.1\n             daruma experiment run x.yaml --seed 7 --time-scale 60\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
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

func TestATerminalSaysWhyRequestsWereNotWell(t *testing.T) {
	r := result(conduct.Unknown)
	r.Loads = []conduct.LoadRun{{
		Name: "orders", Phases: []conduct.LoadPhase{{Phase: experiment.Before, Requests: 20, Errors: 17}},
		Failures: map[string]int{"502 Bad Gateway": 10, "503": 3, "404": 3, "500": 1},
	}}
	var b bytes.Buffer
	if err := Text(&b, Pair{Now: r}); err != nil {
		t.Fatal(err)
	}
	want := "  load     orders: 10 times: 502 Bad Gateway\n  load     orders: 3 times: 404\n  load     orders: 3 times: 503\n  load     orders: and 1 other reasons, which the journal has\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestEveryReportSaysThatTheMachineWasLate(t *testing.T) {
	const warning = "the machine was late, during: work took 7 times as long as when nobody is in the way"
	r := result(conduct.Unknown)
	r.Phases[1].Late = 7
	r.Reasons = []string{"errors, during: it is 0.5; the machine was late: work took 7 times as long"}
	r.Judged[1].Why, r.Warnings, r.Chain = r.Reasons[0], []string{warning}, []string{"So: " + r.Reasons[0] + "."}
	pairs := []Pair{{Now: r}}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"the terminal's": func(b *bytes.Buffer) error { return Text(b, pairs[0]) },
		"Markdown's":     func(b *bytes.Buffer) error { return Markdown(b, pairs) },
		"the page's":     func(b *bytes.Buffer) error { return HTML(b, "x", pairs, r.Ended) },
		"the journal's":  func(b *bytes.Buffer) error { return Journal(b, r) },
		"JUnit's":        func(b *bytes.Buffer) error { return JUnit(b, pairs) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if name != "JUnit's" && !strings.Contains(b.String(), warning) { // it knows no warnings
			t.Errorf("%s report lacks the warning", name)
		}
		if !strings.Contains(b.String(), "work took 7 times as long") {
			t.Errorf("%s report lacks the reason", name)
		}
	}
}
