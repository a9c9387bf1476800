package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/sns"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/post"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/replay"
	"github.com/daruma-io/daruma/topic"
)

// notaryFile is where the key that signs messages lies, readable by its owner only.
const notaryFile = "notary.pem"

// A subscribing is the parts of a node that have to do with topics.
type subscribing struct {
	notary  *sns.Notary
	topical *topic.Machine
	topics  *topic.Topics
	poster  *post.Poster
	replays *replay.Replayer
}

// topicMachine makes the machine that holds topics, with the key that signs messages.
func (n *Node) topicMachine(place catalog.Place) (err error) {
	if n.notary, err = ensureNotary(n.cfg.Data); err != nil {
		return err
	}
	n.topical = topic.NewMachine(topic.Config{Composer: sns.NewComposer(n.notary, place, "http://"+n.listeners.aws.Addr().String()), Send: sendLetter})
	return nil
}

func ensureNotary(data string) (*sns.Notary, error) {
	name := filepath.Join(data, notaryFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = sns.NewNotary(time.Now()); err == nil {
			err = writeFile(name, text)
		}
	}
	if err != nil {
		return nil, &daruma.Error{Op: "open the key that signs messages", Ref: name, Err: err}
	}
	return sns.OpenNotary(text)
}

// sendLetter is how a topic puts a letter into a queue. A queue that is not
// FIFO knows nothing of what was sent before.
func sendLetter(name string, l topic.Letter) (cell.Command, error) {
	id, _ := queue.ParseID(l.ID) // a dead letter has none: it is given one
	m := queue.Message{ID: id, Body: l.Body, Group: l.Group, Trace: l.Trace, Sender: l.Sender}
	if strings.HasSuffix(name, ".fifo") {
		m.Once = l.Once
	}
	for _, a := range l.Attributes {
		m.Attributes = append(m.Attributes, queue.Attribute(a))
	}
	return queue.SendCommand(name, m)
}

// openTopicDoor makes the way in to topics, what posts to URLs, and what replays.
func (n *Node) openTopicDoor(place catalog.Place) error {
	n.topics = topic.New(n.cell, n.topical, n.clock)
	door, err := sns.New(sns.Config{Topics: n.topics, Place: place, Notary: n.notary, Spanned: n.spanned})
	if err != nil {
		return err
	}
	n.front.Register("sns", door.Service())
	n.front.Public(door.IsPage, door)
	cfg := outside.Config{Own: n.listeners.ports}
	for _, s := range n.cfg.AllowPostTo {
		a, err := outside.ParseAllow(s)
		if err != nil {
			return err
		}
		cfg.Allow = append(cfg.Allow, a)
	}
	n.poster = post.New(post.Config{Source: n.topics, Client: outside.New(cfg).Client(outside.Limits{Time: post.TimeMax}), Clock: n.clock, Logger: n.cfg.Log, Spanned: n.watch.Spanned})
	n.replays = replay.New(replay.Config{Source: n.topics, Clock: n.clock, Logger: n.cfg.Log})
	return nil
}

// topicDestination is a topic of this app as a destination of events, or nil
// when an ARN is no topic's.
func topicDestination(p catalog.Place, arn string) *delivery.Destination {
	name, ok := strings.CutPrefix(arn, "arn:aws:sns:"+p.Region+":"+p.Account+":")
	if !ok || name == "" || strings.Contains(name, ":") {
		return nil
	}
	return &delivery.Destination{Kind: topic.Kind, Name: name, ARN: arn}
}

// topicRows is what the console shows of topics.
func (n *Node) topicRows(ctx context.Context) ([]console.Topic, error) {
	accounts, err := n.topics.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]console.Topic, 0, len(accounts))
	for _, a := range accounts {
		t, err := n.topics.Topic(a.Topic)
		if err != nil {
			continue // it was removed meanwhile
		}
		row := console.Topic{Name: t.Name, LogicalID: t.LogicalID, FIFO: t.FIFO, KeepDays: int(t.Keep / (24 * time.Hour)), Account: a, Subscriptions: []console.Subscription{}}
		for _, s := range n.topics.Subscriptions(t.Name) {
			row.Subscriptions = append(row.Subscriptions, console.Subscription{ID: s.ID, LogicalID: s.LogicalID, Protocol: s.Protocol, Endpoint: s.Endpoint.ARN, Raw: s.Raw, Pending: s.Pending,
				Replay: replayOf(s, n.topics.ReplayState(t.Name, s.ID)), Filter: s.Filter, DeadLetter: s.DeadLetter, Waiting: n.topics.Waiting(s.ID)})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// replayOf is how far a subscription's replay has come, for people.
func replayOf(s *topic.Subscription, state topic.ReplayState) string {
	if state == topic.ReplayCompleted && s.Replay != nil && !s.Replay.Until.IsZero() {
		return "Completed, paused"
	}
	return string(state)
}

// publish publishes what a person gives to a topic.
func (n *Node) publish(ctx context.Context, name string, m topic.Message) (topic.Published, error) {
	p := sns.Begin(name, m.Trace, time.Now())
	m.Sender, m.Trace = "console", p.Trace()
	got, err := n.topics.Publish(ctx, name, m)
	if err != nil {
		return topic.Published{}, err
	}
	n.spanned(p.End(time.Now(), got))
	return got[0], nil
}
