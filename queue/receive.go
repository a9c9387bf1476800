package queue

import (
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

const (
	passMax         = 128      // messages one command looks at that it does not give out
	receiveBytesMax = 24 << 20 // bodies and attributes in one answer, unless it is one message
	writeBytesMax   = 16 << 20 // what one command writes of the messages it looks at, and one message more
)

// received is what a receive command answers.
type received struct {
	queue    uint32
	messages []Received
	parts    [][]byte // of each, as it was sent
	replayed bool     // it is the answer of before
	more     bool     // enough was looked at, and there is more
}

func (w *Want) encode(name string) []byte {
	b := cell.AppendText(make([]byte, 0, len(name)+len(w.Again)+16), name)
	b = append(appendNumber(b, uint64(w.N)), flag(w.Internal))
	hide := uint64(0)
	if w.Hide != nil {
		hide = uint64(*w.Hide) + 1
	}
	return cell.AppendText(appendNumber(b, hide), w.Again)
}

// A receiving is a receive command at work.
type receiving struct {
	*work
	q        *live
	until    int64
	internal bool
	left     int // messages wanted
	looked   int // messages and lines looked at
	passed   int // messages looked at and not given out
	bytes    int
	wrote    int // bytes: what is known of messages, and dead letters twice, which are in their queue and in the ledger
	answer   received
}

func (w *work) receive(body []byte) (any, error) {
	c := reading(body)
	name, n := c.Text(), c.Small()
	internal, hide, again := c.Fixed(1), c.Number(), c.Text()
	if c.Err != nil || n < 1 || n > ReceiveMax || len(again) > GroupBytesMax {
		return nil, daruma.InvalidAt(name, "a receive of %d messages", n)
	}
	q, err := w.queue(name)
	if err != nil {
		return nil, err
	}
	until := w.now + int64(q.is.Hide)
	if hide > 0 {
		until = w.now + int64(hide-1)
	}
	if err := w.promote(q); err != nil {
		return nil, err
	}
	if again = q.repeats(again); again != "" {
		if got, err := w.replay(q, again, until); err != nil || got != nil {
			return got, err
		}
	}
	if q.InFlight >= InFlightMax {
		if q.is.FIFO {
			return received{queue: q.is.ID}, nil
		}
		return nil, throttled(q.is.Name)
	}
	r := &receiving{work: w, q: q, until: until, internal: internal[0] != 0, left: min(n, int(InFlightMax-q.InFlight)), answer: received{queue: q.is.ID}}
	if err := r.pick(); err != nil {
		return nil, err
	}
	r.answer.more = r.passed >= passMax || r.wrote >= writeBytesMax
	if again != "" && len(r.answer.messages) > 0 {
		w.knowReceive(q, again, r.answer.messages)
	}
	return r.answer, nil
}

// repeats is the name of a receive, where names count.
func (q *live) repeats(again string) string {
	if !q.is.FIFO {
		return ""
	}
	return again
}

// enough says whether a command has done its part.
func (r *receiving) enough() bool {
	return r.left <= 0 || r.passed >= passMax || r.bytes >= receiveBytesMax || r.wrote >= writeBytesMax
}

// pick gives out messages: of the plain line and of each line in the ring the
// same share, in turn, and then again. In a FIFO queue a client gets as many of
// the group whose turn it is as there are, and leaves the others to other clients.
func (r *receiving) pick() error {
	q := r.q
	for !r.enough() && (q.plain > 0 || q.ring > 0) {
		lines, looked := q.ring+min(q.plain, 1), r.looked
		share := int(max(1, int64(r.left)/lines))
		if q.is.FIFO && !r.internal {
			share = r.left
		}
		parts := []func(int) error{r.pickPlain, r.pickRing}
		if q.plain > 0 && r.tx.Random().Int64N(lines) != 0 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		for _, part := range parts {
			if r.enough() {
				break
			}
			if err := part(share); err != nil {
				return err
			}
		}
		if r.looked == looked {
			return corrupt("line", errors.New("what is counted is not there"))
		}
	}
	return nil
}

// pickPlain gives out up to n messages of the plain line.
func (r *receiving) pickPlain(n int) error {
	q := r.q
	q.changed = true
	for q.plain > 0 && n > 0 && !r.enough() {
		number := q.head
		q.head++
		r.looked++
		rec, err := r.record(q, number)
		if err != nil {
			return err
		}
		if rec == nil { // it expired
			r.passed++
			continue
		}
		q.plain--
		q.Visible--
		given, err := r.give(number, rec, rec.state())
		if err != nil {
			return err
		}
		if given {
			n--
		}
	}
	return nil
}

// pickRing gives out up to share messages of each line, going round once.
func (r *receiving) pickRing(share int) error {
	q := r.q
	end := q.turns + 1
	rg := cell.Range{Lower: at(spaceRing, q.is.ID, uint64(q.turn)), Upper: at(spaceRing, q.is.ID, uint64(end))}
	for key, group := range r.tx.Scan(rg) {
		q.changed = true
		q.turn = int64(last(key))
		if r.enough() {
			return nil
		}
		if err := r.pickLine(string(group), share); err != nil {
			return err
		}
		q.turn++
	}
	q.turn = end
	return nil
}

// pickLine gives out up to n messages of a line, which goes to the end of the ring.
func (r *receiving) pickLine(group string, n int) error {
	q := r.q
	r.looked++
	l, err := r.line(q, group)
	if err != nil {
		return err
	}
	if l.turn != 0 {
		r.leave(q, l)
	}
	l.head = max(l.head, 1)
	rg := cell.Range{Lower: placeKey(q.is.ID, group, uint64(l.head)), Upper: cell.Prefix(places(q.is.ID, group)).Upper}
	first, blocked := int64(never), false
	for key := range r.tx.Scan(rg) {
		number := int64(last(key))
		if n == 0 || r.enough() {
			first = min(first, number)
			break
		}
		rec, s, err := r.standing(number)
		if err != nil {
			return err
		}
		if s.is(flagDelayed) { // only in a FIFO queue; whatever is behind it waits
			first, blocked = min(first, number), true
			break
		}
		q.Visible--
		given, err := r.give(number, rec, s)
		if err != nil {
			return err
		}
		if given {
			n--
		}
		if given && q.is.FIFO {
			l.hidden++
			first = min(first, number)
			continue
		}
		r.tx.Delete(key)
		l.count--
	}
	l.head = first
	if blocked && l.hidden == 0 { // it joins the ring again when its first message is visible
		r.tx.Set(lineKey(q.is.ID, group), l.encode())
		return nil
	}
	r.put(q, group, l)
	return nil
}

// standing returns a message that stands in a line.
func (r *receiving) standing(n int64) (*record, *state, error) {
	rec, err := r.record(r.q, n)
	if err != nil {
		return nil, nil, err
	}
	if rec == nil {
		return nil, nil, corrupt("message", cell.ErrCut)
	}
	s, err := r.state(r.q, n)
	if err != nil {
		return nil, nil, err
	}
	if s == nil {
		s = rec.state()
	}
	return rec, s, nil
}

// give gives out one message that was taken from its line. It returns false
// when it was not to be given out: it is too old, or a dead letter.
func (r *receiving) give(n int64, rec *record, s *state) (bool, error) {
	q := r.q
	if rec.sent+int64(q.is.keep()) <= r.now {
		r.passed++
		q.Expired++
		r.drop(q, n, s)
		return false, nil
	}
	if d := q.is.DeadLetter; d != nil && s.count >= d.After {
		done, err := r.letter(q, n, rec, s, nil)
		if err != nil || done {
			r.passed++
			r.wrote += 2 * s.size
			return false, err
		}
	}
	if len(r.answer.messages) == 0 {
		q.lease++
	}
	s.flags, s.lease = flagInFlight, uint64(q.lease)
	if r.internal {
		s.flags |= flagInternal
	}
	s.count++
	before := s.taken
	s.taken = r.now
	if s.first == 0 {
		s.first = r.now
	}
	r.wrote += r.conceal(q, n, s, r.until)
	q.InFlight++
	q.Received++
	r.left--
	r.bytes += s.size
	r.answer.add(n, rec, s, before)
	return true, nil
}

// add answers a message; before is when it was received last before.
func (a *received) add(n int64, rec *record, s *state, before int64) {
	a.messages = append(a.messages, Received{Held: Held{Number: uint64(n), Lease: s.lease}, Sent: moment(rec.sent), Count: s.count, First: moment(s.first), Until: moment(s.due), From: rec.from, Failure: ledger.ID(rec.failure), Alone: ledger.Alone(s.tries.Each)})
	if before > 0 {
		a.messages[len(a.messages)-1].Before = moment(before)
	}
	a.parts = append(a.parts, rec.rest)
}

func againKey(q *live, again string) []byte {
	return append(append(of(spaceOnce, q.is.ID, len(again)+1), 'r'), again...)
}

// knowReceive keeps what a receive of a name gave out.
func (w *work) knowReceive(q *live, again string, messages []Received) {
	until := w.now + int64(OnceFor)
	b := appendNumber([]byte{againVersion}, uint64(until))
	for i := range messages {
		b = appendNumber(appendNumber(b, messages[i].Number), messages[i].Lease)
	}
	w.know(q, againKey(q, again), cell.SealAll(b), until)
}

// replay answers what the receive of this name answered before, if all of it
// is still as it was left. The messages are hidden anew.
func (w *work) replay(q *live, again string, until int64) (any, error) {
	raw, ok := w.tx.Get(againKey(q, again))
	if !ok {
		return nil, nil
	}
	body, err := unseal("receive", againVersion, raw)
	if err != nil {
		return nil, err
	}
	c := reading(body)
	if c.Signed() <= w.now {
		return nil, nil
	}
	a := received{queue: q.is.ID, replayed: true}
	var states []*state
	for len(c.Rest) > 0 {
		n, lease := int64(c.Number()), c.Number()
		s, err := w.state(q, n)
		if err != nil || c.Err != nil {
			return nil, err
		}
		if s == nil || !s.is(flagInFlight) || s.lease != lease {
			return nil, nil
		}
		states = append(states, s)
		a.messages = append(a.messages, Received{Held: Held{Number: uint64(n)}})
	}
	held := a.messages
	a.messages = nil
	for i, s := range states {
		n := int64(held[i].Number)
		rec, err := w.record(q, n)
		if err != nil || rec == nil {
			return nil, err
		}
		w.tx.Delete(timed(spaceDue, q.is.ID, s.due, uint64(n)))
		w.conceal(q, n, s, until)
		a.add(n, rec, s, s.taken)
	}
	q.changed = true
	return a, nil
}
