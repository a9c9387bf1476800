package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of one message.
const (
	detailedMax   = 20 // notices with everything that is known; the rest are counted
	eventBytesMax = 4 << 10
	textBytesMax  = 1 << 10 // of a message of an error, of evidence
)

// A Message is what one owner is told through one channel at one time. As JSON
// it is what webhooks and commands are given; version 1 grows fields and loses none.
type Message struct {
	Version int             `json:"version"`
	ID      ledger.NoticeID `json:"id"` // of the first notice
	App     string          `json:"app"`
	Owner   string          `json:"owner,omitempty"`
	Channel string          `json:"channel"`
	Sent    time.Time       `json:"sent"`
	Summary string          `json:"summary"`        // in one line
	Test    bool            `json:"test,omitempty"` // nothing has happened: somebody tries the channel
	Notices []Notice        `json:"notices"`
	More    int             `json:"more,omitempty"` // notices this message stands for that are not in it
}

// A Notice is one thing an owner is told. Its ID is the same if it is told again.
type Notice struct {
	ID       ledger.NoticeID `json:"id"`
	At       time.Time       `json:"at"`
	Occasion ledger.Occasion `json:"occasion"`
	Function string          `json:"function,omitempty"`
	Group    *Group          `json:"group,omitempty"`
	Failure  *Failure        `json:"failure,omitempty"`
	Repair   *Repair         `json:"repair,omitempty"`
	Commands []string        `json:"commands,omitempty"` // what to do about it
}

// A Group is what is known of failures alike.
type Group struct {
	ID        ledger.GroupID  `json:"id"`
	Status    ledger.Status   `json:"status"`
	ErrorType string          `json:"errorType,omitempty"`
	Message   string          `json:"message,omitempty"`
	Location  ledger.Location `json:"location,omitzero"`
	Count     int64           `json:"count"` // ever
	Open      int64           `json:"open"`
	First     time.Time       `json:"first"`
	Last      time.Time       `json:"last"`
}

// A Failure is the last failure of a group, or the one that caused a repair.
type Failure struct {
	ID         ledger.ID       `json:"id"`
	Hop        ledger.Hop      `json:"hop"`
	Condition  string          `json:"condition,omitempty"`
	Request    string          `json:"request,omitempty"`
	Trace      string          `json:"trace,omitempty"`
	Event      json.RawMessage `json:"event,omitempty"`
	EventBytes int             `json:"eventBytes"`
	EventWhy   string          `json:"eventOmitted,omitempty"` // why it is not here
	Faults     []string        `json:"faults,omitempty"`       // asked for, that met it: "FT-3 error"
}

// A Repair is what the platform does by itself.
type Repair struct {
	ID        ledger.RepairID `json:"id"`
	What      string          `json:"what"`
	Why       string          `json:"why"`
	Undo      string          `json:"undo"`
	Evidence  string          `json:"evidence,omitempty"`
	Outcome   string          `json:"outcome,omitempty"`
	Begun     time.Time       `json:"begun"`
	Completed time.Time       `json:"completed,omitzero"`
}

// compose makes a message of the notices that wait for a lane.
func (n *Notifier) compose(ctx context.Context, key laneKey, notices []*ledger.Notice) (Message, error) {
	m := Message{Version: 1, ID: notices[0].Number, App: n.cfg.App, Owner: key.owner, Channel: key.channel, Sent: n.cfg.Clock.Now(), Notices: []Notice{}}
	for i, one := range notices {
		if i == detailedMax {
			m.More = len(notices) - i
			break
		}
		d, err := n.detail(ctx, one)
		if err != nil {
			return m, err
		}
		m.Notices = append(m.Notices, d)
	}
	m.Summary = m.summary()
	return m, nil
}

// detail adds what is known of a notice's matter. What the ledger has dropped since is left out.
func (n *Notifier) detail(ctx context.Context, from *ledger.Notice) (Notice, error) {
	d := Notice{ID: from.Number, At: from.At, Occasion: from.Occasion, Function: from.Function}
	gone := func(err error) bool { return daruma.KindOf(err) == daruma.KindNotFound }
	failure := from.Failure
	if from.Group != 0 {
		g, err := n.cfg.Record.Group(ctx, from.Group)
		if err != nil && !gone(err) {
			return d, err
		}
		if err == nil {
			d.Group = &Group{ID: g.Number, Status: g.Status(n.cfg.Clock.Now()), ErrorType: g.ErrorType, Message: ledger.Cut(g.Message, textBytesMax), Location: g.Location,
				Count: g.Count, Open: g.Open, First: g.First, Last: g.Last}
			failure = g.LastID
		}
	}
	if failure != 0 {
		f, event, err := n.cfg.Record.Failure(ctx, failure)
		if err != nil && !gone(err) {
			return d, err
		}
		if err == nil {
			d.Failure = n.failure(f, event)
			d.Commands = []string{"daruma failures show " + f.Number.String(), "daruma reproduce " + f.Number.String(), "daruma failures redrive " + f.Number.String()}
		}
	}
	if from.Repair != 0 {
		r, err := n.cfg.Record.Repair(ctx, from.Repair)
		if err != nil && !gone(err) {
			return d, err
		}
		if err == nil {
			d.Repair = &Repair{ID: r.Number, What: r.What, Why: r.Why, Undo: r.Undo, Evidence: ledger.Cut(r.Evidence, textBytesMax), Outcome: r.Outcome, Begun: r.At, Completed: r.Completed}
			d.Commands = append([]string{"daruma healing show " + r.Number.String()}, d.Commands...)
		}
	}
	return d, nil
}

// failure is what is told of one failure. Its event comes along when it is
// small and nothing in it may be sensitive.
func (n *Notifier) failure(f *ledger.Failure, event []byte) *Failure {
	out := &Failure{ID: f.Number, Hop: f.Hop, Condition: f.Condition, Request: f.Request, Trace: f.Trace, EventBytes: f.EventBytes, Faults: f.Faults}
	switch {
	case n.cfg.Subject(f.Function).Sensitive || len(f.Redacted) > 0:
		out.EventWhy = "the function declares sensitive fields"
	case len(event) > eventBytesMax:
		out.EventWhy = fmt.Sprintf("it is larger than %d bytes", eventBytesMax)
	case json.Valid(event):
		out.Event = event
	case utf8.Valid(event):
		out.Event, _ = json.Marshal(string(event)) // a string can be written
	default:
		out.EventWhy = "it is not text"
	}
	if out.EventWhy != "" {
		out.EventWhy += ": daruma failures show " + f.Number.String()
	}
	return out
}

// summary says a message in one line.
func (m Message) summary() string {
	if len(m.Notices) == 0 {
		return m.App + ": nothing is known any more"
	}
	text := m.App + ": " + m.Notices[0].line()
	if more := len(m.Notices) - 1 + m.More; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return oneLine(text, 200)
}

// line says a notice in one line.
func (n Notice) line() string {
	switch {
	case n.Repair != nil && n.Repair.Outcome != "":
		return fmt.Sprintf("%s %s: %s, because %s: %s", n.Repair.ID, n.Occasion, n.Repair.What, n.Repair.Why, n.Repair.Outcome)
	case n.Repair != nil:
		return fmt.Sprintf("%s %s: %s, because %s", n.Repair.ID, n.Occasion, n.Repair.What, n.Repair.Why)
	case n.Group != nil:
		what := strings.TrimSpace(n.Group.ErrorType + ": " + n.Group.Message)
		if at := n.Group.Location.String(); at != "" {
			what += " (" + at + ")"
		}
		return fmt.Sprintf("%s %s in %s: %s, %d so far", n.Group.ID, n.Occasion, n.Function, oneLine(what, 160), n.Group.Count)
	}
	return fmt.Sprintf("%s %s in %s; the ledger does not have it any more", n.ID, n.Occasion, n.Function)
}

// text says a notice in lines for people.
func (n Notice) text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if s := oneLine(fmt.Sprintf(format, args...), textBytesMax); s != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", name, s)
		}
	}
	b.WriteString(oneLine(n.line(), textBytesMax) + "\n")
	line("function", "%s", n.Function)
	if g := n.Group; g != nil {
		line("error", "%s: %s", g.ErrorType, g.Message)
		line("at", "%s", g.Location)
		line("seen", "%d so far, %d open, first %s, last %s", g.Count, g.Open, g.First.UTC().Format(time.RFC3339), g.Last.UTC().Format(time.RFC3339))
	}
	if r := n.Repair; r != nil {
		line("evidence", "%s", r.Evidence)
		line("undo", "%s", r.Undo)
	}
	if f := n.Failure; f != nil {
		line("failure", "%s, request %s", f.ID, f.Request)
		line("trace", "%s", f.Trace)
		if len(f.Faults) > 0 {
			line("fault", "%s: somebody asked for it", strings.Join(f.Faults, ", "))
		}
		line("event", "%s", string(f.Event)+f.EventWhy)
	}
	for _, c := range n.Commands {
		line("", "%s", c)
	}
	return b.String()
}

// text says a message in lines for people.
func (m Message) text() string {
	var b strings.Builder
	if m.Test {
		b.WriteString("This is a test: nothing has happened.\n\n")
	}
	for _, n := range m.Notices {
		b.WriteString(n.text() + "\n")
	}
	if m.More > 0 {
		fmt.Fprintf(&b, "And %d more: daruma failures ls --state open\n", m.More)
	}
	if m.Owner != "" {
		fmt.Fprintf(&b, "You are told because you own this: %s\n", m.Owner)
	}
	return b.String()
}

// oneLine returns s without control characters, cut to n bytes.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
	if cut := ledger.Cut(s, n); len(cut) < len(s) {
		return cut + "…"
	}
	return s
}
