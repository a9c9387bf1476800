package report

import (
	"encoding/json"
	"io"
	"runtime"
	"time"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
)

// journal has the shape of the Chaos Toolkit's journals
// (https://chaostoolkit.org/reference/api/journal/), and what else is known under "daruma".
type journal struct {
	Version    string          `json:"chaoslib-version"`
	Platform   string          `json:"platform"`
	Node       string          `json:"node"`
	Experiment any             `json:"experiment"`
	Start      string          `json:"start"`
	Status     string          `json:"status"`
	Deviated   bool            `json:"deviated"`
	Steady     steadyStates    `json:"steady_states"`
	Run        []entry         `json:"run"`
	Rollbacks  []entry         `json:"rollbacks"`
	End        string          `json:"end"`
	Duration   float64         `json:"duration"`
	Daruma     *conduct.Result `json:"daruma"`
}

type steadyStates struct {
	Before *steadyState  `json:"before"`
	After  *steadyState  `json:"after"`
	During []steadyState `json:"during"`
}

type steadyState struct {
	Met    bool    `json:"steady_state_met"`
	Probes []entry `json:"probes"`
}

type entry struct {
	Activity  any      `json:"activity"`
	Output    any      `json:"output"`
	Status    string   `json:"status"`
	Start     string   `json:"start"`
	End       string   `json:"end"`
	Duration  float64  `json:"duration"`
	Exception []string `json:"exception,omitempty"`
	Tolerance *bool    `json:"tolerance_met,omitempty"`
}

// stampForm is how the Chaos Toolkit writes times, since 1.45 with the zone.
const stampForm = "2006-01-02T15:04:05.000000-07:00"

func stamp(t time.Time) string { return t.UTC().Format(stampForm) }

func entryOf(a conduct.ActivityRun) entry {
	e := entry{Activity: a.Document, Output: a.Output, Status: a.Status, Start: stamp(a.Started), End: stamp(a.Ended), Duration: a.Ended.Sub(a.Started).Seconds()}
	if a.Error != "" {
		e.Exception = []string{a.Error}
	}
	if e.Activity == nil {
		e.Activity = map[string]any{"name": a.Name}
	}
	return e
}

// Journal writes what a run was, for programs. A run is "completed" also when it deviated; what could not be judged is "failed".
func Journal(w io.Writer, r *conduct.Result) error {
	j := journal{
		Version: "1.45.0", Platform: runtime.GOOS + "/" + runtime.GOARCH, Node: "daruma",
		Experiment: r.Document, Start: stamp(r.Started), End: stamp(r.Ended), Duration: r.Ended.Sub(r.Started).Seconds(),
		Status: r.Status, Deviated: r.Outcome == conduct.Deviated, Run: []entry{}, Rollbacks: []entry{}, Daruma: r,
		Steady: steadyStates{During: []steadyState{}},
	}
	if r.Outcome == conduct.Unknown && r.Status == "completed" {
		j.Status = "failed"
	}
	for _, a := range r.Method {
		j.Run = append(j.Run, entryOf(a))
	}
	for _, a := range r.Rollbacks {
		j.Rollbacks = append(j.Rollbacks, entryOf(a))
	}
	for _, p := range experiment.Phases() {
		s := steadyState{Met: true, Probes: []entry{}}
		for _, one := range r.Judged {
			if one.Phase != p {
				continue
			}
			met := one.Outcome == conduct.Held
			s.Met = s.Met && met
			e := entryOf(one.Run)
			if one.Run.Name == "" { // a metric, judged from what was counted
				e = entry{Activity: map[string]any{"type": "probe", "name": one.Probe, "tolerance": one.Tolerance, "provider": map[string]any{"type": "metric"}}, Output: one.Value, Status: "succeeded", Start: j.Start, End: j.End}
			}
			e.Tolerance = &met
			s.Probes = append(s.Probes, e)
		}
		if len(s.Probes) == 0 {
			continue
		}
		switch p {
		case experiment.Before:
			j.Steady.Before = &s
		case experiment.During:
			j.Steady.During = append(j.Steady.During, s)
		case experiment.After:
			j.Steady.After = &s
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(j)
}
