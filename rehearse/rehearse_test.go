package rehearse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/rehearse"
)

// A stage is a rehearser with what it stands on, in a bubble's own time.
type world struct {
	*testing.T
	drills *drill.Drills
	alarms *alarm.Alarms
	faults *inject.Faults
	r      *rehearse.Rehearser
	end    func() // ends the rehearser and the cell, as a platform that is stopped does
}

// in runs f in a bubble, with a world on a medium.
func in(t *testing.T, m *memory.Medium, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		alarmed := alarm.NewMachine(alarm.Config{})
		c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{drill.Machine{}, alarmed}})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, drills: drill.New(c), alarms: alarm.New(c, alarmed), faults: inject.New(inject.Config{Check: func(f *fault.Fault) error {
			if f.Target.Function == "Nobody" {
				return &daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("there is no function Nobody")}
			}
			return nil
		}})}
		if w.r, err = rehearse.Open(t.Context(), rehearse.Config{Drills: w.drills, Faults: w.faults, Alarms: w.alarms}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.r.Run(ctx) }()
		ended := false
		w.end = func() {
			if ended {
				return
			}
			ended = true
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := w.faults.Active(); n > 0 {
				t.Errorf("%d faults are in force when all has ended", n)
			}
		}
		defer func() { w.end(); _ = c.Close() }()
		synctest.Wait()
		f(w)
	})
}

func slow(functions ...string) (all []fault.Fault) {
	for _, name := range functions {
		all = append(all, fault.Fault{Kind: fault.Latency, Target: fault.Target{Function: name}, With: fault.With{Latency: fault.Duration(time.Second)}})
	}
	return all
}

func (w *world) start(stages ...drill.Stage) string {
	w.Helper()
	r, err := w.r.Start(w.Context(), drill.Run{Plan: "P", Document: json.RawMessage(`{}`)}, stages)
	if err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
	return r.ID
}

// says checks how far a run is, and how many faults are in force.
func (w *world) says(id string, active int, want string) {
	w.Helper()
	synctest.Wait()
	r, err := w.drills.Run(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	got := string(r.State)
	for _, s := range r.Steps {
		got += fmt.Sprintf(" %s=%s", s.Name, s.State)
	}
	if got != want || w.faults.Active() != active {
		w.Errorf("got %s (%s) with %d faults, want %s with %d", got, r.Reason, w.faults.Active(), want, active)
	}
}

func (w *world) reason(id, want string) {
	w.Helper()
	if r, err := w.drills.Run(w.Context(), id); err != nil || !strings.Contains(r.Reason, want) {
		w.Errorf("got the reason %q, %v; want %q", r.Reason, err, want)
	}
}

func TestStagesFollowThoseTheyStartAfter(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		id := w.start(
			drill.Stage{Name: "a", For: time.Minute, Faults: slow("F", "G")},
			drill.Stage{Name: "b", For: time.Minute, After: []string{"a", "wait"}, Faults: slow("F")},
			drill.Stage{Name: "wait", For: 2 * time.Minute},
			drill.Stage{Name: "left", Skip: "nothing fits", Faults: slow("F"), After: []string{"a"}},
		)
		w.says(id, 2, "running a=running b=pending wait=running left=pending")
		time.Sleep(time.Minute)
		w.says(id, 0, "running a=completed b=pending wait=running left=skipped")
		time.Sleep(time.Minute)
		w.says(id, 1, "running a=completed b=running wait=completed left=skipped")
		time.Sleep(time.Minute)
		w.says(id, 0, "completed a=completed b=completed wait=completed left=skipped")
		if r, err := w.drills.Run(w.Context(), id); err != nil || r.Ended.Sub(r.Started) != 3*time.Minute || r.Steps[1].Ended.Sub(r.Steps[1].Started) != time.Minute {
			w.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestStoppingEndsWhatIsBrokenAtOnce(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		id := w.start(drill.Stage{Name: "a", For: time.Hour, Faults: slow("F")}, drill.Stage{Name: "b", For: time.Hour, After: []string{"a"}}, drill.Stage{Name: "c", For: time.Hour})
		if err := w.r.Stop(id); err != nil {
			w.Fatal(err)
		}
		w.says(id, 0, "stopped a=stopped b=cancelled c=stopped")
		if err := w.r.Stop(id); !errors.Is(err, drill.ErrEnded) {
			w.Errorf("stopped twice: %v", err)
		}
	})
}

func TestWhoeverEndsAFaultStopsTheDrill(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		id := w.start(drill.Stage{Name: "a", For: time.Hour, Faults: slow("F", "G")})
		if err := w.faults.Stop(2); err != nil {
			w.Fatal(err)
		}
		w.says(id, 0, "stopped a=stopped")
		w.reason(id, "FT-2 ended before its time (stopped)")
	})
}

func TestAFaultThatCannotBeFailsTheDrillAndNothingStaysBroken(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		id := w.start(drill.Stage{Name: "a", For: time.Hour, Faults: slow("F", "Nobody")}, drill.Stage{Name: "b", For: time.Hour, Faults: slow("F")})
		w.says(id, 0, "failed a=failed b=stopped")
		w.reason(id, "a: there is no function Nobody")
		id = w.start(drill.Stage{Name: "a", For: time.Hour, Faults: slow("F")}, drill.Stage{Name: "b", Fail: "nothing fits"})
		w.says(id, 0, "failed a=cancelled b=cancelled")
		w.reason(id, "b: nothing fits")
	})
}

func TestAPlatformThatIsStoppedStopsItsDrills(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		id := w.start(drill.Stage{Name: "a", For: time.Hour, Faults: slow("F")})
		w.end()
		w.says(id, 0, "stopped a=stopped")
		w.reason(id, "the platform was stopped")
		if _, err := w.r.Start(w.Context(), drill.Run{Plan: "P", Document: json.RawMessage(`{}`)}, []drill.Stage{{Name: "a"}}); daruma.KindOf(err) != daruma.KindUnavailable {
			w.Errorf("begun after the end: %v", err)
		}
	})
}

func TestWhatAKilledPlatformLeftHasFailed(t *testing.T) {
	m := &memory.Medium{}
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{drill.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	left, _, err := drill.New(c).Begin(t.Context(), drill.Run{Plan: "P", Document: json.RawMessage(`{}`), Steps: []drill.Step{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	in(t, m, func(w *world) {
		w.says(left.ID, 0, "failed a=cancelled")
		w.reason(left.ID, rehearse.Cut)
	})
}

func TestOneTokenBeginsOneDrill(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		run := drill.Run{Plan: "P", Document: json.RawMessage(`{}`), Token: "t"}
		stages := []drill.Stage{{Name: "a", For: time.Hour, Faults: slow("F")}}
		first, err := w.r.Start(w.Context(), run, stages)
		if err != nil {
			w.Fatal(err)
		}
		again, err := w.r.Start(w.Context(), run, stages)
		if err != nil || again.ID != first.ID {
			w.Errorf("got %+v, %v", again, err)
		}
		w.says(first.ID, 1, "running a=running")
	})
}

// watch makes an alarm, or has one that there is be in a state.
func (w *world) watch(name string, s alarm.State) {
	w.Helper()
	if w.alarms.Alarm(name) == nil {
		d := alarm.Definition{Name: name, Statistic: "Sum", Period: time.Minute, Periods: 1, Comparison: "GreaterThanThreshold"}
		if err := w.alarms.Put(w.Context(), d, nil); err != nil {
			w.Fatal(err)
		}
	}
	if err := w.alarms.Set(w.Context(), name, s, "a test", ""); err != nil {
		w.Fatal(err)
	}
}

// guarded begins a run that alarms stop.
func (w *world) guarded(alarms []string, stages ...drill.Stage) string {
	w.Helper()
	r, err := w.r.Start(w.Context(), drill.Run{Plan: "P", Document: json.RawMessage(`{}`), Alarms: alarms}, stages)
	if err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
	return r.ID
}

func (w *world) halted(id, by string) {
	w.Helper()
	if r, err := w.drills.Run(w.Context(), id); err != nil || r.Halted != by {
		w.Errorf("got %+v, %v; want it halted by %q", r, err, by)
	}
}

func TestAnAlarmThatGoesOffStopsTheDrillAndWhatItHasBroken(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		w.watch("failing", alarm.OK)
		w.watch("slow", alarm.Insufficient)
		stage := drill.Stage{Name: "a", For: time.Hour, Faults: slow("F")}
		id := w.guarded([]string{"failing", "slow"}, stage, drill.Stage{Name: "b", For: time.Hour, After: []string{"a"}})
		w.says(id, 1, "running a=running b=pending")
		w.watch("failing", alarm.OK)
		w.says(id, 1, "running a=running b=pending")
		w.watch("slow", alarm.Alarmed)
		w.says(id, 0, "stopped a=stopped b=cancelled")
		w.reason(id, "the alarm slow went off")
		w.halted(id, "slow")

		// While it is off, none begins.
		id = w.guarded([]string{"slow"}, stage)
		w.says(id, 0, "stopped a=cancelled")
		w.halted(id, "slow")

		// One that is gone cannot stop anything: so it does.
		w.watch("slow", alarm.OK)
		id = w.guarded([]string{"slow"}, stage)
		w.says(id, 1, "running a=running")
		if err := w.alarms.Delete(w.Context(), "slow"); err != nil {
			w.Fatal(err)
		}
		w.says(id, 0, "stopped a=stopped")
		w.reason(id, "there is no alarm slow")

		// One that ends in time is not stopped by what happens later.
		id = w.guarded([]string{"failing"}, drill.Stage{Name: "a", For: time.Minute, Faults: slow("F")})
		time.Sleep(2 * time.Minute)
		w.watch("failing", alarm.Alarmed)
		w.says(id, 0, "completed a=completed")
		w.halted(id, "")
	})
}

func TestAStageExpectsAlarmsToBeInStates(t *testing.T) {
	in(t, &memory.Medium{}, func(w *world) {
		w.watch("failing", alarm.OK)
		expect := func(states ...string) drill.Stage {
			return drill.Stage{Name: "a", Expect: &drill.Expectation{Alarms: []string{"failing"}, States: states}}
		}
		behind := drill.Stage{Name: "b", For: time.Minute, Faults: slow("F"), After: []string{"a"}}
		id := w.start(expect("ALARM", "OK"), behind)
		w.says(id, 1, "running a=completed b=running")
		id = w.start(expect("ALARM"), behind)
		w.says(id, 1, "failed a=failed b=cancelled") // the first goes on
		w.reason(id, "a: the alarm failing is OK, and not ALARM")
		time.Sleep(2 * time.Minute)
	})
}
