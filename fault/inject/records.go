package inject

import (
	"context"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// A Batch is an event of records: messages of a queue, or changes of a table.
type Batch struct {
	Queue, Table string // where they come from: one of them
	Records      []Record
	// Event returns the event with other records in their place.
	Event func(each [][]byte) []byte
	// Damaged returns a record that a function that reads it fails on, or one
	// that has what is given in its place.
	Damaged func(record []byte, instead string) []byte
}

// A Record is one of a batch.
type Record struct {
	ID   string // the same whenever it is handed over
	JSON []byte // as functions get it
}

// records has an event that is a batch meet the faults that are on its records,
// and returns it as it is to be handed over. An error says that nobody waits
// for it any more.
func (s *Faults) records(ctx context.Context, inv daruma.Invocation, who Who, faults []*Running) (daruma.Invocation, error) {
	if s.cfg.Records == nil || len(faults) == 0 && !s.marks.anyRecords() {
		return inv, nil
	}
	b, ok := s.cfg.Records(inv.Payload)
	if !ok {
		return inv, nil
	}
	for _, mark := range s.marks.ofRecords(b.Records) {
		s.marks.add(inv.ID, mark)
	}
	for _, f := range faults {
		t := &f.fault.Target
		if b.Queue == "" && t.Queue != "" || b.Table == "" && t.Table != "" || !fault.Like(t.Queue, b.Queue) || !fault.Like(t.Table, b.Table) || !fault.Like(t.Function, inv.Target.Function) {
			continue
		}
		switch f.fault.Kind {
		case fault.Poison:
			inv.Payload = s.poison(f, who, &b, inv.Payload)
		case fault.StuckShard:
			if _, met := f.meet(); met {
				s.note(f, who, fmt.Sprintf("the shard does not go on: its next %d changes are held", len(b.Records)))
				if err := f.hang(ctx); err != nil {
					return inv, err
				}
			}
		}
	}
	return inv, nil
}

// poison damages those of a batch's records that the fault meets. What it has
// decided of a record holds as often as that is handed over, alone or with
// others: so a batch that is cut in halves leads to the records that are damaged.
func (s *Faults) poison(f *Running, who Who, b *Batch, event []byte) []byte {
	met := false
	each := make([][]byte, len(b.Records))
	for i, r := range b.Records {
		each[i] = r.JSON
		if !f.lens.Fits(r.JSON) {
			continue
		}
		if _, hit := f.decide(r.ID); hit {
			met = true
			each[i] = b.Damaged(r.JSON, f.fault.With.Body)
			b.Records[i].JSON = each[i]
			s.note(f, who, "the record "+r.ID+" is damaged before it is handed over")
		}
	}
	if !met {
		return event
	}
	return b.Event(each)
}

// left is the outcome of an event whose caller left while a fault held it.
func left(why error) daruma.Outcome {
	return daruma.Outcome{Kind: daruma.NoCapacity, Failure: &daruma.Failure{Kind: daruma.KindUnavailable, Type: "ServiceException", Message: "the caller left while the event was held: " + why.Error()}}
}
