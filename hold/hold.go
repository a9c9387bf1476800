// Package hold holds what is known of functions that are held: which are, since
// when and why, what a person has forced, and how many runs at once have proved
// to be right.
//
//	open ──► held, and begun in the healing log ──► close ──► completed there
//
// A function is held in one atomic step with the record of it in the healing
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
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// A Force is what a person wants of a function, whatever its events come to.
type Force string

// The forces there are.
const (
	Auto   Force = ""       // nothing: events decide
	Open   Force = "open"   // held
	Closed Force = "closed" // never held
)

// A Hold is what is kept of one function.
type Hold struct {
	Function string    `json:"function"`
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

// An Opening says why a function is to be held.
type Opening struct {
	Function   string `json:"function"`
	Why        string `json:"why"`
	Evidence   string `json:"evidence"`
	Owner      string `json:"owner,omitempty"`
	Dependency string `json:"dependency,omitempty"`
}

// A forcing is a change of Force.
type forcing struct {
	Function string `json:"function"`
	Force    Force  `json:"force"`
	Reason   string `json:"reason"`
	Owner    string `json:"owner,omitempty"`
}

// A closing is the end of a hold.
type closing struct {
	Function string `json:"function"`
	Outcome  string `json:"outcome"`
}

const (
	machineName  = "hold"
	commandOpen  = "open"
	commandClose = "close"
	commandForce = "force"
	commandLearn = "learn"

	prefix         = "h/" // h/<function>: a Hold
	reasonBytesMax = 1 << 10
	learnMax       = 1000 // limits in one command
)

// holds is how they are written. Version 1 is the first.
func holds() cell.Format[Hold] { return cell.Format[Hold]{Kind: "hold", Version: 1} }

func keyOf(function string) []byte { return []byte(prefix + function) }

// Holds is the holds of one cell, of which Machine is one of the machines.
type Holds struct{ cell *cell.Cell }

// New returns the holds that lie in c. It starts nothing.
func New(c *cell.Cell) *Holds { return &Holds{c} }

// Open holds a function, and writes the repair down, in one step. A function
// that is held already stays so under its first repair.
func (h *Holds) Open(ctx context.Context, o Opening) (ledger.RepairID, error) {
	got, err := h.do(ctx, commandOpen, o)
	if err != nil {
		return 0, &daruma.Error{Op: "hold", Ref: o.Function, Kind: daruma.KindOf(err), Err: err}
	}
	return got.(ledger.RepairID), nil
}

// Close ends the hold of a function and completes its repair. Of one that is
// not held nothing is changed.
func (h *Holds) Close(ctx context.Context, function, outcome string) error {
	if _, err := h.do(ctx, commandClose, closing{function, outcome}); err != nil {
		return &daruma.Error{Op: "end the hold", Ref: function, Kind: daruma.KindOf(err), Err: err}
	}
	return nil
}

// Force has a function held, or never held, or left to its events again, and
// writes that down. A reason is required but for Auto.
func (h *Holds) Force(ctx context.Context, function string, f Force, reason, owner string) (ledger.RepairID, error) {
	got, err := h.do(ctx, commandForce, forcing{function, f, reason, owner})
	if err != nil {
		return 0, &daruma.Error{Op: "force the breaker", Ref: function, Kind: daruma.KindOf(err), Err: err}
	}
	return got.(ledger.RepairID), nil
}

// Learn keeps how many runs at once have proved to be right, by function.
func (h *Holds) Learn(ctx context.Context, limits map[string]int) error {
	if len(limits) > learnMax {
		return &daruma.Error{Op: "keep limits", Kind: daruma.KindTooLarge, Err: fmt.Errorf("%d of them, %d at most", len(limits), learnMax)}
	}
	if _, err := h.do(ctx, commandLearn, limits); err != nil {
		return &daruma.Error{Op: "keep limits", Kind: daruma.KindOf(err), Err: err}
	}
	return nil
}

// All returns what is kept, by function.
func (h *Holds) All(ctx context.Context) ([]Hold, error) {
	var all []Hold
	err := h.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, one := range holds().All(r, cell.Prefix([]byte(prefix))) {
			all = append(all, *one)
		}
		return nil
	})
	if err != nil {
		return nil, &daruma.Error{Op: "read holds", Kind: daruma.KindOf(err), Err: err}
	}
	return all, nil
}

func (h *Holds) do(ctx context.Context, name string, arguments any) (any, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	return h.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body})
}

// Machine applies the commands of holds. A ledger.Machine lies in the same cell.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	var (
		o      Opening
		c      closing
		f      forcing
		limits map[string]int
	)
	into := map[string]any{commandOpen: &o, commandClose: &c, commandForce: &f, commandLearn: &limits}[cmd.Name]
	if into == nil {
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: errors.New("holds know no such command")}
	}
	if err := json.Unmarshal(cmd.Body, into); err != nil {
		return nil, invalid("%w", err)
	}
	switch cmd.Name {
	case commandOpen:
		return open(tx, o)
	case commandClose:
		return nil, end(tx, c)
	case commandForce:
		return force(tx, f)
	}
	learn(tx, limits)
	return nil, nil
}

func invalid(format string, args ...any) error {
	return &daruma.Error{Kind: daruma.KindInvalid, Err: fmt.Errorf(format, args...)}
}

// of returns what is kept of a function, or a new hold.
func of(tx *cell.Tx, function string) (*Hold, error) {
	if function == "" || len(function) > 512 {
		return nil, invalid("a function's name has 1 to 512 bytes")
	}
	if h := holds().Get(tx, keyOf(function)); h != nil {
		return h, nil
	}
	return &Hold{Function: function}, nil
}

func put(tx *cell.Tx, h *Hold) {
	if !h.Held && h.Force == Auto && h.Limit == 0 {
		tx.Delete(keyOf(h.Function))
		return
	}
	holds().Put(tx, keyOf(h.Function), h)
}

func open(tx *cell.Tx, o Opening) (any, error) {
	h, err := of(tx, o.Function)
	if err != nil || h.Held {
		return h.repair(), err
	}
	what := "hold " + o.Function
	if o.Dependency != "" {
		what += ", which cannot reach " + o.Dependency
	}
	h.Repair, err = ledger.Begin(tx, ledger.Repair{What: what, Why: o.Why, Evidence: o.Evidence, Undo: "daruma breakers close " + o.Function, Owner: o.Owner, Function: o.Function})
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
	h, err := of(tx, c.Function)
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
	h, err := of(tx, f.Function)
	if err != nil {
		return nil, err
	}
	did, ok := map[Force]string{Auto: "leave " + f.Function + " to its events again", Open: "hold " + f.Function, Closed: "never hold " + f.Function}[f.Force]
	if !ok {
		return nil, invalid("%q is none of open, closed, auto", f.Force)
	}
	if f.Reason == "" && f.Force != Auto {
		return nil, invalid("a breaker is forced with a reason")
	}
	was, undo := h.Force, "daruma breakers auto "+f.Function
	if f.Force == Auto {
		undo = "daruma breakers " + map[Force]string{Auto: "auto ", Open: "open ", Closed: "close "}[was] + f.Function
	}
	id, err := ledger.Begin(tx, ledger.Repair{What: did, Why: "a person asked for it: " + cmp.Or(f.Reason, "no reason given"), Undo: undo, Owner: f.Owner, Function: f.Function})
	if err != nil {
		return nil, err
	}
	if err := ledger.Complete(tx, id, "done"); err != nil {
		return nil, err
	}
	if h.Held && f.Force == Closed {
		if err := end(tx, closing{f.Function, "ended by a person: " + f.Reason}); err != nil {
			return nil, err
		}
		if h, err = of(tx, f.Function); err != nil {
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

func learn(tx *cell.Tx, limits map[string]int) {
	for _, function := range slices.Sorted(maps.Keys(limits)) {
		h, err := of(tx, function)
		if err != nil {
			continue // no such function can have learnt anything
		}
		h.Limit = max(0, limits[function])
		put(tx, h)
	}
}
