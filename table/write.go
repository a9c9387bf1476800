package table

import (
	"bytes"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// writeAll takes the actions of a request as it is written down.
func (w *work) writeAll(body []byte) (any, error) {
	r, err := write.DecodeRequest(string(body))
	if err != nil {
		return nil, err
	}
	return w.write(r)
}

// write takes the actions of a request.
func (w *work) write(r *write.Request) (any, error) {
	if r.Mode == write.Transaction && r.Token != "" {
		replayed, err := w.replayed(r)
		if err != nil || replayed {
			return w.outcomes, err
		}
	}
	targets := make([]*write.Target, len(r.Actions))
	reasons := make([]refuse.Reason, len(r.Actions))
	failed := false
	for i := range r.Actions {
		t, err := w.m.resolve(&r.Actions[i])
		if r.Mode == write.Transaction && refuse.OfAction(err) {
			reasons[i], _ = refuse.ReasonOf(err)
			failed = true
			continue
		}
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	if r.Mode != write.Single {
		if err := write.Distinct(targets, r.Mode); err != nil {
			return nil, err
		}
	}
	changes := make([]*write.Change, len(targets))
	size := 0
	for i, t := range targets {
		if t == nil {
			continue
		}
		record, exists := w.tx.Get(t.Key)
		c, err := write.Evaluate(t, record, exists)
		if err == nil {
			changes[i] = c
			if size += c.NewSize; r.Mode == write.Transaction && size > transactBytesMax {
				return nil, refuse.Invalid("Collection size of items exceeded the limit of 4 MB")
			}
			continue
		}
		reason, ok := refuse.ReasonOf(err)
		if r.Mode != write.Transaction || !ok {
			return nil, err
		}
		reasons[i] = reason
		failed = true
	}
	if failed {
		return nil, refuse.Cancel(reasons)
	}
	w.outcomes = make([]write.Outcome, len(changes))
	for i, c := range changes {
		if c.Kind == write.Check {
			w.outcomes[i].Capacity = throughput.Capacity{Table: c.Table, Units: 2 * throughput.ReadUnits(c.OldSize, true)}
			continue
		}
		if err := w.store(c, false, &w.outcomes[i]); err != nil {
			return nil, err
		}
		if r.Mode == write.Transaction {
			w.outcomes[i].Capacity.Scale(2)
		}
	}
	if r.Mode == write.Transaction && r.Token != "" {
		w.remember(r)
	}
	return w.outcomes, nil
}

// store makes a change, with all that follows from it, and says what came of
// it. system says that no client asked for it.
func (w *work) store(c *write.Change, system bool, out *write.Outcome) error {
	s := c.Schema
	out.Attributes = c.Returned()
	out.Capacity = throughput.Capacity{Table: s.Name, Write: true, Units: throughput.WriteUnits(max(c.OldSize, c.NewSize))}
	if len(s.Indexes) > 0 && s.HasLocals() {
		out.Collection = schema.Pick(c.Item, s.Key.Hash)
	}
	if c.Unchanged() {
		return nil
	}
	b, err := w.account(s.Number)
	if err != nil {
		return err
	}
	if c.New != nil {
		w.tx.Set(c.Key, c.Record)
	} else {
		w.tx.Delete(c.Key)
	}
	b.add(0, tally(c.New != nil)-tally(c.Exists), c.NewSize-c.OldSize)
	for i := range s.Orders {
		w.reindex(c, &s.Orders[i], b, &out.Capacity)
	}
	if s.Expiry != "" {
		w.reexpire(c)
	}
	if s.Stream != 0 {
		return w.record(c, b, system)
	}
	return nil
}

// tally is 1 for something, and 0 for nothing.
func tally(there bool) int {
	if there {
		return 1
	}
	return 0
}

// reindex brings an index up to date with a change.
func (w *work) reindex(c *write.Change, o *schema.Ordering, b *book, used *throughput.Capacity) {
	var oldKey, newKey []byte
	if c.Exists {
		oldKey = c.Schema.EntryKey(o, c.Old)
	}
	if c.New != nil {
		newKey = c.Schema.EntryKey(o, c.New)
	}
	oldSize, newSize := 0, 0
	var record []byte
	if newKey != nil {
		record, newSize = schema.EncodeItem(c.Schema.Projected(o.Index, c.New))
	}
	was := false
	if oldKey != nil {
		var before []byte
		if before, was = w.tx.Get(oldKey); was {
			_, oldSize, _ = schema.ItemBody(before)
		}
		if was && bytes.Equal(oldKey, newKey) && bytes.Equal(before, record) {
			return
		}
	}
	units := 0.0
	switch {
	case bytes.Equal(oldKey, newKey) && newKey != nil:
		units = throughput.WriteUnits(max(oldSize, newSize))
	default:
		if oldKey != nil {
			w.tx.Delete(oldKey)
			units += throughput.WriteUnits(oldSize)
		}
		if newKey != nil {
			units += throughput.WriteUnits(newSize)
		}
	}
	if newKey != nil {
		w.tx.Set(newKey, record)
	}
	b.add(o.Index.Number, tally(newKey != nil)-tally(was), newSize-oldSize)
	used.Index(o.Index, units)
}

// buildStep is how many items one step of a build looks at.
const (
	buildStep      = 500
	buildStepBytes = 4 << 20
)

// numberExpiry stands for the index of expiry times in the timers that build.
const numberExpiry = 0

// build gives an index that was added, or the index of expiry times, the next
// of the items there were before.
func (w *work) build(s *schema.Table, number uint32) error {
	d := s.Clone()
	var x *schema.Index
	cursor := d.ExpiryCursor
	for i := range d.Indexes {
		if d.Indexes[i].Number == number && number != numberExpiry {
			x = &d.Indexes[i]
			cursor = x.Cursor
		}
	}
	if x == nil && (number != numberExpiry || s.Expiry == "") {
		return nil // it is gone already
	}
	b, err := w.account(s.Number)
	if err != nil {
		return err
	}
	r := cell.Prefix(s.Base.Prefix)
	if cursor != nil {
		r.Lower = append(append([]byte(nil), s.Base.Prefix...), cursor...)
		r.Lower = append(r.Lower, 0)
	}
	steps, size := 0, 0
	done := true
	for key, record := range w.tx.Scan(r) {
		if steps == buildStep || size > buildStepBytes {
			done = false
			break
		}
		steps++
		it, n, err := schema.DecodeItem(record)
		if err != nil {
			return err
		}
		size += n
		cursor = append([]byte(nil), key[len(s.Base.Prefix):]...)
		if x == nil {
			w.setExpiry(s, it, cursor)
		} else {
			w.enter(s, x, it, b)
		}
	}
	w.advance(d, x, cursor, done)
	return nil
}

// advance notes how far a build has come.
func (w *work) advance(d *schema.Definition, x *schema.Index, cursor []byte, done bool) {
	number := uint32(numberExpiry)
	if done {
		cursor = nil
	}
	if x != nil {
		number = x.Number
		x.Building, x.Cursor = !done, cursor
	} else {
		d.ExpiryCursor = cursor
	}
	w.define(d)
	if done {
		w.tx.Delete(schema.BuildKey(d.Number, number))
	} else {
		w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, number))
	}
}

// enter puts an item into an index that is being built; it may be there already.
func (w *work) enter(s *schema.Table, x *schema.Index, it value.Item, b *book) {
	o := s.Ordering(x.Name)
	key := s.EntryKey(o, it)
	if key == nil {
		return
	}
	before, was := w.tx.Get(key)
	oldSize := 0
	if was {
		_, oldSize, _ = schema.ItemBody(before)
	}
	record, size := schema.EncodeItem(s.Projected(x, it))
	w.tx.Set(key, record)
	b.add(x.Number, 1-tally(was), size-oldSize)
}
