package queue

import (
	"encoding/json"
	"fmt"
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
	wake chan struct{} // holds a token when something may be received

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
	return &Machine{wake: make(chan struct{}, 1), known: map[string]*known{}}
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
		k.signal.set(b.ready(is.FIFO), b.due, 1)
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
	m.ring()
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

// ring says that something may be received.
func (m *Machine) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
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
	answer, err := w.apply(cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

func (w *work) apply(cmd cell.Command) (any, error) {
	switch cmd.Name {
	case commandSend:
		return w.send(cmd.Body)
	case commandReceive:
		return w.receive(cmd.Body)
	case commandDelete:
		return w.delete(cmd.Body)
	case commandHide:
		return w.hide(cmd.Body)
	case commandSettle:
		return with(cmd, w.settle)
	case commandReclaim:
		return with(cmd, w.reclaim)
	case commandOpen:
		return w.open(cmd.Body)
	case commandCreate:
		return with(cmd, func(c creation) (any, error) { return w.create(c.Name, c.Settings, "") })
	case commandChange:
		return with(cmd, w.change)
	case commandRemove:
		return with(cmd, func(c named) (any, error) { return w.remove(c.Name) })
	case commandDeploy:
		return with(cmd, w.deploy)
	case commandPurge:
		return with(cmd, w.purge)
	case commandMove:
		return with(cmd, w.startMove)
	case commandCancel:
		return with(cmd, w.cancelMove)
	case commandRedrive:
		return with(cmd, w.redrive)
	}
	return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: fmt.Errorf("queues know no such command")}
}

func with[T any](cmd cell.Command, f func(T) (any, error)) (any, error) {
	var arguments T
	if err := json.Unmarshal(cmd.Body, &arguments); err != nil {
		return nil, invalid("", "a command cannot be read: %w", err)
	}
	return f(arguments)
}

// open answers the secret of handles: that of the first time.
func (w *work) open(secret []byte) (any, error) {
	if len(secret) != secretBytes {
		return nil, invalid("", "a secret of %d bytes", len(secret))
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
		name, id, ready, due, came := q.is.Name, q.is.ID, q.ready(q.is.FIFO), q.due, int(q.came)
		w.tx.Then(func() {
			k := w.m.known[name]
			if k == nil || k.queue.ID != id {
				return
			}
			k.signal.set(ready, due, came)
			if ready {
				w.m.ring()
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
