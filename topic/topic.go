// Package topic holds topics: what is published to one is handed to every
// subscription that wants it.
//
//	publish ─► topic ─┬─► a queue           in the same step
//	                  ├─► a function        a delivery, in the same step
//	                  └─► a post ─► waiting ──posted──► delivered
//	                                  ▲        │  │
//	                                  └─ later ┘  └──► given up: dead letter and ledger, in one step
//
// A FIFO topic may keep what was published in an archive, out of which a
// subscription may want it again: [Replay].
//
// Publishing is one atomic step of the cell: all queues have their message, all
// functions their delivery, all endpoints outside their post, or nothing was
// published. What a subscription cannot take is in its dead-letter queue and in
// the ledger in that same step, and hinders no other. Posts are handed out by
// package post and settled here.
//
// It promises that what was published reaches each subscription that wanted it
// at that moment at least once, or ends in the ledger; that a FIFO topic hands
// on in the order in which it took, and nothing twice within five minutes; and
// that the account of a topic closes at any moment: matched = delivered +
// waiting + failed + dropped. It does not promise an order of posts. The rules
// are those of the developer guide of the service it stands for; see
// docs/semantics/topics.md.
//
// What a message looks like to who gets it is a [Composer]'s to say. In memory
// there are topics, subscriptions with their compiled policies, and how many
// posts wait for each. The methods of [Topics] may be called from any goroutine.
package topic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
)

// Limits of topics.
const (
	NameBytesMax     = 256
	TopicsMax        = 10_000
	SubscriptionsMax = 1_000     // of one topic
	MessageBytesMax  = 256 << 10 // text and attributes, and those of a batch together
	PublishMax       = 100       // messages in one command
	GroupBytesMax    = 128       // of a group's name and of what a message is known by
	EndpointBytesMax = 2 << 10
	QueueAttributes  = 10 // that go along raw to a queue
	OnceFor          = 5 * time.Minute
	ConfirmFor       = 72 * time.Hour // how long a subscription may wait to be confirmed
	DepthMax         = delivery.DepthMax

	labelsBytesMax = 300 << 10
	textBytesMax   = 4 << 10 // any other text of a message
)

// Kinds of endpoints.
const (
	Queue    = "queue"
	Function = delivery.FunctionKind
	Post     = "post" // an HTTP or HTTPS URL
)

// Kind is a topic's kind as a destination of events ([delivery.Config]).
const Kind = "topic"

// What is refused, beside what is wrong with a request. Match with errors.Is.
var (
	ErrNoTopic        = errors.New("there is no such topic")
	ErrNoSubscription = errors.New("there is no such subscription")
	ErrToken          = errors.New("no subscription waits for this token")
	ErrAttributes     = errors.New("it exists already, with other attributes")
	ErrTags           = errors.New("it exists already, with other tags")
	ErrChanged        = errors.New("it was changed meanwhile")
	ErrArchive        = errors.New("it keeps an archive")
	ErrNoArchive      = errors.New("it keeps no archive")
	ErrReplays        = errors.New("too many replays are on their way")
	errNoFIFOTarget   = errors.New("its endpoint takes nothing from a FIFO topic")
)

// A Message is what is published.
type Message struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"` // when it was published; it is signed. A FIFO topic says it, in the order of its numbers
	Subject    string            `json:"subject,omitempty"`
	Body       []byte            `json:"-"`
	Texts      map[string]string `json:"texts,omitempty"` // instead of Body, by the label of a protocol
	Attributes []Attribute       `json:"attributes,omitempty"`
	Group      string            `json:"group,omitempty"` // required in a FIFO topic; others hand it to queues
	Once       string            `json:"once,omitempty"`  // FIFO: another message with the same text is not taken for five minutes
	Trace      string            `json:"trace,omitempty"` // X-Amzn-Trace-Id, handed on
	Sender     string            `json:"sender,omitempty"`
	Depth      int               `json:"depth,omitempty"`  // how many destinations it came through
	Number     uint64            `json:"number,omitempty"` // of a FIFO topic: the how manyth; given when it is taken

	Replayed bool `json:"replayed,omitempty"` // it comes out of the archive once more

	// Signatures are those of its texts, by the label of a protocol, "" for
	// Body. What is missing and needed is signed while the command is applied.
	Signatures map[string]string `json:"signatures,omitempty"`
}

// An Attribute goes with a message.
type Attribute struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // "String", "String.Array", "Number", "Binary", with a further word behind a dot
	Value []byte `json:"value"`
}

// Size is how many bytes of a message count.
func (m *Message) Size() int {
	n := len(m.Body)
	for _, text := range m.Texts {
		n += len(text)
	}
	for i := range m.Attributes {
		a := &m.Attributes[i]
		n += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return n
}

// text is what those get who speak the protocol with a label, and under which
// label it was signed.
func (m *Message) text(label string) (text []byte, signed string) {
	if s, ok := m.Texts[label]; ok {
		return []byte(s), label
	}
	return m.Body, ""
}

// A Notification is a message on its way to one subscription.
type Notification struct {
	Topic        *Topic
	Subscription *Subscription
	Message      *Message
	Text         []byte // of the message, for this protocol
	Signature    string // of Text; "" in a FIFO topic
}

// A Composer writes what endpoints get. It depends on nothing but what it is
// given, and may be called from any goroutine.
type Composer interface {
	// Sign returns the signature of a message with a text.
	Sign(t *Topic, m *Message, text []byte) string
	// Letter is what a queue gets, and Event what a function gets.
	Letter(n Notification) []byte
	Event(n Notification) []byte
	// Request is what is posted to an endpoint outside: a message, or what asks
	// for a subscription to be confirmed when there is none.
	Request(n Notification) Request
}

// A Request is what is posted.
type Request struct {
	URL    string
	Header map[string]string
	Body   []byte
}

// A Letter is what is sent to a queue.
type Letter struct {
	ID         string // of the queue's message
	Body       []byte
	Attributes []Attribute
	Group      string
	Once       string
	Trace      string
	Sender     string
}

// A Published says what became of a message.
type Published struct {
	ID        string `json:"id"`                  // that of the first one when it was published before
	Number    uint64 `json:"number,omitempty"`    // of a FIFO topic
	Duplicate bool   `json:"duplicate,omitempty"` // it was published before, and was not taken again

	Handed []Handed `json:"-"` // the queues and functions that have taken it, up to daruma.LinksMax
}

// A Handed is a message that a queue or a function has taken.
type Handed struct {
	To string // "queue orders", "function Charge:live"
	ID string // of the message in the queue, or of the function's request
}

// Topics is the topics of one cell.
type Topics struct {
	cell    *cell.Cell
	machine *Machine
	clock   daruma.Clock
}

// New returns the topics that lie in c, of which m is one of the machines;
// messages are stamped by clock, the system's when nil. It starts nothing.
func New(c *cell.Cell, m *Machine, clock daruma.Clock) *Topics {
	if clock == nil {
		clock = daruma.SystemClock{}
	}
	return &Topics{cell: c, machine: m, clock: clock}
}

// Publish takes messages in, all or none. When it returns without an error,
// they are on the disk with everything that follows from them. Repeated after
// KindDoubtful it may take them in twice, unless the topic is FIFO.
//
// Errors: KindNotFound ([ErrNoTopic]), KindInvalid, KindTooLarge, and those of the cell.
func (t *Topics) Publish(ctx context.Context, name string, messages ...Message) ([]Published, error) {
	for i := range messages {
		m := &messages[i]
		if m.ID == "" {
			m.ID = daruma.NewID()
		}
		if m.At.IsZero() {
			m.At = t.clock.Now().UTC().Truncate(time.Millisecond)
		}
		t.machine.sign(name, m)
	}
	cmd, err := PublishCommand(name, messages...)
	if err != nil {
		return nil, daruma.Wrap("publish", name, err)
	}
	got, err := t.cell.Do(ctx, cmd)
	if err != nil {
		return nil, daruma.Wrap("publish", name, err)
	}
	return got.([]Published), nil
}

// publication is the head of the publish command; the bodies follow it.
type publication struct {
	Topic    string  `json:"topic"`
	Messages []entry `json:"messages"`
}

type entry struct {
	Message
	Bytes int `json:"bytes"` // of its body
}

// PublishCommand is the command of [Topics.Publish], for machines that publish
// inside a step of their own ([cell.Tx.Do]). It answers []Published.
func PublishCommand(name string, messages ...Message) (cell.Command, error) {
	if len(messages) == 0 || len(messages) > PublishMax {
		return cell.Command{}, daruma.InvalidAt(name, "%d messages at once: from 1 to %d are taken", len(messages), PublishMax)
	}
	p := publication{Topic: name, Messages: make([]entry, len(messages))}
	size := 0
	for i := range messages {
		m := &messages[i]
		if err := m.validate(name); err != nil {
			return cell.Command{}, err
		}
		if size += m.Size(); size > MessageBytesMax {
			return cell.Command{}, tooLarge(name, size)
		}
		p.Messages[i] = entry{*m, len(m.Body)}
	}
	head, err := json.Marshal(p)
	if err != nil {
		return cell.Command{}, daruma.InvalidAt(name, "a message cannot be written: %w", err)
	}
	bodies := make([][]byte, len(messages))
	for i := range messages {
		bodies[i] = messages[i].Body
	}
	return cell.Command{Machine: machineName, Name: commandPublish, Body: cell.Join(head, bodies...)}, nil
}

func (m *Message) validate(name string) error {
	switch {
	case m.ID == "" || m.At.IsZero():
		return daruma.InvalidAt(name, "a message without its ID or its time")
	case len(m.Body) == 0:
		return daruma.InvalidAt(name, "an empty message")
	case max(len(m.Group), len(m.Once)) > GroupBytesMax:
		return daruma.InvalidAt(name, "a group, or what a message is known by, has up to %d characters", GroupBytesMax)
	case max(len(m.ID), len(m.Subject), len(m.Trace), len(m.Sender)) > textBytesMax:
		return daruma.InvalidAt(name, "an ID, a subject, a trace or a sender of more than %d bytes", textBytesMax)
	case m.Depth < 0 || m.Depth > DepthMax:
		return daruma.InvalidAt(name, "it came through %d destinations: at most %d", m.Depth, DepthMax)
	}
	return nil
}

func tooLarge(ref string, size int) error {
	return &daruma.Error{Kind: daruma.KindTooLarge, Ref: ref, Err: fmt.Errorf("%d bytes: at most %d are taken", size, MessageBytesMax)}
}
