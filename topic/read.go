package topic

import (
	"context"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// All returns the topics there are, by name. They must not be changed.
func (t *Topics) All() []*Topic {
	t.machine.mu.RLock()
	defer t.machine.mu.RUnlock()
	all := make([]*Topic, 0, len(t.machine.known))
	for _, k := range t.machine.known {
		all = append(all, k.topic)
	}
	slices.SortFunc(all, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Topic returns one topic, or KindNotFound, [ErrNoTopic]. It must not be changed.
func (t *Topics) Topic(name string) (*Topic, error) {
	if k := t.machine.get(name); k != nil {
		return k.topic, nil
	}
	return nil, daruma.Wrap("find topic", name, &daruma.Error{Kind: daruma.KindNotFound, Err: ErrNoTopic})
}

// Subscriptions returns those of a topic, by ID; none when it does not exist.
// They must not be changed.
func (t *Topics) Subscriptions(name string) []*Subscription {
	k := t.machine.get(name)
	if k == nil {
		return nil
	}
	out := make([]*Subscription, 0, len(k.subs))
	for _, s := range k.subs {
		out = append(out, s.Subscription)
	}
	return out
}

// Subscription returns one subscription, or KindNotFound, [ErrNoSubscription].
// It must not be changed.
func (t *Topics) Subscription(topic, id string) (*Subscription, error) {
	if k := t.machine.get(topic); k != nil {
		if s := k.find(id); s != nil {
			return s.Subscription, nil
		}
	}
	return nil, daruma.Wrap("find subscription", id, &daruma.Error{Kind: daruma.KindNotFound, Err: ErrNoSubscription})
}

// Waiting returns how many posts wait for a subscription.
func (t *Topics) Waiting(id string) int64 {
	t.machine.mu.RLock()
	defer t.machine.mu.RUnlock()
	return t.machine.waiting[id].posts
}

// Accounts returns what became of the messages of every topic there is, by
// name. All are of one moment.
func (t *Topics) Accounts(ctx context.Context) (all []Account, err error) {
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, is := range topics().All(r, cell.Prefix([]byte{spaceTopic})) {
			b, err := readBook(r, is.Name)
			if err != nil {
				return err
			}
			all = append(all, b.Account)
		}
		return nil
	})
	return all, daruma.Wrap("read accounts", "", err)
}
