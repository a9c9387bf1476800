package delivery

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

const (
	givenUpMax      = 64      // events one command gives up for their age
	givenUpBytesMax = 2 << 20 // sizes of the events together that one step may give up, and one event more
	lookAhead       = 16      // events at the head of a line that is held back
	lostMax         = 128     // leases that one step takes back
	offMax          = 24 * time.Hour
)

type extension struct {
	By   time.Duration `json:"by,omitempty"`
	Held []Held        `json:"held"`
}

type reclamation struct {
	Before uint64 `json:"before"`
	N      int    `json:"n"`
}

// A leased is the record of a lease.
type leased struct {
	number   uint64
	until    time.Time
	function string
	state    *state
}

func (l *leased) encode() ([]byte, error) {
	s, err := l.state.encode()
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, len(s)+16), l.number)
	return append(appendTime(b, l.until), s...), nil
}

func decodeLeased(function string, record []byte) (*leased, error) {
	if len(record) < 16 {
		return nil, corrupt("lease", cell.ErrCut)
	}
	s, err := decodeState(record[16:])
	if err != nil {
		return nil, err
	}
	return &leased{number: binary.BigEndian.Uint64(record), until: timeOf(record[8:]), function: function, state: s}, nil
}

// A leasing is a lease command at work.
type leasing struct {
	*work
	want    Want
	now     time.Time
	number  uint64
	answer  Leases
	givenUp int
	bytes   int
}

// A head is a function that has something due, and room.
type head struct {
	function string
	room     int
	next     []byte // where its line goes on; nil when it ended
}

func (w *work) lease(want Want) (any, error) {
	if want.N < 0 || want.N > LeaseMax || want.For <= 0 {
		return nil, daruma.InvalidAt("lease", "%d events for %v", want.N, want.For)
	}
	l := &leasing{work: w, want: want, now: w.tx.Now()}
	heads, err := l.heads()
	if err != nil {
		return nil, err
	}
	// Each function gets the same share; what one leaves goes to the others in turn.
	share := 1
	if n := len(heads); n > 0 {
		share = max(1, want.N/n)
	}
	for pass := range 2 {
		for _, h := range heads {
			n := min(want.N-len(l.answer.Events), h.room)
			if pass == 0 {
				n = min(n, share)
			}
			if h.next == nil || n <= 0 {
				continue
			}
			if err := l.take(h, n); err != nil {
				return nil, err
			}
		}
	}
	for _, h := range heads {
		l.answer.More = l.answer.More || h.next != nil
	}
	if len(l.answer.Events) > 0 {
		l.until = untilKey(l.answer.Events[0].Until, "", 0)
		l.setTimer(l.answer.Events[0].Until)
	}
	return l.answer, nil
}

// soon notes when to ask again.
func (l *leasing) soon(at time.Time) {
	if l.answer.Next.IsZero() || at.Before(l.answer.Next) {
		l.answer.Next = at
	}
}

// heads finds functions with something due, in random order, and gives up what
// has grown too old in lines that are held back.
//
// The order goes by a hash of the name under the command's random number: it is
// the same whatever else is known in memory of who may have something due.
func (l *leasing) heads() ([]*head, error) {
	type candidate struct {
		rank uint64
		name string
	}
	var some []candidate
	seed := l.tx.Random().Uint64()
	for _, name := range l.m.names {
		first := l.first(name)
		if first == nil {
			continue
		}
		if due, _ := waiting(name, first); due.After(l.now) {
			l.soon(due)
			continue
		}
		some = append(some, candidate{rank(seed, name), name})
	}
	slices.SortFunc(some, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	var heads []*head
	for _, c := range some {
		room, err := l.room(c.name)
		switch {
		case err != nil:
			return nil, err
		case room <= 0:
			if err := l.lookAt(c.name); err != nil {
				return nil, err
			}
		case len(heads) == l.want.N:
			l.answer.More = true
		default:
			if first := l.peek(c.name, l.first(c.name)); first != nil {
				heads = append(heads, &head{c.name, room, first})
			}
		}
	}
	return heads, nil
}

// rank is a random number for a name, the same for one seed (FNV-1a, then mixed).
func rank(seed uint64, name string) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// room is how many more events of a function may be leased.
func (l *leasing) room(function string) (int, error) {
	limit, ok := l.want.Limits[function]
	if !ok {
		if limit = l.want.Each; limit == 0 {
			limit = LeaseMax
		}
	}
	if l.want.N == 0 {
		return 0, nil
	}
	a, err := l.read(function)
	if err != nil {
		return 0, err
	}
	return limit - int(a.Leased), nil
}

// peek returns the function's first key if it is due, and notes where it is.
func (l *leasing) peek(function string, from []byte) []byte {
	for key := range l.tx.Scan(cell.Range{Lower: from, Upper: cell.Prefix(line(function)).Upper}) {
		l.raise(function, key)
		if due, _ := waiting(function, key); due.After(l.now) {
			l.soon(due)
			return nil
		}
		return key
	}
	l.raise(function, nil)
	return nil
}

// take leases up to n events from where h is.
func (l *leasing) take(h *head, n int) error {
	from, upper := h.next, cell.Prefix(line(h.function)).Upper
	h.next = nil
	for key, record := range l.tx.Scan(cell.Range{Lower: from, Upper: upper}) {
		due, number := waiting(h.function, key)
		if due.After(l.now) {
			l.soon(due)
			l.raise(h.function, key)
			return nil
		}
		if n == 0 || l.exhausted() {
			h.next = key
			l.raise(h.function, key)
			return nil
		}
		s, err := decodeState(record)
		if err != nil {
			return err
		}
		old, _, err := l.tooOld(h.function, number, key, s)
		if err != nil {
			return err
		}
		if old {
			continue
		}
		if err := l.give(h.function, number, key, s); err != nil {
			return err
		}
		n--
		h.room--
	}
	l.raise(h.function, nil)
	return nil
}

// exhausted says whether this command has given up enough.
func (l *leasing) exhausted() bool {
	if l.givenUp < givenUpMax && l.bytes < givenUpBytesMax {
		return false
	}
	l.soon(l.now)
	return true
}

// tooOld gives an event up when it is older than its policy allows. Otherwise
// it returns when it will be.
func (l *leasing) tooOld(function string, number uint64, key []byte, s *state) (bool, time.Time, error) {
	p, err := l.policy(function, number, s)
	if err != nil {
		return false, time.Time{}, err
	}
	expires := s.accepted.Add(p.age())
	if !l.now.After(expires) || plantedAgeForgotten() {
		return false, expires, nil
	}
	l.givenUp++
	l.bytes += s.size
	l.tx.Delete(key)
	a, err := l.account(function)
	if err != nil {
		return false, time.Time{}, err
	}
	a.Waiting--
	return true, expires, l.fail(ending{function: function, number: number, state: s, policy: p, condition: EventAgeExceeded})
}

// lookAt gives up what is too old at the head of a line that is held back, and
// notes where the rest begins.
func (l *leasing) lookAt(function string) error {
	looked := 0
	for key, record := range l.tx.Scan(cell.Range{Lower: l.first(function), Upper: cell.Prefix(line(function)).Upper}) {
		due, number := waiting(function, key)
		if due.After(l.now) || looked == lookAhead || l.exhausted() {
			if looked == 0 {
				l.raise(function, key)
			}
			return nil
		}
		s, err := decodeState(record)
		if err != nil {
			return err
		}
		old, expires, err := l.tooOld(function, number, key, s)
		if err != nil {
			return err
		}
		if old {
			continue
		}
		if looked++; looked == 1 {
			l.raise(function, key)
		}
		l.soon(expires.Add(time.Nanosecond))
	}
	if looked == 0 {
		l.raise(function, nil)
	}
	return nil
}

// give leases one event.
func (l *leasing) give(function string, number uint64, key []byte, s *state) error {
	e, err := l.event(function, number)
	if err != nil {
		return err
	}
	if l.number == 0 {
		l.number = l.nextLease()
	}
	a, err := l.account(function)
	if err != nil {
		return err
	}
	a.Waiting--
	a.Leased++
	l.tx.Delete(key)
	given := &leased{number: l.number, until: l.now.Add(l.want.For), function: function, state: s}
	if err := l.hold(number, given); err != nil {
		return err
	}
	l.answer.Events = append(l.answer.Events, Leased{Delivery: described(number, e, s, given.until, true), Lease: given.number, Until: given.until})
	return nil
}

func described(number uint64, e Event, s *state, due time.Time, leased bool) Delivery {
	return Delivery{Event: e, Number: number, Accepted: s.accepted, Attempts: s.attempts, NotRun: s.notRun, Tried: s.tried, Due: due, Leased: leased, From: s.from}
}

// hold writes a lease.
func (w *work) hold(number uint64, l *leased) error {
	record, err := l.encode()
	if err != nil {
		return err
	}
	w.tx.Set(leaseKey(l.function, number), record)
	w.tx.Set(untilKey(l.until, l.function, number), nil)
	return nil
}

// setTimer has leases looked at when the first one runs out.
func (w *work) setTimer(until time.Time) {
	if at, ok := w.tx.Scheduled([]byte(timerLeases)); !ok || until.Before(at) {
		w.tx.Schedule(until, []byte(timerLeases))
	}
}

// held returns the lease of an event if it has that number.
func (w *work) held(h Held) (*leased, error) {
	record, ok := w.tx.Get(leaseKey(h.Function, h.Number))
	if !ok {
		return nil, nil
	}
	l, err := decodeLeased(h.Function, record)
	if err != nil || l.number != h.Lease {
		return nil, err
	}
	return l, nil
}

// end removes a lease; the event is in no line then.
func (w *work) end(number uint64, l *leased) (*Account, error) {
	w.tx.Delete(leaseKey(l.function, number))
	w.tx.Delete(untilKey(l.until, l.function, number))
	a, err := w.account(l.function)
	if err != nil {
		return nil, err
	}
	a.Leased--
	return a, nil
}

func (w *work) extend(e extension) (any, error) {
	if e.By <= 0 || len(e.Held) > LeaseMax {
		return nil, daruma.InvalidAt("extend", "%d leases by %v", len(e.Held), e.By)
	}
	lost := []Held{}
	to := w.tx.Now().Add(e.By)
	for _, h := range e.Held {
		l, err := w.held(h)
		if err != nil {
			return nil, err
		}
		if l == nil {
			lost = append(lost, h)
			continue
		}
		w.tx.Delete(untilKey(l.until, l.function, h.Number))
		l.until = to
		if err := w.hold(h.Number, l); err != nil {
			return nil, err
		}
	}
	w.until = untilKey(to, "", 0)
	w.setTimer(to)
	return lost, nil
}

func (w *work) release(e extension) error {
	off := make([]Off, len(e.Held))
	for i, h := range e.Held {
		off[i].Held = h
	}
	return w.putOff(off)
}

func (w *work) putOff(off []Off) error {
	if len(off) > LeaseMax {
		return daruma.InvalidAt("release", "%d leases", len(off))
	}
	for _, o := range off {
		if o.After < 0 || o.After > offMax {
			return daruma.InvalidAt("release", "an event that is due after %v", o.After)
		}
		l, err := w.held(o.Held)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		a, err := w.end(o.Number, l)
		if err != nil {
			return err
		}
		a.Waiting++
		if err := w.enqueue(l.function, o.Number, w.tx.Now().Add(o.After), l.state); err != nil {
			return err
		}
	}
	return nil
}

// Due takes leases back that have run out.
func (m *Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	if string(key) != timerLeases {
		return &daruma.Error{Kind: daruma.KindInternal, Ref: string(key), Err: cell.ErrCut}
	}
	w := m.begin(tx)
	n, bytes := 0, 0
	next := untilKey(tx.Now(), "", 0) // what is given from now on runs out later
	for k := range tx.Scan(cell.Range{Lower: later(m.until), Upper: []byte{spaceUntil + 1}}) {
		at, function, number := until(k)
		if at.After(tx.Now()) || n == lostMax || bytes >= givenUpBytesMax {
			next = k
			tx.Schedule(at, []byte(timerLeases))
			break
		}
		size, err := w.lose(function, number, false)
		if err != nil {
			return err
		}
		n++
		bytes += size
	}
	w.write()
	tx.Then(func() { m.until = next })
	return nil
}

// reclaim takes leases back that were given to somebody who is gone.
func (w *work) reclaim(r reclamation) (any, error) {
	left := 0
	var lost []Held
	for k := range w.tx.Scan(cell.Range{Lower: later(w.m.until), Upper: []byte{spaceUntil + 1}}) {
		_, function, number := until(k)
		record, ok := w.tx.Get(leaseKey(function, number))
		if !ok {
			continue
		}
		l, err := decodeLeased(function, record)
		if err != nil {
			return nil, err
		}
		switch {
		case l.number >= r.Before:
		case len(lost) < r.N:
			lost = append(lost, Held{Function: function, Number: number})
		default:
			left++
		}
	}
	bytes := 0
	for i, h := range lost {
		if bytes >= givenUpBytesMax {
			return left + len(lost) - i, nil
		}
		size, err := w.lose(h.Function, h.Number, true)
		if err != nil {
			return nil, err
		}
		bytes += size
	}
	return left, nil
}

// later is where the scan of leases begins.
func later(floor []byte) []byte {
	if floor == nil {
		return []byte{spaceUntil}
	}
	return floor
}
