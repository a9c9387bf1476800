package queue

import (
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	machineName    = "queue"
	commandOpen    = "open"
	commandSend    = "send"
	commandReceive = "receive"
	commandDelete  = "delete"
	commandHide    = "hide"
	commandSettle  = "settle"
	commandReclaim = "reclaim"
	commandShow    = "show"
	commandCreate  = "create"
	commandChange  = "change"
	commandRemove  = "remove"
	commandDeploy  = "deploy"
	commandPurge   = "purge"
	commandMove    = "move"
	commandCancel  = "cancel-move"
	commandRedrive = "redrive"
	commandPut     = "put"
)

// A Machine applies the commands of queues. Each cell has its own; a machine
// called "ledger" (package ledger) lies in the same cell.
type Machine struct {
	wake daruma.Bell // holds a token when something may be received

	mu    sync.RWMutex // guards known; written by the apply loop only
	known map[string]*known
}

// A known is what is in memory of a queue.
type known struct {
	queue  *Queue
	signal *signal
}

// NewMachine returns a machine for one cell.
func NewMachine() *Machine {
	return &Machine{wake: daruma.NewBell(), known: map[string]*known{}}
}

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load finds the queues there are, and which of them have something to receive.
func (m *Machine) Load(r *cell.Reader) error {
	found := map[string]*known{}
	for _, is := range queues().All(r, cell.Prefix([]byte{spaceQueue})) {
		b, err := readBook(r, is.ID)
		if err != nil {
			return err
		}
		k := &known{queue: is, signal: m.signal(is.Name)}
		if k.signal == nil {
			k.signal = &signal{due: never}
		}
		k.signal.set(b.ready(is.FIFO), b.due, b.Visible, 1)
		found[is.Name] = k
	}
	m.mu.Lock()
	for name, k := range m.known {
		if found[name] == nil {
			k.signal.remove()
		}
	}
	m.known = found
	m.mu.Unlock()
	m.wake.Ring()
	return nil
}

func (m *Machine) signal(name string) *signal {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if k := m.known[name]; k != nil {
		return k.signal
	}
	return nil
}

// A work is one command being applied.
type work struct {
	m     *Machine
	tx    *cell.Tx
	now   int64
	lives []*live
}

// A live is a queue as one command has it.
type live struct {
	*book
	is      *Queue
	changed bool
	came    int64 // messages that became visible
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{m: m, tx: tx, now: nanos(tx.Now())}
	answer, err := commands.Apply(w, cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

// commands is what queues can be asked for.
var commands = cell.Commands[*work]{
	commandSend:    cell.Reading((*work).send),
	commandReceive: cell.Reading((*work).receive),
	commandDelete:  cell.Reading((*work).delete),
	commandHide:    cell.Reading((*work).hide),
	commandSettle:  cell.Answering((*work).settle),
	commandReclaim: cell.Answering((*work).reclaim),
	commandShow:    cell.Answering((*work).show),
	commandOpen:    cell.Reading((*work).open),
	commandCreate:  cell.Answering(func(w *work, c creation) (*Queue, error) { return w.create(c.Name, c.Settings, "") }),
	commandChange:  cell.Answering((*work).change),
	commandRemove:  cell.Answering(func(w *work, c named) (any, error) { return w.remove(c.Name) }),
	commandDeploy:  cell.Answering((*work).deploy),
	commandPurge:   cell.Answering((*work).purge),
	commandMove:    cell.Answering((*work).startMove),
	commandCancel:  cell.Answering((*work).cancelMove),
	commandRedrive: cell.Answering((*work).redrive),
}

// open answers the secret of handles: that of the first time.
func (w *work) open(secret []byte) (any, error) {
	if len(secret) != secretBytes {
		return nil, daruma.InvalidAt("", "a secret of %d bytes", len(secret))
	}
	if kept, ok := w.tx.Get([]byte{spaceSecret}); ok {
		_, body, err := cell.Unseal(kept)
		return body, err
	}
	w.tx.Set([]byte{spaceSecret}, cell.Seal(1, secret))
	return secret, nil
}

// Due has a queue do what is due by itself: what was hidden is visible again,
// what is too old goes, a move goes on.
func (m *Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	w := &work{m: m, tx: tx, now: nanos(tx.Now())}
	is := queues().Get(tx, queueKey(string(key)))
	if is == nil {
		return nil // it was removed, and so is all it had to do
	}
	q, err := w.opened(is)
	if err != nil {
		return err
	}
	q.timer, q.changed = never, true
	if err := w.perform(q); err != nil {
		return err
	}
	w.finish()
	return nil
}

// perform does a bounded part of what is due in a queue.
func (w *work) perform(q *live) error {
	if err := w.promote(q); err != nil {
		return err
	}
	if err := w.expireSome(q); err != nil {
		return err
	}
	if err := w.forgetSome(q, forgetMax); err != nil {
		return err
	}
	return w.moveSome(q)
}

// queue returns a queue for the command.
func (w *work) queue(name string) (*live, error) {
	for _, q := range w.lives {
		if q.is.Name == name {
			return q, nil
		}
	}
	var is *Queue
	if k := w.m.known[name]; k != nil {
		is = k.queue
	} else {
		is = queues().Get(w.tx, queueKey(name)) // made by a step that this one is part of
	}
	if is == nil {
		return nil, noQueue(name)
	}
	return w.opened(is)
}

// opened reads a queue's book.
func (w *work) opened(is *Queue) (*live, error) {
	b, err := readBook(w.tx, is.ID)
	if err != nil {
		return nil, err
	}
	q := &live{book: b, is: is}
	w.lives = append(w.lives, q)
	return q, nil
}

// finish writes the books, and brings what is in memory up to date once the step is taken.
func (w *work) finish() {
	for _, q := range w.lives {
		if !q.changed {
			continue
		}
		if next := q.next(); next < q.timer {
			q.timer = max(next, w.now)
			w.tx.Schedule(moment(q.timer), []byte(q.is.Name))
		}
		w.tx.Set(of(spaceBook, q.is.ID, 0), q.encode())
		name, id, ready, due, visible, came := q.is.Name, q.is.ID, q.ready(q.is.FIFO), q.due, q.Visible, int(q.came)
		w.tx.Then(func() {
			k := w.m.known[name]
			if k == nil || k.queue.ID != id {
				return
			}
			k.signal.set(ready, due, visible, came)
			if ready {
				w.m.wake.Ring()
			}
		})
	}
}

// remember puts a queue into memory once the step is taken; nil takes it out.
func (w *work) remember(name string, is *Queue) {
	m := w.m
	w.tx.Then(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		old := m.known[name]
		switch {
		case is == nil && old != nil:
			delete(m.known, name)
			old.signal.remove()
		case is != nil && old != nil && old.queue.ID == is.ID:
			old.queue = is
		case is != nil:
			if old != nil {
				old.signal.remove()
			}
			m.known[name] = &known{queue: is, signal: &signal{due: never}}
		}
	})
}
