package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// A Narrator is told what happens. Tell may be called from any goroutine.
type Narrator interface {
	Tell(l Line)
}

// A Kind says what a line is about.
type Kind string

// The kinds of lines.
const (
	Step     Kind = "step"     // something that had to be done
	Fall     Kind = "fall"     // a fall begins
	Happened Kind = "happened" // a part of it was seen
	Closing  Kind = "account"  // the account at the end
)

// A Part says which part of a fall was seen.
type Part string

// The parts of a fall.
const (
	Fell   Part = "fell"
	Caught Part = "caught"
	Told   Part = "told"
	Stood  Part = "stood up"
)

// A Line is one entry of the journal.
type Line struct {
	Seconds float64  `json:"seconds"` // since the demonstration began
	Kind    Kind     `json:"kind"`
	Fall    int      `json:"fall,omitempty"`
	Title   string   `json:"title,omitempty"`
	Part    Part     `json:"part,omitempty"`
	Text    string   `json:"text,omitempty"`
	Account *Account `json:"account,omitempty"`
}

// A Journal tells programs, a line of JSON each.
type Journal struct {
	mu  sync.Mutex
	out io.Writer
}

// NewJournal returns a narrator for programs that read out.
func NewJournal(out io.Writer) *Journal { return &Journal{out: out} }

// Tell writes a line.
func (j *Journal) Tell(l Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = json.NewEncoder(j.out).Encode(l) // who does not read it any more misses nothing
}

// Width is how wide what a Teller writes is at most, in characters.
const Width = 80

// A Teller tells people. It writes plain text, and colours if it may.
type Teller struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
}

// NewTeller returns a narrator for people who read out.
func NewTeller(out io.Writer, colour bool) *Teller { return &Teller{out: out, colour: colour} }

// Colours, by their numbers in ECMA-48.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
)

func (t *Teller) paint(colour, text string) string {
	if !t.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Tell writes a line.
func (t *Teller) Tell(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch l.Kind {
	case Step:
		t.paragraph("", "", fmt.Sprintf("%5.1f s", l.Seconds), l.Text)
	case Fall:
		fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, fmt.Sprintf("%7d   %s", l.Fall, l.Title)))
	case Happened:
		colour := map[Part]string{Fell: red, Stood: green}[l.Part]
		t.paragraph(colour, string(l.Part), fmt.Sprintf("%5.1f s", l.Seconds), l.Text)
	case Closing:
		t.account(l)
	}
}

// paragraph writes a time, a word and a text that is broken into lines.
func (t *Teller) paragraph(colour, word, at, text string) {
	indent := 10
	if word != "" {
		indent = 20
		word = t.paint(colour, fmt.Sprintf("%-10s", word))
	}
	for i, line := range wrap(text, Width-indent) {
		if i == 0 {
			fmt.Fprintf(t.out, "%s   %s%s\n", t.paint(faint, at), word, line)
			continue
		}
		fmt.Fprintf(t.out, "%*s%s\n", indent, "", line)
	}
}

// wrap breaks a text between words; a longer word has a line of its own.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// account writes the account.
func (t *Teller) account(l Line) {
	a := l.Account
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, "          The account, counted from outside"))
	row := func(colour, name string, n int, text string) {
		if text != "" {
			text = "   " + t.paint(faint, text)
		}
		fmt.Fprintf(t.out, "          %s  %6d%s\n", t.paint(colour, fmt.Sprintf("%-12s", name)), n, text)
	}
	row("", "accepted", a.Accepted, "orders that were answered with 202")
	row("", "done", a.Done, "charged by the bank, and the buyer told")
	row("", "kept", a.Kept, strings.TrimSuffix("failed, in the ledger as "+strings.Join(a.Failures, ", "), " as "))
	row("", "in progress", a.InProgress, "")
	colour := green
	if a.Lost > 0 {
		colour = red
	}
	row(colour, "lost", a.Lost, "")
	row("", "asked twice", a.Repeated, "orders the bank knew, and charged once")
	verdict := t.paint(green, "It closes: ") + "what was accepted is done, kept or in progress."
	if !a.Closes() {
		verdict = t.paint(red, "It does not close.")
	}
	fmt.Fprintf(t.out, "\n%s   %s\n", t.paint(faint, fmt.Sprintf("%5.1f s", l.Seconds)), verdict)
}
