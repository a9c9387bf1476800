package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/experiment/conduct"
)

// both is one experiment as it was run as on AWS, and with healing, and another that was interrupted between the two.
func both() []Pair {
	strict, resilient, alone := result(conduct.Deviated), result(conduct.Held), result(conduct.Held)
	strict.Label, resilient.Label = "strict", "resilient"
	resilient.Judged[1].Value = 0.05
	alone.Title, alone.File, alone.Label = "Alone", "y.yaml", "strict"
	return []Pair{{Now: strict}, {Now: alone}, {Now: resilient}}
}

func TestVerdictsOfBothSemanticsStandSideBySide(t *testing.T) {
	var terminal, markdown, page bytes.Buffer
	if err := Beside(&terminal, both()); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&markdown, both()); err != nil {
		t.Fatal(err)
	}
	if err := HTML(&page, "Resilience", both(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(terminal.String()), " ")
	for _, want := range []string{
		`side by side strict resilient <b>Bank</b> | "down" deviated held errors, during: strict 0.5 (n=30), resilient 0.05 (n=30) Alone held not run`,
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("the terminal has no %q:\n%s", want, terminal.String())
		}
	}
	for _, want := range []string{
		"| experiment | strict | resilient | what differs |\n|---|---|---|---|\n",
		`| &lt;b&gt;Bank&lt;/b&gt; \| "down" | **deviated** | **held** | errors, during: strict 0.5 (n=30), resilient 0.05 (n=30) |`,
		"| Alone | **held** | **not run** |  |",
		`(resilient): held</summary>`,
	} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("the Markdown has no %q:\n%s", want, markdown.String())
		}
	}
	for _, want := range []string{
		`<th>Experiment</th><th>strict</th><th>resilient</th><th>What differs</th>`,
		`<td class="word deviated"><a href="#e1">deviated</a></td><td class="word held"><a href="#e3">held</a></td>`,
		`<td class="word held"><a href="#e2">held</a></td><td class="word ">not run</td>`,
		`<section id="e3">`,
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func TestNothingStandsBesideARunThatHasNoOther(t *testing.T) {
	var b bytes.Buffer
	if err := Beside(&b, []Pair{{Now: result(conduct.Held)}}); err != nil || b.Len() > 0 {
		t.Errorf("got %q, %v", b.String(), err)
	}
}
