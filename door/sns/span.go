package sns

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/topic"
)

// A Publishing is the span of a request that publishes, from its beginning.
type Publishing struct {
	span daruma.Span
	from daruma.Trace
}

// Begin begins the span of a request that publishes to a topic; header is its
// client's X-Amzn-Trace-Id. Without a valid one a trace begins here, so that
// what the message leads to belongs together.
func Begin(name, header string, now time.Time) *Publishing {
	t := daruma.TraceOf(header, "", now)
	p := &Publishing{span: daruma.Span{ID: daruma.NewSpanID(), Parent: t.Parent, Trace: t.Root, Kind: daruma.SpanSend, Name: "Publish " + name, Source: "topic " + name, At: now}}
	t.Parent = p.span.ID
	p.from = t
	return p
}

// Trace is the header that the messages go on with.
func (p *Publishing) Trace() string { return p.from.String() }

// End returns the span of messages that were published, and of whom they were handed to.
func (p *Publishing) End(now time.Time, done []topic.Published) daruma.Span {
	s := p.span
	s.Duration, s.Outcome, s.Status = now.Sub(s.At), daruma.Done, 200
	for _, is := range done {
		if is.Duplicate {
			continue
		}
		s.Links = append(s.Links, daruma.Link{Message: is.ID})
		for _, h := range is.Handed {
			s.Links = append(s.Links, daruma.Link{Message: h.ID, To: h.To})
		}
	}
	s.Links = s.Links[:min(len(s.Links), daruma.LinksMax)]
	return s
}

// join begins the span of a call that publishes, if somebody wants to be told.
func (d *Door) join(c *call, name string) {
	if d.cfg.Spanned != nil {
		c.publishing = Begin(name, c.HTTP.Header.Get(daruma.TraceHeader), daruma.SystemClock{}.Now())
	}
}

// trace is the header that what a call publishes goes on with.
func (c *call) trace() string {
	if c.publishing != nil {
		return c.publishing.Trace()
	}
	return c.HTTP.Header.Get(daruma.TraceHeader)
}

// tell tells of what was published.
func (d *Door) tell(c *call, done []topic.Published) {
	if c.publishing != nil {
		d.cfg.Spanned(c.publishing.End(daruma.SystemClock{}.Now(), done))
	}
}
