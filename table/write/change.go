package write

import (
	"bytes"

	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
)

// A Change is what an action does to an item.
type Change struct {
	*Target
	Exists    bool // there is an item
	OldRecord []byte
	Old       value.Item // nil when there is none, and when nobody needs it
	OldSize   int
	Record    []byte     // nil when the item goes
	New       value.Item // nil when the item goes
	NewSize   int
}

// Evaluate checks the condition of an action against the record of the item there
// is, and works out what becomes of it.
func Evaluate(t *Target, record []byte, exists bool) (*Change, error) {
	c := &Change{Target: t, OldRecord: record, Exists: exists}
	if err := c.read(); err != nil {
		return nil, err
	}
	if t.condition != nil && !t.condition.Matches(c.Old) {
		r := &refuse.Error{Code: refuse.ConditionFailed, Message: refuse.ConditionMessage}
		if t.OldOnFailure {
			r.Item = c.Old
		}
		return nil, refuse.Of(r)
	}
	switch t.Kind {
	case Put:
		c.New = t.Item
	case Update:
		if err := c.update(); err != nil {
			return nil, err
		}
	default:
		return c, nil
	}
	if c.New == nil {
		return c, nil
	}
	c.Record, c.NewSize = schema.EncodeItem(c.New)
	if c.NewSize > schema.ItemBytesMax {
		if t.Kind == Put {
			return nil, refuse.Invalid("Item size has exceeded the maximum allowed size")
		}
		return nil, refuse.Invalid("Item size to update has exceeded the maximum allowed size")
	}
	return c, nil
}

// read decodes the item there is, as far as somebody needs it.
func (c *Change) read() (err error) {
	if !c.Exists {
		return nil
	}
	s := c.Schema
	if c.Kind == Put && c.condition == nil && c.Return == ReturnNothing && len(s.Orders) == 0 && s.Stream == 0 && s.Expiry == "" {
		_, c.OldSize, err = schema.ItemBody(c.OldRecord)
		return err
	}
	c.Old, c.OldSize, err = schema.DecodeItem(c.OldRecord)
	return err
}

// update works out what an update makes of the item, or of its key when there is
// none: no item is made of what is only taken away from.
func (c *Change) update() error {
	c.New = c.Old
	if !c.Exists {
		c.New = c.Item
	}
	if c.Target.update == nil {
		return nil
	}
	var err error
	if c.New, err = c.Target.update.Update(c.New); err != nil {
		return refuse.Said(err)
	}
	for i := range c.New {
		if c.New[i].Value.Depth() > value.DepthMax {
			return refuse.Invalid("Nesting Levels have exceeded supported limits")
		}
	}
	if !c.Exists && c.Target.update.RemovesOnly() {
		c.New = nil
		return nil
	}
	return c.Schema.CheckIndexKeys(c.New, true)
}

// Unchanged says whether the item stays as it is.
func (c *Change) Unchanged() bool {
	switch {
	case c.Exists != (c.New != nil):
		return false
	case !c.Exists:
		return true
	}
	return bytes.Equal(c.OldRecord, c.Record) || c.Old != nil && c.OldSize == c.NewSize && value.EqualItems(c.Old, c.New)
}

// Returned is what the action asked to get back.
func (c *Change) Returned() value.Item {
	var out value.Item
	switch c.Return {
	case ReturnAllOld:
		return c.Old
	case ReturnAllNew:
		return c.New
	case ReturnUpdatedOld:
		if c.Target.update != nil {
			out = c.Target.update.Project(c.Old)
		}
	case ReturnUpdatedNew:
		if c.Target.update != nil {
			out = c.Target.update.Project(c.New)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
