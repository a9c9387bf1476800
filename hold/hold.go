// Package hold holds what is known of functions that are held, or of those of
// their events that have one key: which are, since when and why, what a person
// has forced, and how many runs at once have proved to be right.
//
//	open ──► held, and begun in the healing log ──► close ──► completed there
//
// A [Unit] is held in one atomic step with the record of it in the healing
// log: there is no hold without a repair that says why. So a hold outlives the
// platform, and is not learnt anew from events that fail.
//
// It promises no more than that: who holds events back, and when they are
// tried, is decided by package heal. The methods of Holds may be called from
// any goroutine.
package hold

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// A Unit is what is held as a whole: a function, or those of its events that
// depend on one thing, as a key in them says.
type Unit struct{ Function, Key string }

// String names it for people.
func (u Unit) String() string {
	if u.Key == "" {
		return u.Function
	}
	return fmt.Sprintf("%s (key %s)", u.Function, u.Key)
}

// MarshalText writes it as it is kept. Function names have no zero byte.
func (u Unit) MarshalText() ([]byte, error) {
	if u.Key == "" {
		return []byte(u.Function), nil
	}
	return []byte(u.Function + "\x00" + u.Key), nil
}

// UnmarshalText reads what MarshalText wrote.
func (u *Unit) UnmarshalText(text []byte) error {
	u.Function, u.Key, _ = strings.Cut(string(text), "\x00")
	return nil
}

// plain is a key that no shell takes for anything else.
var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// arguments names it on a command line.
func (u Unit) arguments() string {
	switch {
	case u.Key == "":
		return u.Function
	case plain.MatchString(u.Key):
		return u.Function + " --key " + u.Key
	}
	return u.Function + " --key '" + strings.ReplaceAll(u.Key, "'", `'\''`) + "'"
}

// A Force is what a person wants of a unit, whatever its events come to.
type Force string

// The forces there are.
const (
	Auto   Force = ""       // nothing: events decide
	Open   Force = "open"   // held
	Closed Force = "closed" // never held
)

// A Hold is what is kept of one unit.
type Hold struct {
	Function string    `json:"function"`
	Key      string    `json:"key,omitempty"`
	Force    Force     `json:"force,omitempty"`
	Reason   string    `json:"reason,omitempty"` // of Force, in the words of who gave it
	Forced   time.Time `json:"forced,omitzero"`

	Held       bool            `json:"held,omitempty"` // because of its events
	Since      time.Time       `json:"since,omitzero"`
	Why        string          `json:"why,omitempty"`
	Dependency string          `json:"dependency,omitempty"` // what it cannot reach, when its errors say so
	Repair     ledger.RepairID `json:"repair,omitempty"`     // of this hold, or of the force

	Limit int `json:"limit,omitempty"` // runs at once that were right last; 0: not known
}

// Unit is what it is of.
func (h *Hold) Unit() Unit { return Unit{h.Function, h.Key} }

// An Opening says why a unit is to be held.
type Opening struct {
	Function   string `json:"function"`
	Key        string `json:"key,omitempty"`
	Why        string `json:"why"`
	Evidence   string `json:"evidence"`
	Owner      string `json:"owner,omitempty"`
	Dependency string `json:"dependency,omitempty"`
}

// A forcing is a change of Force.
type forcing struct {
	Function string `json:"function"`
	Key      string `json:"key,omitempty"`
	Force    Force  `json:"force"`
	Reason   string `json:"reason"`
	Owner    string `json:"owner,omitempty"`
}

// A closing is the end of a hold.
type closing struct {
	Function string `json:"function"`
	Key      string `json:"key,omitempty"`
	Outcome  string `json:"outcome"`
}

const (
	machineName  = "hold"
	commandOpen  = "open"
	commandClose = "close"
	commandForce = "force"
	commandLearn = "learn"

	prefix         = "h/" // h/<function>: a Hold
	prefixOfKeys   = "k/" // k/<function>, a zero byte, <key>: likewise
	keyBytesMax    = 1 << 10
	reasonBytesMax = 1 << 10
	learnMax       = 1000 // limits in one command
)

// holds is how they are written. Version 1 is the first.
func holds() cell.Format[Hold] { return cell.Format[Hold]{Kind: "hold", Version: 1} }

func keyOf(u Unit) []byte {
	text, _ := u.MarshalText() // cannot fail
	if u.Key == "" {
		return append([]byte(prefix), text...)
	}
	return append([]byte(prefixOfKeys), text...)
}

// Holds is the holds of one cell, of which Machine is one of the machines.
type Holds struct{ cell *cell.Cell }

// New returns the holds that lie in c. It starts nothing.
func New(c *cell.Cell) *Holds { return &Holds{c} }

// Open holds a unit, and writes the repair down, in one step. One that is held
// already stays so under its first repair.
func (h *Holds) Open(ctx context.Context, o Opening) (ledger.RepairID, error) {
	got, err := h.do(ctx, commandOpen, o)
	if err != nil {
		return 0, daruma.Wrap("hold", Unit{o.Function, o.Key}.String(), err)
	}
	return got.(ledger.RepairID), nil
}

// Close ends the hold of a unit and completes its repair. Of one that is not
// held nothing is changed.
func (h *Holds) Close(ctx context.Context, u Unit, outcome string) error {
	_, err := h.do(ctx, commandClose, closing{u.Function, u.Key, outcome})
	return daruma.Wrap("end the hold", u.String(), err)
}

// Force has a unit held, or never held, or left to its events again, and writes
// that down. A reason is required but for Auto.
func (h *Holds) Force(ctx context.Context, u Unit, f Force, reason, owner string) (ledger.RepairID, error) {
	got, err := h.do(ctx, commandForce, forcing{u.Function, u.Key, f, reason, owner})
	if err != nil {
		return 0, daruma.Wrap("force the breaker", u.String(), err)
	}
	return got.(ledger.RepairID), nil
}

// Learn keeps how many runs at once have proved to be right, by unit; 0 forgets it.
func (h *Holds) Learn(ctx context.Context, limits map[Unit]int) error {
	if len(limits) > learnMax {
		return &daruma.Error{Op: "keep limits", Kind: daruma.KindTooLarge, Err: fmt.Errorf("%d of them, %d at most", len(limits), learnMax)}
	}
	_, err := h.do(ctx, commandLearn, limits)
	return daruma.Wrap("keep limits", "", err)
}

// All returns what is kept: by function, and then by function and key.
func (h *Holds) All(ctx context.Context) ([]Hold, error) {
	var all []Hold
	err := h.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, p := range []string{prefix, prefixOfKeys} {
			for _, one := range holds().All(r, cell.Prefix([]byte(p))) {
				all = append(all, *one)
			}
		}
		return nil
	})
	if err != nil {
		return nil, daruma.Wrap("read holds", "", err)
	}
	return all, nil
}

// do does a command. A hold is taken while the disk is nearly full: without it events
// would be given up, and what is given up takes room.
func (h *Holds) do(ctx context.Context, name string, arguments any) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	return h.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body, Frees: name != commandLearn})
}

// Machine applies the commands of holds. A ledger.Machine lies in the same cell.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) { return commands.Apply(tx, cmd) }

// commands is what holds can be asked for.
var commands = cell.Commands[*cell.Tx]{
	commandOpen:  cell.Answering(open),
	commandClose: cell.Doing(end),
	commandForce: cell.Answering(force),
	commandLearn: cell.Doing(learn),
}

// of returns what is kept of a unit, or a new hold.
func of(tx *cell.Tx, u Unit) (*Hold, error) {
	switch {
	case u.Function == "" || len(u.Function) > 512 || strings.ContainsRune(u.Function, 0):
		return nil, daruma.Invalidf("a function's name has 1 to 512 bytes, none of them zero")
	case len(u.Key) > keyBytesMax:
		return nil, daruma.Invalidf("a key has %d bytes at most", keyBytesMax)
	}
	if h := holds().Get(tx, keyOf(u)); h != nil {
		return h, nil
	}
	return &Hold{Function: u.Function, Key: u.Key}, nil
}

func put(tx *cell.Tx, h *Hold) {
	if !h.Held && h.Force == Auto && h.Limit == 0 {
		tx.Delete(keyOf(h.Unit()))
		return
	}
	holds().Put(tx, keyOf(h.Unit()), h)
}

func open(tx *cell.Tx, o Opening) (any, error) {
	h, err := of(tx, Unit{o.Function, o.Key})
	if err != nil || h.Held {
		return h.repair(), err
	}
	what := "hold " + h.Unit().String()
	if o.Dependency != "" {
		what += ", which cannot reach " + o.Dependency
	}
	h.Repair, err = ledger.Begin(tx, ledger.Repair{What: what, Why: o.Why, Evidence: o.Evidence, Undo: "daruma breakers close " + h.Unit().arguments(), Owner: o.Owner, Function: o.Function})
	if err != nil {
		return nil, err
	}
	h.Held, h.Since, h.Why, h.Dependency = true, tx.Now(), ledger.Cut(o.Why, reasonBytesMax), ledger.Cut(o.Dependency, reasonBytesMax)
	put(tx, h)
	return h.Repair, nil
}

func (h *Hold) repair() ledger.RepairID {
	if h == nil {
		return 0
	}
	return h.Repair
}

func end(tx *cell.Tx, c closing) error {
	h, err := of(tx, Unit{c.Function, c.Key})
	if err != nil || !h.Held {
		return err
	}
	if err := ledger.Complete(tx, h.Repair, c.Outcome); err != nil {
		return err
	}
	h.Held, h.Since, h.Why, h.Dependency, h.Repair = false, time.Time{}, "", "", 0
	put(tx, h)
	return nil
}

func force(tx *cell.Tx, f forcing) (any, error) {
	u := Unit{f.Function, f.Key}
	h, err := of(tx, u)
	if err != nil {
		return nil, err
	}
	did, ok := map[Force]string{Auto: "leave " + u.String() + " to its events again", Open: "hold " + u.String(), Closed: "never hold " + u.String()}[f.Force]
	if !ok {
		return nil, daruma.Invalidf("%q is none of open, closed, auto", f.Force)
	}
	if f.Reason == "" && f.Force != Auto {
		return nil, daruma.Invalidf("a breaker is forced with a reason")
	}
	was, undo := h.Force, "daruma breakers auto "+u.arguments()
	if f.Force == Auto {
		undo = "daruma breakers " + map[Force]string{Auto: "auto ", Open: "open ", Closed: "close "}[was] + u.arguments()
	}
	id, err := ledger.Begin(tx, ledger.Repair{What: did, Why: "a person asked for it: " + cmp.Or(f.Reason, "no reason given"), Undo: undo, Owner: f.Owner, Function: f.Function})
	if err != nil {
		return nil, err
	}
	if err := ledger.Complete(tx, id, "done"); err != nil {
		return nil, err
	}
	if h.Held && f.Force == Closed {
		if err := end(tx, closing{f.Function, f.Key, "ended by a person: " + f.Reason}); err != nil {
			return nil, err
		}
		if h, err = of(tx, u); err != nil {
			return nil, err
		}
	}
	h.Force, h.Reason, h.Forced = f.Force, ledger.Cut(f.Reason, reasonBytesMax), tx.Now()
	if f.Force == Auto {
		h.Reason, h.Forced = "", time.Time{}
	}
	put(tx, h)
	return id, nil
}

func learn(tx *cell.Tx, limits map[Unit]int) error {
	for _, u := range slices.SortedFunc(maps.Keys(limits), func(a, b Unit) int { return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Key, b.Key)) }) {
		h, err := of(tx, u)
		if err != nil {
			continue // no such function can have learnt anything
		}
		h.Limit = max(0, limits[u])
		put(tx, h)
	}
	return nil
}
