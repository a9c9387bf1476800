// Package story tells a trace as a story: a tree of what happened from the first
// door on, with times, waits apart from runs, failures behind the runs that they
// came of, and, when asked, what was logged.
package story

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
)

// A Story is a trace as a tree.
type Story struct {
	console.Trace
	began, ended time.Time
	chapters     []*chapter          // in the order in which they began
	loose        []*ledger.Failure   // failures that belong to no span that is kept
	all          []*chapter          // every chapter with a span, in order
	of           map[string]*chapter // where the runs about a message belong, by its ID
}

// A chapter is a span with what is a part of it.
type chapter struct {
	span     daruma.Span
	missing  bool   // it is not kept, or has not ended; only its parts are known
	handed   string // whom a published message was handed to, when that is all it tells
	also     bool   // a run that is told elsewhere, because it is about other messages, too
	parts    []*chapter
	failures []*ledger.Failure
	lines    []daruma.Line
}

// New makes the story of a trace.
func New(t console.Trace) *Story {
	s := &Story{Trace: t, of: map[string]*chapter{}}
	by := map[string]*chapter{}
	for _, span := range t.Spans {
		c := &chapter{span: span}
		by[span.ID] = c
		s.all = append(s.all, c)
		s.sent(c)
		if from := span.At.Add(-span.Init - span.Wait); s.began.IsZero() || from.Before(s.began) {
			s.began = from
		}
		if end := span.End(); end.After(s.ended) {
			s.ended = end
		}
	}
	for _, c := range s.all {
		parent := s.carried(c)
		if parent == nil {
			parent = by[c.span.Parent]
		}
		if parent == nil && c.span.Kind == daruma.SpanRun && c.span.Parent != "" {
			parent = &chapter{span: daruma.Span{ID: c.span.Parent, At: c.span.At.Add(-c.span.Init - c.span.Wait), Request: c.span.Request, Links: c.span.Links}, missing: true}
			for _, l := range c.span.Links {
				s.of[l.Message] = parent
			}
			by[c.span.Parent] = parent
			s.chapters = append(s.chapters, parent)
		}
		if parent == nil || parent == c {
			s.chapters = append(s.chapters, c)
			continue
		}
		parent.parts = append(parent.parts, c)
	}
	for _, c := range by {
		c.settleWaits()
	}
	for _, c := range s.of {
		c.settleWaits()
	}
	slices.SortStableFunc(t.Failures, func(a, b *ledger.Failure) int { return a.At.Compare(b.At) })
	for _, f := range t.Failures {
		if c := s.last(f.Request, f.At); c != nil {
			c.failures = append(c.failures, f)
		} else {
			s.loose = append(s.loose, f)
		}
	}
	return s
}

// settleWaits has no attempt wait before the one before it has ended: what is
// kept of an attempt for the next one leaves its cold start out.
func (c *chapter) settleWaits() {
	ends := map[string]time.Time{}
	for _, p := range c.parts {
		s := &p.span
		for _, event := range eventsOf(s) {
			if end, ok := ends[event]; ok {
				s.Wait = min(s.Wait, max(0, s.At.Add(-s.Init).Sub(end)))
			}
			ends[event] = s.End()
		}
	}
}

// eventsOf is what a run or a post is an attempt at.
func eventsOf(s *daruma.Span) []string {
	switch {
	case s.Source == daruma.Reproduction:
		return nil
	case len(s.Links) > 0 && (s.Kind == daruma.SpanRun || s.Kind == daruma.SpanPost):
		return messagesOf(s.Links)
	case s.Kind == daruma.SpanRun && s.Attempt > 0:
		return []string{s.Request}
	}
	return nil
}

// last returns the last run of a request that began by then, or what the request is when none has.
func (s *Story) last(request string, then time.Time) (found *chapter) {
	for _, c := range s.all {
		switch {
		case c.span.Request != request && !c.span.About(request) || c.span.At.After(then) || c.span.Source == daruma.Reproduction:
		case found == nil || c.span.Kind == daruma.SpanRun || c.span.Kind == daruma.SpanPost:
			found = c
		}
	}
	return found
}

// Attach puts a line of log to the run that logged it. Lines of an environment
// come in order, and each run begins with one of the platform's: times would
// not do, because lines have the machine's.
func (s *Story) Attach(l daruma.Line) {
	var last *chapter
	for _, c := range s.all {
		if c.span.Kind != daruma.SpanRun || c.span.Request != l.Request || c.span.Environment != l.Environment {
			continue
		}
		if starts(l) {
			if len(c.lines) == 0 {
				c.lines = append(c.lines, l)
				return
			}
		} else if len(c.lines) > 0 || last == nil {
			last = c
		}
	}
	if last != nil && !starts(l) {
		last.lines = append(last.lines, l)
	}
}

// starts says whether a line is the platform's first one of a run.
func starts(l daruma.Line) bool {
	return l.Stream == daruma.Platform && (strings.HasPrefix(l.Text, "START ") || strings.Contains(l.Text, `"platform.start"`))
}

// account says whether a line is the platform's own account of a run: the tree has it.
func account(l daruma.Line) bool {
	if l.Stream != daruma.Platform {
		return false
	}
	for _, begin := range []string{"START ", "END ", "REPORT "} {
		if strings.HasPrefix(l.Text, begin) {
			return true
		}
	}
	return strings.Contains(l.Text, `"type":"platform.`)
}

// unended says whether nothing is known of the end of an event that nobody waited for.
func (s *Story) unended(c *chapter) bool {
	waits := c.span.Kind == daruma.SpanAccept && c.span.Outcome == daruma.Done
	events := []string{c.span.Request}
	if c.span.Kind == daruma.SpanSend {
		waits, events = s.of[firstMessage(c.span)] == c, messagesOf(c.span.Links)
	}
	last := map[string]*chapter{}
	for _, p := range c.parts {
		if p.span.Kind != daruma.SpanRun || p.span.Source == daruma.Reproduction {
			continue
		}
		for _, e := range append(messagesOf(p.span.Links), p.span.Request) {
			last[e] = p
		}
		waits = waits || p.span.Attempt > 0 && slices.Contains(events, p.span.Request)
	}
	if !waits {
		return false
	}
	for _, e := range events {
		if p := last[e]; !s.failed(e) && (p == nil || p.span.Outcome != daruma.Done && !p.also) {
			return true
		}
	}
	return false
}

// Widths of a story's columns.
const (
	width     = 100
	timeWidth = 9
	whatWidth = width - 2*timeWidth - 4
)

// A teller prints a story.
type teller struct {
	out      io.Writer
	terminal bool
	began    time.Time
	story    *Story
}

// Show prints the story, in colours for a terminal.
func (s *Story) Show(out io.Writer, terminal bool) {
	t := teller{out, terminal, s.began, s}
	if len(s.Spans) > 0 {
		fmt.Fprintf(out, "%s  %s, %s\n\n", t.colour(1, s.Trace.Trace), s.began.Local().Format("2006-01-02 15:04:05.000"), took(s.ended.Sub(s.began)))
	} else {
		fmt.Fprintf(out, "%s  its spans are not kept any more\n", t.colour(1, s.Trace.Trace))
	}
	for _, c := range s.chapters {
		t.tell(c, "", "")
	}
	for _, f := range s.loose {
		fmt.Fprintf(out, "%s  %s %s %s: %s\n", t.colour(31, f.Number.String()), f.Hop, f.Function, f.State, reason(f.ErrorType, f.Message))
	}
	if s.More > 0 {
		fmt.Fprintf(out, "and %d spans more\n", s.More)
	}
}

// tell prints a chapter: what it waited for, itself, what it logged, its parts.
// first and rest stand in front of its own line and of those below it.
func (t teller) tell(c *chapter, first, rest string) {
	s, open := c.span, t.story.unended(c)
	if s.Kind == daruma.SpanRun && s.Wait >= time.Millisecond && !c.also {
		t.line(s.At.Add(-s.Init-s.Wait), between(first), waitOf(s), 2, took(s.Wait), nil)
	}
	if s.Cold && !c.also {
		t.line(s.At.Add(-s.Init), between(first), "⋯ cold start of "+s.Environment, 2, took(s.Init), nil)
	}
	label, duration := Label(s), took(s.Duration)
	var paint int
	switch {
	case c.missing && len(s.Links) > 0:
		label, paint, duration = "message "+firstMessage(s)+", of which no more is kept", 2, ""
	case c.missing:
		label, paint, duration = "request "+s.Request+", of which no more is kept yet", 2, ""
	case c.handed != "":
		label, paint, duration = "→ "+c.handed, 32, ""
	case c.also:
		label, paint, duration = s.Function+", in the batch that is told above", 2, ""
	case s.Outcome == daruma.Done && s.Status < 400:
		paint = 32
	case s.Outcome.Ran() || s.Status >= 500:
		paint = 31
	default:
		paint = 33
	}
	if s.Kind == daruma.SpanRun && !s.Outcome.Ran() {
		duration = ""
	}
	t.line(s.At, first, label, paint, duration, c.failures)
	bar := " "
	if len(c.parts) > 0 || open {
		bar = "│"
	}
	for _, l := range c.lines {
		if !account(l) {
			fmt.Fprintf(t.out, "%*s  %s%s  %s\n", timeWidth, "", rest, bar, t.colour(2, strings.ReplaceAll(strings.TrimRight(l.Text, "\n\t "), "\t", " ")))
		}
	}
	for i, p := range c.parts {
		if i == len(c.parts)-1 && !open {
			t.tell(p, rest+"└─ ", rest+"   ")
		} else {
			t.tell(p, rest+"├─ ", rest+"│  ")
		}
	}
	if open {
		t.line(time.Time{}, rest+"└─ ", "⋯ no end is known yet", 2, "", nil)
	}
}

// between is what stands in front of a line that leads to a part.
func between(first string) string {
	return strings.NewReplacer("└─", "│ ", "├─", "│ ").Replace(first)
}

// line prints one line: when, what, how long, and the failures it ended in.
func (t teller) line(at time.Time, lead, text string, paint int, duration string, failures []*ledger.Failure) {
	when := ""
	if !at.IsZero() {
		when = took(max(0, at.Sub(t.began)))
	}
	room := whatWidth - utf8.RuneCountInString(lead)
	text = strings.ReplaceAll(text, "\t", " ")
	if n := utf8.RuneCountInString(text); n > room {
		text = string([]rune(text)[:max(0, room-1)]) + "…"
	}
	gap := strings.Repeat(" ", max(0, room-utf8.RuneCountInString(text)))
	row := fmt.Sprintf("%s  %s%s%s  %*s", t.colour(2, fmt.Sprintf("%*s", timeWidth, when)), lead, t.colour(paint, text), gap, timeWidth, duration)
	fmt.Fprintln(t.out, strings.TrimRight(row, " "))
	for _, f := range failures {
		what := fmt.Sprintf("%s %s", f.Number, f.State)
		if f.Hop == ledger.Destination || f.Hop == ledger.DeadLetter {
			what += ", " + string(f.Hop)
		}
		if letter := letterOf(f); letter != "" {
			what += ", dead letter in " + letter
		}
		if f.Message != "" {
			what += ": " + reason("", f.Message)
		}
		t.line(time.Time{}, strings.NewReplacer("└─", "  ", "├─", "│ ").Replace(lead)+"→ ", what, 31, "", nil)
	}
}

func (t teller) colour(code int, text string) string {
	if !t.terminal || code == 0 {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// Label says what a span is, and how it ended.
func Label(s daruma.Span) string {
	if s.Kind != daruma.SpanRun {
		label := s.Name
		if s.Kind == daruma.SpanPost {
			label += fmt.Sprintf(", attempt %d", s.Attempt)
		}
		if s.Status != 0 {
			label += fmt.Sprintf(" → %d", s.Status)
		}
		if n := len(s.Links); s.Kind == daruma.SpanSend && n > 1 && s.Links[1].To == "" {
			label += fmt.Sprintf(", %d messages", n)
		}
		if s.Kind == daruma.SpanAccept && s.Outcome == daruma.Done {
			label += " accepted"
		}
		if s.ErrorType != "" {
			label += " " + s.ErrorType
		}
		return label
	}
	label := s.Function
	if s.Version != "" && s.Version != "$LATEST" {
		label += ":" + s.Version
	}
	switch {
	case s.Source == daruma.Reproduction:
		label += ", " + s.From + " reproduced"
	case s.From != "":
		label += ", " + s.From + " sent back"
	case s.Source == "destination":
		label += ", destination"
	}
	switch n := len(s.Links); {
	case n == daruma.LinksMax:
		label += fmt.Sprintf(", batch of %d or more", n)
	case n > 1:
		label += fmt.Sprintf(", batch of %d", n)
	case s.Attempt > 0:
		label += fmt.Sprintf(", attempt %d", s.Attempt)
	}
	label += ": " + s.Outcome.String()
	if s.ErrorType != "" {
		label += " " + s.ErrorType
	}
	if len(s.Faults) > 0 {
		label += " [fault " + strings.Join(s.Faults, ", ") + "]"
	}
	return label
}

// reason is the first line of what a failure says.
func reason(errorType, message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if errorType != "" {
		return errorType + ": " + line
	}
	return line
}

// took writes a duration with three figures at most, so that its parts can be compared by eye.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
