package topic

import (
	"cmp"
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
	commandReplay    = "replay"
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
	running map[Turn]bool      // replays
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
	replay *replay          // nil: none, or one that has ended; replaced, never changed
}

// NewMachine returns a machine for one cell.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg, known: map[string]*known{}, waiting: map[string]waiting{}, running: map[Turn]bool{}}
}

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load finds the topics there are, who subscribes to them, and what waits.
func (m *Machine) Load(r *cell.Reader) error {
	found, posts, running := map[string]*known{}, map[string]waiting{}, map[Turn]bool{}
	for _, t := range topics().All(r, cell.Prefix([]byte{spaceTopic})) {
		found[t.Name] = &known{topic: t}
	}
	for _, s := range subscriptions().All(r, cell.Prefix([]byte{spaceSubscription})) {
		k := found[s.Topic]
		if k == nil {
			return corrupt("subscription "+s.ID, fmt.Errorf("its topic %s is missing", s.Topic))
		}
		in := subscribedOf(s)
		if in.replay = replays().Get(r, replayKey(s.Topic, s.ID)); in.replay.runs() {
			running[Turn{s.Topic, s.ID}] = true
		}
		k.subs = append(k.subs, in)
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
	m.known, m.waiting, m.running = found, posts, running
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

// sign signs those texts of a message that somebody gets in an envelope, each
// once, so that it need not be done while everybody waits.
func (m *Machine) sign(name string, msg *Message) {
	k := m.get(name)
	if k == nil || k.topic.FIFO {
		return
	}
	var looks looks
	for _, s := range k.subs {
		text, label := msg.text(s.Protocol)
		if s.Raw || s.Pending || msg.Signatures[label] != "" || !looks.wanted(s, msg) {
			continue
		}
		if msg.Signatures == nil {
			msg.Signatures = map[string]string{}
		}
		msg.Signatures[label] = m.cfg.Composer.Sign(k.topic, msg, text)
	}
}

// A work is one command being applied.
type work struct {
	m       *Machine
	tx      *cell.Tx
	books   map[string]*book
	known   map[string]*known  // topics this command has made or changed; nil: removed
	waiting map[string]waiting // posts that came or went, by subscription
	begun   int                // replays
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{m: m, tx: tx}
	answer, err := commands.Apply(w, cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

// commands is what topics can be asked for.
var commands = cell.Commands[*work]{
	commandPublish:   cell.Reading((*work).publish),
	commandPut:       cell.Answering((*work).put),
	commandCreate:    cell.Answering((*work).create),
	commandChange:    cell.Answering((*work).change),
	commandRemove:    cell.Answering((*work).remove),
	commandSubscribe: cell.Answering((*work).subscribe),
	commandConfirm:   cell.Answering((*work).confirm),
	commandAdjust:    cell.Answering((*work).adjust),
	commandEnd:       cell.Answering((*work).end),
	commandDeploy:    cell.Answering((*work).deploy),
	commandSettle:    cell.Answering((*work).settle),
	commandRedrive:   cell.Answering((*work).redrive),
	commandReplay:    cell.Answering((*work).replayPart),
}

// Due forgets a message that was known long enough, takes out of an archive what
// is too old, and ends a subscription that nobody has confirmed.
func (m *Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	w := &work{m: m, tx: tx}
	switch {
	case len(key) > 0 && key[0] == spaceOnce:
		tx.Delete(key)
	case len(key) > 1 && key[0] == spaceArchive:
		if err := w.prune(string(key[1 : len(key)-1])); err != nil {
			return err
		}
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
			m.note(name, k)
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
