package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/experiment/conduct"
)

// brief is an experiment with a verdict in moments.
const brief = `title: Charge fails
samples: 5
steady-state-hypothesis:
  title: what fails is kept
  probes:
    - { name: nothing is lost, type: probe, when: [during, after], tolerance: 0, provider: { type: metric, metric: lost } }
    - { name: nothing fails, type: probe, when: [after], tolerance: TOLERANCE, provider: { type: metric, metric: run-errors, over: run } }
load: [{ name: events, rate: 50, invoke: { function: Charge, async: true, event: { id: "${id}" } } }]
windows: { before: 0, during: 1, after: 0 }
method: [{ name: broken, type: action, provider: { type: fault, fault: { kind: error, target: { function: Charge }, dose: { oneIn: 2, max: 2 } } } }]
`

// ask asks the console, with the node's token, and returns the answer's status and lines.
func (p *platform) ask(ctx context.Context, method, path, body string) (int, []string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, p.address.Console+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.address.Token)
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestTheConsoleRunsExperimentsAndTellsWhatCameOfThem(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "experiments"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"template.yaml": stoppedTemplate, "experiments/lasting.yaml": lasting, "experiments/brief.yaml": strings.Replace(brief, "TOLERANCE", "0", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startPlatform(t, dir, "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--time-scale=60")
	verdict := func(lines []string) (last console.ExperimentRun) {
		t.Helper()
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatalf("%v: %q", err, lines)
		}
		return last
	}

	// A document that is sent, and a file of the app's own: progress, and the verdict last.
	status, lines := p.ask(t.Context(), "POST", "/api/experiments?seed=7&var=A=B", strings.Replace(brief, "TOLERANCE", "[1, 9]", 1))
	if got := verdict(lines); status != http.StatusOK || got.ID != "X-1" || got.Outcome != "held" || *got.ExitCode != 0 || got.File != "sent-charge-fails.yaml" || !strings.Contains(strings.Join(lines, "\n"), "fault      broken: error on Charge") {
		t.Errorf("a document: got %d\n%s", status, strings.Join(lines, "\n"))
	}
	status, lines = p.ask(t.Context(), "POST", "/api/experiments?name=brief.yaml", "")
	if got := verdict(lines); status != http.StatusOK || got.Outcome != "deviated" || *got.ExitCode != 1 || len(got.Reasons) == 0 {
		t.Errorf("a file: got %d\n%s", status, strings.Join(lines, "\n"))
	}

	// What is known of them.
	var list []console.ExperimentRun
	if err := get(t.Context(), p.address, "/api/experiments", &list); err != nil || len(list) != 2 || list[0].Outcome != "held" || list[1].File != "experiments/brief.yaml" {
		t.Errorf("got %+v, %v", list, err)
	}
	var result conduct.Result
	if err := get(t.Context(), p.address, "/api/experiment?id=X-1", &result); err != nil || result.Seed != 7 || result.Account.Accepted == 0 {
		t.Errorf("got %+v, %v", result, err)
	}
	for form, want := range map[string]string{"html": "<svg", "markdown": "## Resilience: 0 held, 1 deviated", "junit": "<testsuites", "journal": `"steady_states"`, "text": "DEVIATED: nothing fails"} {
		if status, lines := p.ask(t.Context(), "GET", "/api/experiment?id=X-2&form="+form, ""); status != http.StatusOK || !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("%s: got %d %.200q", form, status, lines)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".daruma", "experiments", "brief.journal.json")); err != nil {
		t.Error(err)
	}

	// One at a time, and it ends when it is stopped, or when nobody listens any more.
	for name, end := range map[string]func(leave context.CancelFunc){
		"stopped":  func(context.CancelFunc) { p.ask(t.Context(), "POST", "/api/experiment/stop", "") },
		"left off": func(leave context.CancelFunc) { leave() },
	} {
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "POST", p.address.Console+"/api/experiments?name=lasting.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.address.Token)
		resp, err := p.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(resp.Body)
		for in.Scan() && !strings.Contains(in.Text(), "fault      broken") {
		}
		if status, lines := p.ask(t.Context(), "POST", "/api/experiments?name=brief.yaml", ""); status != http.StatusConflict || !strings.Contains(lines[1], "another experiment is under way") {
			t.Errorf("a second one: got %d %q", status, lines)
		}
		end(leave)
		within(t, time.Minute, "the end of the run", func() (bool, string) {
			var list []console.ExperimentRun
			err := get(t.Context(), p.address, "/api/experiments", &list)
			last := list[len(list)-1]
			return err == nil && last.Status == "interrupted" && *last.ExitCode == exitUnknown, last.Status + last.Error
		})
		resp.Body.Close()
		leave()
		if _, err := os.Stat(filepath.Join(dir, "put-back")); err != nil || len(inForce(t, p)) > 0 {
			t.Errorf("%s: not everything is put back: %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir, "put-back")); err != nil {
			t.Error(err)
		}
	}

	// What is refused, with why.
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"", "", http.StatusBadRequest, "send a document"},
		{"?name=brief.yaml", brief, http.StatusBadRequest, "send a document"},
		{"?name=nothing.yaml", "", http.StatusNotFound, "nothing.yaml"},
		{"?name=" + url.QueryEscape("../template.yaml"), "", http.StatusBadRequest, "no name of a file"},
		{"?name=brief.yaml&seed=x", "", http.StatusBadRequest, "seed"},
		{"?name=brief.yaml&var=x", "", http.StatusBadRequest, "NAME=VALUE"},
		{"", "title: x", http.StatusBadRequest, "the experiment has no method"},
		{"", lasting, http.StatusForbidden, "runs a program of this machine"},
		{"", "title: x\nconfiguration: { home: { type: env, key: HOME } }\nmethod: []", http.StatusBadRequest, "not set"},
		{"", "title: x\nnode: { semantics: strict }\nmethod: []", http.StatusForbidden, "a node of its own kind"},
		{"", "title: x\nmethod: [{ name: a, type: action, provider: { type: platform-killed } }]", http.StatusForbidden, "was not started for it"},
	} {
		if status, lines := p.ask(t.Context(), "POST", "/api/experiments"+c.path, c.body); status != c.status || !strings.Contains(strings.Join(lines, "\n"), c.want) {
			t.Errorf("%s %.40q: got %d %q, want %d: %s", c.path, c.body, status, lines, c.status, c.want)
		}
	}
	if status, _ := p.ask(t.Context(), "GET", "/api/experiment?id=X-99", ""); status != http.StatusNotFound {
		t.Errorf("no such run: got %d", status)
	}
	if status, _ := p.ask(t.Context(), "GET", "/api/experiment?id=X-1&form=pdf", ""); status != http.StatusBadRequest {
		t.Errorf("no such form: got %d", status)
	}
}
