package experiment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) (*Experiment, error) {
	t.Helper()
	return Parse("x.yaml", []byte(text), Options{Fault: func([]byte) error { return nil }, Lookup: func(name string) (string, bool) { return "from-" + name, name == "HOST" }})
}

func TestAChaosToolkitExperimentIsReadAsItIs(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "chaostoolkit.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := Parse("chaostoolkit.json", raw, Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	if e.Title != "What happens without the bank" || len(e.Probes) != 5 || len(e.Method) != 2 || len(e.Rollbacks) != 1 {
		t.Fatalf("got %+v", e)
	}
	var forms []string
	for _, p := range e.Probes {
		forms = append(forms, p.Tolerance.String())
	}
	want := []string{"exactly 200", "one of [200,201,204]", "at most 300", "matching ^ok", "$.orders[*].state being [\"paid\"]"}
	if diff := cmp.Diff(want, forms); diff != "" {
		t.Error(diff)
	}
	if got := e.Probes[0].Provider.HTTP.URL; got != "http://localhost:3000/health" {
		t.Errorf("the configuration was not filled in: %s", got)
	}
	if got := e.Method[0].Provider.Process; got.Path != "true" || !cmp.Equal(got.Arguments, []string{"--force", "--name", "bank"}) || got.Timeout != 5*time.Second {
		t.Errorf("got %+v", got)
	}
	if got := e.Method[1]; !got.Background || got.Pauses != [2]time.Duration{time.Second, 1500 * time.Millisecond} {
		t.Errorf("got %+v", got)
	}
	if len(e.Warnings) == 0 || !strings.Contains(e.Warnings.Error(), "rollbacks always run here") {
		t.Errorf("got the warnings %v", e.Warnings)
	}
}

const ours = `
title: The bank is slow
configuration: { host: { type: env, key: HOST }, share: 0.5 }
steady-state-hypothesis:
  title: orders are taken
  probes:
    - { name: few errors, type: probe, tolerance: [0, 0.01], when: [before, during], provider: { type: metric, metric: error-share, of: orders } }
load:
  - { name: orders, rate: 20, http: { url: /orders, method: post, body: '{"order":"${id}","host":"${host}"}' } }
windows: { before: 10s, during: 1m, after: 10 }
method:
  - { name: slow, type: action, provider: { type: fault, fault: { kind: latency, target: { function: Charge }, dose: { rate: 0.5 }, with: { latency: 300ms } } } }
  - { name: wait, type: action, provider: { type: wait, for: 30s } }
blast-radius: { functions: [Charge], share: 0.5, for: 2m }
guards:
  - { name: not all, every: 500ms, tolerance: [0, 0.9], provider: { type: metric, metric: error-share } }
`

func TestOurFormatIsASuperset(t *testing.T) {
	e, err := parse(t, ours)
	if err != nil {
		t.Fatal(err)
	}
	want := Windows{Before: 10 * time.Second, During: time.Minute, After: 10 * time.Second, Settle: 5 * time.Minute}
	if e.Windows != want {
		t.Errorf("got %+v, want %+v", e.Windows, want)
	}
	if got := e.Loads[0].HTTP.Body; got != `{"order":"${id}","host":"from-HOST"}` {
		t.Errorf("a load's own names must stay, and others not: %s", got)
	}
	var f struct{ Kind string }
	if err := json.Unmarshal(e.Method[0].Provider.Fault, &f); err != nil || f.Kind != "latency" {
		t.Errorf("got %s", e.Method[0].Provider.Fault)
	}
	if !cmp.Equal(e.Probes[0].When, []Phase{Before, During}) || e.Guards[0].Every != 500*time.Millisecond || !e.Breaks() {
		t.Errorf("got %+v", e)
	}
}

func TestWhatCannotBeHonouredIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"python", "{ type: wait, for: 30s }", "{ type: python, module: chaosaws.lambda, func: x }", "the provider python (chaosaws.lambda.x) is not run"},
		{"an alarm without its name", "{ type: wait, for: 30s }", "{ type: alarm }", "alarm"},
		{"an unknown provider", "{ type: wait, for: 30s }", "{ type: wiat, for: 30s }", `x.yaml:13:43: there is no provider "wiat"`},
		{"an unknown metric", "metric: error-share, of: orders", "metric: error-shore, of: orders", "did you mean error-share"},
		{"a load that is not there", "of: orders }", "of: others }", `there is none called "others"`},
		{"a fault outside of the radius", "functions: [Charge]", "functions: [Notify]", "outside of the blast radius"},
		{"too large a share", "rate: 0.5", "rate: 0.7", "more than the 0.5 of the blast radius"},
		{"a probe that acts", "provider: { type: metric, metric: error-share, of: orders }", "provider: { type: wait, for: 1s }", "which changes things"},
		{"a kill outside of the radius", "{ type: wait, for: 30s }", "{ type: platform-killed }", "which is outside of the blast radius"},
		{"a kill with what it does not take", "{ type: wait, for: 30s }", "{ type: platform-killed, signal: 9 }", "the provider platform-killed has no field signal"},
		{"a platform that is down for too long", "{ type: wait, for: 30s }", "{ type: platform-killed, down: 1h }", "down must be seconds or a duration"},
		{"a probe that kills", "provider: { type: metric, metric: error-share, of: orders }", "provider: { type: platform-killed }", "which changes things"},
		{"a rollback that kills", "guards:", "rollbacks: [{ name: again, type: action, provider: { type: platform-killed } }]\nguards:", `the rollback "again" kills the platform`},
		{"a rollback that breaks something", "guards:", "rollbacks: [{ ref: slow }]\nguards:", `the rollback "slow" puts a fault in force`},
		{"how long nobody was killed", "metric: error-share, of: orders", "metric: platform-down", "needs a platform that is killed"},
		{"no tolerance", "tolerance: [0, 0.01], ", "", "has no tolerance"},
		{"a bad duration", "during: 1m", "during: soon", "during must be seconds or a duration"},
		{"an unknown field of ours", "rate: 20,", "rate: 20, burst: 4,", "a load has no field burst"},
		{"controls", "title: The bank is slow", "title: x\ncontrols: [{name: tracing}]", "controls are Python modules"},
		{"no such variable", "key: HOST", "key: HOSTS", "which is not set"},
		{"not yaml", ours, "title: [", "x.yaml:2:1: YAML not well-formed"},
		{"no title", "title: The bank is slow", "", "the experiment has no title"},
		{"a put without an item", `http: { url: /orders, method: post, body: '{"order":"${id}","host":"${host}"}' }`, "put: { table: Orders }", "a put has no item"},
		{"an attribute without a type", `http: { url: /orders, method: post, body: '{"order":"${id}","host":"${host}"}' }`, `put: { table: Orders, item: { id: "1" } }`, "the attribute id has no type"},
		{"a node of no kind", "windows:", "node: { semantics: loose }\nwindows:", `semantics is strict or resilient, not "loose"`},
		{"a node that is half as fast", "windows:", "node: { time-scale: 0.5 }\nwindows:", "time-scale must be a number from 1"},
		{"a node that cannot be", "windows:", "node: { egress: deny }\nwindows:", "node has no field egress"},
		{"an endless number", "rate: 20,", "rate: .inf,", "rate must be a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(ours, c.from, c.to, 1)
			if text == ours {
				t.Fatal("nothing was replaced")
			}
			if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestTolerancesAreThoseOfTheChaosToolkit(t *testing.T) {
	for _, c := range []struct {
		tolerance string
		value     any
		want      bool
	}{
		{"200", map[string]any{"status": 200.0, "body": "x"}, true},
		{"200", map[string]any{"status": 503.0}, false},
		{"[200, 204, 301]", map[string]any{"status": 204.0}, true},
		{"[200, 299]", map[string]any{"status": 250.0}, true},
		{"[0, 10]", 10.5, false},
		{"true", true, true},
		{"ok", "ok", true},
		{"'2'", 2.0, false},
		{"{type: range, range: [1, 2], target: n}", map[string]any{"n": "1.5"}, true},
		{"{type: range, range: [1, 2]}", "much", false},
		{"{type: regex, pattern: 'o+k', target: stdout}", map[string]any{"status": 0.0, "stdout": "look"}, true},
		{"{type: regex, pattern: '^k', target: stdout}", map[string]any{"stdout": "look"}, false},
		{"{type: jsonpath, path: '$.a[*].b', count: 2}", map[string]any{"a": []any{map[string]any{"b": 1.0}, map[string]any{"b": 2.0}}}, true},
		{"{type: jsonpath, path: '$..b', expect: [1, 2]}", map[string]any{"a": []any{map[string]any{"b": 1.0}, map[string]any{"b": 2.0}}}, true},
		{"{type: jsonpath, path: '$.body.x', target: body, expect: 1}", map[string]any{"body": `{"body":{"x":1}}`}, true},
		{"{type: jsonpath, path: \"$['a b'][-1]\"}", map[string]any{"a b": []any{1.0}}, true},
		{"{type: jsonpath, path: '$.c'}", map[string]any{"a": 1.0}, false},
	} {
		text := strings.Replace(ours, "tolerance: [0, 0.01]", "tolerance: "+c.tolerance, 1)
		e, err := parse(t, text)
		if err != nil {
			t.Errorf("%s: %v", c.tolerance, err)
			continue
		}
		if got, why := e.Probes[0].Tolerance.Within(c.value, nil); got != c.want || got == (why != "") {
			t.Errorf("%s of %v: got %v (%s)", c.tolerance, c.value, got, why)
		}
	}
	relative := &Tolerance{Form: "relative", Low: 0.9, High: 1.1}
	for value, want := range map[float64]bool{1: true, 1.09: true, 2: false, 0.5: false} {
		if got, why := relative.Within(value, 1.0); got != want {
			t.Errorf("%v times as before: got %v (%s)", value, got, why)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(ours))
	raw, err := os.ReadFile(filepath.Join("testdata", "chaostoolkit.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("title: x\nmethod: [{ref: a}, {name: a, type: probe, tolerance: {type: jsonpath, path: '$..[*]..a'}, provider: {type: http, url: /, timeout: [1, .nan]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse("f", data, Options{Fault: func([]byte) error { return nil }})
		if err != nil {
			return
		}
		if e.Title == "" {
			t.Skip() // a title may be an empty text
		}
		for _, a := range e.Probes {
			if a.Tolerance == nil || len(a.When) == 0 {
				t.Fatalf("a probe without tolerance or phase was taken: %+v", a)
			}
			if a.Tolerance.Form != "probe" {
				a.Tolerance.Within(map[string]any{"status": 1.0, "a": []any{1.0, "x"}}, 1.0)
				_ = a.Tolerance.String()
			}
		}
	})
}
