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

func TestAnAppIsNotBlamedForItsMachineAndNothingHoldsForThatReason(t *testing.T) {
	const (
		idle = 1100 * time.Microsecond
		late = 7 * time.Millisecond
	)
	slow := []string{"tolerance: [0, 0.5], when: [before, during, after], provider: { type: metric, metric: error-share }", "tolerance: [10000, 20000], when: [during], provider: { type: metric, metric: p99 }"}
	for _, c := range []struct {
		name   string
		app    *app
		beat   time.Duration // instead of a millisecond
		change []string
		want   Outcome
		why    string
	}{
		{"late, and runs came to their time-out", &app{refuses: true, timesOut: true}, late, nil, Unknown, "work took 7 times as long as when nobody is in the way, and "},
		{"late, and requests had no answer in their time", &app{refuses: true, silent: true}, late, nil, Unknown, "requests had no answer in their time"},
		{"late, and a time is judged", &app{}, late, slow, Unknown, "the machine was late"},
		{"in time, and runs came to their time-out", &app{refuses: true, timesOut: true}, idle, nil, Deviated, ""},
		{"in time, and a time is judged", &app{}, idle, slow, Deviated, ""},
		{"late, and nothing came to its time", &app{refuses: true}, late, nil, Deviated, ""},
		{"nobody knows how late", &app{refuses: true, timesOut: true}, 0, nil, Deviated, ""},
		{"late, and events are lost", &app{loses: true, timesOut: true}, late, nil, Deviated, ""},
		{"late, and all is well", &app{timesOut: true}, late, nil, Held, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := experiment.Parse("x.yaml", []byte(strings.NewReplacer(c.change...).Replace(file)), experiment.Options{Fault: func([]byte) error { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{Platform: c.app, Clock: daruma.SystemClock{}, Scale: 1}
			if c.beat > 0 {
				cfg.Beat = func(ctx context.Context) (Beat, error) {
					return Beat{c.beat, time.Millisecond}, daruma.SystemClock{}.Sleep(ctx, 5*time.Millisecond)
				}
			}
			r, err := Run(t.Context(), e, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome != c.want || !strings.Contains(strings.Join(r.Reasons, "; "), c.why) {
				t.Errorf("got %s: %q, want %s: %s", r.Outcome, r.Reasons, c.want, c.why)
			}
			if told := strings.Contains(strings.Join(r.Warnings, "; "), "the machine was late, during: work took 7 times"); told != (c.beat == late) {
				t.Errorf("got the warnings %q", r.Warnings)
			}
		})
	}
}

func TestAPulseTellsAMachineThatIsLateFromOneThatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		piece, first := time.Millisecond, time.Duration(0)
		p := &Pulse{work: func() { time.Sleep(piece + first); first = 0 }}
		beat := func(want Beat) {
			t.Helper()
			if got, err := p.Beat(t.Context()); err != nil || got != want {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		}
		idle := Beat{pulsePieces * time.Millisecond, pulsePieces * time.Millisecond}
		began := time.Now()
		beat(idle)
		beat(idle)
		if got, want := time.Since(began), 2*pulseEvery+idle.Took; got != want {
			t.Errorf("two beats took %v, want %v", got, want)
		}
		piece = 5 * time.Millisecond // four others want the CPU
		beat(Beat{pulsePieces * piece, idle.Undisturbed})
		piece, first = time.Millisecond, 2*time.Second // it was stopped meanwhile
		beat(Beat{first + idle.Took, idle.Undisturbed})
		beat(idle)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Beat(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAPieceOfWorkTakesAMillisecondOrSo(t *testing.T) {
	quickest := time.Minute
	for range 20 {
		began := time.Now()
		step()
		quickest = min(quickest, time.Since(began))
	}
	if quickest < 100*time.Microsecond || quickest > 20*time.Millisecond {
		t.Errorf("it took %v: a beat is not a few percent of one CPU", quickest)
	}
}
