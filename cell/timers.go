package cell

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// Timers are kept twice in the store: by time, to find what is due, and by
// key, to move and cancel them (see keys.go). When the clock reaches the first,
// the cell has itself apply a command that takes all that are due, a bounded
// number at once, each as a step of its own. So what a timer does is in the
// journal like everything else, and a replay never looks at a clock.

const (
	dueMax       = 64              // timers one command takes
	pauseMin     = time.Second     // before a timer that failed is tried again
	pauseMax     = 5 * time.Minute // the pause doubles up to this
	lookAgainMax = time.Minute     // a clock may be set: never trust a wait longer than this
)

// Schedule sets the timer key of this machine to come due at the given time,
// or moves it there. A time that has passed is due at once. Times are kept to
// the nanosecond, from 1970 to 2262. Only a [Timed] machine can set timers.
func (tx *Tx) Schedule(at time.Time, key []byte) {
	if _, ok := tx.step.cell.machines[tx.machine].(Timed); !ok {
		tx.fail(&daruma.Error{Op: "schedule", Ref: tx.machine, Kind: daruma.KindInternal, Err: errors.New("the machine sets a timer and has no Due")})
		return
	}
	if len(key) > KeyBytesMax {
		tx.fail(&daruma.Error{Op: "schedule", Ref: tx.machine, Kind: daruma.KindTooLarge, Err: fmt.Errorf("a timer's key of %d bytes: at most %d are kept", len(key), KeyBytesMax)})
		return
	}
	tx.Cancel(key)
	tx.step.set(tx.machine, key, timer{due: at, at: at})
}

// Cancel removes the timer key of this machine, if it is set.
func (tx *Tx) Cancel(key []byte) {
	byKey := under(space(spaceTimer, tx.machine), key)
	at, ok, err := tx.step.state.get(byKey)
	if err != nil {
		tx.fail(err)
		return
	}
	if !ok {
		return
	}
	if len(at) != 8 {
		tx.fail(damagedTimer(tx.machine, key))
		return
	}
	tx.step.state.delete(byKey)
	tx.step.state.delete(dueKey(timeOf(at), tx.machine, key))
	tx.step.timers = true
}

// Scheduled returns when the timer key of this machine is due, and false when it is not set.
func (tx *Tx) Scheduled(key []byte) (time.Time, bool) {
	at, ok, err := tx.step.state.get(under(space(spaceTimer, tx.machine), key))
	if err != nil {
		tx.fail(err)
	}
	if !ok || len(at) != 8 {
		return time.Time{}, false
	}
	return timeOf(at), true
}

// A timer is the record of one. at is when it was set to come due; due is
// later than that when it has failed before.
type timer struct {
	due      time.Time
	at       time.Time
	failures uint64
}

// set writes both records of a timer.
func (s *step) set(machine string, key []byte, t timer) {
	due, at := orderedTime(t.due), orderedTime(t.at)
	s.state.set(under(space(spaceTimer, machine), key), due[:])
	s.state.set(dueKey(t.due, machine, key), binary.AppendUvarint(at[:], t.failures))
	s.timers = true
	if s.soonest.IsZero() || t.due.Before(s.soonest) {
		s.soonest = t.due
	}
}

// performDue takes the timers that are due at the time in the command's body, the
// earliest first: all together no more than one command may write, and none behind
// one in which a machine has panicked.
func (c *Cell) performDue(s *step, cmd Command) (any, error) {
	if len(cmd.Body) != 8 {
		return nil, refuse(daruma.KindInternal, cmd, errors.New("it carries no time"))
	}
	now := timeOf(cmd.Body)
	from := s.state.bytes
	for n := range dueMax {
		key, record, err := c.firstDue(s.state)
		if err != nil || key == nil {
			return nil, err
		}
		at, machine, name, ok := parseDueKey(key)
		t := timer{due: at}
		if ok {
			t.at, t.failures, ok = parseDueRecord(record)
		}
		if !ok {
			return nil, damagedTimer(machine, name)
		}
		if at.After(now) {
			return nil, nil
		}
		before := *s
		c.performOneDue(s, now, machine, name, t)
		if n > 0 && (s.state.bytes-from > StepBytesMax || s.state.bytes > journal.EntryBytesMax) {
			s.undo(before) // the next command takes it
			return nil, nil
		}
		if s.panicked {
			return nil, nil
		}
	}
	return nil, nil
}

// performOneDue takes one timer and hands it to its machine, and sets it again if that fails.
func (c *Cell) performOneDue(s *step, now time.Time, machine string, key []byte, t timer) {
	from := s.state.bytes
	s.state.delete(dueKey(t.due, machine, key))
	s.state.delete(under(space(spaceTimer, machine), key))
	s.timers = true
	before := *s
	cmd := Command{Machine: machine, Name: due}
	err := fmt.Errorf("no machine called %q sets timers", machine)
	if m, ok := c.machines[machine].(Timed); ok {
		s.panicked = c.guard(cmd, &err, func() { err = m.Due(s.tx(machine, 0), key, t.at) })
	}
	if wrote := s.state.bytes - from; s.err == nil && err == nil && wrote > StepBytesMax {
		err = tooMuch(cmd, wrote)
	}
	if err = errors.Join(err, s.err); err == nil {
		return
	}
	s.undo(before)
	t.failures++
	pause := min(pauseMin<<min(t.failures-1, 16), pauseMax)
	t.due = later(now, s.now).Add(pause)
	s.set(machine, key, t)
	c.log.Warn("cell: a timer has failed and is tried again", "machine", machine, "failures", t.failures, "pause", pause, "err", err)
}

// firstDue returns the first timer by time, or nil.
func (c *Cell) firstDue(state overlay) (key, record []byte, err error) {
	r := journal.Range{Lower: c.timers.floor, Upper: []byte{spaceDue + 1}}
	err = state.scan(r, false, func(k, v []byte) bool {
		key, record = k, v
		return false
	})
	return key, record, err
}

func parseDueKey(k []byte) (at time.Time, machine string, key []byte, ok bool) {
	if len(k) < 9 {
		return time.Time{}, "", nil, false
	}
	name, key, ok := bytes.Cut(k[9:], []byte{0})
	return timeOf(k[1:9]), string(name), slices.Clip(key), ok
}

func parseDueRecord(v []byte) (at time.Time, failures uint64, ok bool) {
	if len(v) < 9 {
		return time.Time{}, 0, false
	}
	failures, n := binary.Uvarint(v[8:])
	return timeOf(v), failures, n == len(v)-8
}

func timeOf(b []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC() }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func damagedTimer(machine string, key []byte) error {
	return &daruma.Error{Op: "read timer", Ref: fmt.Sprintf("%s %q", machine, key), Kind: daruma.KindCorrupt, Err: errors.New("its record makes no sense")}
}

// timers knows when the next timer is due, without reading the store.
type timers struct {
	changed chan struct{} // holds a token when next has changed

	floor []byte // no timer lies below; used by apply only
	stale bool   // next must be read again; used by apply only

	mu   sync.Mutex
	next time.Time // zero when there is none; guarded by mu
}

func (t *timers) init() {
	t.changed = make(chan struct{}, 1)
	t.reset()
}

// reset forgets what is known.
func (t *timers) reset() { t.floor, t.stale = []byte{spaceDue}, true }

// noteSet notes that timers were set, moved or taken; soonest is the earliest
// new time, zero when there is none. Taken ones need no note of their own:
// the floor rises when next is read again.
func (t *timers) noteSet(soonest time.Time) {
	t.stale = true
	if soonest.IsZero() {
		return
	}
	if k := dueKey(soonest, "", nil); bytes.Compare(k, t.floor) < 0 {
		t.floor = k
	}
}

// refresh reads when the next timer is due, if that may have changed. The
// floor spares the scan the many deleted keys below it.
func (t *timers) refresh(state overlay) error {
	if !t.stale {
		return nil
	}
	var next time.Time
	end := []byte{spaceDue + 1}
	r := journal.Range{Lower: t.floor, Upper: end}
	floor := end
	err := state.scan(r, false, func(k, _ []byte) bool {
		if at, _, _, ok := parseDueKey(k); ok {
			next = at
		}
		floor = k
		return false
	})
	if err != nil {
		return err
	}
	t.floor, t.stale = floor, false
	t.mu.Lock()
	t.next = next
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return nil
}

func (t *timers) peek() (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next, !t.next.IsZero()
}

// fire has timers taken when the clock reaches them. It runs until ctx ends.
func (c *Cell) fire(ctx context.Context) {
	for ctx.Err() == nil {
		at, ok := c.timers.peek()
		now := c.clock.Now()
		if !ok || at.After(now) {
			c.awaitTimer(ctx, ok, at, now)
			continue
		}
		t := orderedTime(now)
		if _, err := c.do(ctx, Command{Machine: self, Name: due, Body: t[:]}, true); err != nil && ctx.Err() == nil {
			c.log.Warn("cell: timers are late", "err", err)
			_ = c.clock.Sleep(ctx, pauseMin) // ends early only with ctx
		}
	}
}

// awaitTimer waits until the next timer, if there is one, is due or has
// changed. A clock that is set between the look at it and the wait would have
// the wait begin too late: so it is looked at once more.
func (c *Cell) awaitTimer(ctx context.Context, some bool, at, now time.Time) {
	rung := make(chan struct{}, 1)
	if some {
		stop := c.clock.AfterFunc(min(at.Sub(now), lookAgainMax), func() { rung <- struct{}{} })
		defer stop()
		if !at.After(c.clock.Now()) {
			return
		}
	}
	select {
	case <-ctx.Done():
	case <-c.timers.changed:
	case <-rung:
	}
}
