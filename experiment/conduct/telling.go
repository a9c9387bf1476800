package conduct

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// tell fills in what is told of a run beside its judgements.
func (r *run) tell(ctx context.Context) {
	o := r.out
	since := func(t time.Time) float64 { return max(0, t.Sub(r.start).Seconds()) }
	for _, p := range experiment.Phases() {
		if w := r.edges[p]; w != nil {
			to := w.to
			if !to.real.After(w.from.real) { // it was cut short
				if last := r.frames[len(r.frames)-1]; last.real.After(to.real) {
					to = last
				}
			}
			o.Phases = append(o.Phases, PhaseTime{p, since(w.from.real), since(to.real), r.lateness(w.from.real, to.real)})
		}
	}
	for _, in := range r.injections {
		o.Faults = append(o.Faults, FaultRun{in.last, in.name, since(in.from), since(in.to)})
		if o.Broke.IsZero() || in.last.Started.Before(o.Broke) {
			o.Broke = in.last.Started
		}
	}
	for _, k := range r.killings {
		o.Kills = append(o.Kills, KillRun{k.name, k.pid, since(k.from), since(k.to)})
		if o.Broke.IsZero() || k.began.Before(o.Broke) {
			o.Broke = k.began
		}
	}
	if o.Broke.IsZero() && r.edges[experiment.During] != nil {
		o.Broke = r.broken.At
	}
	if down := r.down().Seconds(); down > 0 {
		o.Times.Down = &down
	}
	for _, d := range r.drivers {
		o.Loads = append(o.Loads, r.loadRun(d))
	}
	r.account()
	if !o.Broke.IsZero() {
		list, err := r.cfg.Platform.Happened(ctx, o.Broke)
		if err != nil {
			o.Warnings = append(o.Warnings, "what failed and was repaired is not known: "+err.Error())
		}
		o.Happened = list[:min(len(list), happenedMax)]
		for i := range o.Happened {
			o.Happened[i].Since = since(r.machine(o.Happened[i].At))
		}
		for _, h := range list {
			s := h.At.Sub(o.Broke).Seconds()
			if s < 0 {
				continue
			}
			if o.Times.Detect == nil {
				o.Times.Detect = &s
			}
			if h.Repair && o.Times.Heal == nil {
				o.Times.Heal = &s
			}
		}
	}
	if o.Scale > 1 {
		o.Scaled = []string{
			fmt.Sprintf("windows, waits, retries, ages and schedules: %d times as fast", o.Scale),
			"as fast as they are: functions, their time-outs, requests, and the rates of loads (a second of the machine's clock)",
		}
	}
	r.series()
}

func (r *run) loadRun(d *driver) LoadRun {
	d.mu.Lock()
	missed, failures := d.missed, d.failures
	d.mu.Unlock()
	l := LoadRun{Name: d.load.Name, Target: d.load.Target(), Rate: d.load.Rate, Missed: missed, Failures: failures}
	for _, p := range experiment.Phases() {
		if r.edges[p] == nil {
			continue
		}
		w := r.windowOf(p, "phase")
		of := func(name string) float64 { return w.measure(experiment.Metric{Name: name, Of: d.load.Name}).value }
		l.Phases = append(l.Phases, LoadPhase{p, int(of("requests")), int(of("errors")), of("p50"), of("p99")})
	}
	return l
}

// account counts what became of everything since the faults began.
func (r *run) account() {
	if r.edges[experiment.During] == nil || len(r.frames) == 0 {
		return
	}
	w := window{from: r.broken, to: r.frames[len(r.frames)-1], loads: r.samples()}
	of := func(name string) int64 { return int64(w.measure(experiment.Metric{Name: name}).value) }
	a := &r.out.Account
	*a = Account{Accepted: of("accepted"), Done: of("done"), Failed: of("failed"), InProgress: of("in-progress"), Lost: of("lost"), DeadLetters: of("dead-letters"), Duplicates: of("duplicates")}
	a.Attempts = w.to.events("", func(f Function) int64 { return f.Attempts }, func(q Queue) int64 { return q.Received }) -
		w.from.events("", func(f Function) int64 { return f.Attempts }, func(q Queue) int64 { return q.Received })
	if a.Accepted > 0 {
		a.PerEvent = float64(a.Attempts) / float64(a.Accepted)
	}
}

// series works out what metrics were from moment to moment, over a few moments each.
func (r *run) series() {
	const span = 4 // frames
	loads := r.samples()
	step := max(1, len(r.frames)/240)
	seen := map[string]bool{}
	for _, a := range r.e.Probes {
		m := a.Provider.Metric
		if m == nil || seen[a.Name] {
			continue
		}
		seen[a.Name] = true
		kind, _ := experiment.MeasureNamed(m.Name)
		s := Series{Probe: a.Name, Unit: kind.Unit, Points: []Point{}}
		switch t := a.Tolerance; t.Form {
		case "range":
			s.Low, s.High = &t.Low, &t.High
		case "equals":
			if v, ok := experiment.Number(t.Equals); ok {
				s.Low, s.High = &v, &v
			}
		case "relative":
			i := slices.IndexFunc(r.out.Judged, func(j Judgement) bool { return j.Probe == a.Name && j.Phase == experiment.Before })
			if i >= 0 {
				if v, ok := experiment.Number(r.out.Judged[i].Value); ok {
					low, high := v*t.Low, v*t.High
					s.Low, s.High = &low, &high
				}
			}
		}
		for i := 1; i < len(r.frames); i = max(i+1, min(i+step, len(r.frames)-1)) { // the last one always
			at := r.frames[i]
			w := r.since(*m, at)
			if j := max(0, i-span); kind.Share && m.Over != "run" && r.frames[j].real.After(w.from.real) {
				w.from = r.frames[j]
			}
			w.to, w.loads = at, loads
			if got := w.measure(*m); got.none == "" {
				s.Points = append(s.Points, Point{at.real.Sub(r.start).Seconds(), got.value})
			}
		}
		if len(s.Points) > 0 {
			r.out.Series = append(r.out.Series, s)
		}
	}
}

// machine returns when a moment of the app's clock was by the machine's. The two do not run alike while the platform is down.
func (r *run) machine(at time.Time) time.Time {
	i := slices.IndexFunc(r.frames, func(c Counts) bool { return !c.At.Before(at) })
	switch {
	case len(r.frames) == 0:
		return r.start
	case i == 0:
		return r.frames[0].real
	case i < 0:
		last := r.frames[len(r.frames)-1]
		return last.real.Add(at.Sub(last.At) / time.Duration(r.out.Scale))
	}
	next := r.frames[i]
	early := next.At.Sub(at) / time.Duration(r.out.Scale)
	return next.real.Add(-min(early, next.real.Sub(r.frames[i-1].real)))
}

// since returns the window in which a metric is counted at a moment: from the start of its phase or, over the run, of the faults.
func (r *run) since(m experiment.Metric, at Counts) window {
	w := window{from: r.frames[0]}
	for _, p := range experiment.Phases() {
		e := r.edges[p]
		if e == nil || e.from.real.After(at.real) {
			continue
		}
		if p != experiment.After || m.Over != "run" {
			w.from = e.from
		}
		if p == experiment.After {
			w.mended = r.edges[experiment.During].to
		}
	}
	return w
}
