package conduct

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/experiment"
)

func TestAnActionInTheBackgroundThatFailsIsNotPassedOver(t *testing.T) {
	r := conducted(t, t.Context(), &app{}, "rollbacks:", "  - { name: lost, type: action, background: true, provider: { type: process, path: /nowhere } }\nrollbacks:")
	if r.Outcome != Unknown || !strings.Contains(strings.Join(r.Reasons, "; "), "/nowhere") {
		t.Errorf("got %s: %v, want unknown: /nowhere", r.Outcome, r.Reasons)
	}
}

// A slow platform takes a second to answer.
type slow struct{ app }

func (*slow) Send(context.Context, Request) Reply {
	<-time.After(time.Second)
	return Reply{Status: 500}
}

func TestRequestsThatWereNotSentHaveNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{load: experiment.Load{Name: "l", Rate: 10, Max: 1, Invoke: &experiment.Invoke{}}, platform: &slow{}, failures: map[string]int{}}
		w := window{}
		w.from.real = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 950*time.Millisecond)
		defer cancel()
		d.run(ctx)
		w.to.real, w.loads = time.Now(), map[string][]sample{"l": d.samples}
		for name, want := range map[string]measured{
			"p50": {value: 1000, of: 1}, "p95": {value: 1000, of: 1}, "p99": {value: 1000, of: 1},
			"requests": {value: 9, of: -1}, "errors": {value: 9, of: -1}, "error-share": {value: 1, of: 9},
		} {
			if got := w.measure(experiment.Metric{Name: name}); got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
		w.to.real = w.from.real.Add(50 * time.Millisecond)
		if got := w.measure(experiment.Metric{Name: "p99"}); got.none == "" || d.missed != 8 {
			t.Errorf("nothing was sent, and p99 is %v; %d were missed, want 8", got.value, d.missed)
		}
	})
}

func TestNoErrorsOfNothingAreNotKnown(t *testing.T) {
	w := window{from: Counts{Functions: map[string]Function{"F": {}, "G": {}}}, to: Counts{Functions: map[string]Function{"F": {}, "G": {Runs: 2}}}, loads: map[string][]sample{}}
	for _, m := range []experiment.Metric{{Name: "errors"}, {Name: "run-errors", Of: "F"}} {
		if got := w.measure(m); got.none == "" {
			t.Errorf("%s of nothing is %v", m.Name, got.value)
		}
	}
	if got := w.measure(experiment.Metric{Name: "run-errors"}); got.none != "" || got.value != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestFaultsOfOneNameAreCountedTogether(t *testing.T) {
	a := &app{seen: 3}
	r := &run{cfg: Config{Platform: a}, e: &experiment.Experiment{}}
	for range 2 {
		r.injections = append(r.injections, &injection{Injection: a, name: "broken", last: Injected{Seen: 5, Met: 3}})
	}
	c, err := r.frame(t.Context())
	if got := (window{to: c}).measure(experiment.Metric{Name: "faults-met", Of: "broken"}); err != nil || got.value != 6 {
		t.Errorf("got %+v, %v, want 6", got, err)
	}
}

func TestAGuardThatCouldNeverTripIsRefused(t *testing.T) {
	e, err := experiment.Parse("x.yaml", []byte(strings.Replace(file, "rollbacks:", "guards:\n  - { name: few, tolerance: [0, 3], provider: { type: metric, metric: run-errors, of: Chrage } }\nrollbacks:", 1)), experiment.Options{Fault: func([]byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{}
	if r, err := Run(t.Context(), e, Config{Platform: a, Clock: daruma.SystemClock{}, Scale: 1}); err == nil || !strings.Contains(err.Error(), "Chrage") {
		t.Errorf("got %+v, %v", r, err)
	}
	if a.counts.Accepted > 0 {
		t.Errorf("something was touched: %+v", a.counts)
	}
}

// A mute platform counts once, and then no more.
type mute struct {
	app
	asked bool
}

func (m *mute) Count(ctx context.Context) (Counts, error) {
	if m.asked {
		return Counts{}, errors.New("it does not answer")
	}
	m.asked = true
	return m.app.Count(ctx)
}

func TestAPlatformThatIsGoneAtOnceIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Run(t.Context(), &experiment.Experiment{Title: "x", Windows: experiment.Windows{Before: time.Hour}}, Config{Platform: &mute{}, Clock: daruma.SystemClock{}, Scale: 1})
		if err != nil || r.Outcome != Unknown || !strings.Contains(strings.Join(r.Reasons, "; "), "the platform is gone") {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestALongRunIsAccountedForToItsEnd(t *testing.T) {
	a := &app{}
	r := &run{cfg: Config{Platform: a}, e: &experiment.Experiment{}, out: &Result{Scale: 1}, frames: make([]Counts, framesMax), edges: map[experiment.Phase]*window{experiment.During: {}}}
	a.counts.Accepted, a.counts.Done = 7, 7
	if _, err := r.frame(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.account(); r.out.Account.Accepted != 7 || len(r.frames) > framesMax {
		t.Errorf("after %d frames: got %+v", len(r.frames), r.out.Account)
	}
}

func TestWhatIsSetAgainstTooLittleIsNotJudged(t *testing.T) {
	now := time.Now()
	few := window{}
	few.from.real, few.to.real = now.Add(-time.Second), now
	many := few
	many.from.real, many.to.real = now, now.Add(time.Second)
	d := &driver{load: experiment.Load{Name: "l"}, samples: []sample{{at: now.Add(-time.Millisecond), took: time.Second, ok: true}}}
	for range 5 {
		d.samples = append(d.samples, sample{at: now, took: time.Second, ok: true})
	}
	e := &experiment.Experiment{Samples: 5, Probes: []experiment.Activity{{Name: "p", When: []experiment.Phase{experiment.During}, Tolerance: &experiment.Tolerance{Form: "relative", Low: 0, High: 2},
		Provider: experiment.Provider{Metric: &experiment.Metric{Name: "p99", Over: "phase"}}}}}
	r := &run{e: e, out: &Result{}, drivers: []*driver{d}, edges: map[experiment.Phase]*window{experiment.Before: &few, experiment.During: &many}}
	if got := r.measured(t.Context(), experiment.During); len(got) != 1 || got[0].Outcome != Unknown {
		t.Errorf("got %+v", got)
	}
}
