package raise_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/raise"
)

// A world is what a raiser stands on: when its metric is high, and what was asked and judged.
type world struct {
	alarms   []*alarm.Alarm
	high     [2]time.Duration // since midnight: then the metric is beyond the threshold
	measured []string
	asked    map[string]int // how often for the points of each
	judged   []string
	fail     bool
	slow     time.Duration
}

func (w *world) All() []*alarm.Alarm { return w.alarms }

func (w *world) Judge(_ context.Context, all ...alarm.Judgement) error {
	if w.fail {
		w.fail = false
		return errors.New("the disk is full")
	}
	for _, j := range all {
		for i, a := range w.alarms {
			if a.Name == j.Name {
				is := *a
				is.Situation = j.To
				w.alarms[i] = &is
			}
		}
		w.judged = append(w.judged, fmt.Sprintf("%s %s %s", clock(j.To.At), j.Name, j.To.State))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

func (w *world) Measure(_ context.Context, from, to time.Time) {
	w.measured = append(w.measured, clock(from)+"-"+clock(to))
	time.Sleep(w.slow)
	w.slow = 0
}

func (w *world) Points(a *alarm.Alarm, end time.Time) []alarm.Point {
	if w.asked == nil {
		w.asked = map[string]int{}
	}
	w.asked[a.Name]++
	value := 0.0
	if since := end.Sub(end.Truncate(24 * time.Hour)); w.high[0] < since && since <= w.high[1] {
		value = 9
	}
	all := make([]alarm.Point, a.Range())
	for i := range all {
		all[i] = alarm.Point{At: end.Add(time.Duration(i-len(all)) * a.Period), Value: value, Samples: 1}
	}
	return all
}

func watching(name string, period time.Duration) *alarm.Alarm {
	return &alarm.Alarm{Definition: alarm.Definition{Name: name, Statistic: "Sum", Period: period, Periods: 1, Threshold: 5, Comparison: "GreaterThanThreshold"}, Situation: alarm.Situation{State: alarm.OK}, Revision: 1}
}

// in runs a raiser on a world, in a bubble that begins at midnight, until f returns.
func in(t *testing.T, w *world, f func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- raise.New(raise.Config{Alarms: w, Metrics: w}).Run(ctx) }()
		f()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAnAlarmIsJudgedWhenItsTurnIsAndWrittenWhenItsStateChanges(t *testing.T) {
	w := &world{alarms: []*alarm.Alarm{watching("fast", 10*time.Second), watching("minute", time.Minute), watching("five", 5*time.Minute), watching("hour", time.Hour)}}
	w.high = [2]time.Duration{65 * time.Second, time.Hour + 65*time.Second}
	in(t, w, func() { time.Sleep(time.Hour + 125*time.Second) })
	if diff := cmp.Diff(map[string]int{"fast": 372, "minute": 62, "five": 62, "hour": 1}, w.asked); diff != "" {
		t.Error(diff)
	}
	want := []string{"00:01:10 fast ALARM", "00:02:00 minute ALARM", "00:02:00 five ALARM", "01:00:00 hour ALARM", "01:01:10 fast OK", "01:02:00 minute OK", "01:02:00 five OK"}
	if diff := cmp.Diff(want, w.judged); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCouldNotBeWrittenIsJudgedAgain(t *testing.T) {
	w := &world{alarms: []*alarm.Alarm{watching("fast", 10*time.Second)}, high: [2]time.Duration{0, time.Hour}, fail: true}
	in(t, w, func() { time.Sleep(25 * time.Second) })
	if diff := cmp.Diff([]string{"00:00:20 fast ALARM"}, w.judged); diff != "" {
		t.Error(diff)
	}
}

func TestRoundsThatCouldNotBeInTimeAreLeftOut(t *testing.T) {
	w := &world{alarms: []*alarm.Alarm{watching("minute", time.Minute)}, high: [2]time.Duration{0, time.Hour}, slow: 53 * time.Second}
	in(t, w, func() { time.Sleep(75 * time.Second) })
	if diff := cmp.Diff([]string{"00:00:00-00:00:10", "00:00:10-00:01:00", "00:01:00-00:01:10"}, w.measured); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"00:01:00 minute ALARM"}, w.judged); diff != "" {
		t.Error(diff)
	}
}
