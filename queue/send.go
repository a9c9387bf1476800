package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const forgetMax = 256 // keys of what was sent that one step forgets

func appendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// send takes the messages of a command in.
func (w *work) send(body []byte) (any, error) {
	c := reading(body)
	q, err := w.queue(c.Text())
	if err != nil {
		return nil, err
	}
	sent := make([]Sent, 0, 1)
	for len(c.Rest) > 0 || c.Err != nil {
		delay, part := c.Number(), c.Bytes()
		if c.Err != nil {
			return nil, daruma.InvalidAt(q.is.Name, "a message is cut short")
		}
		r := &record{sent: w.now}
		if err := errors.Join(r.readHead(part), r.check()); err != nil {
			return nil, daruma.InvalidAt(q.is.Name, "a message cannot be read: %w", err)
		}
		if delay > uint64(DelayMax/time.Millisecond)+1 {
			return nil, daruma.InvalidAt(q.is.Name, "a delay of more than %v", DelayMax)
		}
		s, err := w.sendOne(q, r, delay)
		if err != nil {
			return nil, err
		}
		sent = append(sent, s)
	}
	return sent, nil
}

// sendOne takes a message in. A delay is in milliseconds, plus one; 0 stands for the queue's.
func (w *work) sendOne(q *live, r *record, delay uint64) (Sent, error) {
	if r.size > q.is.bytesMax() {
		return Sent{}, tooLarge("a message of %d bytes: %s takes up to %d", r.size, q.is.Name, q.is.bytesMax())
	}
	if r.id == (ID{}) {
		r.id = w.newID()
		r.rest = append(append(make([]byte, 0, len(r.rest)), r.id[:]...), r.rest[len(r.id):]...)
	}
	after := int64(q.is.Delay)
	if delay > 0 {
		after = int64(delay-1) * int64(time.Millisecond)
	}
	if !q.is.FIFO {
		n, err := w.enqueue(q, r, after)
		return Sent{ID: r.id, Number: uint64(n)}, err
	}
	if err := w.forgetSome(q, 4); err != nil {
		return Sent{}, err
	}
	key, err := onceKey(q, r)
	if err != nil {
		return Sent{}, err
	}
	if before, err := w.once(key); err != nil || before != nil {
		if before != nil {
			q.Duplicates++
			q.changed = true
			return Sent{ID: before.id, Number: uint64(before.n), Duplicate: true}, nil
		}
		return Sent{}, err
	}
	n, err := w.enqueue(q, r, after)
	if err != nil {
		return Sent{}, err
	}
	until := w.now + int64(OnceFor)
	b := append(append(make([]byte, 0, 48), onceVersion), r.id[:]...)
	b = appendNumber(appendNumber(b, uint64(n)), uint64(until))
	w.know(q, key, cell.SealAll(b), until)
	return Sent{ID: r.id, Number: uint64(n)}, nil
}

// onceKey is what a message is known by.
func onceKey(q *live, r *record) ([]byte, error) {
	if r.group == "" {
		return nil, daruma.InvalidAt(q.is.Name, "a message without a group: in a FIFO queue every message has one")
	}
	once := r.once
	if once == "" {
		if !q.is.OnceByBody {
			return nil, daruma.InvalidAt(q.is.Name, "a message that is known by nothing: give it something, or have the queue go by the body")
		}
		c := reading(r.rest)
		sum := sha256.Sum256(c.message().Body)
		once = hex.EncodeToString(sum[:])
	}
	scope := ""
	if q.is.OncePerGroup {
		scope = r.group
	}
	k := append(of(spaceOnce, q.is.ID, len(scope)+len(once)+2), 's')
	return append(append(append(k, scope...), 0), once...), nil
}

// A before is a message that was sent before.
type before struct {
	id ID
	n  int64
}

// once returns the message that is known by key, if there was one in the last five minutes.
func (w *work) once(key []byte) (*before, error) {
	raw, ok := w.tx.Get(key)
	if !ok {
		return nil, nil
	}
	body, err := unseal("message that was sent", onceVersion, raw)
	if err != nil {
		return nil, err
	}
	c := reading(body)
	b := &before{id: c.id(), n: c.Signed()}
	until := c.Signed()
	if c.Err != nil {
		return nil, corrupt("message that was sent", c.Err)
	}
	if until <= w.now {
		return nil, nil
	}
	return b, nil
}

// know keeps a record until it is to be forgotten.
func (w *work) know(q *live, key, value []byte, until int64) {
	q.changed = true
	w.tx.Set(key, value)
	w.tx.Set(append(binary.BigEndian.AppendUint64(of(spaceForget, q.is.ID, len(key)+8), uint64(until)), key[5:]...), nil)
	q.forget = min(q.forget, until)
}

// forgetSome forgets what has been known long enough, up to most.
func (w *work) forgetSome(q *live, most int) error {
	if q.forget > w.now {
		return nil
	}
	q.changed = true
	done := 0
	lower := binary.BigEndian.AppendUint64(of(spaceForget, q.is.ID, 8), uint64(q.forget))
	for key := range w.tx.Scan(cell.Range{Lower: lower, Upper: cell.Prefix(of(spaceForget, q.is.ID, 0)).Upper}) {
		until := timeIn(key)
		if until > w.now || done == most {
			q.forget = until
			return nil
		}
		done++
		w.tx.Delete(key)
		known := append(of(spaceOnce, q.is.ID, len(key)), key[13:]...)
		b, err := w.stillKnown(known)
		if err != nil {
			return err
		}
		if !b {
			w.tx.Delete(known)
		}
	}
	q.forget = never
	return nil
}

// stillKnown says whether a key was made known again since.
func (w *work) stillKnown(key []byte) (bool, error) {
	if key[5] != 's' {
		return false, nil
	}
	b, err := w.once(key)
	return b != nil, err
}
