// Package report tells of experiments that were run: on a terminal, in Markdown
// for pull requests, as JUnit XML, as a journal in the Chaos Toolkit's
// shape, and as one HTML page that needs nothing else.
//
// Everything is made from a conduct.Result alone, so that a run that was kept is told of as it
// was. The functions write and return; any number of goroutines may call them.
package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
)

// A Pair is a run, beside the run of the same experiment before it.
type Pair struct {
	Now  *conduct.Result
	Last *conduct.Result // nil when there is none
}

var words = map[conduct.Outcome]string{conduct.Held: "HELD", conduct.Deviated: "DEVIATED", conduct.Unknown: "NOT JUDGED"}

// value writes a value as people read it.
func value(j conduct.Judgement) string {
	text := ""
	switch v := j.Value.(type) {
	case nil:
		return "–"
	case float64:
		text = number(v) + j.Unit
	case map[string]any:
		if s, ok := v["status"]; ok {
			text = fmt.Sprintf("status %v", s)
		} else {
			text = fmt.Sprint(v)
		}
	default:
		text = fmt.Sprint(v)
	}
	if j.Of > 0 {
		text += fmt.Sprintf(" of %d", j.Of)
	}
	return clip(text, 60)
}

func number(f float64) string {
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func seconds(s *float64) string {
	if s == nil {
		return "–"
	}
	return time.Duration(*s * float64(time.Second)).Round(10 * time.Millisecond).String()
}

// Times says how fast things were noticed and well again; "" when there is nothing to tell.
func timesText(r *conduct.Result) string {
	t := r.Times
	if t.Detect == nil && t.Heal == nil && t.Recover == nil {
		return ""
	}
	return fmt.Sprintf("detected after %s, first repair after %s, recovered %s after the fault", seconds(t.Detect), seconds(t.Heal), seconds(t.Recover))
}

func accountText(a conduct.Account) string {
	text := fmt.Sprintf("accepted %d, done %d, failed and kept %d, in progress %d, lost %d", a.Accepted, a.Done, a.Failed, a.InProgress, a.Lost)
	if a.DeadLetters > 0 {
		text += fmt.Sprintf(", dead letters %d", a.DeadLetters)
	}
	if a.Duplicates > 0 {
		text += fmt.Sprintf(", came back %d", a.Duplicates)
	}
	if a.PerEvent > 0 {
		text += fmt.Sprintf("; %.2f attempts an event", a.PerEvent)
	}
	return text
}

// Compare says what is different from the run before; nothing when nothing is, or there is none.
func Compare(p Pair) []string {
	if p.Last == nil {
		return nil
	}
	var all []string
	if p.Last.Outcome != p.Now.Outcome {
		all = append(all, fmt.Sprintf("it %s, and %s the last time (%s)", past[p.Now.Outcome], past[p.Last.Outcome], p.Last.Started.Local().Format("2006-01-02 15:04")))
	}
	for _, j := range p.Now.Judged {
		for _, was := range p.Last.Judged {
			if was.Probe != j.Probe || was.Phase != j.Phase {
				continue
			}
			x, one := experiment.Number(j.Value)
			y, two := experiment.Number(was.Value)
			switch {
			case was.Outcome != j.Outcome:
				all = append(all, fmt.Sprintf("%s, %s: %s, was %s", j.Probe, j.Phase, value(j), value(was)))
			case one && two && y != 0 && (x/y > 1.2 || x/y < 0.8):
				all = append(all, fmt.Sprintf("%s, %s: %s, was %s (%+.0f %%)", j.Probe, j.Phase, value(j), value(was), (x/y-1)*100))
			}
		}
	}
	return all
}

var past = map[conduct.Outcome]string{conduct.Held: "held", conduct.Deviated: "deviated", conduct.Unknown: "could not be judged"}

// Text writes what a terminal shows.
func Text(w io.Writer, p Pair) error {
	r := p.Now
	var b strings.Builder
	title := r.Title
	if r.Label != "" {
		title += " (" + r.Label + ")"
	}
	fmt.Fprintf(&b, "\n%s\n  %s\n", title, r.File)
	if r.Hypothesis != "" && r.Hypothesis != r.Title {
		fmt.Fprintf(&b, "  %s\n", r.Hypothesis)
	}
	fmt.Fprintln(&b)
	for _, j := range r.Judged {
		mark := map[conduct.Outcome]string{conduct.Held: "ok", conduct.Deviated: "NO", conduct.Unknown: "??"}[j.Outcome]
		fmt.Fprintf(&b, "  %s  %-7s %-44s %-18s %s\n", mark, j.Phase, clip(j.Probe, 44), value(j), clip(j.Tolerance, 40))
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "  fault    %s: %s; met %d of %d\n", f.ID, f.Text, f.Met, f.Seen)
	}
	for _, l := range r.Loads {
		for _, ph := range l.Phases {
			fmt.Fprintf(&b, "  load     %-7s %s: %d requests, %d not well, p50 %s ms, p99 %s ms\n", ph.Phase, l.Name, ph.Requests, ph.Errors, number(ph.P50), number(ph.P99))
		}
	}
	if r.Account.Accepted > 0 {
		fmt.Fprintf(&b, "  account  %s\n", accountText(r.Account))
	}
	if t := timesText(r); t != "" {
		fmt.Fprintf(&b, "  times    %s\n", t)
	}
	for _, s := range r.Scaled {
		fmt.Fprintf(&b, "  scaled   %s\n", s)
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(&b, "  warning  %s\n", s)
	}
	if len(r.Chain) > 0 && r.Outcome != conduct.Held {
		fmt.Fprintln(&b)
		for _, c := range r.Chain {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	for _, c := range Compare(p) {
		fmt.Fprintf(&b, "  compared %s\n", c)
	}
	fmt.Fprintf(&b, "\n  %s", words[r.Outcome])
	if r.Outcome != conduct.Held && len(r.Reasons) > 0 {
		fmt.Fprintf(&b, ": %s", r.Reasons[0])
	}
	fmt.Fprintln(&b)
	_, err := io.WriteString(w, b.String())
	return err
}
