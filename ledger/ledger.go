// Package ledger holds every failure there was, wherever it happened: a failed
// call, an event given up or grown too old, a destination that could not be
// reached. It holds the event itself, what was tried, what is known of the
// cause, and what became of it since; and the healing log, in which a repair is
// written down before it is made.
//
//	           ┌► discarded (with a reason)
//	open ──────┼► redriven (accepted again) ─► resolved
//	           └► resolved
//
// Failures alike in function, error type and place in the code are one [Group],
// whose history tells whether it is new, growing or has come back.
//
// What an owner is to be told of this, new groups and repairs, is a [Notice],
// written in the same step and kept until it was told.
//
// It promises that a failure and what caused it to be written are one atomic
// step ([Record] inside another machine's command), that numbers ascend and are
// never given twice, and that what is declared sensitive is not stored. It keeps
// failures for a bounded time and in bounded space; what it drops it counts.
//
// The methods of [Ledger] may be called from any goroutine.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// A Ledger is the ledger of one cell, of which [Machine] is one of the machines.
type Ledger struct{ cell *cell.Cell }

// New returns the ledger that lies in c. It starts nothing.
func New(c *cell.Cell) *Ledger { return &Ledger{cell: c} }

// Record keeps a failure with its event, and returns its ID. Number, At,
// Group, State and the links are given by the ledger.
//
// Errors: KindTooLarge for an event of more than EventBytesMax, KindInvalid
// for a failure without hop or function, and those of the cell.
func (l *Ledger) Record(ctx context.Context, f Failure, event []byte) (ID, error) {
	body, err := encodeRecord(f, event)
	if err != nil {
		return 0, err
	}
	got, err := l.do(ctx, commandRecord, body)
	if err != nil {
		return 0, daruma.Wrap("record failure", "", err)
	}
	return got.(ID), nil
}

// Record keeps a failure as part of another machine's step. See [Ledger.Record].
func Record(tx *cell.Tx, f Failure, event []byte) (ID, error) {
	body, err := encodeRecord(f, event)
	if err != nil {
		return 0, err
	}
	got, err := tx.Do(cell.Command{Machine: machineName, Name: commandRecord, Body: body})
	if err != nil {
		return 0, err
	}
	return got.(ID), nil
}

// Redrive notes, as part of another machine's step, that the event of a failure
// is on its way again, and returns the failure as it was before. already says
// that it was redriven before: then nothing is to be done. A failure that is
// resolved is KindConflict.
func Redrive(tx *cell.Tx, id ID) (f *Failure, event []byte, already bool, err error) {
	got, err := tx.Do(command(commandRedrive, change{ID: id}))
	if err != nil {
		return nil, nil, false, err
	}
	r := got.(redriven)
	return r.failure, r.event, r.already, nil
}

// Resolve notes, as part of another machine's step, that a failure is made
// good. One that is dropped or closed already stays as it is.
func Resolve(tx *cell.Tx, id ID, why string) error {
	_, err := tx.Do(command(commandResolve, change{ID: id, Reason: why}))
	return err
}

// Begin writes a repair down as part of another machine's step. See Ledger.Begin.
func Begin(tx *cell.Tx, r Repair) (RepairID, error) {
	got, err := tx.Do(command(commandBegin, r))
	if err != nil {
		return 0, err
	}
	return got.(RepairID), nil
}

// Complete notes, as part of another machine's step, how a repair went. One
// that is completed already, or not kept any more, stays as it is.
func Complete(tx *cell.Tx, id RepairID, outcome string) error {
	_, err := tx.Do(command(commandComplete, Repair{Number: id, Outcome: outcome}))
	if kind := daruma.KindOf(err); err != nil && kind != daruma.KindConflict && kind != daruma.KindNotFound {
		return err
	}
	return nil
}

// Resolve notes that a failure is made good, and why. Doing it twice is
// harmless; a discarded one is KindConflict, a missing one KindNotFound.
func (l *Ledger) Resolve(ctx context.Context, id ID, why string) error {
	return l.change(ctx, commandResolve, change{ID: id, Reason: why, Strict: true})
}

// Discard closes a failure whose event is not wanted any more. The reason is
// required. Doing it twice is harmless; a redriven or resolved one is KindConflict.
func (l *Ledger) Discard(ctx context.Context, id ID, reason string) error {
	return l.change(ctx, commandDiscard, change{ID: id, Reason: reason, Strict: true})
}

// ResolveGroup resolves the open failures of a group, a bounded number at once,
// and returns how many are left. The group counts as resolved when none is.
func (l *Ledger) ResolveGroup(ctx context.Context, id GroupID, why string) (left int64, err error) {
	body, err := json.Marshal(groupChange{ID: id, Reason: why})
	if err != nil {
		return 0, err
	}
	got, err := l.do(ctx, commandResolveGroup, body)
	if err != nil {
		return 0, daruma.Wrap("resolve", id.String(), err)
	}
	return got.(int64), nil
}

func (l *Ledger) change(ctx context.Context, name string, c change) error {
	cmd := command(name, c)
	_, err := l.do(ctx, name, cmd.Body)
	return daruma.Wrap(name, c.ID.String(), err)
}

func (l *Ledger) do(ctx context.Context, name string, body []byte) (any, error) {
	return l.cell.Do(ctx, cell.Command{Machine: machineName, Name: name, Body: body, Frees: frees(name)})
}

// frees says which commands may go on while the disk is nearly full. What the
// platform does about what fails is written down before it is done, and there are so
// many repairs and no more: without them nothing would go on that makes room.
func frees(name string) bool {
	switch name {
	case commandDiscard, commandRetain, commandTold, commandBegin, commandComplete:
		return true
	}
	return false
}

// view reads the ledger.
func (l *Ledger) view(ctx context.Context, op string, f func(r *cell.Reader) error) error {
	return daruma.Wrap(op, "", l.cell.View(ctx, machineName, f))
}

func command(name string, arguments any) cell.Command {
	body, err := json.Marshal(arguments)
	if err != nil {
		panic(fmt.Sprintf("ledger: the arguments of %s cannot be written: %v", name, err)) // plain values only
	}
	return cell.Command{Machine: machineName, Name: name, Body: body}
}

func invalid(format string, args ...any) error {
	return &daruma.Error{Op: "ledger", Kind: daruma.KindInvalid, Err: fmt.Errorf(format, args...)}
}

func missing(id fmt.Stringer) error {
	return &daruma.Error{Kind: daruma.KindNotFound, Ref: id.String(), Err: fmt.Errorf("the ledger has no such record (any more)")}
}
