package topic

import (
	"context"
	"encoding/json"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// A post is a message, or a request to confirm, that waits to be posted.
// Version 1 is the first.
type post struct {
	Topic     string           `json:"topic"`
	ID        string           `json:"id"` // of the subscription
	Number    uint64           `json:"number"`
	Message   Message          `json:"message"`
	Body      []byte           `json:"body,omitempty"`
	Signature string           `json:"signature,omitempty"`
	Confirm   bool             `json:"confirm,omitempty"` // it asks for the subscription to be confirmed
	Posts     int              `json:"posts,omitempty"`   // so far
	Due       time.Time        `json:"due"`
	Tried     []ledger.Attempt `json:"tried,omitempty"` // the last ones
	From      uint64           `json:"from,omitempty"`  // the failure it was redriven from
}

func posts() cell.Format[post] { return cell.Format[post]{Kind: "post", Version: 1} }

// asking marks the numbers of posts that ask for a confirmation. They are no
// messages: a topic's account does not count them, but for the tries.
const asking = 1 << 63

// triedMax is how many tries are kept with a post.
const triedMax = 10

// addPost has a message wait to be posted.
func (w *work) addPost(b *book, s *subscribed, n Notification, from uint64) {
	m := *n.Message
	m.Texts, m.Signatures = nil, nil
	b.Waiting++
	w.wait(b, s, &post{Topic: s.Topic, ID: s.ID, Message: m, Body: n.Text, Signature: n.Signature, From: from})
}

// ask has a subscription asked whether it is wanted.
func (w *work) ask(b *book, t *Topic, s *subscribed, messageID string) {
	m := Message{ID: messageID, At: w.tx.Now().Truncate(time.Millisecond)}
	w.wait(b, s, &post{Topic: t.Name, ID: s.ID, Message: m, Confirm: true})
}

func (w *work) wait(b *book, s *subscribed, p *post) {
	b.post++
	if p.Number, p.Due = b.post, w.tx.Now(); p.Confirm {
		p.Number |= asking
	}
	posts().Put(w.tx, postKey(s.ID, p.Number), p)
	w.tx.Set(dueKey(s.ID, p.Due, p.Number), nil)
	w.posts(s, 1)
}

// A Verdict is what an answer does to a post.
type Verdict string

// The verdicts there are.
const (
	Delivered Verdict = "delivered"
	Again     Verdict = "again" // later, as the policy says
	Never     Verdict = "never" // it is given up
)

// A Posting is a post that is due.
type Posting struct {
	Request
	Topic        string
	Subscription string
	Number       uint64
	Posts        int // tries before this one
	PerSecond    int // how many may be posted to this subscription in a second; 0: any
	Message      string
	Trace        string // of the message; "" for a request to confirm
}

// A Report says what came of a try. It counts when nobody has reported on the
// same try before.
type Report struct {
	Topic        string        `json:"topic"`
	Subscription string        `json:"subscription"`
	Number       uint64        `json:"number"`
	Posts        int           `json:"posts"` // as in the Posting
	Verdict      Verdict       `json:"verdict"`
	Outcome      string        `json:"outcome"` // for people: "HTTP 500", "connection refused"
	Started      time.Time     `json:"started"`
	Duration     time.Duration `json:"durationNs"`
}

// settle notes what came of a try.
func (w *work) settle(r Report) (any, error) {
	key := postKey(r.Subscription, r.Number)
	p := posts().Get(w.tx, key)
	k, err := w.topic(r.Topic)
	if err != nil || p == nil || p.Posts != r.Posts {
		return nil, nil // it is gone, or somebody was faster
	}
	s := k.find(r.Subscription)
	b, err := w.book(r.Topic)
	if err != nil || s == nil {
		return nil, err
	}
	b.Posts++
	w.tx.Delete(dueKey(s.ID, p.Due, p.Number))
	p.Posts++
	p.Tried = append(p.Tried, ledger.Attempt{At: r.Started, Duration: r.Duration, Outcome: ledger.Cut(r.Outcome, 1<<10)})
	p.Tried = p.Tried[max(0, len(p.Tried)-triedMax):]
	retry := s.RetryWithin(k.topic)
	pause, more := retry.Pause(p.Posts)
	if r.Verdict == Again && more {
		p.Due = w.tx.Now().Add(pause)
		posts().Put(w.tx, key, p)
		w.tx.Set(dueKey(s.ID, p.Due, p.Number), nil)
		w.posts(s, 0)
		return nil, nil
	}
	w.tx.Delete(key)
	w.posts(s, -1)
	if p.Confirm {
		return nil, nil // who does not confirm gets nothing
	}
	b.Waiting--
	if r.Verdict == Delivered {
		b.Delivered++
		if p.From != 0 {
			return nil, ledger.Resolve(w.tx, ledger.ID(p.From), "it was redriven and "+s.Endpoint.String()+" has taken it")
		}
		return nil, nil
	}
	e := ending{condition: conditionExhausted, message: r.Outcome, tried: p.Tried, posts: p.Posts, from: p.From}
	if r.Verdict == Never {
		e.condition = conditionRefused
	}
	m := p.Message
	m.Body = p.Body
	return nil, w.giveUp(b, Notification{Topic: k.topic, Subscription: s.Subscription, Message: &m, Text: p.Body, Signature: p.Signature}, e)
}

// drop takes a subscription out, with what waits for it.
func (w *work) drop(k *known, s *subscribed) error {
	b, err := w.book(k.topic.Name)
	if err != nil {
		return err
	}
	asked := int64(0)
	for range w.tx.Scan(cell.Range{Lower: postKey(s.ID, asking), Upper: cell.Prefix(under(spacePost, s.ID)).Upper}) {
		asked++
	}
	n := w.m.waiting[s.ID].posts + w.waiting[s.ID].posts - asked
	w.tx.DeleteRange(cell.Prefix(under(spaceDue, s.ID)))
	w.tx.DeleteRange(cell.Prefix(under(spacePost, s.ID)))
	w.tx.Delete(subscriptionKey(s.Topic, s.ID))
	w.tx.Delete(replayKey(s.Topic, s.ID))
	w.tx.Cancel(confirmKey(s.Topic, s.ID))
	b.Waiting -= n
	b.Dropped += n
	w.posts(s, -n-asked)
	w.remember(k.topic.Name, k.without(s.ID))
	return nil
}

// A Skip says which posts are being posted at this moment, and how many more a
// subscription may have.
type Skip func(subscription string) (busy func(number uint64) bool, more int)

// scanMax is how many posts of one subscription are looked at beyond those that are wanted.
const scanMax = 256

// Due returns posts that are due, up to n, fair between subscriptions, and when
// the next one will be; zero when none waits. They stay until they are settled.
func (t *Topics) Due(ctx context.Context, n int, skip Skip) (due []Posting, next time.Time, err error) {
	now := t.clock.Now()
	t.machine.mu.RLock()
	var ids []string
	of := map[string]*known{}
	for id, w := range t.machine.waiting {
		if k := t.machine.known[w.topic]; k != nil {
			ids, of[id] = append(ids, id), k
		}
	}
	t.machine.mu.RUnlock()
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(ids) == 0 {
		return nil, time.Time{}, nil
	}
	each := max(1, n/len(ids))
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, id := range ids { // in no order: nobody is always first
			s := of[id].find(id)
			if s == nil || len(due) >= n {
				continue
			}
			busy, more := skip(id)
			looked := 0
			for key := range r.Scan(cell.Prefix(under(spaceDue, id))) {
				at, number := dueOf(id, key)
				if at.After(now) {
					sooner(at)
					break
				}
				if looked++; more <= 0 || looked > each+scanMax || len(due) >= n {
					break
				}
				if busy(number) {
					continue
				}
				if p := posts().Get(r, postKey(id, number)); p != nil {
					due = append(due, t.machine.posting(of[id], s, p))
					more--
				}
			}
		}
		return nil
	})
	return due, next, daruma.Wrap("find posts", "", err)
}

// posting is what is posted to a subscription.
func (m *Machine) posting(k *known, s *subscribed, p *post) Posting {
	msg := p.Message
	msg.Body = p.Body
	n := Notification{Topic: k.topic, Subscription: s.Subscription, Message: &msg, Text: p.Body, Signature: p.Signature}
	if p.Confirm {
		n.Text = nil
	}
	retry := s.RetryWithin(k.topic)
	return Posting{Request: m.cfg.Composer.Request(n), Topic: p.Topic, Subscription: s.ID, Number: p.Number, Posts: p.Posts, PerSecond: retry.PerSecond, Message: p.Message.ID, Trace: p.Message.Trace}
}

// Settle says what came of a post. Said again it does nothing.
func (t *Topics) Settle(ctx context.Context, r Report) error {
	_, err := t.do(ctx, commandSettle, r, true)
	return daruma.Wrap("settle", r.Subscription, err)
}

// Changed waits until topics are no longer what they were when after was
// returned, and returns a mark of the last change; with after 0 it returns at
// once. What it tells of is durable: [Topics.Due] sees it.
func (t *Topics) Changed(ctx context.Context, after uint64) (uint64, error) {
	return t.cell.Changed(ctx, machineName, after)
}

// Redrive hands the message of a failure of this hop ([ledger.Published]) to
// its subscription again. A body that is not nil takes the place of the
// message's. Doing it twice is harmless.
//
// Errors: KindNotFound when the ledger has no such failure, or topic or
// subscription are gone, KindConflict when it is resolved, KindInvalid when
// sensitive fields were not kept and no body is given.
func (t *Topics) Redrive(ctx context.Context, id ledger.ID, body []byte) (Redriven, error) {
	got, err := t.do(ctx, commandRedrive, redriving{id, body, body != nil}, false)
	if err != nil {
		return Redriven{}, daruma.Wrap("redrive", id.String(), err)
	}
	return got.(Redriven), nil
}

func (t *Topics) do(ctx context.Context, name string, arguments any, frees bool) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, daruma.InvalidAt("", "a command cannot be written: %w", err)
	}
	return t.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body, Frees: frees})
}
