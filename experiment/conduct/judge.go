package conduct

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// look runs the probes of a phase that are no metrics: they must be asked while it lasts.
func (r *run) look(ctx context.Context, p experiment.Phase) {
	for _, a := range r.e.InPhase(p) {
		if a.Provider.Metric != nil {
			continue
		}
		done := r.perform(ctx, a)
		j := Judgement{Probe: a.Name, Phase: p, Value: done.Output, Tolerance: a.Tolerance.String(), Run: done}
		if done.Status == "failed" {
			j.Outcome, j.Why = Deviated, done.Error
		} else {
			r.weigh(ctx, a, &j)
		}
		r.out.Judged = append(r.out.Judged, j)
	}
}

// weigh sets a value against its tolerance.
func (r *run) weigh(ctx context.Context, a experiment.Activity, j *Judgement) {
	if t := a.Tolerance; t.Form == "probe" {
		out, err := r.do(ctx, *t.Probe)
		status, _ := out.(map[string]any)
		code, _ := experiment.Number(status["status"])
		if t.Probe.Provider.Process != nil && code != 0 || t.Probe.Provider.HTTP != nil && code >= 400 {
			err = errors.Join(err, fmt.Errorf("the probe %s answered %v", t.Probe.Name, code))
		}
		j.Outcome = Held
		if err != nil {
			j.Outcome, j.Why = Deviated, err.Error()
		}
		return
	}
	var before any
	if a.Tolerance.Form == "relative" {
		if a.Provider.Metric != nil && j.Phase == experiment.Before {
			j.Outcome = Held // it is what the others are set against
			return
		}
		i := slices.IndexFunc(r.out.Judged, func(o Judgement) bool { return o.Probe == a.Name && o.Phase == experiment.Before })
		if i >= 0 {
			before = r.out.Judged[i].Value
		} else if m := a.Provider.Metric; m != nil && r.edges[experiment.Before] != nil {
			was := r.windowOf(experiment.Before, "phase").measure(*m)
			if kind, _ := experiment.MeasureNamed(m.Name); was.none == "" && (!kind.Share || was.of >= int64(r.e.Samples)) {
				before = was.value
			}
		}
		if _, ok := experiment.Number(before); !ok {
			j.Outcome, j.Why = Unknown, "before anything was broken there was nothing, or too little, to set it against"
			return
		}
	}
	ok, why := a.Tolerance.Within(j.Value, before)
	j.Outcome, j.Why = Held, why
	if !ok {
		j.Outcome = Deviated
	}
}

// windowOf returns a phase's window, or that since the faults began.
func (r *run) windowOf(p experiment.Phase, over string) window {
	w := *r.edges[p]
	if over == "run" && p != experiment.Before {
		w.from = r.broken
	}
	w.loads = r.samples()
	if d := r.edges[experiment.During]; d != nil {
		w.mended = d.to
	}
	return w
}

// measured judges the metrics of a phase.
func (r *run) measured(ctx context.Context, p experiment.Phase) []Judgement {
	var all []Judgement
	for _, a := range r.e.InPhase(p) {
		m := a.Provider.Metric
		if m == nil || r.edges[p] == nil {
			continue
		}
		kind, _ := experiment.MeasureNamed(m.Name)
		j := Judgement{Probe: a.Name, Phase: p, Tolerance: a.Tolerance.String(), Unit: kind.Unit}
		got := r.windowOf(p, m.Over).measure(*m)
		j.Of = max(0, got.of)
		switch {
		case got.none != "":
			j.Outcome, j.Why = Unknown, got.none
		case kind.Share && got.of < int64(r.e.Samples):
			j.Value = got.value
			j.Outcome, j.Why = Unknown, fmt.Sprintf("too little traffic: it is of %d, and a share needs %d (samples)", got.of, r.e.Samples)
		default:
			j.Value = got.value
			r.weigh(ctx, a, &j)
		}
		all = append(all, j)
	}
	return all
}

// steady judges the state before anything is broken.
func (r *run) steady(ctx context.Context) bool {
	for _, j := range slices.Concat(r.out.Judged, r.measured(ctx, experiment.Before)) {
		if j.Outcome != Held {
			return false
		}
	}
	return true
}

// judge says what came of the run. ended is why it ended before its time, or nil.
func (r *run) judge(ctx context.Context, ended error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	o := r.out
	live := o.Judged
	o.Judged = nil
	for _, p := range experiment.Phases() {
		for _, j := range live {
			if j.Phase == p {
				o.Judged = append(o.Judged, j)
			}
		}
		if r.reached(p, ended) {
			o.Judged = append(o.Judged, r.measured(ctx, p)...)
		}
	}
	r.doubt()
	r.tell(ctx)
	o.Status = statusOf(ended)
	o.Outcome, o.Reasons = r.outcome(ended)
	r.chain()
	o.Ended = time.Now()
}

// doubt takes back deviations that may be the machine's.
func (r *run) doubt() {
	for i := range r.out.Judged {
		j := &r.out.Judged[i]
		if j.Outcome != Deviated || r.edges[j.Phase] == nil {
			continue
		}
		at := slices.IndexFunc(r.e.Probes, func(a experiment.Activity) bool { return a.Name == j.Probe })
		if at < 0 {
			continue
		}
		if why := r.excuse(r.e.Probes[at], *j); why != "" {
			j.Outcome, j.Why = Unknown, j.Why+"; "+why
		}
	}
}

// reached says whether a phase came to its end, so that it can be judged.
func (r *run) reached(p experiment.Phase, ended error) bool {
	w := r.edges[p]
	return w != nil && w.to.real.After(w.from.real) && (ended == nil || p == experiment.Before || !errors.Is(ended, errNotSteady))
}

func statusOf(ended error) string {
	switch {
	case ended == nil:
		return "completed"
	case errors.Is(ended, errGuard):
		return "aborted"
	case errors.Is(ended, errStopped), errors.Is(ended, context.Canceled):
		return "interrupted"
	}
	return "failed"
}

// outcome is the verdict: what deviated while something was broken or after it is worse than what is not known;
// what is not known is never taken for well.
func (r *run) outcome(ended error) (Outcome, []string) {
	var deviated, unknown []string
	for _, j := range r.out.Judged {
		text := fmt.Sprintf("%s, %s: %s", j.Probe, j.Phase, j.Why)
		switch {
		case j.Outcome == Unknown || j.Outcome == Deviated && j.Phase == experiment.Before:
			unknown = append(unknown, text)
		case j.Outcome == Deviated:
			deviated = append(deviated, text)
		}
	}
	if ended != nil {
		text := ended.Error()
		switch {
		case errors.Is(ended, context.Canceled):
			text = "it was interrupted"
		case errors.Is(ended, errNotSteady) && len(unknown) > 0:
			text, unknown = text+": "+unknown[0], unknown[1:]
		}
		unknown = append([]string{text}, unknown...)
		if errors.Is(ended, errNotSteady) {
			unknown = append(unknown, r.unanswered()...)
		}
	}
	broken := true
	for _, f := range r.out.Faults {
		if f.Met == 0 {
			broken = false
			unknown = append(unknown, fmt.Sprintf("the fault %s met nothing (it saw %d): nothing was broken", f.Name, f.Seen))
		}
	}
	for _, b := range r.out.Rollbacks {
		if b.Status == "failed" {
			unknown = append(unknown, fmt.Sprintf("the rollback %s failed: %s", b.Name, b.Error))
		}
	}
	if r.unseen > 0 {
		r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("the platform did not say how it goes %d times", r.unseen))
	}
	for _, p := range r.out.Phases {
		if p.Late >= lateFrom {
			r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("the machine was late, %s: %s", p.Phase, slower(p.Late)))
		}
	}
	if len(r.e.Probes) == 0 {
		unknown = append(unknown, "there is no steady state to judge by")
	}
	switch {
	case len(deviated) > 0 && broken:
		return Deviated, append(deviated, unknown...)
	case len(unknown) > 0: // what deviated while nothing was broken is no answer to the question
		return Unknown, append(unknown, deviated...)
	}
	return Held, nil
}

// unanswered says of each load most of whose requests were not answered well what it asks for, and what
// came instead: a proposed path may be one that the app has not.
func (r *run) unanswered() []string {
	var all []string
	for _, d := range r.drivers {
		d.mu.Lock()
		for what, times := range d.failures {
			if 2*times > len(d.samples) {
				all = append(all, fmt.Sprintf("the load %s, %s, had %s %d times of %d: change what it asks for, or which statuses are well (expect)", d.load.Name, d.load.Target(), what, times, len(d.samples)))
			}
		}
		d.mu.Unlock()
	}
	return all
}

// chain tells what led to what, in words.
func (r *run) chain() {
	o := r.out
	for _, f := range o.Faults {
		o.Chain = append(o.Chain, fmt.Sprintf("On purpose, %s: %s (%s). It met %d of %d.", f.Name, f.Text, f.ID, f.Met, f.Seen))
	}
	for _, k := range o.Kills {
		text := "It did not answer again."
		if k.To > 0 {
			text = fmt.Sprintf("It answered again after %v.", time.Duration((k.To-k.From)*float64(time.Second)).Round(time.Millisecond))
		}
		o.Chain = append(o.Chain, fmt.Sprintf("On purpose, %s: kill -9 of the platform, process %d. %s", k.Name, k.PID, text))
	}
	if len(o.Faults) == 0 && !r.broken.real.IsZero() { // nothing else tells of the method, and it began
		for _, a := range r.e.Method {
			if !a.Probe && a.Provider.Wait == 0 && a.Provider.Kill == nil {
				o.Chain = append(o.Chain, fmt.Sprintf("On purpose, %s.", a.Name))
			}
		}
	}
	groups, order := map[string][]string{}, []string{}
	for _, h := range o.Happened {
		key := h.Text
		if h.Function != "" {
			key = h.Function + ": " + h.Text
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], h.ID)
	}
	for _, key := range order {
		ids := groups[key]
		text := strings.Join(ids[:min(3, len(ids))], ", ")
		if len(ids) > 3 {
			text += fmt.Sprintf(" and %d like them", len(ids)-3)
		}
		o.Chain = append(o.Chain, fmt.Sprintf("Then %s (%s).", strings.TrimSuffix(key, "."), text))
	}
	if a := o.Account; a.PerEvent > 1.05 {
		o.Chain = append(o.Chain, fmt.Sprintf("Each of %d events was tried %.2f times on average.", a.Accepted, a.PerEvent))
	}
	for _, reason := range o.Reasons {
		o.Chain = append(o.Chain, "So: "+reason+".")
	}
}
