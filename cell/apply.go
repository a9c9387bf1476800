package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// self is the name under which the cell has commands of its own applied.
const self = "cell"

// The cell's own commands.
const (
	opened = "open"   // a new leader begins
	canary = "canary" // the disk is asked for a sign of life
	due    = "due"    // timers have come due; the body is the clock's time
)

// outcome is what the cell's Apply returns beside the changes.
type outcome struct {
	answers []answer // one for each command
	touched map[string]bool
}

// apply works out what the commands of an entry do. It is the journal's Apply.
func (c *Cell) apply(e journal.Entry, before journal.Reader) (journal.Changes, any, error) {
	out := outcome{answers: make([]answer, len(e.Commands)), touched: map[string]bool{}}
	state := overlay{base: before}
	for i := range e.Commands {
		s := &step{cell: c, now: e.Time, state: state, seed: [2]uint64{e.Seed, uint64(i)}}
		out.answers[i] = c.take(s, e.Commands[i])
		if out.answers[i].err == nil {
			state = s.state
			for _, f := range s.then {
				f()
			}
			for _, m := range s.touched {
				out.touched[m] = true
			}
			if s.timers {
				c.timers.noteSet(s.soonest)
			}
		}
		if s.panicked {
			if err := c.load(overlayReader{state}); err != nil {
				c.log.Error("cell: the machines cannot load their indexes", "err", err)
			}
		}
	}
	if err := c.timers.refresh(state); err != nil {
		c.log.Error("cell: the timers cannot be read", "err", err)
	}
	return state.changes(), out, nil
}

// take takes one step: the command is applied in full, or leaves nothing and
// its answer is an error.
func (c *Cell) take(s *step, cmd Command) (a answer) {
	from := s.state.bytes
	s.panicked = c.guard(cmd, &a.err, func() { a.value, a.err = c.perform(s, cmd) }) || s.panicked
	switch {
	case s.err != nil:
		a.err = s.err
	case a.err != nil:
	case s.state.bytes-from > StepBytesMax:
		a.err = tooMuch(cmd, s.state.bytes-from)
	case s.state.bytes > journal.EntryBytesMax:
		a.err = refuse(daruma.KindThrottled, cmd, errors.New("too much is being written at once"))
	}
	if a.err != nil {
		a.value = nil
	}
	return a
}

func tooMuch(cmd Command, wrote int) error {
	return refuse(daruma.KindTooLarge, cmd, fmt.Errorf("it writes %d bytes, at most %d are kept", wrote, StepBytesMax))
}

// perform hands a command to its machine.
func (c *Cell) perform(s *step, cmd Command) (any, error) {
	if cmd.Machine == self {
		return c.performOwn(s, cmd)
	}
	m, ok := c.machines[cmd.Machine]
	if !ok {
		return nil, refuse(daruma.KindInvalid, cmd, errors.New("there is no such machine"))
	}
	return m.Apply(s.tx(cmd.Machine, 0), cmd)
}

func (c *Cell) performOwn(s *step, cmd Command) (any, error) {
	switch cmd.Name {
	case opened, canary:
		t := orderedTime(s.now)
		s.state.set(append([]byte{spaceCell}, cmd.Name...), t[:])
		return nil, nil
	case due:
		return c.performDue(s, cmd)
	}
	return nil, refuse(daruma.KindInternal, cmd, errors.New("this version of the cell does not know the command"))
}

// guard calls f and turns a panic in it, which is a bug of a machine, into an
// error. What the machines keep in memory may be wrong then, so they load it again
// before the next command.
func (c *Cell) guard(cmd Command, err *error, f func()) (panicked bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		panicked = true
		*err = &daruma.Error{Op: cmd.Machine + " " + cmd.Name, Kind: daruma.KindInternal, Err: fmt.Errorf("panic: %v", p)}
		c.vitals.panicked(*err)
		c.log.Error("cell: a machine has panicked; its command was undone", "machine", cmd.Machine, "command", cmd.Name, "panic", p, slog.String("stack", string(debug.Stack())))
	}()
	f()
	return false
}

// loadDurable has the machines build their indexes from the durable state.
func (c *Cell) loadDurable(ctx context.Context) error {
	s, err := c.journal.Snapshot(ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.load(s), s.Close())
}

// load has the machines, and the timers, build their indexes from a state.
func (c *Cell) load(from journal.Reader) error {
	for _, m := range c.ordered {
		l, ok := m.(Loader)
		if !ok {
			continue
		}
		r := newReader(from, m.Name(), 0)
		if err := errors.Join(l.Load(r), *r.err); err != nil {
			return fmt.Errorf("load %s: %w", m.Name(), err)
		}
	}
	c.timers.reset()
	return c.timers.refresh(overlay{base: from})
}
