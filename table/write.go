package table

import (
	"bytes"
	"errors"
	"strings"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/value"
)

// ActionsMax is how many actions a transaction has.
const ActionsMax = 100

// An Outcome is what came of an action.
type Outcome struct {
	Attributes value.Item // what was asked for; nil when there is nothing
	Capacity   Capacity
	// Collection is the partition that was written, of a table with local
	// indexes; nil otherwise.
	Collection value.Item
}

// write takes the actions of a request.
func (w *work) write(r *request) (any, error) {
	if r.mode == transaction && r.token != "" {
		replayed, err := w.replayed(r)
		if err != nil || replayed {
			return w.outcomes, err
		}
	}
	targets := make([]*target, len(r.actions))
	for i := range r.actions {
		t, err := w.m.resolve(&r.actions[i])
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	if r.mode != single {
		if err := distinct(targets, r.mode); err != nil {
			return nil, err
		}
	}
	changes := make([]*change, len(targets))
	var reasons []Reason
	for i, t := range targets {
		c, err := w.evaluate(t)
		if err == nil {
			changes[i] = c
			continue
		}
		reason, ok := reasonOf(err)
		if r.mode != transaction || !ok {
			return nil, err
		}
		if reasons == nil {
			reasons = make([]Reason, len(targets))
		}
		reasons[i] = reason
	}
	if reasons != nil {
		return nil, canceled(reasons)
	}
	w.outcomes = make([]Outcome, len(changes))
	for i, c := range changes {
		if c.Kind == Check {
			w.outcomes[i].Capacity = Capacity{Table: c.Table, Units: 2 * readUnits(c.oldSize, true)}
			continue
		}
		if err := w.store(c, false, &w.outcomes[i]); err != nil {
			return nil, err
		}
		if r.mode == transaction {
			w.outcomes[i].Capacity.scale(2)
		}
	}
	if r.mode == transaction && r.token != "" {
		w.remember(r)
	}
	return w.outcomes, nil
}

// distinct refuses two actions on one item.
func distinct(targets []*target, m mode) error {
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		if seen[string(t.key)] {
			if m == transaction {
				return invalid("Transaction request cannot include multiple operations on one item")
			}
			return invalid("Provided list of item keys contains duplicates")
		}
		seen[string(t.key)] = true
	}
	return nil
}

// reasonOf says why one action of a transaction was refused, and false for
// what is no refusal.
func reasonOf(err error) (Reason, bool) {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return Reason{}, false
	}
	switch r.Code {
	case ConditionFailed:
		return Reason{Code: ReasonCondition, Message: r.Message, Item: r.Item}, true
	case Throttled:
		return Reason{Code: ReasonThrottled, Message: r.Message}, true
	}
	return Reason{Code: ReasonValidation, Message: r.Message}, true
}

func canceled(reasons []Reason) error {
	words := make([]string, len(reasons))
	for i := range reasons {
		if reasons[i].Code == "" {
			reasons[i].Code = ReasonNone
		}
		words[i] = string(reasons[i].Code)
	}
	return refuse(&Refusal{Code: Canceled, Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(words, ", ") + "]", Reasons: reasons})
}

// A change is what an action does to an item.
type change struct {
	*target
	exists    bool // there is an item
	oldRecord []byte
	old       value.Item // nil when there is none, and when nobody needs it
	oldSize   int
	record    []byte     // nil when the item goes
	new       value.Item // nil when the item goes
	newSize   int
}

// evaluate reads the item, checks the condition, and works out what becomes
// of it. It writes nothing.
func (w *work) evaluate(t *target) (*change, error) {
	c := &change{target: t}
	c.oldRecord, c.exists = w.tx.Get(t.key)
	if err := c.read(); err != nil {
		return nil, err
	}
	if t.condition != nil && !t.condition.Matches(c.old) {
		r := &Refusal{Code: ConditionFailed, Message: conditionFailed}
		if t.OldOnFailure {
			r.Item = c.old
		}
		return nil, refuse(r)
	}
	switch t.Kind {
	case Put:
		c.new = t.Item
	case Update:
		if err := c.update(); err != nil {
			return nil, err
		}
	default:
		return c, nil
	}
	c.record, c.newSize = encodeItem(c.new)
	if c.newSize > ItemBytesMax {
		if t.Kind == Put {
			return nil, invalid("Item size has exceeded the maximum allowed size")
		}
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	return c, nil
}

// read decodes the item there is, as far as somebody needs it.
func (c *change) read() (err error) {
	if !c.exists {
		return nil
	}
	s := c.schema
	if c.Kind == Put && c.condition == nil && c.Return == ReturnNothing && len(s.indexes) == 0 && s.Stream == 0 && s.Expiry == "" {
		_, c.oldSize, err = itemBody(c.oldRecord)
		return err
	}
	c.old, c.oldSize, err = decodeItem(c.oldRecord)
	return err
}

// update works out what an update makes of the item, or of its key when there is none.
func (c *change) update() error {
	c.new = c.old
	if !c.exists {
		c.new = c.Item
	}
	if c.target.update == nil {
		return nil
	}
	var err error
	if c.new, err = c.target.update.Update(c.new); err != nil {
		return said(err)
	}
	for i := range c.new {
		if c.new[i].Value.Depth() > value.DepthMax {
			return invalid("Nesting Levels have exceeded supported limits")
		}
	}
	return c.schema.checkIndexKeys(c.new, true)
}

// unchanged says whether the item stays as it is.
func (c *change) unchanged() bool {
	switch {
	case c.exists != (c.new != nil):
		return false
	case !c.exists:
		return true
	}
	return bytes.Equal(c.oldRecord, c.record) || c.old != nil && c.oldSize == c.newSize && value.EqualItems(c.old, c.new)
}

// store makes a change, with all that follows from it, and says what came of
// it. system says that no client asked for it.
func (w *work) store(c *change, system bool, out *Outcome) error {
	s := c.schema
	out.Attributes = c.returned()
	out.Capacity = Capacity{Table: s.Name, Write: true, Units: writeUnits(max(c.oldSize, c.newSize))}
	if len(s.Indexes) > 0 && s.hasLocals() {
		out.Collection = pick(c.Item, s.Key.Hash)
	}
	if c.unchanged() {
		return nil
	}
	b, err := w.account(s.Number)
	if err != nil {
		return err
	}
	if c.new != nil {
		w.tx.Set(c.key, c.record)
	} else {
		w.tx.Delete(c.key)
	}
	b.add(0, tally(c.new != nil)-tally(c.exists), c.newSize-c.oldSize)
	for i := range s.indexes {
		w.reindex(c, &s.indexes[i], b, &out.Capacity)
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

// returned is what the action asked to get back.
func (c *change) returned() value.Item {
	var out value.Item
	switch c.Return {
	case ReturnAllOld:
		return c.old
	case ReturnAllNew:
		return c.new
	case ReturnUpdatedOld:
		if c.target.update != nil {
			out = c.target.update.Project(c.old)
		}
	case ReturnUpdatedNew:
		if c.target.update != nil {
			out = c.target.update.Project(c.new)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (s *schema) hasLocals() bool {
	for i := range s.Indexes {
		if s.Indexes[i].Local {
			return true
		}
	}
	return false
}

// reindex brings an index up to date with a change.
func (w *work) reindex(c *change, o *ordering, b *book, used *Capacity) {
	var oldKey, newKey []byte
	if c.exists {
		oldKey = c.schema.entryKey(o, c.old)
	}
	if c.new != nil {
		newKey = c.schema.entryKey(o, c.new)
	}
	oldSize, newSize := 0, 0
	var record []byte
	if newKey != nil {
		record, newSize = encodeItem(c.schema.projected(o.index, c.new))
	}
	was := false
	if oldKey != nil {
		var before []byte
		if before, was = w.tx.Get(oldKey); was {
			_, oldSize, _ = itemBody(before)
		}
		if was && bytes.Equal(oldKey, newKey) && bytes.Equal(before, record) {
			return
		}
	}
	units := 0.0
	switch {
	case bytes.Equal(oldKey, newKey) && newKey != nil:
		units = writeUnits(max(oldSize, newSize))
	default:
		if oldKey != nil {
			w.tx.Delete(oldKey)
			units += writeUnits(oldSize)
		}
		if newKey != nil {
			units += writeUnits(newSize)
		}
	}
	if newKey != nil {
		w.tx.Set(newKey, record)
	}
	b.add(o.index.Number, tally(newKey != nil)-tally(was), newSize-oldSize)
	used.index(o.index, units)
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
func (w *work) build(s *schema, number uint32) error {
	d := s.clone()
	var x *Index
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
	r := cell.Prefix(s.base.prefix)
	if cursor != nil {
		r.Lower = append(append([]byte(nil), s.base.prefix...), cursor...)
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
		it, n, err := decodeItem(record)
		if err != nil {
			return err
		}
		size += n
		cursor = append([]byte(nil), key[len(s.base.prefix):]...)
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
func (w *work) advance(d *Definition, x *Index, cursor []byte, done bool) {
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
		w.tx.Delete(buildKey(d.Number, number))
	} else {
		w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, number))
	}
}

// enter puts an item into an index that is being built; it may be there already.
func (w *work) enter(s *schema, x *Index, it value.Item, b *book) {
	o := s.ordering(x.Name)
	key := s.entryKey(o, it)
	if key == nil || !s.fits(x, it) {
		return
	}
	before, was := w.tx.Get(key)
	oldSize := 0
	if was {
		_, oldSize, _ = itemBody(before)
	}
	record, size := encodeItem(s.projected(x, it))
	w.tx.Set(key, record)
	b.add(x.Number, 1-tally(was), size-oldSize)
}

// fits says whether an item's attributes are what an index added later is
// ordered by; others are left out of it.
func (s *schema) fits(x *Index, it value.Item) bool {
	for _, n := range x.Key.names() {
		if v, _ := it.Get(n); v.Kind() != s.kind(n) || v.Kind() != value.Number && v.Text() == "" {
			return false
		}
	}
	return true
}
