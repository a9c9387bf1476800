package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// create makes a queue.
func (w *work) create(name string, s Settings, logicalID string) (*Queue, error) {
	if queues().Get(w.tx, queueKey(name)) != nil {
		return nil, &daruma.Error{Kind: daruma.KindExists, Err: errors.New("there is such a queue already")}
	}
	if raw, ok := w.tx.Get(removedKey(name)); ok && len(raw) == 8 && logicalID == "" {
		if w.now < int64(binary.BigEndian.Uint64(raw))+int64(removedFor) {
			return nil, &daruma.Error{Kind: daruma.KindConflict, Err: ErrRemoved}
		}
	}
	if len(w.m.known) >= QueuesMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Err: fmt.Errorf("there are %d queues, more are not made", QueuesMax)}
	}
	id := uint32(1)
	if raw, ok := w.tx.Get([]byte{spaceNumber}); ok && len(raw) == 4 {
		id = binary.BigEndian.Uint32(raw) + 1
	}
	w.tx.Set([]byte{spaceNumber}, binary.BigEndian.AppendUint32(nil, id))
	w.tx.Delete(removedKey(name))
	is := &Queue{Settings: s, Name: name, ID: id, Created: w.tx.Now(), Changed: w.tx.Now(), Revision: 1, LogicalID: logicalID}
	if err := w.check(is); err != nil {
		return nil, err
	}
	w.keep(is)
	return is, nil
}

// keep writes what is configured of a queue.
func (w *work) keep(is *Queue) {
	queues().Put(w.tx, queueKey(is.Name), is)
	w.remember(is.Name, is)
}

// check says what is wrong with the settings of a queue.
func (w *work) check(is *Queue) error {
	if err := is.validate(is.Name); err != nil {
		return err
	}
	d := is.DeadLetter
	if d == nil {
		return nil
	}
	var to *Queue
	if d.Queue != is.Name {
		to = queues().Get(w.tx, queueKey(d.Queue))
	}
	switch {
	case to == nil:
		return &daruma.Error{Kind: daruma.KindInvalid, Ref: d.Queue, Err: ErrNoDeadLetter}
	case to.FIFO != is.FIFO:
		return &daruma.Error{Kind: daruma.KindInvalid, Ref: d.Queue, Err: ErrDeadLetterKind}
	case !to.Allow.admits(is.Name):
		return &daruma.Error{Kind: daruma.KindInvalid, Ref: d.Queue, Err: ErrNotAllowed}
	}
	return nil
}

func (w *work) change(c change) (any, error) {
	is := queues().Get(w.tx, queueKey(c.Name))
	if is == nil {
		return nil, noQueue(c.Name)
	}
	if is.Revision != c.Revision {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Err: errors.New("it was changed meanwhile")}
	}
	return w.replace(is, c.Settings)
}

// replace gives a queue other settings.
func (w *work) replace(was *Queue, s Settings) (*Queue, error) {
	if s.FIFO != was.FIFO {
		return nil, daruma.InvalidAt(was.Name, "a queue stays FIFO, or not")
	}
	is := *was
	is.Settings, is.Changed, is.Revision = s, w.tx.Now(), was.Revision+1
	if err := w.check(&is); err != nil {
		return nil, err
	}
	w.keep(&is)
	if s.keep() != was.keep() {
		q, err := w.opened(&is)
		if err != nil {
			return nil, err
		}
		if q.Messages() > 0 {
			q.changed, q.expires = true, w.now // when it is next looked at, it is by the new time
		}
	}
	return &is, nil
}

// remove removes a queue and says how many messages went with it.
func (w *work) remove(name string) (any, error) {
	is := queues().Get(w.tx, queueKey(name))
	if is == nil {
		return nil, noQueue(name)
	}
	n, err := w.erase(is)
	if err != nil {
		return nil, err
	}
	w.tx.Set(removedKey(name), binary.BigEndian.AppendUint64(nil, uint64(w.now)))
	for key, raw := range w.tx.Scan(cell.Prefix([]byte{spaceRemoved})) {
		if len(raw) == 8 && int64(binary.BigEndian.Uint64(raw))+int64(removedFor) <= w.now {
			w.tx.Delete(key)
		}
	}
	return n, nil
}

// erase removes all there is of a queue.
func (w *work) erase(is *Queue) (messages int64, err error) {
	b, err := readBook(w.tx, is.ID)
	if err != nil {
		return 0, err
	}
	for _, space := range content + remains {
		w.tx.DeleteRange(cell.Prefix(of(byte(space), is.ID, 0)))
	}
	w.tx.Cancel([]byte(is.Name))
	w.tx.Delete(queueKey(is.Name))
	w.remember(is.Name, nil)
	return b.Messages(), nil
}

// deploy makes the declared queues those that are wished for.
func (w *work) deploy(d deployment) (any, error) {
	var c Changes
	for _, is := range queues().All(w.tx, cell.Prefix([]byte{spaceQueue})) {
		if is.LogicalID == "" || slices.ContainsFunc(d.Wishes, func(x Wish) bool { return x.Name == is.Name && x.Settings.FIFO == is.FIFO }) {
			continue
		}
		if is.Retain {
			is.LogicalID, is.Declared, is.Retain = "", nil, false
			w.keep(is)
			c.Kept = append(c.Kept, is.Name)
			continue
		}
		n, err := w.erase(is)
		if err != nil {
			return nil, err
		}
		c.Removed = append(c.Removed, Removed{is.Name, n})
	}
	for _, x := range inOrder(d.Wishes) {
		if err := w.wish(x, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", x.LogicalID, err)
		}
	}
	return c, nil
}

// inOrder returns wishes with dead-letter queues before the queues that have them.
func inOrder(wishes []Wish) []Wish {
	left, ordered := slices.Clone(wishes), make([]Wish, 0, len(wishes))
	for len(left) > 0 {
		at := slices.IndexFunc(left, func(x Wish) bool {
			return x.Settings.DeadLetter == nil || !slices.ContainsFunc(left, func(o Wish) bool { return o.Name == x.Settings.DeadLetter.Queue })
		})
		at = max(at, 0) // a circle: the first of it is refused
		ordered = append(ordered, left[at])
		left = slices.Delete(left, at, at+1)
	}
	return ordered
}

// wish makes one declared queue what is wished for. What was changed by hand
// stays as long as the template says the same as before.
func (w *work) wish(x Wish, c *Changes) error {
	is := queues().Get(w.tx, queueKey(x.Name))
	if is == nil {
		made, err := w.create(x.Name, x.Settings, x.LogicalID)
		if err != nil {
			return err
		}
		made.Declared, made.Retain = &x.Settings, x.Retain
		w.keep(made)
		c.Created = append(c.Created, x.Name)
		return nil
	}
	if is.LogicalID == x.LogicalID && is.Retain == x.Retain && is.Declared != nil && same(is.Declared, &x.Settings) {
		return nil
	}
	changed, err := w.replace(is, x.Settings)
	if err != nil {
		return err
	}
	changed.LogicalID, changed.Declared, changed.Retain = x.LogicalID, &x.Settings, x.Retain
	w.keep(changed)
	c.Updated = append(c.Updated, x.Name)
	return nil
}

func same(a, b *Settings) bool {
	x, err := json.Marshal(a)
	y, other := json.Marshal(b)
	return err == nil && other == nil && bytes.Equal(x, y)
}
