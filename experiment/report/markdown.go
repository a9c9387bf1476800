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

// Markdown writes a comment for a pull request: a table of all, then what is to be known of each that did not hold.
func Markdown(w io.Writer, pairs []Pair) error {
	var b strings.Builder
	count := map[conduct.Outcome]int{}
	for _, p := range pairs {
		count[p.Now.Outcome]++
	}
	fmt.Fprintf(&b, "## Resilience: %d held, %d deviated, %d not judged\n\n| verdict | experiment | why |\n|---|---|---|\n", count[conduct.Held], count[conduct.Deviated], count[conduct.Unknown])
	for _, p := range pairs {
		r := p.Now
		why := ""
		if len(r.Reasons) > 0 {
			why = r.Reasons[0]
		}
		title := r.Title
		if r.Label != "" {
			title += " (" + r.Label + ")"
		}
		fmt.Fprintf(&b, "| **%s** | %s | %s |\n", strings.ToLower(words[r.Outcome]), cell(title), cell(why))
	}
	for _, p := range pairs {
		r := p.Now
		fmt.Fprintf(&b, "\n<details%s><summary>%s: %s</summary>\n\n", open(r), cell(r.Title), strings.ToLower(words[r.Outcome]))
		fmt.Fprintf(&b, "| | phase | probe | value | tolerated |\n|---|---|---|---|---|\n")
		for _, j := range r.Judged {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", strings.ToLower(words[j.Outcome]), j.Phase, cell(j.Probe), cell(value(j)), cell(j.Tolerance))
		}
		fmt.Fprintln(&b)
		if r.Account.Accepted > 0 {
			fmt.Fprintf(&b, "- Account: %s\n", accountText(r.Account))
		}
		if t := timesText(r); t != "" {
			fmt.Fprintf(&b, "- Times: %s\n", t)
		}
		for _, c := range r.Chain {
			fmt.Fprintf(&b, "- %s\n", cell(c))
		}
		for _, s := range r.Scaled {
			fmt.Fprintf(&b, "- Scaled: %s\n", s)
		}
		for _, c := range Compare(p) {
			fmt.Fprintf(&b, "- Compared with the last run: %s\n", cell(c))
		}
		fmt.Fprintf(&b, "\n`%s`, seed %d\n\n</details>\n", r.File, r.Seed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func open(r *conduct.Result) string {
	if r.Outcome == conduct.Held {
		return ""
	}
	return " open"
}
