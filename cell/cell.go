// Package cell is where all durable state of an app lives: a journal of
// commands in order, and the state they lead to.
//
// A [Machine] says what a command does to the state. Its code is
// deterministic: time and random numbers come with the command, so the same
// commands lead to the same state wherever they are applied. Each command is
// one atomic step; machines cannot see one another's keys, and can ask one
// another for a step inside their own ([Tx.Do]).
//
//	Do ─► intake ─► one entry of all that waits ─► apply ─► journal ─► synced ─► Do returns
//	      bounded          the next entry is applied while this one syncs
//
// What it promises:
//
//   - Do returns without an error only when the command is on the disk. After
//     a crash the state is that after some command, at least the last one that
//     was answered.
//   - Commands are applied one after another. Who reads ([Cell.View]) sees the
//     state between two commands, durable, with everything answered before.
//   - A command that ends in an error has left nothing, unless the error is of
//     KindDoubtful: then nobody knows until the state is read again.
//   - A timer is never early, and due timers are applied in the order of their times.
//   - When the disk is nearly full, commands that free room and reads go on, and
//     the others are refused with KindFull; when it fails, nothing is answered
//     with success any more; what is damaged is named and never served.
//
// What it does not: a caller that gave up may have been heard (KindDoubtful);
// one cell is one disk.
//
// All methods of Cell may be called from any goroutine.
package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// Limits of a cell. What is larger is refused with KindTooLarge, what comes
// when the queue is full waits for room and is refused with KindThrottled when
// its context ends first.
const (
	CommandBytesMax = 8 << 20  // the body of a command
	KeyBytesMax     = 4 << 10  // a key of a machine, or of a timer
	ValueBytesMax   = 16 << 20 // a value
	StepBytesMax    = 32 << 20 // the keys and values one command writes
	QueueMax        = 8192     // commands that wait to be applied
	QueueBytesMax   = 64 << 20 // their bodies together
	DepthMax        = 8        // commands inside commands

	entryCommandsMax = 512     // commands applied as one entry
	entryBodiesMax   = 8 << 20 // their bodies together, but for the first
)

// A Command is one step a machine is asked to take.
type Command = journal.Command

// A Machine says what commands do to its part of the state.
type Machine interface {
	// Name is that of its commands and of its keys: up to 32 lower-case
	// letters, digits and dashes, beginning with a letter. It is part of the
	// stored state and must never change.
	Name() string
	// Apply takes one step. What it returns goes back to whoever asked, and
	// must not be changed afterwards. An error undoes the step, and is
	// returned as it is.
	//
	// It depends on nothing but tx and cmd: it reads no clock, no environment
	// and no map in random order, starts nothing, and keeps nothing in memory
	// that it cannot rebuild (see [Loader]). It is never called twice at once.
	// A panic in it undoes the step, is answered with KindInternal and
	// reported by [Cell.Health].
	Apply(tx *Tx, cmd Command) (any, error)
}

// A Timed machine sets timers with [Tx.Schedule].
type Timed interface {
	// Due is called for a timer whose time has come, as a step of its own.
	// The timer is gone already; it may be set again. An error undoes the
	// step and has it tried again later, with growing pauses up to five
	// minutes, for ever.
	Due(tx *Tx, key []byte, at time.Time) error
}

// A Loader keeps an index in memory, beside the state.
type Loader interface {
	// Load builds the index from the state. It is called before the first
	// command, and again after a panic in any machine's Apply or Due.
	Load(r *Reader) error
}

// Config says what a cell is made of.
type Config struct {
	Journal  journal.Place // where its history lies; required
	Machines []Machine     // who applies its commands; names must differ
	Clock    daruma.Clock  // what commands and timers go by; the machine's own when nil
	Logger   *slog.Logger  // where it reports what goes wrong; nowhere when nil

	// GoOnFrom is told the time of the last command, before Clock is asked for
	// the first time: a clock that is not the machine's goes on from there, so
	// that time does not go back from one process to the next. May be nil; it
	// is not called for an empty cell.
	GoOnFrom func(last time.Time)

	// CanaryEvery is how often a cell that has nothing else to do writes a
	// canary to see whether the disk still takes it. One second when 0; from
	// 10 ms to an hour, of the machine's time: a disk is as fast as it is.
	CanaryEvery time.Duration
}

func (cfg *Config) validate() error {
	invalid := func(format string, args ...any) error {
		return &daruma.Error{Op: "open cell", Kind: daruma.KindInvalid, Err: fmt.Errorf(format, args...)}
	}
	if cfg.Journal == nil {
		return invalid("no journal is given")
	}
	for i, m := range cfg.Machines {
		if !validName(m.Name()) {
			return invalid("%q is not a name for a machine", m.Name())
		}
		if slices.ContainsFunc(cfg.Machines[:i], func(o Machine) bool { return o.Name() == m.Name() }) {
			return invalid("two machines are called %q", m.Name())
		}
	}
	if cfg.CanaryEvery != 0 && (cfg.CanaryEvery < 10*time.Millisecond || cfg.CanaryEvery > time.Hour) {
		return invalid("a canary every %v: from 10ms to 1h is possible", cfg.CanaryEvery)
	}
	return nil
}

// A Cell applies commands to durable state.
type Cell struct {
	clock    daruma.Clock
	log      *slog.Logger
	machines map[string]Machine
	ordered  []Machine // as configured
	journal  journal.Journal
	fence    uint64
	intake   *intake
	timers   timers
	vitals   vitals
	watch    watch
	every    time.Duration // between canaries

	lastTime time.Time // of the last entry; used by the apply loop only

	stop     context.CancelFunc // ends timers and canary
	running  sync.WaitGroup     // loop, timers, canary
	closing  sync.Once
	closeErr error
}

// Open opens the cell that lies in cfg.Journal, or makes an empty one. It
// returns when the state is known to be whole and the machines have loaded
// their indexes. The cell works until Close.
//
// Errors: KindLocked when another process has it, KindCorrupt when something
// is damaged or missing, KindInvalid for a wrong configuration, and what a
// machine's Load returns.
func Open(ctx context.Context, cfg Config) (*Cell, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Cell{clock: cfg.Clock, log: cfg.Logger, machines: map[string]Machine{}, ordered: cfg.Machines, intake: newIntake(), every: cfg.CanaryEvery}
	if c.clock == nil {
		c.clock = daruma.SystemClock{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.every == 0 {
		c.every = time.Second
	}
	for _, m := range cfg.Machines {
		c.machines[m.Name()] = m
	}
	c.timers.init()
	j, err := cfg.Journal.Open(ctx, c.apply)
	if err != nil {
		return nil, err
	}
	c.journal = j
	s := j.Status()
	c.fence, c.lastTime = s.Fence+1, s.Time
	if cfg.GoOnFrom != nil && !s.Time.IsZero() {
		cfg.GoOnFrom(s.Time)
	}
	if err := c.loadDurable(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	c.vitals.durable(time.Now())
	c.watch.since = s.Applied
	c.start()
	// The first entry carries the new fence. A full disk must not keep a cell
	// from being opened: it is read, and made room in.
	if _, err := c.do(ctx, Command{Machine: self, Name: opened, Frees: true}, true); err != nil && daruma.KindOf(err) != daruma.KindFull {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// start begins the work that Close ends.
func (c *Cell) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(c.work)
	c.running.Go(func() { c.fire(ctx) })
	c.running.Go(func() { c.sing(ctx) })
}

// Close ends the cell once the commands it has applied are durable, and the
// views are done. Commands that still wait are refused with KindUnavailable. A
// disk that takes nothing is given up after five seconds, and what was on its
// way is in doubt. A second Close returns what the first did.
func (c *Cell) Close() error {
	c.closing.Do(func() {
		c.stop()
		c.intake.close()
		c.closeErr = c.journal.Close() // first: the loop may be waiting for it
		c.running.Wait()
		c.watch.close()
	})
	return c.closeErr
}

// Do has one command applied, and returns what its machine answered once that
// is on the disk. The machine's own error comes back as it is.
//
// Other errors: KindInvalid for a machine that does not exist, KindTooLarge,
// KindThrottled when ctx ended while the queue was full, KindExpired when it
// ended before the command was begun, KindFull, KindCorrupt when what the
// command needs is damaged, KindUnavailable when the cell is closed or its
// disk has failed; in all of these nothing has happened. KindDoubtful: ctx
// ended, or the disk failed, while the command was on its way to the disk.
// The body must not be changed any more, whatever Do returns.
func (c *Cell) Do(ctx context.Context, cmd Command) (any, error) {
	if _, ok := c.machines[cmd.Machine]; !ok {
		return nil, refuse(daruma.KindInvalid, cmd, errors.New("there is no such machine"))
	}
	if len(cmd.Body) > CommandBytesMax {
		return nil, refuse(daruma.KindTooLarge, cmd, fmt.Errorf("its body has %d bytes, at most %d are taken", len(cmd.Body), CommandBytesMax))
	}
	return c.do(ctx, cmd, false)
}

// do has a command applied; our own are not kept waiting for room in the queue.
func (c *Cell) do(ctx context.Context, cmd Command, own bool) (any, error) {
	if err := c.admit(cmd); err != nil {
		return nil, err
	}
	r := &request{cmd: cmd, own: own, answer: make(chan answer, 1)}
	if err := c.intake.put(ctx, r); err != nil {
		return nil, err
	}
	select {
	case a := <-r.answer:
		return a.value, a.err
	case <-ctx.Done():
	}
	if c.intake.withdraw(r) {
		return nil, refuse(daruma.KindExpired, cmd, context.Cause(ctx))
	}
	select {
	case a := <-r.answer: // it was answered meanwhile
		return a.value, a.err
	default:
		return nil, refuse(daruma.KindDoubtful, cmd, context.Cause(ctx))
	}
}

// admit refuses what the journal would not take.
func (c *Cell) admit(cmd Command) error {
	s := c.journal.Status()
	if s.Refuses != nil {
		return s.Refuses
	}
	if s.Full != nil && !cmd.Frees {
		return s.Full
	}
	return nil
}

// work is the one goroutine that appends entries: all that waits becomes the next one.
func (c *Cell) work() {
	for {
		taken := c.intake.take()
		if taken == nil {
			return
		}
		e := journal.Entry{Fence: c.fence, Time: c.now(), Seed: rand.Uint64(), Commands: make([]Command, len(taken))}
		for i, r := range taken {
			e.Commands[i] = r.cmd
		}
		err := c.journal.Append(e, func(position uint64, result any, err error) { c.settle(taken, position, result, err) })
		if err != nil {
			for _, r := range taken {
				r.answer <- answer{err: err}
			}
		}
	}
}

// settle answers the commands of an entry that is durable, or in doubt.
func (c *Cell) settle(taken []*request, position uint64, result any, err error) {
	if err != nil {
		for _, r := range taken {
			r.answer <- answer{err: err}
		}
		return
	}
	c.vitals.durable(time.Now())
	out := result.(outcome)
	c.watch.advance(position, out.touched)
	for i, r := range taken {
		r.answer <- out.answers[i]
	}
}

// now is the time of the next entry. A clock that was set back by less than a
// minute does not make time go back.
func (c *Cell) now() time.Time {
	now := c.clock.Now().Round(0).UTC()
	if back := c.lastTime.Sub(now); back > 0 && back < time.Minute {
		now = c.lastTime
	}
	c.lastTime = now
	return now
}

func refuse(kind daruma.Kind, cmd Command, err error) error {
	return &daruma.Error{Op: cmd.Machine + " " + cmd.Name, Kind: kind, Err: err}
}
