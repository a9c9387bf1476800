package sqs

import (
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
)

// A tracing is a call's place in a trace, when it sends messages and somebody
// wants to be told.
type tracing struct {
	at     time.Time
	span   daruma.Span // of the request; its trace is "" when the client names none
	handed string      // the header that messages without one of their own are given: the client's, with the span as its parent
}

// join finds the trace that a call which sends belongs to.
func (d *Door) join(c *call) {
	if d.spanned == nil || c.op != "SendMessage" && c.op != "SendMessageBatch" {
		return
	}
	c.at = daruma.SystemClock{}.Now()
	t, ok := daruma.ParseTrace(c.HTTP.Header.Get(daruma.TraceHeader))
	if !ok {
		return
	}
	c.span.ID, c.span.Trace, c.span.Parent = daruma.NewSpanID(), t.Root, t.Parent
	t.Parent = c.span.ID
	c.handed = t.String()
}

// tell tells of messages that were taken: in one span those that belong to the
// request's trace, in one of its own each of the others, whose trace its
// system attribute names or follows from its ID.
func (d *Door) tell(c *call, is *queue.Queue, messages []queue.Message, took []queue.Sent) {
	if d.spanned == nil {
		return
	}
	sent := daruma.Span{Kind: daruma.SpanSend, Name: "Send " + is.Name, Source: "queue " + is.Name, At: c.at, Duration: daruma.SystemClock{}.Now().Sub(c.at), Outcome: daruma.Done, Status: 200}
	own := sent
	own.ID, own.Trace, own.Parent = c.span.ID, c.span.Trace, c.span.Parent
	for i := range messages {
		link := daruma.Link{Message: took[i].ID.String()}
		if m := &messages[i]; c.handed == "" || m.Trace != c.handed {
			s := sent
			t, ok := daruma.ParseTrace(m.Trace)
			if s.ID, s.Trace, s.Parent = daruma.NewSpanID(), t.Root, t.Parent; !ok {
				t = daruma.TraceOfMessage(took[i].ID)
				s.ID, s.Trace, s.Parent = t.Parent, t.Root, ""
			}
			s.Links = []daruma.Link{link}
			d.spanned(s)
			continue
		}
		if own.Links == nil {
			own.Links = make([]daruma.Link, 0, len(messages))
		}
		own.Links = append(own.Links, link)
	}
	if len(own.Links) > 0 {
		d.spanned(own)
	}
}

// tellRefused tells of a request to send that was refused, if it belongs to a trace.
func (d *Door) tellRefused(c *call, f *failure) {
	if c.span.Trace == "" {
		return
	}
	s := c.span
	s.Kind, s.Name, s.At, s.Duration = daruma.SpanSend, "Send "+c.in.QueueURL[strings.LastIndexByte(c.in.QueueURL, '/')+1:], c.at, daruma.SystemClock{}.Now().Sub(c.at)
	s.Outcome, s.ErrorType, s.Status = daruma.Refused, f.code, f.status
	d.spanned(s)
}
