package topic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/pattern"
)

const (
	machineName      = "topic"
	commandPublish   = "publish"
	commandPut       = "put"
	commandCreate    = "create"
	commandChange    = "change"
	commandRemove    = "remove"
	commandSubscribe = "subscribe"
	commandConfirm   = "confirm"
	commandAdjust    = "adjust"
	commandEnd       = "end"
	commandDeploy    = "deploy"
	commandSettle    = "settle"
	commandRedrive   = "redrive"
)

// Config is what a machine needs. It must be the same wherever commands are applied.
type Config struct {
	Composer Composer // required
	// Send makes the command with which a queue takes a letter. Its error, and
	// that of the command, say why the queue does not. Required.
	Send func(queue string, l Letter) (cell.Command, error)
}

// A Machine applies the commands of topics. Each cell has its own; machines
// called "delivery" and "ledger", and the one that Config.Send speaks to, lie in
// the same cell.
type Machine struct {
	cfg Config

	mu      sync.RWMutex // guards what follows; written by the apply loop only
	known   map[string]*known
	waiting map[string]waiting // subscriptions for which posts wait, by ID
}

// A waiting is the posts that wait for a subscription.
type waiting struct {
	topic string
	posts int64
}

// A known is what is in memory of a topic. It is replaced, never changed.
type known struct {
	topic *Topic
	subs  []*subscribed // by ID
}

// A subscribed is what is in memory of a subscription.
type subscribed struct {
	*Subscription
	policy *pattern.Pattern // nil wants everything
}

// NewMachine returns a machine for one cell.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg, known: map[string]*known{}, waiting: map[string]waiting{}}
}

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load finds the topics there are, who subscribes to them, and what waits.
func (m *Machine) Load(r *cell.Reader) error {
	found, posts := map[string]*known{}, map[string]waiting{}
	for _, t := range topics().All(r, cell.Prefix([]byte{spaceTopic})) {
		found[t.Name] = &known{topic: t}
	}
	for _, s := range subscriptions().All(r, cell.Prefix([]byte{spaceSubscription})) {
		k := found[s.Topic]
		if k == nil {
			return corrupt("subscription "+s.ID, fmt.Errorf("its topic %s is missing", s.Topic))
		}
		k.subs = append(k.subs, subscribedOf(s))
		n := int64(0)
		for range r.Scan(cell.Prefix(under(spaceDue, s.ID))) {
			n++
		}
		if n > 0 {
			posts[s.ID] = waiting{s.Topic, n}
		}
	}
	for _, k := range found {
		k.sort()
	}
	m.mu.Lock()
	m.known, m.waiting = found, posts
	m.mu.Unlock()
	return nil
}

func (k *known) sort() {
	slices.SortFunc(k.subs, func(a, b *subscribed) int { return cmp.Compare(a.ID, b.ID) })
}

// subscribedOf compiles the policy, which was found right when it was taken. One
// that is not right any more wants nothing rather than everything.
func subscribedOf(s *Subscription) *subscribed {
	in := &subscribed{Subscription: s}
	if s.Filter != "" {
		p, err := pattern.CompilePolicy(s.Filter, s.scope())
		if err != nil {
			p = &pattern.Pattern{}
		}
		in.policy = p
	}
	return in
}

func (m *Machine) get(name string) *known {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.known[name]
}

// sign signs those texts of a message that somebody will ask the signature of,
// so that it need not be done while everybody waits.
func (m *Machine) sign(name string, msg *Message) {
	k := m.get(name)
	if k == nil || k.topic.FIFO {
		return
	}
	for _, s := range k.subs {
		if s.Raw || s.Pending {
			continue
		}
		text, label := msg.text(s.Protocol)
		if msg.Signatures[label] == "" {
			if msg.Signatures == nil {
				msg.Signatures = map[string]string{}
			}
			msg.Signatures[label] = m.cfg.Composer.Sign(k.topic, msg, text)
		}
	}
}

// A work is one command being applied.
type work struct {
	m       *Machine
	tx      *cell.Tx
	books   map[string]*book
	known   map[string]*known  // topics this command has made or changed; nil: removed
	waiting map[string]waiting // posts that came or went, by subscription
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{m: m, tx: tx}
	answer, err := w.apply(cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

func (w *work) apply(cmd cell.Command) (any, error) {
	switch cmd.Name {
	case commandPublish:
		return w.publish(cmd.Body)
	case commandPut:
		return with(cmd, w.put)
	case commandCreate:
		return with(cmd, w.create)
	case commandChange:
		return with(cmd, w.change)
	case commandRemove:
		return with(cmd, w.remove)
	case commandSubscribe:
		return with(cmd, w.subscribe)
	case commandConfirm:
		return with(cmd, w.confirm)
	case commandAdjust:
		return with(cmd, w.adjust)
	case commandEnd:
		return with(cmd, w.end)
	case commandDeploy:
		return with(cmd, w.deploy)
	case commandSettle:
		return with(cmd, w.settle)
	case commandRedrive:
		return with(cmd, w.redrive)
	}
	return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: fmt.Errorf("topics know no such command")}
}

func with[T any](cmd cell.Command, f func(T) (any, error)) (any, error) {
	var arguments T
	if err := json.Unmarshal(cmd.Body, &arguments); err != nil {
		return nil, invalid("", "a command cannot be read: %w", err)
	}
	return f(arguments)
}

// Due forgets a message that was known long enough, and ends a subscription
// that nobody has confirmed.
func (m *Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	w := &work{m: m, tx: tx}
	switch {
	case len(key) > 0 && key[0] == spaceOnce:
		tx.Delete(key)
	case len(key) > 0 && key[0] == spaceConfirm:
		topic, id, _ := strings.Cut(string(key[1:]), "\x00")
		k, err := w.topic(topic)
		if err != nil {
			return nil // it is gone, and so are its subscriptions
		}
		if s := k.find(id); s != nil && s.Pending {
			if err := w.drop(k, s); err != nil {
				return err
			}
		}
	}
	w.finish()
	return nil
}

// topic returns a topic as it is within this command, or ErrNoTopic.
func (w *work) topic(name string) (*known, error) {
	k, changed := w.known[name]
	if !changed {
		k = w.m.known[name]
	}
	if k == nil {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Ref: name, Err: ErrNoTopic}
	}
	return k, nil
}

func (k *known) find(id string) *subscribed {
	if i, ok := slices.BinarySearchFunc(k.subs, id, func(s *subscribed, id string) int { return cmp.Compare(s.ID, id) }); ok {
		return k.subs[i]
	}
	return nil
}

// posts notes that posts wait for a subscription, or do not any more.
func (w *work) posts(s *subscribed, n int64) {
	if w.waiting == nil {
		w.waiting = map[string]waiting{}
	}
	w.waiting[s.ID] = waiting{s.Topic, w.waiting[s.ID].posts + n}
}

// remember has a topic be as k says from now on; nil: it is gone.
func (w *work) remember(name string, k *known) {
	if w.known == nil {
		w.known = map[string]*known{}
	}
	w.known[name] = k
}

// book returns what is counted of a topic; it is written when the command ends.
func (w *work) book(name string) (*book, error) {
	if b := w.books[name]; b != nil {
		return b, nil
	}
	b, err := readBook(w.tx, name)
	if err != nil {
		return nil, err
	}
	if w.books == nil {
		w.books = map[string]*book{}
	}
	w.books[name] = b
	return b, nil
}

// finish writes the books, and brings what is in memory up to date once the step is taken.
func (w *work) finish() {
	for _, name := range slices.Sorted(maps.Keys(w.books)) {
		if k, changed := w.known[name]; !changed || k != nil {
			w.tx.Set(bookKey(name), w.books[name].encode())
		}
	}
	if len(w.known) == 0 && len(w.waiting) == 0 {
		return
	}
	m, changed, posts := w.m, w.known, w.waiting
	w.tx.Then(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for name, k := range changed {
			if k == nil {
				delete(m.known, name)
				continue
			}
			m.known[name] = k
		}
		for id, came := range posts {
			came.posts += m.waiting[id].posts
			if m.waiting[id] = came; came.posts <= 0 {
				delete(m.waiting, id)
			}
		}
	})
}
