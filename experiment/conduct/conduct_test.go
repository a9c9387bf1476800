package conduct

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
)

// An app is a platform of one function, for tests: what is sent is accepted and done at once, unless it is broken.
type app struct {
	mu       sync.Mutex
	counts   Function
	items    int64
	broken   bool
	blind    bool // the fault meets nothing
	loses    bool // what is accepted while broken is nowhere
	doubles  bool // each event has two effects while broken
	refuses  bool // while broken, requests are not answered well
	seen     int64
	mended   int
	rollback []string
}

func (a *app) Count(context.Context) (Counts, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Counts{At: time.Now(), Functions: map[string]Function{"Charge": a.counts}, Tables: map[string]int64{"Orders": a.items}}, nil
}

func (a *app) Send(_ context.Context, r Request) Reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.HTTP != nil {
		a.rollback = append(a.rollback, r.HTTP.URL)
		return Reply{Status: 200}
	}
	a.counts.Accepted++
	a.counts.Attempts++
	if a.broken && !a.blind {
		a.seen++
	}
	switch {
	case a.broken && a.refuses:
		a.counts.Failed++
		return Reply{Status: 500}
	case a.broken && a.loses:
		return Reply{Status: 202}
	case a.broken && a.doubles:
		a.items++
	}
	a.items++
	a.counts.Done++
	return Reply{Status: 202}
}

func (a *app) Break(context.Context, json.RawMessage) (Injection, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = true
	return a, nil
}

func (a *app) Status(context.Context) (Injected, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Injected{ID: "FT-1", Text: "error on Charge", Started: time.Now(), Seen: a.seen, Met: a.seen}, nil
}

func (a *app) Mend(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = false
	a.mended++
	return nil
}

func (a *app) Happened(context.Context, time.Time) ([]Happening, error) {
	return []Happening{{At: time.Now(), ID: "F-1", Function: "Charge", Text: "Error: no"}, {At: time.Now(), ID: "H-1", Text: "hold Charge", Repair: true}}, nil
}

const file = `
title: Charge is broken
seed: 7
samples: 5
steady-state-hypothesis:
  title: nothing is lost
  probes:
    - { name: lost, type: probe, tolerance: 0, when: [before, during, after], provider: { type: metric, metric: lost, over: run } }
    - { name: errors, type: probe, tolerance: [0, 0.5], when: [before, during, after], provider: { type: metric, metric: error-share } }
    - { name: effects, type: probe, tolerance: { type: relative, range: [0.9, 1.1] }, when: [during], provider: { type: metric, metric: items-per-request, of: Orders } }
load:
  - { name: events, rate: 500, invoke: { function: Charge, async: true, event: { id: "${id}" } } }
windows: { before: 60ms, during: 100ms, after: 60ms, settle: 1s }
method:
  - { name: broken, type: action, provider: { type: fault, fault: { kind: error, target: { function: Charge } } } }
rollbacks:
  - { name: put back, type: action, provider: { type: http, url: /back } }
`

func conducted(t *testing.T, ctx context.Context, a *app, change ...string) *Result {
	t.Helper()
	e, err := experiment.Parse("x.yaml", []byte(strings.NewReplacer(change...).Replace(file)), experiment.Options{Fault: func([]byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r, err := Run(ctx, e, Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("something is left of a run that has ended: %v, %v", left, err)
	}
	if a.broken {
		t.Error("the fault is in force after the run")
	}
	if len(a.rollback) != 1 || a.rollback[0] != "/back" {
		t.Errorf("rollbacks: got %q, want /back, once", a.rollback)
	}
	return r
}

func TestAnAppThatBearsTheFaultHolds(t *testing.T) {
	r := conducted(t, t.Context(), &app{})
	if r.Outcome != Held || r.Status != "completed" || r.Outcome.ExitCode() != 0 {
		t.Fatalf("got %s %s: %v", r.Outcome, r.Status, r.Reasons)
	}
	if len(r.Judged) != 7 || r.Faults[0].Met == 0 || r.Account.Accepted == 0 || r.Account.Lost != 0 || r.Times.Detect == nil || r.Times.Heal == nil || r.Times.Recover == nil {
		t.Errorf("got %+v", r)
	}
	if len(r.Chain) == 0 || !strings.Contains(strings.Join(r.Chain, " "), "F-1") {
		t.Errorf("the chain of causes names no failure: %q", r.Chain)
	}
}

func TestWhatGoesWrongDeviates(t *testing.T) {
	for _, c := range []struct {
		name  string
		app   *app
		probe string
	}{
		{"events are lost", &app{loses: true}, "lost"},
		{"effects are doubled", &app{doubles: true}, "effects"},
		{"requests are refused", &app{refuses: true}, "errors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := conducted(t, t.Context(), c.app)
			if r.Outcome != Deviated || r.Outcome.ExitCode() != 1 {
				t.Fatalf("got %s: %v", r.Outcome, r.Reasons)
			}
			if !strings.HasPrefix(r.Reasons[0], c.probe+", ") {
				t.Errorf("got the reason %q, want one of the probe %s", r.Reasons[0], c.probe)
			}
		})
	}
}

func TestNothingIsGreenInSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		app    *app
		change []string
		want   string
	}{
		{"a fault that met nothing", &app{blind: true}, nil, "met nothing"},
		{"a fault that met nothing while something deviated", &app{blind: true, loses: true}, nil, "met nothing"},
		{"no steady state", &app{}, []string{"tolerance: 0,", "tolerance: 1,"}, "not steady"},
		{"a metric of nothing", &app{}, []string{"of: Orders", "of: Others"}, `no table called "Others"`},
		{"a method that fails", &app{}, []string{"{ type: fault, fault: { kind: error, target: { function: Charge } } }", "{ type: process, path: /nowhere }"}, "/nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := conducted(t, t.Context(), c.app, c.change...)
			if r.Outcome != Unknown || r.Outcome.ExitCode() != 2 || !strings.Contains(strings.Join(r.Reasons, "; "), c.want) {
				t.Errorf("got %s: %v, want unknown: %s", r.Outcome, r.Reasons, c.want)
			}
		})
	}
}

func TestTooLittleTrafficIsNotJudged(t *testing.T) {
	w := window{loads: map[string][]sample{}}
	e := &experiment.Experiment{Samples: 20, Probes: []experiment.Activity{{Name: "errors", When: []experiment.Phase{experiment.During}, Tolerance: &experiment.Tolerance{Form: "range", High: 1},
		Provider: experiment.Provider{Metric: &experiment.Metric{Name: "error-share"}}}}}
	now := time.Now()
	w.from.real, w.to.real = now, now.Add(time.Second)
	d := &driver{load: experiment.Load{Name: "l"}, samples: []sample{{at: now, ok: true}}}
	r := &run{e: e, out: &Result{}, drivers: []*driver{d}, edges: map[experiment.Phase]*window{experiment.During: &w}}
	got := r.measured(t.Context(), experiment.During)
	if len(got) != 1 || got[0].Outcome != Unknown || !strings.Contains(got[0].Why, "too little traffic") {
		t.Errorf("got %+v", got)
	}
}

func TestAGuardAbortsAndEverythingIsPutBack(t *testing.T) {
	a := &app{refuses: true}
	r := conducted(t, t.Context(), a, "during: 100ms", "during: 1h", "rollbacks:", "guards:\n  - { name: not all, every: 100ms, tolerance: [0, 0.9], provider: { type: metric, metric: error-share } }\nrollbacks:")
	if r.Status != "aborted" || r.Outcome == Held || !strings.Contains(strings.Join(r.Reasons, " "), "a guard tripped: not all") {
		t.Errorf("got %s %s: %v", r.Status, r.Outcome, r.Reasons)
	}
}

func TestTheBlastRadiusEndsAFaultInTime(t *testing.T) {
	r := conducted(t, t.Context(), &app{}, "during: 100ms", "during: 1h", "rollbacks:", "blast-radius: { for: 200ms }\nrollbacks:")
	if r.Status != "aborted" || r.Outcome != Unknown || !strings.Contains(r.Reasons[0], "blast radius") {
		t.Errorf("got %s %s: %v", r.Status, r.Outcome, r.Reasons)
	}
}

func TestAnInterruptionPutsEverythingBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{}
	stop := time.AfterFunc(300*time.Millisecond, cancel)
	defer stop.Stop()
	r := conducted(t, ctx, a, "during: 100ms", "during: 1h")
	if r.Status != "interrupted" || r.Outcome != Unknown || a.mended != 1 {
		t.Errorf("got %s %s, mended %d times: %v", r.Status, r.Outcome, a.mended, r.Reasons)
	}
}

func TestTheStopFileEndsARun(t *testing.T) {
	e, err := experiment.Parse("x.yaml", []byte(strings.Replace(file, "during: 100ms", "during: 1h", 1)), experiment.Options{Fault: func([]byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	dir, a := t.TempDir(), &app{}
	cfg := Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1, Dir: dir}
	cfg.Progress = func(text string) {
		if !strings.HasPrefix(text, "fault") {
			return
		}
		if u, err := ReadUnderway(dir); err != nil || u == nil || u.PID != os.Getpid() || u.Source == "" {
			t.Errorf("what is under way: got %+v, %v", u, err)
		}
		if _, err := Run(t.Context(), e, cfg); daruma.KindOf(err) != daruma.KindLocked {
			t.Errorf("a second run: got %v, want it to be refused", err)
		}
		if err := Stop(dir); err != nil {
			t.Error(err)
		}
	}
	r, err := Run(t.Context(), e, cfg)
	if err != nil || r.Status != "interrupted" || a.broken || len(a.rollback) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	if u, err := ReadUnderway(dir); u != nil || err != nil {
		t.Errorf("something is left: %+v, %v", u, err)
	}
}

func TestWhatIsUnderWayIsNeverReadWrongly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, underwayFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadUnderway(dir); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("got %v", err)
	}
}

func TestTheSameSeedSendsTheSameRequests(t *testing.T) {
	d := &driver{load: experiment.Load{Name: "l", Invoke: &experiment.Invoke{Event: json.RawMessage(`{"id":"${id}","n":${n}}`)}}, seed: 9}
	if a, b := d.request(3), d.request(3); string(a.Invoke.Event) != string(b.Invoke.Event) || string(a.Invoke.Event) != `{"id":"l-9-3","n":3}` {
		t.Errorf("got %s and %s", a.Invoke.Event, b.Invoke.Event)
	}
}

func TestQuantilesStayWithinTheirBucket(t *testing.T) {
	b := []Bucket{{0.1, 50}, {0.2, 100}, {1e300, 100}}
	for q, want := range map[float64]float64{0.25: 0.05, 0.5: 0.1, 0.75: 0.15, 1: 0.2} {
		if got, n := quantile(b, q); n != 100 || got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%v: got %v of %d, want %v", q, got, n, want)
		}
	}
	if _, n := quantile(nil, 0.5); n != 0 {
		t.Error("nothing has a quantile")
	}
}
