// Package report tells of experiments that were run: on a terminal, in Markdown
// for pull requests, as JUnit XML, as a journal in the Chaos Toolkit's
// shape, and as one HTML page that needs nothing else.
//
// Everything is made from a conduct.Result alone, so that a run that was kept is told of as it
// was. The functions write and return; any number of goroutines may call them.
package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
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

// titleOf is a run's title, with its label.
func titleOf(r *conduct.Result) string {
	if r.Label == "" {
		return r.Title
	}
	return r.Title + " (" + r.Label + ")"
}

// value writes a value as people read it.
func value(j conduct.Judgement) string {
	var text string
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
	if j.Of > 0 { // not "of": a share of 1 is everything
		text += fmt.Sprintf(" (n=%d)", j.Of)
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
	down := ""
	if t.Down != nil {
		down = fmt.Sprintf("the platform answered again %s after it was killed (the machine's clock)", seconds(t.Down))
	}
	if t.Detect == nil && t.Heal == nil && t.Recover == nil {
		return down
	}
	var all []string
	for _, one := range []struct {
		form string
		s    *float64
	}{{"noticed after %s", t.Detect}, {"first repair after %s", t.Heal}, {"recovered %s after the fault", t.Recover}} {
		if one.s != nil {
			all = append(all, fmt.Sprintf(one.form, seconds(one.s)))
		}
	}
	text := strings.Join(all, ", ")
	if r.Scale > 1 {
		text += " (the app's clock)"
	}
	return strings.TrimPrefix(down+"; "+text, "; ")
}

// gist says in a line why a run did not hold, or what it has withstood.
func gist(r *conduct.Result) string {
	if r.Outcome != conduct.Held {
		if len(r.Reasons) == 0 {
			return ""
		}
		return r.Reasons[0]
	}
	var all []string
	for _, f := range r.Faults {
		all = append(all, fmt.Sprintf("%s, met %d", f.Text, f.Met))
	}
	for _, k := range r.Kills {
		all = append(all, k.Name)
	}
	for _, a := range r.Method {
		if len(r.Faults)+len(r.Kills) == 0 {
			all = append(all, a.Name)
		}
	}
	return clip(strings.Join(all, "; "), 160)
}

// again is the command that runs it again with the same choices.
func again(r *conduct.Result) string {
	text := fmt.Sprintf("daruma experiment run %s --seed %d", r.File, r.Seed)
	if r.Scale > 1 {
		text += fmt.Sprintf(" --time-scale %d", r.Scale)
	}
	if r.Label != "" {
		text += " --semantics " + r.Label
	}
	return text
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
		was := before(p, j)
		if was == nil {
			continue
		}
		x, one := experiment.Number(j.Value)
		y, two := experiment.Number(was.Value)
		switch {
		case was.Outcome != j.Outcome:
			all = append(all, fmt.Sprintf("%s, %s: %s, was %s", j.Probe, j.Phase, value(j), value(*was)))
		case one && two && y != 0 && (x/y > 1.2 || x/y < 0.8):
			all = append(all, fmt.Sprintf("%s, %s: %s, was %s (%+.0f %%)", j.Probe, j.Phase, value(j), value(*was), (x/y-1)*100))
		}
	}
	return all
}

// before is the same judgement in the run before; nil when there is none.
func before(p Pair, j conduct.Judgement) *conduct.Judgement {
	if p.Last == nil {
		return nil
	}
	i := slices.IndexFunc(p.Last.Judged, func(was conduct.Judgement) bool { return was.Probe == j.Probe && was.Phase == j.Phase })
	if i < 0 {
		return nil
	}
	return &p.Last.Judged[i]
}

var past = map[conduct.Outcome]string{conduct.Held: "held", conduct.Deviated: "deviated", conduct.Unknown: "could not be judged"}

// Text writes what a terminal shows.
func Text(w io.Writer, p Pair) error {
	r := p.Now
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n  %s\n", titleOf(r), r.File)
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
	for _, k := range r.Kills {
		fmt.Fprintf(&b, "  killed   %s: kill -9 of the platform, process %d\n", k.Name, k.PID)
	}
	for _, l := range r.Loads {
		for _, ph := range l.Phases {
			fmt.Fprintf(&b, "  load     %-7s %s: %d requests, %d not well, p50 %s ms, p99 %s ms\n", ph.Phase, l.Name, ph.Requests, ph.Errors, number(ph.P50), number(ph.P99))
		}
		for _, why := range whyNotWell(l) {
			fmt.Fprintf(&b, "  load     %s\n", why)
		}
	}
	if r.Account.Accepted > 0 {
		fmt.Fprintf(&b, "  account  %s\n", accountText(r.Account))
	}
	if t := timesText(r); t != "" {
		fmt.Fprintf(&b, "  times    %s\n", t)
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

// whyNotWell says why requests of a load were not well, the most frequent reasons first.
func whyNotWell(l conduct.LoadRun) []string {
	reasons := slices.SortedFunc(maps.Keys(l.Failures), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.Failures[b], l.Failures[a]), cmp.Compare(a, b))
	})
	var all []string
	for _, why := range reasons[:min(len(reasons), reasonsMax)] {
		all = append(all, fmt.Sprintf("%s: %d times: %s", l.Name, l.Failures[why], clip(why, 120)))
	}
	if more := len(reasons) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("%s: and %d other reasons, which the journal has", l.Name, more))
	}
	return all
}

// reasonsMax is how many reasons why requests of a load were not well a terminal shows.
const reasonsMax = 3

// Summary writes how several experiments ended, in a few lines at the end of a terminal; of one there is nothing more to say.
func Summary(w io.Writer, pairs []Pair) error {
	var b strings.Builder
	if len(pairs) > 1 {
		count := map[conduct.Outcome]int{}
		for _, p := range pairs {
			count[p.Now.Outcome]++
		}
		fmt.Fprintf(&b, "\n%d held, %d deviated, %d not judged\n", count[conduct.Held], count[conduct.Deviated], count[conduct.Unknown])
		for _, p := range pairs {
			if p.Now.Outcome != conduct.Held {
				fmt.Fprintf(&b, "  %-10s %s: %s\n             %s\n", words[p.Now.Outcome], titleOf(p.Now), gist(p.Now), again(p.Now))
			}
		}
	}
	for i, s := range scaled(pairs) {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "scaled   %s\n", s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// scaled says what went faster in some of the runs, and what did not, each once.
func scaled(pairs []Pair) (all []string) {
	for _, p := range pairs {
		for _, s := range p.Now.Scaled {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}
