package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/daruma-io/daruma/experiment/conduct"
)

// cell makes a text safe within a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", ">", "&gt;", "`", "'").Replace(s)
}

// summary makes a text safe within an element.
func summary(s string) string {
	return strings.NewReplacer("\n", " ", "&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// markdownMax bounds a comment: GitHub takes 65,536 characters.
const markdownMax = 60_000

// Markdown writes a comment for a pull request: a table of all, then what is to be known of each that did not hold.
func Markdown(w io.Writer, pairs []Pair) error {
	var b strings.Builder
	count := map[conduct.Outcome]int{}
	for _, p := range pairs {
		count[p.Now.Outcome]++
	}
	fmt.Fprintf(&b, "## Resilience: %d held, %d deviated, %d not judged\n\n", count[conduct.Held], count[conduct.Deviated], count[conduct.Unknown])
	if labels, all := compared(pairs); labels != nil {
		fmt.Fprintf(&b, "| experiment | %s | what differs |\n|---|%s---|\n", strings.Join(labels, " | "), strings.Repeat("---|", len(labels)))
		for _, c := range all {
			fmt.Fprintf(&b, "| %s |", cell(c.Title))
			for _, r := range c.Runs {
				fmt.Fprintf(&b, " **%s** |", verdict(r))
			}
			fmt.Fprintf(&b, " %s |\n", cell(strings.Join(c.Differs, "; ")))
		}
	} else {
		fmt.Fprintf(&b, "| verdict | experiment | recovered after | |\n|---|---|---|---|\n")
		for _, p := range pairs {
			recovered := ""
			if p.Now.Times.Recover != nil {
				recovered = seconds(p.Now.Times.Recover)
			}
			fmt.Fprintf(&b, "| **%s** | %s | %s | %s |\n", verdict(p.Now), cell(titleOf(p.Now)), recovered, cell(gist(p.Now)))
		}
	}
	for _, s := range scaled(pairs) {
		fmt.Fprintf(&b, "\nScaled: %s\n", s)
	}
	left := 0
	for _, outcome := range []conduct.Outcome{conduct.Deviated, conduct.Unknown, conduct.Held} { // should there be no room for all
		for _, p := range pairs {
			if p.Now.Outcome != outcome {
				continue
			}
			if text := details(p); b.Len()+len(text) < markdownMax {
				b.WriteString(text)
			} else {
				left++
			}
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\nOf %d more there is no room here for the details: they are in report.html.\n", left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// details tells of one run, to be unfolded.
func details(p Pair) string {
	r := p.Now
	var b strings.Builder
	fmt.Fprintf(&b, "\n<details%s><summary>%s: %s</summary>\n\n", open(r), summary(titleOf(r)), verdict(r))
	last := p.Last != nil
	if last {
		fmt.Fprintf(&b, "| | phase | probe | value | tolerated | last run |\n|---|---|---|---|---|---|\n")
	} else {
		fmt.Fprintf(&b, "| | phase | probe | value | tolerated |\n|---|---|---|---|---|\n")
	}
	for _, j := range r.Judged {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |", strings.ToLower(words[j.Outcome]), j.Phase, cell(j.Probe), cell(value(j)), cell(j.Tolerance))
		if was := before(p, j); was != nil {
			fmt.Fprintf(&b, " %s |", cell(value(*was)))
		} else if last {
			b.WriteString(" |")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintln(&b)
	if r.Account.Accepted > 0 {
		fmt.Fprintf(&b, "- Account: %s\n", accountText(r.Account))
	}
	if t := timesText(r); t != "" {
		fmt.Fprintf(&b, "- Times: %s\n", t)
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(&b, "- Warning: %s\n", cell(s))
	}
	for _, c := range r.Chain {
		fmt.Fprintf(&b, "- %s\n", cell(c))
	}
	for _, c := range Compare(p) {
		fmt.Fprintf(&b, "- Compared with the last run: %s\n", cell(c))
	}
	fmt.Fprintf(&b, "\n`%s`\n\n</details>\n", again(r))
	return b.String()
}

func open(r *conduct.Result) string {
	if r.Outcome == conduct.Held {
		return ""
	}
	return " open"
}
