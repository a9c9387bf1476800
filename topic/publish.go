package topic

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/pattern"
)

// publish takes the messages of a command in.
func (w *work) publish(body []byte) (any, error) {
	var p publication
	rest, err := cell.Split(body, &p)
	if err != nil {
		return nil, err
	}
	k, err := w.topic(p.Topic)
	if err != nil {
		return nil, err
	}
	b, err := w.book(p.Topic)
	if err != nil {
		return nil, err
	}
	done := make([]Published, 0, len(p.Messages))
	for i := range p.Messages {
		m := &p.Messages[i]
		if m.Bytes < 0 || m.Bytes > len(rest) {
			return nil, daruma.InvalidAt(p.Topic, "a message is cut short")
		}
		m.Body, rest = rest[:m.Bytes:m.Bytes], rest[m.Bytes:]
		if err := m.validate(p.Topic); err != nil {
			return nil, err
		}
		is, err := w.publishOne(k, b, &m.Message)
		if err != nil {
			return nil, err
		}
		done = append(done, is)
	}
	return done, nil
}

// publishOne hands one message to everybody who wants it.
func (w *work) publishOne(k *known, b *book, m *Message) (Published, error) {
	m.Replayed = false
	if k.topic.FIFO {
		m.At = w.tx.Now().Truncate(time.Millisecond)
		before, err := w.once(k.topic, b, m)
		if err != nil || before != nil {
			if before != nil {
				b.Duplicates++
				return *before, nil
			}
			return Published{}, err
		}
	} else if m.Once != "" {
		return Published{}, daruma.InvalidAt(k.topic.Name, "only a FIFO topic knows messages by something")
	}
	if k.topic.Keep > 0 {
		if err := w.archive(k.topic, b, m); err != nil {
			return Published{}, err
		}
	}
	b.Published++
	done := Published{ID: m.ID, Number: m.Number}
	var looks looks
	for _, s := range k.subs {
		if s.Pending || s.replay.holds() {
			continue
		}
		if !looks.wanted(s, m) {
			b.Filtered++
			continue
		}
		b.Matched++
		id, err := w.hand(k, b, s, m, 0)
		if err != nil {
			return Published{}, err
		}
		if id != "" && len(done.Handed) < daruma.LinksMax {
			done.Handed = append(done.Handed, Handed{To: s.Endpoint.Kind + " " + daruma.Target{Function: s.Endpoint.Name, Qualifier: s.Endpoint.Qualifier}.String(), ID: id})
		}
	}
	return done, nil
}

// known is what a FIFO topic knows a message by: version 1 is its number, then its ID.
const onceVersion = 1

// once numbers a message of a FIFO topic, or returns the one that was published before.
func (w *work) once(t *Topic, b *book, m *Message) (*Published, error) {
	switch {
	case m.Group == "":
		return nil, daruma.InvalidAt(t.Name, "a message without a group: in a FIFO topic every message has one")
	case m.Once == "" && !t.OnceByBody:
		return nil, daruma.InvalidAt(t.Name, "a message that is known by nothing: give it something, or have the topic go by the body")
	case m.Once == "":
		sum := sha256.Sum256(m.Body)
		m.Once = hex.EncodeToString(sum[:])
	}
	scope := ""
	if t.OncePerGroup {
		scope = m.Group
	}
	key := onceKey(t.Name, scope, m.Once)
	if record, ok := w.tx.Get(key); ok {
		version, body, err := cell.Unseal(record)
		if err != nil {
			return nil, err
		}
		if version != onceVersion || len(body) < 16 {
			return nil, corrupt("message that was published", cell.ErrCut)
		}
		if until := int64(binary.BigEndian.Uint64(body[8:])); until > w.tx.Now().UnixNano() {
			return &Published{ID: string(body[16:]), Number: binary.BigEndian.Uint64(body), Duplicate: true}, nil
		}
	}
	b.number++
	m.Number = b.number
	until := w.tx.Now().Add(OnceFor)
	body := binary.BigEndian.AppendUint64(nil, m.Number)
	body = append(binary.BigEndian.AppendUint64(body, uint64(until.UnixNano())), m.ID...)
	w.tx.Set(key, cell.Seal(onceVersion, body))
	w.tx.Schedule(until, key)
	return nil, nil
}

// looks is how a message looks to policies; each is worked out once.
type looks struct {
	attributes, body     pattern.Value
	attributed, embodied bool
}

// wanted says whether a subscription wants a message.
func (l *looks) wanted(s *subscribed, m *Message) bool {
	switch {
	case s.policy == nil:
		return true
	case s.scope() == pattern.Body:
		if !l.embodied {
			l.body, l.embodied = pattern.Payload(m.Body), true
		}
		return l.body.IsObject() && s.policy.Matches(l.body)
	}
	if !l.attributed {
		l.attributes, l.attributed = attributesOf(m), true
	}
	return s.policy.Matches(l.attributes)
}

// attributesOf is the attributes of a message as policies see them. Those that
// are binary are not seen.
func attributesOf(m *Message) pattern.Value {
	values := make(map[string]pattern.Value, len(m.Attributes))
	for i := range m.Attributes {
		a := &m.Attributes[i]
		switch first, _, _ := strings.Cut(a.Type, "."); {
		case a.Type == "String.Array":
			values[a.Name] = pattern.Payload(a.Value)
		case first == "Number":
			values[a.Name] = pattern.Number(string(a.Value))
		case first == "String":
			values[a.Name] = pattern.Text(string(a.Value))
		}
	}
	return pattern.Object(values)
}

// hand hands a message to a subscription. What the subscription cannot take is
// given up; from is the failure it was redriven from. It returns what the
// message is known by where it is now, "" when it was not taken or waits to be posted.
func (w *work) hand(k *known, b *book, s *subscribed, m *Message, from uint64) (id string, err error) {
	n := w.notification(k.topic, s, m)
	var cmd cell.Command
	id = w.tx.NewID()
	switch s.Endpoint.Kind {
	case Post:
		w.addPost(b, s, n, from)
		return "", nil
	case Queue:
		l := w.letter(n)
		l.ID = id
		if len(l.Attributes) > QueueAttributes {
			return "", w.giveUp(b, n, ending{condition: conditionRefused, message: "it has more than 10 attributes, and a queue takes no more", from: from})
		}
		cmd, err = w.m.cfg.Send(s.Endpoint.Name, l)
	case Function:
		trace := m.Trace
		if trace != "" {
			trace, _ = daruma.Chained(trace, s.Endpoint.Name) // each attempt of the event is the same invocation of its chain
		}
		cmd, err = delivery.AcceptCommand(delivery.Event{Request: id, Target: daruma.Target{Function: s.Endpoint.Name, Qualifier: s.Endpoint.Qualifier},
			Payload: w.m.cfg.Composer.Event(n), Source: Kind, Trace: trace, Client: k.topic.Name, Depth: m.Depth})
	}
	if err == nil {
		_, err = w.tx.Do(cmd)
	}
	switch daruma.KindOf(err) {
	case daruma.KindCorrupt, daruma.KindFull, daruma.KindThrottled, daruma.KindUnavailable:
		if err != nil {
			return "", err // nothing is wrong with the message or its endpoint: nothing was published
		}
	}
	if err != nil {
		return "", w.giveUp(b, n, ending{condition: conditionRefused, message: err.Error(), from: from})
	}
	b.Delivered++
	if from != 0 {
		return id, ledger.Resolve(w.tx, ledger.ID(from), "it was redriven and "+s.Endpoint.String()+" has taken it")
	}
	return id, nil
}

// notification is a message on its way to a subscription, signed.
func (w *work) notification(t *Topic, s *subscribed, m *Message) Notification {
	n := Notification{Topic: t, Subscription: s.Subscription, Message: m}
	var label string
	if n.Text, label = m.text(s.Protocol); !t.FIFO && !s.Raw {
		if m.Signatures[label] == "" {
			if m.Signatures == nil {
				m.Signatures = map[string]string{}
			}
			m.Signatures[label] = w.m.cfg.Composer.Sign(t, m, n.Text)
		}
		n.Signature = m.Signatures[label]
	}
	return n
}

// letter is what a queue gets: raw the text with its attributes, or what the composer writes.
func (w *work) letter(n Notification) Letter {
	m := n.Message
	l := Letter{Group: m.Group, Once: m.Once, Trace: m.Trace, Sender: n.Topic.Name}
	if n.Subscription.Raw {
		l.Body, l.Attributes = n.Text, m.Attributes
	} else {
		l.Body = w.m.cfg.Composer.Letter(n)
	}
	return l
}

// put publishes what a destination of events is told ([delivery.PutTo]).
func (w *work) put(h delivery.Handover) (any, error) {
	k, err := w.topic(h.To.Name)
	if err != nil {
		return nil, err
	}
	b, err := w.book(h.To.Name)
	if err != nil {
		return nil, err
	}
	m := Message{ID: w.tx.NewID(), At: w.tx.Now(), Body: h.Body, Trace: h.Trace, Sender: h.FunctionARN, Depth: h.Depth + 1}
	for _, a := range h.Attributes {
		m.Attributes = append(m.Attributes, Attribute{a.Name, a.Type, []byte(a.Value)})
	}
	if k.topic.FIFO {
		m.Group, m.Once = h.Function, h.Request+" "+h.Role
	}
	if err := m.validate(h.To.Name); err != nil {
		return nil, err
	}
	if m.Size() > MessageBytesMax {
		return nil, tooLarge(h.To.Name, m.Size())
	}
	_, err = w.publishOne(k, b, &m)
	return nil, err
}
