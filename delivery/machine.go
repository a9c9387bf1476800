package delivery

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

const (
	machineName      = "delivery"
	commandAccept    = "accept"
	commandLease     = "lease"
	commandExtend    = "extend"
	commandRelease   = "release"
	commandPutOff    = "put off"
	commandSettle    = "settle"
	commandBegin     = "begin"
	commandReclaim   = "reclaim"
	commandRedrive   = "redrive"
	commandConfigure = "configure"
	commandHand      = "hand"
)

// timerLeases is the timer of the lease that runs out first.
const timerLeases = "leases"

// Config is what a machine needs. It must be the same wherever commands are applied.
type Config struct {
	// ARN returns a function's ARN, for destination records. Required.
	ARN func(daruma.Target) string
	// Sinks says how something is handed to a destination, by its kind. See [PutTo].
	Sinks map[string]Sink
}

// A Machine applies the commands of deliveries. Each cell has its own; a
// machine called "ledger" (package ledger) lies in the same cell.
type Machine struct {
	cfg  Config
	wake daruma.Bell // holds a token when something may be due

	// Where the first waiting event of each function lies at the earliest; a
	// nil key: it has none. Rebuilt by Load, used by the apply loop only.
	lines map[string][]byte
	names []string // of all functions, in order
	until []byte   // no lease runs out before this key
}

// NewMachine returns a machine for one cell.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg, wake: daruma.NewBell(), lines: map[string][]byte{}}
}

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load finds the functions that have events waiting.
func (m *Machine) Load(r *cell.Reader) error {
	m.lines, m.names, m.until = map[string][]byte{}, nil, nil
	for key, record := range r.Scan(cell.Prefix([]byte{spaceAccount})) {
		a, err := decodeAccount(record)
		if err != nil {
			return err
		}
		name := string(key[1:])
		m.names = append(m.names, name)
		m.lines[name] = nil
		if a.Waiting > 0 {
			m.lines[name] = waitingKey(name, time.Unix(0, 0), 0) // the first lease finds out more
		}
	}
	m.wake.Ring()
	return nil
}

// A work is one command being applied.
type work struct {
	m        *Machine
	tx       *cell.Tx
	accounts map[string]*book
	rang     bool // an event came into a line
	lines    map[string]lineChange
	until    []byte // the lowest key of a lease given by this command
	policies map[string]*Policy
}

// A book is an account as one command has it.
type book struct {
	Account
	changed bool
}

// A lineChange is what becomes known of the first waiting event of a function.
type lineChange struct {
	first  []byte
	raised bool // first is where it lies; otherwise it is not later than that
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := m.begin(tx)
	answer, err := commands.Apply(w, cmd)
	if err != nil {
		return nil, err
	}
	w.write()
	return answer, nil
}

// begin begins a step. What becomes known of lines in it is noted before what the
// steps inside it have to note, which know of events that came later.
func (m *Machine) begin(tx *cell.Tx) *work {
	w := &work{m: m, tx: tx}
	tx.Then(w.remember)
	return w
}

// commands is what deliveries can be asked for.
var commands = cell.Commands[*work]{
	commandAccept:    cell.Reading((*work).accept),
	commandLease:     cell.Answering((*work).lease),
	commandExtend:    cell.Answering((*work).extend),
	commandRelease:   cell.Doing((*work).release),
	commandPutOff:    cell.Doing((*work).putOff),
	commandSettle:    with((*work).settle),
	commandBegin:     cell.Reading(func(w *work, _ []byte) (uint64, error) { return w.nextLease() + 1, nil }),
	commandReclaim:   cell.Answering((*work).reclaim),
	commandRedrive:   with((*work).redrive),
	commandHand:      cell.Doing((*work).handFor),
	commandConfigure: cell.Doing(func(w *work, c configuration) error { return w.m.configure(w.tx, c) }),
}

// with is a command with arguments and, behind them, an event or an answer as it is.
func with[A any](f func(*work, A, []byte) (any, error)) func(*work, cell.Command) (any, error) {
	return cell.Reading(func(w *work, body []byte) (any, error) {
		var arguments A
		raw, err := cell.Split(body, &arguments)
		if err != nil {
			return nil, err
		}
		return f(w, arguments, raw)
	})
}

// write writes the accounts.
func (w *work) write() {
	for _, name := range slices.Sorted(maps.Keys(w.accounts)) {
		if b := w.accounts[name]; b.changed {
			w.tx.Set(accountKey(name), b.encode())
		}
	}
}

// within has another machine take a step inside this one. That may bring events in
// itself: so the accounts are in the state meanwhile, and are read again after.
func (w *work) within(cmd cell.Command) error {
	w.write()
	_, err := w.tx.Do(cmd)
	for _, name := range slices.Sorted(maps.Keys(w.accounts)) {
		is, _, broken := readAccount(w.tx, name)
		if broken != nil {
			return broken
		}
		w.accounts[name].Account = is
	}
	return err
}

// remember brings what is in memory up to date once the step is taken.
func (w *work) remember() {
	m := w.m
	for name, c := range w.lines {
		old, known := m.lines[name]
		if !known {
			at, _ := slices.BinarySearch(m.names, name)
			m.names = slices.Insert(m.names, at, name)
		}
		if c.raised || old == nil || bytes.Compare(c.first, old) < 0 {
			m.lines[name] = c.first
		}
	}
	if w.until != nil && bytes.Compare(w.until, m.until) < 0 {
		m.until = w.until
	}
	if w.rang {
		m.wake.Ring()
	}
}

// account returns the account of a function, which is written when the command ends.
func (w *work) account(function string) (*Account, error) {
	b, err := w.read(function)
	if err != nil {
		return nil, err
	}
	b.changed = true
	return &b.Account, nil
}

// read returns the account of a function.
func (w *work) read(function string) (*book, error) {
	if b := w.accounts[function]; b != nil {
		return b, nil
	}
	is, ok, err := readAccount(w.tx, function)
	if err != nil {
		return nil, err
	}
	b := &book{Account: is}
	if !ok && len(w.m.names)+len(w.accounts) >= FunctionsMax {
		return nil, &daruma.Error{Kind: daruma.KindThrottled, Ref: function, Err: fmt.Errorf("%d functions have had events, more are not counted", FunctionsMax)}
	}
	if w.accounts == nil {
		w.accounts = map[string]*book{}
	}
	w.accounts[function] = b
	return b, nil
}

// first is the earliest key at which function may have an event waiting, or nil.
func (w *work) first(function string) []byte {
	first := w.m.lines[function]
	if c, ok := w.lines[function]; ok && (c.raised || first == nil || bytes.Compare(c.first, first) < 0) {
		first = c.first
	}
	return first
}

// enqueue puts an event into its function's line.
func (w *work) enqueue(function string, n uint64, due time.Time, s *state) error {
	record, err := s.encode()
	if err != nil {
		return err
	}
	key := waitingKey(function, due, n)
	w.tx.Set(key, record)
	w.rang = true
	if w.lines == nil {
		w.lines = map[string]lineChange{}
	}
	c, ok := w.lines[function]
	switch {
	case !ok:
		c = lineChange{first: key}
	case c.first == nil || bytes.Compare(key, c.first) < 0:
		c.first = key
	}
	w.lines[function] = c
	return nil
}

// raise notes where function's first event lies.
func (w *work) raise(function string, first []byte) {
	if w.lines == nil {
		w.lines = map[string]lineChange{}
	}
	w.lines[function] = lineChange{first: first, raised: true}
}

// nextLease gives the next lease number.
func (w *work) nextLease() uint64 {
	key := []byte{spaceNumber}
	n := uint64(1)
	if raw, ok := w.tx.Get(key); ok && len(raw) == 8 {
		n = binary.BigEndian.Uint64(raw) + 1
	}
	w.tx.Set(key, binary.BigEndian.AppendUint64(nil, n))
	return n
}

// event reads an event as it was accepted.
func (w *work) event(function string, n uint64) (Event, error) {
	record, ok := w.tx.Get(eventKey(function, n))
	if !ok {
		return Event{}, corrupt("event", fmt.Errorf("the event %d of %s is missing", n, function))
	}
	return decodeEvent(record)
}

// policy is that of an event as it is now.
func (w *work) policy(function string, n uint64, s *state) (*Policy, error) {
	if s.own {
		e, err := w.event(function, n)
		if err != nil || e.Policy == nil {
			return &Policy{}, err
		}
		return e.Policy, nil
	}
	key := string(settingKey(function, s.qualifier))
	if p := w.policies[key]; p != nil {
		return p, nil
	}
	p := &Policy{}
	if set := settings().Get(w.tx, []byte(key)); set != nil {
		p = &set.Policy
	}
	if w.policies == nil {
		w.policies = map[string]*Policy{}
	}
	w.policies[key] = p
	return p, nil
}

// accept takes the events of a command in.
func (w *work) accept(body []byte) (any, error) {
	for c := (cell.Cursor{Rest: body}); len(c.Rest) > 0; {
		record := c.Bytes()
		if c.Err != nil {
			return nil, daruma.InvalidAt("", "an event is cut short")
		}
		if err := w.acceptOne(record, 0); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// acceptOne takes one event in; record is kept.
func (w *work) acceptOne(record []byte, from ledger.ID) error {
	e, err := decodeEvent(record)
	if err != nil {
		return daruma.InvalidAt("", "an event cannot be read: %w", err)
	}
	if err := e.validate(); err != nil {
		return err
	}
	s := &state{accepted: w.tx.Now(), qualifier: e.Target.Qualifier, size: len(record), from: from}
	if e.Policy != nil {
		if err := w.m.Check(e.Target.Function, *e.Policy); err != nil {
			return err
		}
		s.own, s.age = true, e.Policy.age()
	}
	a, err := w.account(e.Target.Function)
	if err != nil {
		return err
	}
	a.Accepted++
	a.Waiting++
	a.Bytes += int64(s.size)
	if from != 0 {
		a.Redriven++
	}
	n := uint64(a.Accepted)
	w.tx.Set(eventKey(e.Target.Function, n), record)
	return w.enqueue(e.Target.Function, n, s.accepted, s)
}
