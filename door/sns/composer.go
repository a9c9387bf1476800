package sns

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/topic"
)

const (
	agent       = "Amazon Simple Notification Service Agent"
	contentType = "text/plain; charset=UTF-8"
	timeFormat  = "2006-01-02T15:04:05.000Z"
)

// A Composer writes messages as SNS does: envelopes for queues and URLs, events
// for functions, what asks for a confirmation. It is a [topic.Composer].
type Composer struct {
	notary *Notary
	place  catalog.Place
	base   string
}

// NewComposer returns a composer. base is where the door is reached,
// "http://127.0.0.1:4566": addresses in messages lead there.
func NewComposer(n *Notary, place catalog.Place, base string) *Composer {
	return &Composer{notary: n, place: place, base: strings.TrimSuffix(base, "/")}
}

func topicARN(p catalog.Place, name string) string {
	return "arn:aws:sns:" + p.Region + ":" + p.Account + ":" + name
}

func subscriptionARN(p catalog.Place, s *topic.Subscription) string {
	return topicARN(p, s.Topic) + ":" + s.ID
}

// certificate is where the certificate is. Validators insist on the cloud's own
// name, which leads here from within functions; who is posted to from here may
// not be there, and is told this door's address.
func (s *Composer) certificate(protocol string) string {
	if strings.HasPrefix(protocol, "http") {
		return s.base + "/" + s.notary.name
	}
	return "https://sns." + s.place.Region + ".amazonaws.com/" + s.notary.name
}

func (s *Composer) unsubscribe(sub *topic.Subscription) string {
	return s.base + "/?Action=Unsubscribe&SubscriptionArn=" + subscriptionARN(s.place, sub)
}

// Sign signs a message with a text, over what the developer guide, "Verifying
// the signatures of Amazon SNS messages", lists.
func (s *Composer) Sign(t *topic.Topic, m *topic.Message, text []byte) string {
	fields := []string{"Message", string(text), "MessageId", m.ID}
	if m.Subject != "" {
		fields = append(fields, "Subject", m.Subject)
	}
	fields = append(fields, "Timestamp", m.At.UTC().Format(timeFormat), "TopicArn", topicARN(s.place, t.Name), "Type", "Notification")
	return s.notary.sign(t.Signature, []byte(strings.Join(fields, "\n")+"\n"))
}

func version(t *topic.Topic) string { return strconv.Itoa(max(1, t.Signature)) }

// sequence is a sequence number as it is shown: twenty digits.
func sequence(n uint64) string { return fmt.Sprintf("1%019d", n) }

// Letter is the envelope that a queue gets.
func (s *Composer) Letter(n topic.Notification) []byte { return s.envelope(n) }

func (s *Composer) envelope(n topic.Notification) []byte {
	m := n.Message
	e := newEnvelope()
	e.add("Type", "Notification")
	e.add("MessageId", m.ID)
	if n.Topic.FIFO {
		e.add("SequenceNumber", sequence(m.Number))
	}
	e.add("TopicArn", topicARN(s.place, n.Topic.Name))
	if m.Subject != "" {
		e.add("Subject", m.Subject)
	}
	e.add("Message", string(n.Text))
	e.add("Timestamp", m.At.UTC().Format(timeFormat))
	if !n.Topic.FIFO {
		e.add("SignatureVersion", version(n.Topic))
		e.add("Signature", n.Signature)
		e.add("SigningCertURL", s.certificate(n.Subscription.Protocol))
	}
	e.add("UnsubscribeURL", s.unsubscribe(n.Subscription))
	if m.Replayed {
		e.key("Replayed")
		e.WriteString("true")
	}
	if len(m.Attributes) > 0 {
		e.key("MessageAttributes")
		e.WriteString("{\n")
		for i, a := range m.Attributes {
			if i > 0 {
				e.WriteString(",\n")
			}
			e.WriteString("    " + quoted(a.Name) + ` : {"Type":` + quoted(a.Type) + `,"Value":` + quoted(attributeText(a)) + "}")
		}
		e.WriteString("\n  }")
	}
	return e.end()
}

func attributeText(a topic.Attribute) string {
	if strings.HasPrefix(a.Type, "Binary") {
		return base64.StdEncoding.EncodeToString(a.Value)
	}
	return string(a.Value)
}

// event is what a function gets (Lambda Developer Guide, "Invoking Lambda functions with Amazon SNS notifications").
type event struct {
	Records [1]eventRecord
}

type eventRecord struct {
	EventSource          string
	EventVersion         string
	EventSubscriptionArn string
	Sns                  eventMessage
}

type eventMessage struct {
	Type              string
	MessageId         string
	TopicArn          string
	Subject           *string
	Message           string
	Timestamp         string
	SignatureVersion  string
	Signature         string
	SigningCertUrl    string
	UnsubscribeUrl    string
	MessageAttributes map[string]eventAttribute
}

type eventAttribute struct{ Type, Value string }

// Event is what a function gets.
func (s *Composer) Event(n topic.Notification) []byte {
	m := n.Message
	is := eventMessage{Type: "Notification", MessageId: m.ID, TopicArn: topicARN(s.place, n.Topic.Name), Message: string(n.Text), Timestamp: m.At.UTC().Format(timeFormat),
		SignatureVersion: version(n.Topic), Signature: n.Signature, SigningCertUrl: s.certificate(n.Subscription.Protocol), UnsubscribeUrl: s.unsubscribe(n.Subscription),
		MessageAttributes: make(map[string]eventAttribute, len(m.Attributes))}
	if m.Subject != "" {
		is.Subject = &m.Subject
	}
	for _, a := range m.Attributes {
		is.MessageAttributes[a.Name] = eventAttribute{a.Type, attributeText(a)}
	}
	return plain(event{[1]eventRecord{{EventSource: "aws:sns", EventVersion: "1.0", EventSubscriptionArn: subscriptionARN(s.place, n.Subscription), Sns: is}}})
}

// Request is what is posted: a message, or what asks for a confirmation.
func (s *Composer) Request(n topic.Notification) topic.Request {
	m := n.Message
	r := topic.Request{URL: n.Subscription.Endpoint.ARN, Header: map[string]string{
		"User-Agent": agent, "Content-Type": contentType, "X-Amz-Sns-Message-Type": "Notification", "X-Amz-Sns-Message-Id": m.ID,
		"X-Amz-Sns-Topic-Arn": topicARN(s.place, n.Topic.Name),
	}}
	if n.Text == nil {
		r.Header["X-Amz-Sns-Message-Type"] = "SubscriptionConfirmation"
		r.Body = s.confirmation(n)
		return r
	}
	r.Header["X-Amz-Sns-Subscription-Arn"] = subscriptionARN(s.place, n.Subscription)
	for _, is := range []*topic.Retry{n.Topic.Retry, n.Subscription.Retry} {
		if is != nil && is.Content != "" {
			r.Header["Content-Type"] = is.Content
		}
	}
	if n.Subscription.Raw {
		r.Header["X-Amz-Sns-Rawdelivery"] = "true"
		r.Body = n.Text
		return r
	}
	r.Body = s.envelope(n)
	return r
}

func (s *Composer) confirmation(n topic.Notification) []byte {
	arn, at := topicARN(s.place, n.Topic.Name), n.Message.At.UTC().Format(timeFormat)
	message := "You have chosen to subscribe to the topic " + arn + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	visit := s.base + "/?Action=ConfirmSubscription&TopicArn=" + arn + "&Token=" + url.QueryEscape(n.Subscription.Token)
	signed := strings.Join([]string{"Message", message, "MessageId", n.Message.ID, "SubscribeURL", visit, "Timestamp", at, "Token", n.Subscription.Token, "TopicArn", arn, "Type", "SubscriptionConfirmation"}, "\n") + "\n"
	e := newEnvelope()
	for _, f := range [][2]string{{"Type", "SubscriptionConfirmation"}, {"MessageId", n.Message.ID}, {"Token", n.Subscription.Token}, {"TopicArn", arn}, {"Message", message}, {"SubscribeURL", visit},
		{"Timestamp", at}, {"SignatureVersion", version(n.Topic)}, {"Signature", s.notary.sign(n.Topic.Signature, []byte(signed))}, {"SigningCertURL", s.certificate(n.Subscription.Protocol)}} {
		e.add(f[0], f[1])
	}
	return e.end()
}

// An envelope is a JSON object laid out as SNS lays them out.
type envelope struct{ bytes.Buffer }

func newEnvelope() *envelope {
	e := &envelope{}
	e.WriteString("{")
	return e
}

func (e *envelope) key(name string) {
	if e.Len() > 1 {
		e.WriteString(",")
	}
	e.WriteString("\n  " + quoted(name) + " : ")
}

func (e *envelope) add(name, value string) {
	e.key(name)
	e.WriteString(quoted(value))
}

func (e *envelope) end() []byte {
	e.WriteString("\n}")
	return e.Bytes()
}

func quoted(s string) string { return string(plain(s)) }

// plain is JSON in which <, > and & are what they are.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // our own types: they always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

var _ topic.Composer = (*Composer)(nil)
