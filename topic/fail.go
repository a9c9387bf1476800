package topic

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// Why a message was given up.
const (
	conditionRefused   = "EndpointRefused"  // what it was handed to says no, and always will
	conditionExhausted = "RetriesExhausted" // it was posted as often as the policy says
)

// An ending is how a message ended that a subscription did not take.
type ending struct {
	condition string
	message   string
	tried     []ledger.Attempt
	posts     int
	from      uint64 // the failure it was redriven from
}

// undelivered is what the ledger keeps beside the event, to hand it on again.
type undelivered struct {
	Topic        string               `json:"topic"`
	Subscription string               `json:"subscription"`
	Endpoint     delivery.Destination `json:"endpoint"`
	Message      Message              `json:"message"`
}

// giveUp puts a message aside that a subscription cannot take: into its
// dead-letter queue and into the ledger, as what would have been delivered.
func (w *work) giveUp(b *book, n Notification, e ending) error {
	b.Failed++
	s, m := n.Subscription, n.Message
	body := w.delivered(n)
	did := "gave it up and kept it here"
	if s.DeadLetter != "" {
		if why := w.deadLetter(n, body); why != nil {
			b.DeadLetterErrors++
			did += "; the dead-letter queue " + s.DeadLetter + " did not take it: " + why.Error()
		} else {
			b.DeadLetters++
			did = "sent it to the dead-letter queue " + s.DeadLetter + ", and kept it here"
		}
	}
	kept := *m
	kept.Signatures = nil
	f := ledger.Failure{Hop: ledger.Published, Function: n.Topic.Name, Condition: e.condition, ErrorType: e.condition, Message: e.message, Attempts: e.tried, Runs: e.posts,
		Accepted: m.At, Request: m.ID, Trace: traceRoot(m.Trace), TraceHeader: m.Trace, Source: "subscription of " + s.Endpoint.String(), Client: m.Sender, Depth: m.Depth,
		Did: did, Next: "make " + s.Endpoint.String() + " able to take it, then redrive it", From: ledger.ID(e.from)}
	var err error
	if f.Handover, err = json.Marshal(undelivered{n.Topic.Name, s.ID, s.Endpoint, kept}); err != nil {
		return err
	}
	_, err = ledger.Record(w.tx, f, m.Body)
	return err
}

// delivered is what would have been delivered.
func (w *work) delivered(n Notification) []byte {
	switch {
	case n.Subscription.Raw:
		return n.Text
	case n.Subscription.Endpoint.Kind == Function:
		return w.m.cfg.Composer.Event(n)
	case n.Subscription.Endpoint.Kind == Post:
		return w.m.cfg.Composer.Request(n).Body
	}
	return w.m.cfg.Composer.Letter(n)
}

// deadLetter sends what would have been delivered to the dead-letter queue, or says why not.
func (w *work) deadLetter(n Notification, body []byte) error {
	l := Letter{Body: body, Group: n.Message.Group, Once: n.Message.Once, Trace: n.Message.Trace, Sender: n.Topic.Name}
	if n.Subscription.Raw && len(n.Message.Attributes) <= QueueAttributes {
		l.Attributes = n.Message.Attributes
	}
	cmd, err := w.m.cfg.Send(n.Subscription.DeadLetter, l)
	if err == nil {
		_, err = w.tx.Do(cmd)
	}
	return err
}

// traceRoot is the root of a trace header: "1-5759e988-bd862e3fe1be46a994272793".
func traceRoot(header string) string {
	for part := range strings.SplitSeq(header, ";") {
		if root, ok := strings.CutPrefix(strings.TrimSpace(part), "Root="); ok {
			return root
		}
	}
	return ""
}

// Undelivered returns a failure of this hop as one of the function that did not
// get the message, with the event it would have got of a body.
//
// Errors: KindUnsupported when the subscription is no function's, KindNotFound
// when the topic or the subscription is gone.
func (t *Topics) Undelivered(f *ledger.Failure, body []byte) (*ledger.Failure, []byte, error) {
	wrong := func(kind daruma.Kind, err error) (*ledger.Failure, []byte, error) {
		return nil, nil, &daruma.Error{Op: "read undelivered message", Ref: f.Number.String(), Kind: kind, Err: err, Hint: "send it on its way again: daruma failures redrive " + f.Number.String()}
	}
	var is undelivered
	if json.Unmarshal(f.Handover, &is) != nil || is.Endpoint.Kind != Function {
		return wrong(daruma.KindUnsupported, errors.New("no function failed here: "+f.Did))
	}
	t.machine.mu.RLock()
	k := t.machine.known[is.Topic]
	t.machine.mu.RUnlock()
	if k == nil {
		return wrong(daruma.KindNotFound, ErrNoTopic)
	}
	s := k.find(is.Subscription)
	if s == nil {
		return wrong(daruma.KindNotFound, ErrNoSubscription)
	}
	m := is.Message
	m.Body = body
	n := Notification{Topic: k.topic, Subscription: s.Subscription, Message: &m}
	n.Text, _ = m.text(s.Protocol)
	if !k.topic.FIFO && !s.Raw {
		n.Signature = t.machine.cfg.Composer.Sign(k.topic, &m, n.Text)
	}
	of := *f
	of.Function, of.Qualifier = is.Endpoint.Name, is.Endpoint.Qualifier
	return &of, t.machine.cfg.Composer.Event(n), nil
}

type redriving struct {
	ID     ledger.ID `json:"id"`
	Body   []byte    `json:"body,omitempty"`
	Edited bool      `json:"edited,omitempty"`
}

// A Redriven says what came of a redrive.
type Redriven struct {
	Request string // the ID of the message
	Already bool   // it was redriven before; nothing happened
}

// redrive hands a message to its subscription again.
func (w *work) redrive(c redriving) (any, error) {
	f, event, already, err := ledger.Redrive(w.tx, c.ID)
	if err != nil {
		return nil, err
	}
	var is undelivered
	if f.Hop != ledger.Published || json.Unmarshal(f.Handover, &is) != nil {
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Err: errors.New("it is no message of a topic, or how it was published was too much to be kept")}
	}
	if already {
		return Redriven{Request: f.Request, Already: true}, nil
	}
	if c.Edited {
		event = c.Body
	} else if len(f.Redacted) > 0 {
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New("its event is not whole: " + strings.Join(f.Redacted, ", ") + " were not kept"), Hint: "give the whole event to redrive"}
	}
	k, err := w.topic(is.Topic)
	if err != nil {
		return nil, err
	}
	s := k.find(is.Subscription)
	if s == nil || s.Pending {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: is.Endpoint.String(), Err: ErrNoSubscription, Hint: "subscribe it again and publish, or discard the failure"}
	}
	b, err := w.book(is.Topic)
	if err != nil {
		return nil, err
	}
	m := is.Message
	m.Body = event
	if c.Edited {
		m.Texts = nil
	}
	if err := m.validate(is.Topic); err != nil {
		return nil, err
	}
	b.Matched++
	_, err = w.hand(k, b, s, &m, uint64(c.ID))
	return Redriven{Request: m.ID}, err
}
