package queue

import (
	"encoding/binary"

	"github.com/daruma-io/daruma/cell"
)

// Visible messages stand in lines. A message that nobody has received, that was
// not delayed and belongs to no group stands in the plain line, which is the
// messages themselves in the order of their numbers: to take it in costs one
// record. All others stand in the line of their group; messages without one
// that came back have the line of the group "". Lines with something to receive
// are in the ring, and are served in turn.
//
// In a FIFO queue a group keeps its messages in its line while they are in
// flight or delayed, and is out of the ring as long as one is in flight.

const promoteMax = 256 // hidden messages one command makes visible

// A line is that of a group.
type line struct {
	turn   int64 // in the ring; 0 when it is not in it
	count  int64 // messages in the line
	hidden int64 // FIFO: of these, in flight
	head   int64 // no message in the line has a lower number
}

func (l *line) encode() []byte {
	b := append(make([]byte, 0, 32), lineVersion)
	for _, n := range [...]int64{l.turn, l.count, l.hidden, l.head} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return cell.SealAll(b)
}

func decodeLine(raw []byte) (*line, error) {
	body, err := unseal("line of a group", lineVersion, raw)
	if err != nil {
		return nil, err
	}
	c := reading(body)
	l := &line{turn: c.Signed(), count: c.Signed(), hidden: c.Signed(), head: c.Signed()}
	if c.Err != nil {
		return nil, corrupt("line of a group", c.Err)
	}
	return l, nil
}

// line returns the line of a group; an empty one when it has none.
func (w *work) line(q *live, group string) (*line, error) {
	raw, ok := w.tx.Get(lineKey(q.is.ID, group))
	if !ok {
		return &line{head: never}, nil
	}
	return decodeLine(raw)
}

// put writes a line, in the ring when it has something to receive.
func (w *work) put(q *live, group string, l *line) {
	id := q.is.ID
	open := l.count > l.hidden && (l.hidden == 0 || !q.is.FIFO || plantedGroupTwice())
	switch {
	case open && l.turn == 0:
		q.turns++
		if q.ring == 0 {
			q.turn = q.turns
		}
		q.ring++
		l.turn = q.turns
		w.tx.Set(at(spaceRing, id, uint64(l.turn)), []byte(group))
	case !open && l.turn != 0:
		w.leave(q, l)
	}
	if l.count == 0 {
		w.tx.Delete(lineKey(id, group))
		return
	}
	w.tx.Set(lineKey(id, group), l.encode())
}

// leave takes a line out of the ring.
func (w *work) leave(q *live, l *line) {
	w.tx.Delete(at(spaceRing, q.is.ID, uint64(l.turn)))
	q.ring--
	l.turn = 0
}

// stand puts a message into the line of its group.
func (w *work) stand(q *live, group string, n int64) error {
	l, err := w.line(q, group)
	if err != nil {
		return err
	}
	w.tx.Set(placeKey(q.is.ID, group, uint64(n)), nil)
	l.count++
	l.head = min(l.head, n)
	w.put(q, group, l)
	return nil
}

// unstand takes a message out of the line of its group, where it was hidden or not.
func (w *work) unstand(q *live, group string, n int64, hidden bool) error {
	l, err := w.line(q, group)
	if err != nil {
		return err
	}
	w.tx.Delete(placeKey(q.is.ID, group, uint64(n)))
	l.count--
	if hidden {
		l.hidden--
	}
	if l.head == n {
		l.head++
	}
	w.put(q, group, l)
	return nil
}

// enqueue puts a message into a queue.
func (w *work) enqueue(q *live, r *record, delay int64) (n int64, err error) {
	q.changed = true
	q.Sent++
	n = q.Sent
	q.Bytes += int64(r.size)
	if q.Messages() == 0 {
		q.oldest = n
	}
	q.expires = min(q.expires, r.sent+int64(q.is.keep()))
	w.tx.Set(at(spaceMessage, q.is.ID, uint64(n)), r.encode())
	if r.indexed {
		w.tx.Set(timed(spaceSent, q.is.ID, r.sent, uint64(n)), nil)
	}
	if !q.is.FIFO && r.group == "" && delay == 0 && (q.end == never || q.plain == 0) {
		if q.plain == 0 {
			q.head, q.end = n, never
		}
		q.plain++
		q.Visible++
		q.came++
		return n, nil
	}
	if q.end == never {
		q.end = n
	}
	if delay == 0 {
		q.Visible++
		q.came++
		return n, w.stand(q, r.group, n)
	}
	s := r.state()
	s.flags = flagDelayed
	w.conceal(q, n, s, w.now+delay)
	q.Delayed++
	if !q.is.FIFO {
		return n, nil
	}
	l, err := w.line(q, r.group)
	if err != nil {
		return 0, err
	}
	w.tx.Set(placeKey(q.is.ID, r.group, uint64(n)), nil)
	l.count++
	l.head = min(l.head, n)
	if l.turn == 0 { // it joins the ring when its first message is no longer delayed
		w.tx.Set(lineKey(q.is.ID, r.group), l.encode())
	} else {
		w.put(q, r.group, l)
	}
	return n, nil
}

// state is that of a message that was never received here.
func (r *record) state() *state {
	s := &state{count: r.count, first: r.first, failure: r.failure, size: r.size, group: r.group}
	if r.indexed {
		s.indexed = r.sent
	}
	return s
}

// conceal hides a message until a time, and returns how many bytes are known of it.
func (w *work) conceal(q *live, n int64, s *state, until int64) (bytes int) {
	s.due = until
	is := s.encode()
	w.tx.Set(at(spaceState, q.is.ID, uint64(n)), is)
	w.tx.Set(timed(spaceDue, q.is.ID, until, uint64(n)), nil)
	q.due = min(q.due, until)
	return len(is)
}

// reveal makes a hidden message visible, in its place.
func (w *work) reveal(q *live, n int64, s *state) error {
	q.changed = true
	w.tx.Delete(timed(spaceDue, q.is.ID, s.due, uint64(n)))
	inFlight := s.is(flagInFlight)
	if inFlight {
		q.InFlight--
	} else {
		q.Delayed--
	}
	q.Visible++
	q.came++
	s.flags, s.due = 0, 0
	if key := at(spaceState, q.is.ID, uint64(n)); s.count == 0 && s.lease == 0 {
		w.tx.Delete(key)
	} else {
		w.tx.Set(key, s.encode())
	}
	if !q.is.FIFO {
		return w.stand(q, s.group, n)
	}
	l, err := w.line(q, s.group)
	if err != nil {
		return err
	}
	if inFlight {
		l.hidden--
	}
	w.put(q, s.group, l)
	return nil
}

// promote makes messages visible whose time has come, a bounded number.
func (w *work) promote(q *live) error {
	if q.due > w.now {
		return nil
	}
	q.changed = true
	done := 0
	for key := range w.tx.Scan(cell.Range{Lower: timed(spaceDue, q.is.ID, q.due, 0), Upper: cell.Prefix(of(spaceDue, q.is.ID, 0)).Upper}) {
		t := timeIn(key)
		if t > w.now || done == promoteMax {
			q.due = t
			return nil
		}
		done++
		n := int64(last(key))
		s, err := w.state(q, n)
		if err != nil {
			return err
		}
		if s == nil {
			return corrupt("hidden message", cell.ErrCut)
		}
		if s.is(flagInFlight) {
			q.Returned++
		}
		if err := w.reveal(q, n, s); err != nil {
			return err
		}
	}
	q.due = never
	return nil
}

// state returns the state of a message, or nil when it has none.
func (w *work) state(q *live, n int64) (*state, error) {
	raw, ok := w.tx.Get(at(spaceState, q.is.ID, uint64(n)))
	if !ok {
		return nil, nil
	}
	return decodeState(raw)
}

// record returns a message, or nil when it is gone.
func (w *work) record(q *live, n int64) (*record, error) {
	raw, ok := w.tx.Get(at(spaceMessage, q.is.ID, uint64(n)))
	if !ok {
		return nil, nil
	}
	return decodeRecord(raw)
}

// drop removes what there is of a message that stands nowhere any more.
func (w *work) drop(q *live, n int64, s *state) {
	q.changed = true
	id := q.is.ID
	w.tx.Delete(at(spaceMessage, id, uint64(n)))
	w.tx.Delete(at(spaceState, id, uint64(n)))
	if s.indexed != 0 {
		w.tx.Delete(timed(spaceSent, id, s.indexed, uint64(n)))
	}
	q.Bytes -= int64(s.size)
	switch {
	case q.Messages() == 0:
		q.oldest, q.expires = q.Sent+1, never
	case n == q.oldest:
		q.oldest++
	}
}

// withdraw takes a message out of wherever it is, and of the count of those that are there.
func (w *work) withdraw(q *live, n int64, s *state, fresh bool) error {
	q.changed = true
	switch {
	case s.is(flagInFlight):
		q.InFlight--
	case s.is(flagDelayed):
		q.Delayed--
	default:
		q.Visible--
	}
	if s.due != 0 {
		w.tx.Delete(timed(spaceDue, q.is.ID, s.due, uint64(n)))
	}
	switch {
	case fresh && s.group == "" && q.head <= n && n < q.end && !q.is.FIFO:
		q.plain--
		if n == q.head {
			q.head++
		}
		return nil
	case q.is.FIFO:
		return w.unstand(q, s.group, n, s.is(flagInFlight))
	case s.due == 0:
		return w.unstand(q, s.group, n, false)
	}
	return nil
}
