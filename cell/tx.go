package cell

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// A State can be read: the state a command is applied to ([Tx]) or the state
// a view shows ([Reader]). A read that fails (a damaged file) reads as if
// there was nothing, and makes the whole command or view end in its error.
// Keys and values may be kept and must not be changed.
type State interface {
	// Get returns the value of key, or nil and false.
	Get(key []byte) (value []byte, ok bool)
	// Scan yields the keys of r in ascending order, as they were when the
	// loop began.
	Scan(r Range) iter.Seq2[[]byte, []byte]
	// ScanBack yields what Scan does, last key first.
	ScanBack(r Range) iter.Seq2[[]byte, []byte]

	fail(error)
}

// A Range is the keys from Lower up to but not including Upper. A nil Lower
// begins at the first key, a nil Upper ends behind the last. The zero value is
// all keys.
type Range = journal.Range

// Prefix is the range of keys that begin with p.
func Prefix(p []byte) Range { return Range{Lower: p, Upper: after(p)} }

// A step is one command being applied, with those inside it.
type step struct {
	cell     *Cell
	now      time.Time
	state    overlay
	seed     [2]uint64
	random   *rand.Rand // made when it is first asked for
	err      error      // the first read that failed, or limit that was passed; undoes the step
	touched  []string   // machines that wrote, each once
	timers   bool       // a timer was set, cancelled or taken
	soonest  time.Time  // the earliest time a timer was set to
	then     []func()   // called when the command has been applied
	panicked bool       // a machine has, in it
}

// undo goes back to what the step was before. That a machine has panicked stays.
func (s *step) undo(before step) {
	before.panicked = s.panicked
	*s = before
}

// A Tx is what a machine sees of the state while it applies a command. It is
// of no use after Apply has returned.
type Tx struct {
	step    *step
	machine string
	prefix  []byte
	depth   int
}

func (s *step) touch(machine string) {
	if !slices.Contains(s.touched, machine) {
		s.touched = append(s.touched, machine)
	}
}

func (s *step) tx(machine string, depth int) *Tx {
	return &Tx{step: s, machine: machine, prefix: space(spaceMachine, machine), depth: depth}
}

// Now is the time of the command, in UTC. It does not go back from one command
// to the next, unless the clock was set back by a minute or more.
func (tx *Tx) Now() time.Time { return tx.step.now }

// NewID returns a random identifier in the form of a version 4 UUID. It is the
// same in every replay, and no secret.
func (tx *Tx) NewID() string {
	r := tx.Random()
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// Random returns the command's own random numbers, the same in every replay.
// They are not secret.
func (tx *Tx) Random() *rand.Rand {
	s := tx.step
	if s.random == nil {
		s.random = rand.New(rand.NewPCG(s.seed[0], s.seed[1]))
	}
	return s.random
}

// Get returns the value of key, or nil and false.
func (tx *Tx) Get(key []byte) ([]byte, bool) {
	v, ok, err := tx.step.state.get(under(tx.prefix, key))
	if err != nil {
		tx.fail(err)
		return nil, false
	}
	return v, ok
}

// Scan yields the keys of r in ascending order, as they were when the loop began.
func (tx *Tx) Scan(r Range) iter.Seq2[[]byte, []byte] { return tx.scan(r, false) }

// ScanBack yields what Scan does, last key first.
func (tx *Tx) ScanBack(r Range) iter.Seq2[[]byte, []byte] { return tx.scan(r, true) }

func (tx *Tx) scan(r Range, descending bool) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		at := tx.step.state
		if err := at.scan(within(tx.prefix, r), descending, cut(tx.prefix, yield)); err != nil {
			tx.fail(err)
		}
	}
}

// Set gives key a value. Both are kept as they are: they must not be changed afterwards.
func (tx *Tx) Set(key, value []byte) {
	if len(key) > KeyBytesMax || len(value) > ValueBytesMax {
		tx.fail(&daruma.Error{Op: "write", Kind: daruma.KindTooLarge, Err: fmt.Errorf("a key of %d and a value of %d bytes: at most %d and %d are kept", len(key), len(value), KeyBytesMax, ValueBytesMax)})
		return
	}
	tx.step.touch(tx.machine)
	tx.step.state.set(under(tx.prefix, key), value)
}

// Delete removes key, if there is one.
func (tx *Tx) Delete(key []byte) {
	if len(key) > KeyBytesMax {
		return // there is none
	}
	tx.step.touch(tx.machine)
	tx.step.state.delete(under(tx.prefix, key))
}

// DeleteRange removes all keys of r. It takes the same time however many there are.
func (tx *Tx) DeleteRange(r Range) {
	if len(r.Lower) > KeyBytesMax+1 || len(r.Upper) > KeyBytesMax+1 {
		tx.fail(&daruma.Error{Op: "delete range", Kind: daruma.KindTooLarge, Err: fmt.Errorf("its bounds have %d and %d bytes, keys have at most %d", len(r.Lower), len(r.Upper), KeyBytesMax)})
		return
	}
	tx.step.touch(tx.machine)
	tx.step.state.deleteRange(within(tx.prefix, r))
}

// Do has another machine, or the same one, take a step inside this one. An
// error undoes what that step did and nothing else; the caller decides what
// becomes of its own.
func (tx *Tx) Do(cmd Command) (any, error) {
	m, ok := tx.step.cell.machines[cmd.Machine]
	if !ok {
		return nil, refuse(daruma.KindInvalid, cmd, errors.New("there is no such machine"))
	}
	if tx.depth == DepthMax {
		return nil, refuse(daruma.KindInternal, cmd, fmt.Errorf("commands inside commands are more than %d deep", DepthMax))
	}
	before, then := tx.step.state, len(tx.step.then)
	value, err := m.Apply(tx.step.tx(cmd.Machine, tx.depth+1), cmd)
	if err != nil {
		tx.step.state, tx.step.then = before, tx.step.then[:then]
		return nil, err
	}
	return value, nil
}

// Then has f called when the whole command has been applied, before the next
// one, and not at all when it is undone. It is the place to bring an index in
// memory up to date (see [Loader]); f must not use tx.
func (tx *Tx) Then(f func()) { tx.step.then = append(tx.step.then, f) }

func (tx *Tx) fail(err error) {
	if tx.step.err == nil {
		tx.step.err = err
	}
}

// within returns r as a range of the keys below prefix.
func within(prefix []byte, r Range) Range {
	in := Range{Lower: under(prefix, r.Lower)}
	if r.Upper == nil {
		in.Upper = after(prefix)
	} else {
		in.Upper = under(prefix, r.Upper)
	}
	return in
}

// cut yields keys without their prefix.
func cut(prefix []byte, yield func([]byte, []byte) bool) func([]byte, []byte) bool {
	n := len(prefix)
	return func(k, v []byte) bool { return yield(k[n:len(k):len(k)], v) }
}
