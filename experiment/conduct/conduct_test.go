package conduct

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	blind    bool          // the fault meets nothing
	loses    bool          // what is accepted while broken is nowhere
	doubles  bool          // each event has two effects while broken
	refuses  bool          // while broken, requests are not answered well
	timesOut bool          // while broken, its runs come to their time-out
	silent   bool          // what it refuses it does not answer in time
	late     time.Duration // what is counted is told so much later
	seen     int64
	mended   int
	rollback []string

	dead    bool      // it answers nothing
	events  []string  // it was handed
	ages    []float64 // of the oldest change that is not done, one count after the other
	forgets bool      // what was in it is gone when it is started again
	kills   int
}

var errDead = errors.New("connection refused")

func (a *app) Count(context.Context) (Counts, error) {
	a.mu.Lock()
	if a.dead {
		a.mu.Unlock()
		return Counts{}, errDead
	}
	c := Counts{At: time.Now(), Functions: map[string]Function{"Charge": a.counts}, Tables: map[string]int64{"Orders": a.items}}
	if len(a.ages) > 0 {
		c.Ages, a.ages = map[string]float64{"Orders": a.ages[0]}, a.ages[1:]
	}
	a.mu.Unlock()
	if a.late > 0 {
		<-time.After(a.late)
	}
	return c, nil
}

func (a *app) Send(_ context.Context, r Request) Reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.HTTP != nil {
		a.rollback = append(a.rollback, r.HTTP.URL)
		return Reply{Status: 200}
	}
	if a.dead {
		return Reply{Err: errDead}
	}
	a.events = append(a.events, string(r.Invoke.Event))
	a.counts.Accepted++
	a.counts.Attempts++
	if a.broken && !a.blind {
		a.seen++
	}
	if a.broken && a.timesOut {
		a.counts.Timeouts++
	}
	switch {
	case a.broken && a.refuses && a.silent:
		a.counts.Failed++
		return Reply{Err: context.DeadlineExceeded}
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

func (a *app) Alarm(_ context.Context, name string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case name != "failing":
		return "", errors.New("there is no alarm " + name)
	case a.broken:
		return "ALARM", nil
	}
	return "OK", nil
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

// kill ends the app, and starts it again.
func (a *app) kill(ctx context.Context, down time.Duration) (int, error) {
	a.mu.Lock()
	a.dead, a.broken, a.kills = true, false, a.kills+1
	if a.forgets {
		a.counts.Accepted, a.counts.Done = a.counts.Accepted-3, a.counts.Done-3
	}
	a.mu.Unlock()
	if err := (daruma.SystemClock{}).Sleep(ctx, down); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dead = false
	return 4711, nil
}

func TestAPlatformThatIsKilledIsJudgedByWhatItHasKept(t *testing.T) {
	const down = 700 * time.Millisecond // a few ticks of the watcher
	for _, c := range []struct {
		name    string
		forgets bool
		want    Outcome
	}{{"what was acknowledged is there", false, Held}, {"some of it is not", true, Deviated}} {
		t.Run(c.name, func(t *testing.T) {
			e, err := experiment.Parse("x.yaml", []byte(strings.NewReplacer("rollbacks:", "  - { name: killed, type: action, provider: { type: platform-killed, down: 700ms } }\nrollbacks:", "name: broken, type: action,", "name: broken, type: action, pauses: { after: 300ms },", "when: [before, during, after], provider: { type: metric, metric: error-share", "when: [before, after], provider: { type: metric, metric: error-share", "when: [during], provider: { type: metric, metric: items", "when: [after], provider: { type: metric, metric: items",
				"  probes:\n", "  probes:\n    - { name: down, type: probe, tolerance: [700, 5000], when: [during], provider: { type: metric, metric: platform-down } }\n").Replace(file)), experiment.Options{Fault: func([]byte) error { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			a := &app{forgets: c.forgets}
			r, err := Run(t.Context(), e, Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1, Kill: a.kill})
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != c.want {
				t.Errorf("got %s: %v, want %s", r.Outcome, r.Reasons, c.want)
			}
			if a.kills != 1 || len(r.Kills) != 1 || r.Kills[0].PID != 4711 || r.Kills[0].To-r.Kills[0].From < down.Seconds() || r.Times.Down == nil {
				t.Errorf("killed %d times: %+v, down %v", a.kills, r.Kills, r.Times.Down)
			}
			if a.mended != 0 || r.Faults[0].To > r.Kills[0].From+0.001 {
				t.Errorf("a fault ended with the platform, and was mended %d times: %+v", a.mended, r.Faults[0])
			}
			if len(r.Warnings) > 0 {
				t.Errorf("a platform that is down on purpose is missed: %q", r.Warnings)
			}
			if len(a.rollback) != 1 {
				t.Errorf("rollbacks: got %q", a.rollback)
			}
		})
	}
}

func TestAPlatformThatIsSomebodyElsesIsNotKilled(t *testing.T) {
	e, err := experiment.Parse("x.yaml", []byte(strings.Replace(file, "method:", "method:\n  - { name: killed, type: action, provider: { type: platform-killed } }", 1)), experiment.Options{Fault: func([]byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	a, dir := &app{}, t.TempDir()
	r, err := Run(t.Context(), e, Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1, Dir: dir})
	if r != nil || daruma.KindOf(err) != daruma.KindDenied || !strings.Contains(err.Error(), "was not started for it") {
		t.Errorf("got %v, %v", r, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || a.counts.Accepted > 0 || len(a.rollback) > 0 {
		t.Errorf("something was touched: %v, %v, %+v", left, err, a.counts)
	}
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
		{"no steady state", &app{}, []string{"tolerance: 0,", "tolerance: 1,"}, "the state was not steady before anything was broken: "},
		{"a load that nobody answers well", &app{}, []string{"rate: 500,", "rate: 500, expect: [204],"}, "the load events, Charge (asynchronously), had status 202 "},
		{"a metric of nothing", &app{}, []string{"of: Orders", "of: Others"}, `no table called "Others"`},
		{"a method that fails", &app{}, []string{"{ type: fault, fault: { kind: error, target: { function: Charge } } }", "{ type: process, path: /nowhere }"}, "/nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := conducted(t, t.Context(), c.app, c.change...)
			if r.Outcome != Unknown || r.Outcome.ExitCode() != 2 || !strings.Contains(strings.Join(r.Reasons, "; "), c.want) {
				t.Errorf("got %s: %v, want unknown: %s", r.Outcome, r.Reasons, c.want)
			}
			if told := slices.ContainsFunc(r.Chain, func(s string) bool { return strings.HasPrefix(s, "On purpose") }); told && len(r.Phases) == 1 {
				t.Errorf("it ended before anything was done on purpose, and that is told: %q", r.Chain)
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

func TestAnAlarmIsAGuardAndAProbe(t *testing.T) {
	guard := func(name string) string {
		return "guards:\n  - { name: calm, every: 100ms, tolerance: OK, provider: { type: alarm, alarm: " + name + " } }\nrollbacks:"
	}
	for name, why := range map[string]string{"failing": "a guard tripped: calm", "none": "there is no alarm none"} {
		a := &app{}
		r := conducted(t, t.Context(), a, "during: 100ms", "during: 1h", "rollbacks:", guard(name))
		if r.Status != "aborted" || !strings.Contains(strings.Join(r.Reasons, " "), why) || a.broken {
			t.Errorf("%s: got %s %s: %v", name, r.Status, r.Outcome, r.Reasons)
		}
	}
	if out, err := (&run{cfg: Config{Platform: &app{}}}).do(t.Context(), experiment.Activity{Provider: experiment.Provider{Type: "alarm", Alarm: "failing"}}); out != "OK" || err != nil {
		t.Errorf("got %v, %v", out, err)
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

func TestTwoExperimentsWithOneSeedHaveNoIDInCommon(t *testing.T) {
	seen := map[string]bool{}
	for _, title := range []string{"Charge is killed", "Charge is slow"} {
		a, e := &app{}, &experiment.Experiment{Title: title, Seed: 7, Loads: []experiment.Load{{Name: "l", Rate: 100, Max: 4, Invoke: &experiment.Invoke{Function: "Charge", Async: true, Event: json.RawMessage(`"${id}"`)}}}, Samples: 3}
		if _, err := Run(t.Context(), e, Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1}); err != nil {
			t.Fatal(err)
		}
		if len(a.events) < 3 {
			t.Fatalf("got the events %q", a.events)
		}
		for _, id := range a.events {
			if seen[id] {
				t.Errorf("%s has the ID %s, as another experiment had", title, id)
			}
			seen[id] = true
		}
	}
}

func TestALoadWritesItemsEachWithItsOwnKey(t *testing.T) {
	d := &driver{load: experiment.Load{Name: "l", Put: &experiment.Put{Table: "Orders", Item: json.RawMessage(`{"id":{"S":"${id}"},"at":{"N":"${n}"}}`)}}, seed: 9}
	if got := string(d.request(3).Put.Item); got != `{"id":{"S":"l-9-3"},"at":{"N":"3"}}` {
		t.Errorf("got %s", got)
	}
}

func TestChangesThatWaitAreWaitedFor(t *testing.T) {
	c := Counts{Ages: map[string]float64{"Orders": 2.5, "Totals": 0}, Tables: map[string]int64{"Orders": 1}, Queues: map[string]Queue{"Jobs": {AgeS: 1}}}
	for of, want := range map[string]float64{"Orders": 2.5, "Totals": 0, "Jobs": 1, "": 2.5} {
		if of == "Totals" {
			c.Tables[of] = 0
		}
		if got := (window{to: c}).measure(experiment.Metric{Name: "age", Of: of}); got.none != "" || got.value != want {
			t.Errorf("the age of %q: got %+v, want %v", of, got, want)
		}
	}
	a := &app{ages: []float64{2, 1, 0}} // it is done after a while
	r := &run{cfg: Config{Platform: a, Clock: daruma.SystemClock{}}, e: &experiment.Experiment{}, out: &Result{Scale: 1}}
	if !r.settle(t.Context(), time.Minute) || len(a.ages) > 0 {
		t.Errorf("it was not waited for what a function has not done: %v", a.ages)
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

func TestFaultsLastUntilWhatTheyKeepFromAnsweringHasComeToItsTimeOut(t *testing.T) {
	const timeOut = 700 * time.Millisecond
	a := &app{counts: Function{Timeout: timeOut}}
	r := conducted(t, t.Context(), a, "kind: error", "kind: timeout", "during: 100ms", "during: 20ms")
	if f := r.Faults[0]; f.Met == 0 || f.To-f.From < timeOut.Seconds() {
		t.Errorf("the fault met %d and was in force for %.2f s, want at least %v", f.Met, f.To-f.From, timeOut)
	}
	if r.Outcome != Held {
		t.Errorf("got %s: %v", r.Outcome, r.Reasons)
	}
}

func TestAPhaseCountsTheEffectsOfItsOwnRequestsHoweverLongCountingTakes(t *testing.T) {
	a := &app{late: 50 * time.Millisecond}
	r := conducted(t, t.Context(), a, "when: [during], provider: { type: metric, metric: items", "when: [before, during], provider: { type: metric, metric: items")
	for _, j := range r.Judged {
		if j.Probe == "effects" && j.Phase == experiment.Before && j.Value != 1.0 {
			t.Errorf("each request had %v effects, want exactly one", j.Value)
		}
	}
	if r.Outcome != Held {
		t.Errorf("got %s: %v", r.Outcome, r.Reasons)
	}
}

func TestASeriesEndsEachPhaseAtWhatIsJudged(t *testing.T) {
	r := conducted(t, t.Context(), &app{}, "  probes:\n", `  probes:
    - { name: done, type: probe, tolerance: [0, 1e9], when: [before, during, after], provider: { type: metric, metric: done } }
    - { name: done over the run, type: probe, tolerance: [0, 1e9], when: [after], provider: { type: metric, metric: done, over: run } }
    - { name: tries over the run, type: probe, tolerance: 1, when: [after], provider: { type: metric, metric: attempts-per-event, over: run } }
`)
	judged := 0
	for _, j := range r.Judged {
		i := slices.IndexFunc(r.Series, func(s Series) bool { return s.Probe == j.Probe })
		if i < 0 || !strings.HasPrefix(j.Probe, "done") && !strings.HasPrefix(j.Probe, "tries") {
			continue
		}
		judged++
		end := r.Phases[slices.IndexFunc(r.Phases, func(p PhaseTime) bool { return p.Phase == j.Phase })].To
		last := Point{}
		for _, p := range r.Series[i].Points {
			if p.At <= end+1e-6 {
				last = p
			}
		}
		if last.Value != j.Value {
			t.Errorf("%s, %s: the series is at %v, judged is %v", j.Probe, j.Phase, last.Value, j.Value)
		}
	}
	if judged != 5 {
		t.Errorf("compared %d judgements, want 5", judged)
	}
}
