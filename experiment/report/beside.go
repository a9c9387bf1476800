package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daruma-io/daruma/experiment/conduct"
)

// A comparison is one experiment that was run more than once, each time with a
// label of its own: as on AWS, and with healing.
type comparison struct {
	Title   string
	File    string
	Runs    []*conduct.Result // in the order of the labels; nil where it was not run
	Differs []string          // probes that did not say the same, with what each said
}

// compared sets the runs of each experiment side by side, and returns the
// labels in their order; none when there are fewer than two.
func compared(pairs []Pair) (labels []string, all []comparison) {
	for _, p := range pairs {
		if l := p.Now.Label; l != "" && !slices.Contains(labels, l) {
			labels = append(labels, l)
		}
	}
	if len(labels) < 2 {
		return nil, nil
	}
	for _, p := range pairs {
		i := slices.IndexFunc(all, func(c comparison) bool { return c.File == p.Now.File && c.Title == p.Now.Title })
		if i < 0 {
			i = len(all)
			all = append(all, comparison{Title: p.Now.Title, File: p.Now.File, Runs: make([]*conduct.Result, len(labels))})
		}
		if at := slices.Index(labels, p.Now.Label); at >= 0 {
			all[i].Runs[at] = p.Now
		}
	}
	for i := range all {
		all[i].Differs = differs(labels, all[i].Runs)
	}
	return labels, all
}

// differs says which probes came to another outcome in another run.
func differs(labels []string, runs []*conduct.Result) (all []string) {
	first := runs[0]
	if first == nil {
		return nil
	}
	for _, j := range first.Judged {
		said, same := []string{labels[0] + " " + value(j)}, true
		for i, r := range runs[1:] {
			if r == nil {
				continue
			}
			at := slices.IndexFunc(r.Judged, func(o conduct.Judgement) bool { return o.Probe == j.Probe && o.Phase == j.Phase })
			if at < 0 {
				said, same = append(said, labels[i+1]+" nothing"), false
				continue
			}
			said = append(said, labels[i+1]+" "+value(r.Judged[at]))
			same = same && r.Judged[at].Outcome == j.Outcome
		}
		if !same {
			all = append(all, fmt.Sprintf("%s, %s: %s", j.Probe, j.Phase, strings.Join(said, ", ")))
		}
	}
	return all
}

// verdict is the word for a run, or for none.
func verdict(r *conduct.Result) string {
	if r == nil {
		return "not run"
	}
	return strings.ToLower(words[r.Outcome])
}

// Beside writes the verdicts of each experiment side by side, when they were run with more than one label; else nothing.
func Beside(w io.Writer, pairs []Pair) error {
	labels, all := compared(pairs)
	if labels == nil {
		return nil
	}
	const most = 44
	var b strings.Builder
	pad := func(s string, n int) string { return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) }
	line := func(first string, cells []string) {
		text := "  " + pad(first, most)
		for _, c := range cells {
			text += "  " + pad(c, 10)
		}
		fmt.Fprintln(&b, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(&b)
	line("side by side", labels)
	for _, c := range all {
		cells := make([]string, len(c.Runs))
		for i, r := range c.Runs {
			cells[i] = verdict(r)
		}
		line(clip(c.Title, most), cells)
		for _, d := range c.Differs {
			fmt.Fprintf(&b, "    %s\n", d)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
