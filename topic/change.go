package topic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

type creation struct {
	Topic
	Given map[string]string `json:"given,omitempty"`
}

// Create makes a topic. One that exists is answered when it is of the same
// kind, has every given label and tag, and the wish's archive; otherwise KindExists, [ErrAttributes] or [ErrTags].
func (t *Topics) Create(ctx context.Context, wish Topic, given map[string]string) (*Topic, error) {
	got, err := t.do(ctx, commandCreate, creation{wish, given}, false)
	if err != nil {
		return nil, daruma.Wrap("create topic", wish.Name, err)
	}
	return got.(*Topic), nil
}

func (w *work) create(c creation) (any, error) {
	t := c.Topic
	if k, err := w.topic(t.Name); err == nil {
		for name, v := range c.Given {
			if k.topic.Labels[name] != v {
				return nil, &daruma.Error{Kind: daruma.KindExists, Ref: t.Name, Err: ErrAttributes}
			}
		}
		if t.FIFO != k.topic.FIFO || t.Keep != 0 && t.Keep != k.topic.Keep {
			return nil, &daruma.Error{Kind: daruma.KindExists, Ref: t.Name, Err: ErrAttributes}
		}
		for name, v := range t.Tags {
			if is, ok := k.topic.Tags[name]; !ok || is != v {
				return nil, &daruma.Error{Kind: daruma.KindExists, Ref: t.Name, Err: ErrTags}
			}
		}
		return k.topic, nil
	}
	if len(w.m.known) >= TopicsMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Ref: t.Name, Err: fmt.Errorf("there are %d topics, and no more are taken", TopicsMax)}
	}
	t.LogicalID, t.KeepDeclared = "", false
	return w.write(&t, &known{topic: &Topic{}})
}

// write keeps a topic that was as was says, with its subscriptions.
func (w *work) write(t *Topic, was *known) (*Topic, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	subs, err := w.keep(t, was)
	if err != nil {
		return nil, err
	}
	if t.Revision++; t.Created.IsZero() {
		t.Created = w.tx.Now()
	}
	topics().Put(w.tx, topicKey(t.Name), t)
	w.remember(t.Name, &known{t, subs})
	return t, nil
}

// attempts is how often a change is tried when others change the same.
const attempts = 10

// Change has f change a topic. FIFO, the name, when its archive began and what
// the topic counts cannot be changed. Without Keep, the archive is gone with all
// that is in it. The error of f is returned as it is.
func (t *Topics) Change(ctx context.Context, name string, f func(*Topic) error) error {
	for range attempts {
		k := t.machine.get(name)
		if k == nil {
			return daruma.Wrap("change topic", name, &daruma.Error{Kind: daruma.KindNotFound, Err: ErrNoTopic})
		}
		is := *k.topic
		is.Labels, is.Tags = maps.Clone(is.Labels), maps.Clone(is.Tags)
		if err := f(&is); err != nil {
			return err
		}
		is.Name, is.FIFO = k.topic.Name, k.topic.FIFO
		if _, err := t.do(ctx, commandChange, is, false); daruma.KindOf(err) != daruma.KindConflict {
			return daruma.Wrap("change topic", name, err)
		}
	}
	return daruma.Wrap("change topic", name, conflict(name))
}

func (w *work) change(t Topic) (any, error) {
	k, err := w.topic(t.Name)
	if err != nil {
		return nil, err
	}
	if t.Revision != k.topic.Revision {
		return nil, conflict(t.Name)
	}
	return w.write(&t, k)
}

func conflict(ref string) error {
	return &daruma.Error{Kind: daruma.KindConflict, Ref: ref, Err: ErrChanged}
}

type named struct {
	Topic string `json:"topic"`
	ID    string `json:"id,omitempty"`
	Token string `json:"token,omitempty"`
	Guard bool   `json:"guard,omitempty"`
}

// Remove ends a topic with its subscriptions. One that is not there is no error;
// one that keeps an archive is KindConflict, [ErrArchive].
func (t *Topics) Remove(ctx context.Context, name string) error {
	_, err := t.do(ctx, commandRemove, named{Topic: name}, true)
	return daruma.Wrap("remove topic", name, err)
}

func (w *work) remove(n named) (any, error) {
	k, err := w.topic(n.Topic)
	if err != nil {
		return nil, nil // it is what was asked for
	}
	if k.topic.Keep > 0 {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: n.Topic, Err: ErrArchive, Hint: "end its archive first"}
	}
	return nil, w.removeTopic(k)
}

func (w *work) removeTopic(k *known) error {
	for _, s := range k.subs {
		if err := w.drop(k, s); err != nil {
			return err
		}
	}
	name := k.topic.Name
	w.tx.DeleteRange(cell.Prefix(under(spaceOnce, name))) // their timers find nothing
	w.tx.DeleteRange(cell.Prefix(under(spaceArchive, name)))
	w.tx.Cancel(under(spaceArchive, name))
	w.tx.Delete(topicKey(name))
	w.tx.Delete(bookKey(name))
	delete(w.books, name)
	w.remember(name, nil)
	return nil
}

type wanting struct {
	Subscription
	Given map[string]string `json:"given,omitempty"`
}

// Subscribe makes a subscription, whose ID, and token when it is to be asked
// for, come with the wish. The one there is for the same endpoint is answered
// when it has every given label, and the wish's replay when it has one; otherwise
// KindExists, [ErrAttributes]. One that still waits to be confirmed is asked again.
func (t *Topics) Subscribe(ctx context.Context, wish Subscription, given map[string]string) (*Subscription, error) {
	got, err := t.do(ctx, commandSubscribe, wanting{wish, given}, false)
	if err != nil {
		return nil, daruma.Wrap("subscribe", wish.Topic, err)
	}
	return got.(*Subscription), nil
}

func (w *work) subscribe(c wanting) (any, error) {
	s := c.Subscription
	k, err := w.topic(s.Topic)
	if err != nil {
		return nil, err
	}
	b, err := w.book(s.Topic)
	if err != nil {
		return nil, err
	}
	s.LogicalID, s.Declared = "", nil
	for _, is := range k.subs {
		if is.Protocol != s.Protocol || is.Endpoint.ARN != s.Endpoint.ARN {
			continue
		}
		for name, v := range c.Given {
			if is.Labels[name] != v {
				return nil, &daruma.Error{Kind: daruma.KindExists, Ref: s.Endpoint.ARN, Err: ErrAttributes}
			}
		}
		if s.Replay != nil && !s.Replay.same(is.Replay) {
			return nil, &daruma.Error{Kind: daruma.KindExists, Ref: s.Endpoint.ARN, Err: ErrAttributes}
		}
		if is.Pending {
			w.ask(b, k.topic, is, s.ID)
		}
		return is.Subscription, nil
	}
	if len(k.subs) >= SubscriptionsMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Ref: s.Topic, Err: fmt.Errorf("it has %d subscriptions, and no more are taken", SubscriptionsMax)}
	}
	in, err := w.enter(k, &s)
	if err != nil {
		return nil, err
	}
	if s.Pending {
		w.ask(b, k.topic, in, s.ID)
	}
	return in.Subscription, nil
}

// enter keeps a subscription, in the place of the one with its ID.
func (w *work) enter(k *known, s *Subscription) (*subscribed, error) {
	if err := s.validate(k.topic); err != nil {
		return nil, err
	}
	if s.Revision++; s.Created.IsZero() {
		s.Created = w.tx.Now()
	}
	if s.Pending {
		w.tx.Schedule(w.tx.Now().Add(ConfirmFor), confirmKey(s.Topic, s.ID))
	} else {
		w.tx.Cancel(confirmKey(s.Topic, s.ID))
	}
	in := subscribedOf(s)
	var err error
	if in.replay, err = w.replayOf(k, s); err != nil {
		return nil, err
	}
	subscriptions().Put(w.tx, subscriptionKey(s.Topic, s.ID), s)
	with := k.without(s.ID)
	with.subs = append(with.subs, in)
	with.sort()
	w.remember(k.topic.Name, with)
	return in, nil
}

// without is a topic without one of its subscriptions.
func (k *known) without(id string) *known {
	out := &known{topic: k.topic, subs: make([]*subscribed, 0, len(k.subs)+1)}
	for _, s := range k.subs {
		if s.ID != id {
			out.subs = append(out.subs, s)
		}
	}
	return out
}

// Confirm ends the waiting of the subscription that has a token. With guard,
// only who has signed may end the subscription. A token nobody waits for is
// KindNotFound, [ErrToken].
func (t *Topics) Confirm(ctx context.Context, topic, token string, guard bool) (*Subscription, error) {
	got, err := t.do(ctx, commandConfirm, named{Topic: topic, Token: token, Guard: guard}, false)
	if err != nil {
		return nil, daruma.Wrap("confirm", topic, err)
	}
	return got.(*Subscription), nil
}

func (w *work) confirm(n named) (any, error) {
	k, err := w.topic(n.Topic)
	if err != nil {
		return nil, err
	}
	for _, s := range k.subs {
		if s.Token == "" || s.Token != n.Token {
			continue
		}
		is := *s.Subscription
		is.Pending, is.Guarded = false, is.Guarded || n.Guard
		in, err := w.enter(k, &is)
		if err != nil {
			return nil, err
		}
		return in.Subscription, nil
	}
	return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: n.Topic, Err: ErrToken}
}

// Adjust has f change a subscription. Its ID, topic, protocol and endpoint
// cannot be changed. The error of f is returned as it is.
func (t *Topics) Adjust(ctx context.Context, topic, id string, f func(*Topic, *Subscription) error) error {
	for range attempts {
		k := t.machine.get(topic)
		var s *subscribed
		if k != nil {
			s = k.find(id)
		}
		if s == nil {
			return daruma.Wrap("change subscription", id, &daruma.Error{Kind: daruma.KindNotFound, Err: ErrNoSubscription})
		}
		is := *s.Subscription
		is.Labels = maps.Clone(is.Labels)
		if err := f(k.topic, &is); err != nil {
			return err
		}
		is.ID, is.Topic, is.Protocol, is.Endpoint = s.ID, s.Topic, s.Protocol, s.Endpoint
		if _, err := t.do(ctx, commandAdjust, is, false); daruma.KindOf(err) != daruma.KindConflict {
			return daruma.Wrap("change subscription", id, err)
		}
	}
	return daruma.Wrap("change subscription", id, conflict(id))
}

func (w *work) adjust(s Subscription) (any, error) {
	k, err := w.topic(s.Topic)
	if err != nil {
		return nil, err
	}
	is := k.find(s.ID)
	if is == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: s.ID, Err: ErrNoSubscription}
	}
	if s.Revision != is.Revision {
		return nil, conflict(s.ID)
	}
	_, err = w.enter(k, &s)
	return nil, err
}

// End ends a subscription. One that is not there is no error.
func (t *Topics) End(ctx context.Context, topic, id string) error {
	_, err := t.do(ctx, commandEnd, named{Topic: topic, ID: id}, true)
	return daruma.Wrap("unsubscribe", id, err)
}

func (w *work) end(n named) (any, error) {
	k, err := w.topic(n.Topic)
	if err != nil {
		return nil, nil
	}
	s := k.find(n.ID)
	if s == nil {
		return nil, nil
	}
	return nil, w.drop(k, s)
}

// A Deployment is the topics and subscriptions a template declares, each with
// its logical ID. Subscriptions bring an ID, and a token when they are to be
// asked for, for the case that they are new.
type Deployment struct {
	Topics        []Topic        `json:"topics"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Deploy makes what d asks for exist, and what an earlier deployment asked for
// and this one does not be gone, in one step. What was made by hand stays,
// unless it has the name or the endpoint of something in d; so does a topic that
// keeps an archive, as one that was made by hand, and an archive that neither d nor
// the deployment before says anything of. A replay does not begin again when d asks
// for what the deployment before asked for.
func (t *Topics) Deploy(ctx context.Context, d Deployment) error {
	_, err := t.do(ctx, commandDeploy, d, false)
	return daruma.Wrap("deploy topics", "", err)
}

func (w *work) deploy(d Deployment) (any, error) {
	wanted := map[string]bool{}
	for _, t := range d.Topics {
		wanted[t.Name] = true
	}
	var names []string
	for name := range w.m.known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		k, err := w.topic(name)
		if err != nil {
			return nil, err
		}
		switch {
		case wanted[name] || k.topic.LogicalID == "":
		case k.topic.Keep > 0:
			t := *k.topic
			t.LogicalID, t.KeepDeclared = "", false
			if _, err := w.write(&t, k); err != nil {
				return nil, err
			}
		default:
			if err := w.removeTopic(k); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range d.Topics {
		if err := w.deployTopic(t); err != nil {
			return nil, err
		}
	}
	return nil, w.deploySubscriptions(d.Subscriptions)
}

func (w *work) deployTopic(t Topic) error {
	was := &known{topic: &Topic{}}
	if k, err := w.topic(t.Name); err == nil {
		if k.topic.FIFO != t.FIFO {
			if err := w.removeTopic(k); err != nil {
				return err
			}
		} else {
			t.Created, t.Revision, was = k.topic.Created, k.topic.Revision, k
		}
	}
	if t.KeepDeclared = t.Keep > 0; !t.KeepDeclared && !was.topic.KeepDeclared {
		t.Keep = was.topic.Keep
	}
	_, err := w.write(&t, was)
	return err
}

func (w *work) deploySubscriptions(wishes []Subscription) error {
	kept := map[string]bool{} // topic 0 id
	for _, s := range wishes {
		k, err := w.topic(s.Topic)
		if err != nil {
			return err
		}
		s.Declared = s.Replay
		isNew := true
		for _, is := range k.subs {
			if is.Protocol == s.Protocol && is.Endpoint.ARN == s.Endpoint.ARN && !kept[s.Topic+"\x00"+is.ID] {
				s.ID, s.Token, s.Created, s.Revision, s.Pending, isNew = is.ID, is.Token, is.Created, is.Revision, is.Pending, false
				if s.Replay.same(is.Declared) {
					s.Replay = is.Replay
				}
				break
			}
		}
		in, err := w.enter(k, &s)
		if err != nil {
			return err
		}
		kept[s.Topic+"\x00"+s.ID] = true
		if isNew && s.Pending {
			b, err := w.book(s.Topic)
			if err != nil {
				return err
			}
			w.ask(b, k.topic, in, s.ID)
		}
	}
	var names []string
	for name := range w.m.known {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	for _, name := range names {
		k, err := w.topic(name)
		if err != nil {
			continue // it went with this deployment
		}
		for _, s := range k.subs {
			if s.LogicalID != "" && !kept[name+"\x00"+s.ID] {
				now, err := w.topic(name)
				if err != nil {
					return err
				}
				if err := w.drop(now, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
