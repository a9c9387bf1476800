package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of the healing log.
const (
	EvidenceBytesMax = 64 << 10
	RepairsMax       = 10_000 // the oldest go first
)

// A Repair is one action the platform takes by itself. It is written down
// before it is taken ([Ledger.Begin]) and completed after ([Ledger.Complete]):
// one without an outcome was begun and may or may not have happened.
type Repair struct {
	Number    RepairID  `json:"id"`
	At        time.Time `json:"at"`
	By        string    `json:"by,omitempty"`       // the part of the platform that acts
	What      string    `json:"what"`               // "hold Orders", in words
	Why       string    `json:"why"`                // the symptom
	Evidence  string    `json:"evidence,omitempty"` // what was seen
	Undo      string    `json:"undo"`               // how a person takes it back
	Owner     string    `json:"owner,omitempty"`    // who is told
	Function  string    `json:"function,omitempty"`
	Failure   ID        `json:"failure,omitempty"` // the event that caused it
	Outcome   string    `json:"outcome,omitempty"` // "" until it is completed
	Completed time.Time `json:"completed,omitzero"`
	Notice    NoticeID  `json:"notice,omitempty"` // the last one
}

// Begin writes a repair down. The action may be taken when it returns without an error.
// What, Why and Undo are required; longer texts than their limits are cut.
func (l *Ledger) Begin(ctx context.Context, r Repair) (RepairID, error) {
	r.Evidence = Cut(r.Evidence, EvidenceBytesMax)
	got, err := l.do(ctx, commandBegin, command(commandBegin, r).Body)
	if err != nil {
		return 0, daruma.Wrap("begin repair", "", err)
	}
	return got.(RepairID), nil
}

// Complete notes how a repair went. A second time is KindConflict.
func (l *Ledger) Complete(ctx context.Context, id RepairID, outcome string) error {
	_, err := l.do(ctx, commandComplete, command(commandComplete, Repair{Number: id, Outcome: outcome}).Body)
	return daruma.Wrap("complete repair", id.String(), err)
}

// Repair returns one repair. KindNotFound when there is none (any more).
func (l *Ledger) Repair(ctx context.Context, id RepairID) (r *Repair, err error) {
	err = l.view(ctx, "read repair", func(s *cell.Reader) error {
		if r = repairs().Get(s, numbered(spaceRepair, uint64(id))); r == nil {
			return missing(id)
		}
		return nil
	})
	return r, err
}

// Repairs returns repairs with numbers below before, newest first; before 0
// begins at the newest. function, when not "", is whose they are.
func (l *Ledger) Repairs(ctx context.Context, before RepairID, function string, n int) ([]*Repair, error) {
	var list []*Repair
	err := l.view(ctx, "read the healing log", func(r *cell.Reader) error {
		rg := cell.Range{Lower: []byte{spaceRepair}, Upper: []byte{spaceRepair + 1}}
		if before > 0 {
			rg.Upper = numbered(spaceRepair, uint64(before))
		}
		for key := range r.ScanBack(rg) {
			if len(list) >= min(max(n, 1), PageMax) {
				break
			}
			if one := repairs().Get(r, key); one != nil && (function == "" || one.Function == function) {
				list = append(list, one)
			}
		}
		return nil
	})
	return list, err
}

func begin(tx *cell.Tx, r Repair) (any, error) {
	if r.What == "" || r.Why == "" || r.Undo == "" {
		return nil, invalid("a repair says what, why and how to undo it")
	}
	r.Number, r.At, r.Outcome, r.Completed, r.Notice = RepairID(next(tx, 'H')), tx.Now(), "", time.Time{}, 0
	for _, s := range []*string{&r.What, &r.Why, &r.Undo, &r.Owner, &r.Function, &r.By} {
		*s = Cut(*s, MessageBytesMax)
	}
	r.Evidence = Cut(r.Evidence, EvidenceBytesMax)
	announceRepair(tx, &r)
	repairs().Put(tx, numbered(spaceRepair, uint64(r.Number)), &r)
	if r.Number > RepairsMax {
		tx.Delete(numbered(spaceRepair, uint64(r.Number-RepairsMax)))
	}
	return r.Number, nil
}

func complete(tx *cell.Tx, given Repair) error {
	key := numbered(spaceRepair, uint64(given.Number))
	r := repairs().Get(tx, key)
	switch {
	case r == nil:
		return missing(given.Number)
	case given.Outcome == "":
		return invalid("a repair is completed with an outcome")
	case r.Outcome != "":
		return &daruma.Error{Kind: daruma.KindConflict, Ref: r.Number.String(), Err: errors.New("it is completed already")}
	}
	r.Outcome, r.Completed = Cut(given.Outcome, MessageBytesMax), tx.Now()
	announceRepair(tx, r)
	repairs().Put(tx, key, r)
	return nil
}
