package story

import (
	"encoding/json"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// sent notes where the runs about the messages of a send belong: below it, or,
// when it was published, below a line for each that it was handed to.
func (s *Story) sent(c *chapter) {
	if c.span.Kind != daruma.SpanSend {
		return
	}
	for _, l := range c.span.Links {
		switch {
		case l.To != "":
			part := &chapter{handed: l.To, span: daruma.Span{Kind: daruma.SpanSend, At: c.span.At, Outcome: daruma.Done, Links: []daruma.Link{{Message: l.Message}}}}
			c.parts = append(c.parts, part)
			s.of[l.Message] = part
		case strings.HasPrefix(c.span.Source, "queue "):
			s.of[l.Message] = c
		}
	}
}

// carried returns what a run about messages belongs below, by them. A run about
// messages that were sent by several is told below the first, and named below
// the others.
func (s *Story) carried(c *chapter) (parent *chapter) {
	if c.span.Kind != daruma.SpanRun {
		return nil
	}
	named := map[*chapter]bool{}
	for _, id := range append(messagesOf(c.span.Links), c.span.Request) {
		switch of := s.of[id]; {
		case of == nil || named[of]:
		case parent == nil:
			parent, named[of] = of, true
		default:
			named[of] = true
			of.parts = append(of.parts, &chapter{span: c.span, also: true})
		}
	}
	return parent
}

// failed says whether a message or a request is a failure of this story.
func (s *Story) failed(event string) bool {
	for _, f := range s.Failures {
		if f.Request == event {
			return true
		}
	}
	return false
}

func messagesOf(links []daruma.Link) []string {
	ids := make([]string, 0, len(links)+1)
	for _, l := range links {
		ids = append(ids, l.Message)
	}
	return ids
}

// firstMessage is the first message a span is about, or "".
func firstMessage(s daruma.Span) string {
	if len(s.Links) == 0 {
		return ""
	}
	return s.Links[0].Message
}

// waitOf says what a run has waited for.
func waitOf(s daruma.Span) string {
	if name, ok := strings.CutPrefix(s.Source, "queue "); ok {
		return "⋯ waited in " + name
	}
	return "⋯ waited"
}

// letterOf is the dead-letter queue that a failure's message is in, or "".
func letterOf(f *ledger.Failure) string {
	var is struct {
		DeadLetter string `json:"deadLetter"`
	}
	if f.Hop != ledger.Queued || json.Unmarshal(f.Handover, &is) != nil {
		return ""
	}
	return is.DeadLetter
}
