package table

import (
	"slices"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
)

// create makes a table.
func (w *work) create(c schema.Creation) (any, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := c.Clone()
	if w.table(d.Name) != nil {
		return nil, refuse.Of(&refuse.Error{Code: refuse.InUse, Message: "Table already exists: " + d.Name})
	}
	if len(w.m.directory.Load().tables) >= schema.TablesMax {
		return nil, refuse.Of(&refuse.Error{Code: refuse.LimitExceeded, Message: "Subscriber limit exceeded: there are too many tables"})
	}
	now := w.tx.Now()
	d.ID, d.Number, d.Created = w.tx.NewID(), w.number(), now
	d.Stream, d.LastStream, d.Expiry, d.ExpiryCursor = 0, 0, "", nil
	if d.OnDemand {
		d.Billed = &now
	}
	for i := range d.Indexes {
		d.NextIndex++
		d.Indexes[i].Number, d.Indexes[i].Building, d.Indexes[i].Cursor = d.NextIndex, false, nil
	}
	if c.View != "" {
		if err := w.open(d, c.View, c.Label); err != nil {
			return nil, err
		}
	}
	w.define(d)
	return d, nil
}

// drop removes a table with everything in it. Its stream can be read until its
// changes are too old.
func (w *work) drop(name string) (any, error) {
	s := w.table(name)
	if s == nil {
		return nil, refuse.NoTable(name)
	}
	if s.Protected {
		return nil, refuse.Invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	d := s.Clone()
	if d.Stream != 0 {
		if err := w.close(d); err != nil {
			return nil, err
		}
	}
	w.tx.Delete(append([]byte{schema.SpaceTable}, d.Name...))
	w.tx.Delete(schema.Numbered(schema.SpaceAccount, d.Number))
	w.books = slices.DeleteFunc(w.books, func(b *book) bool { return b.table == d.Number })
	for _, space := range []byte{schema.SpaceItem, schema.SpaceExpiry, schema.SpaceBuild} {
		w.tx.DeleteRange(cell.Prefix(schema.Numbered(space, d.Number)))
	}
	w.tx.Cancel(timerKey(timerExpire, d.Number, 0))
	if w.tables == nil {
		w.tables = map[string]*schema.Table{}
	}
	w.tables[d.Name] = nil
	return d, nil
}

// alter changes a table.
func (w *work) alter(a schema.Alteration) (any, error) {
	s := w.table(a.Table)
	if s == nil {
		return nil, refuse.NoTable(a.Table)
	}
	d := s.Clone()
	for _, step := range []func(*schema.Definition, *schema.Alteration) error{w.alterBilling, w.alterIndexes, w.alterStream, w.alterExpiry, w.alterTags} {
		if err := step(d, &a); err != nil {
			return nil, err
		}
	}
	if a.Protected != nil {
		d.Protected = *a.Protected
	}
	if a.Class != nil {
		d.Class = *a.Class
	}
	w.define(d)
	return d, nil
}

func (w *work) alterBilling(d *schema.Definition, a *schema.Alteration) error {
	now := w.tx.Now()
	if a.OnDemand != nil && *a.OnDemand != d.OnDemand {
		d.OnDemand = *a.OnDemand
		if d.OnDemand {
			d.Billed, d.Throughput = &now, schema.Throughput{}
			for i := range d.Indexes {
				d.Indexes[i].Throughput = schema.Throughput{}
			}
		}
	}
	if a.Throughput != nil {
		if err := a.Throughput.Validate(""); err != nil {
			return err
		}
		d.Throughput = d.Throughput.Become(*a.Throughput, now)
	}
	for name, t := range a.Resize {
		x := d.Index(name)
		if x == nil || x.Local {
			return refuse.Of(&refuse.Error{Code: refuse.NotFound, Message: "Requested resource not found"})
		}
		if err := t.Validate(name); err != nil {
			return err
		}
		x.Throughput = x.Throughput.Become(t, now)
	}
	return d.ValidateThroughput()
}

func (w *work) alterIndexes(d *schema.Definition, a *schema.Alteration) error {
	if a.Remove != "" {
		i := slices.IndexFunc(d.Indexes, func(x schema.Index) bool { return x.Name == a.Remove && !x.Local })
		if i < 0 {
			return refuse.Of(&refuse.Error{Code: refuse.NotFound, Message: "Requested resource not found"})
		}
		x := d.Indexes[i]
		prefix := schema.New(d).Prefix(x.Number)
		w.tx.DeleteRange(cell.Prefix(prefix))
		w.tx.Cancel(timerKey(timerBuild, d.Number, x.Number))
		w.tx.Delete(schema.BuildKey(d.Number, x.Number))
		b, err := w.account(d.Number)
		if err != nil {
			return err
		}
		c := b.count(x.Number)
		b.add(x.Number, -int(c.Items), -int(c.Bytes))
		d.Indexes = slices.Delete(d.Indexes, i, i+1)
		used := d.KeysUsed()
		d.Attributes = slices.DeleteFunc(d.Attributes, func(k schema.KeyAttribute) bool { return !slices.Contains(used, k.Name) })
	}
	if a.Add == nil {
		return nil
	}
	for _, k := range a.Attributes {
		if !slices.Contains(a.Add.Key.Names(), k.Name) && d.Kind(k.Name) == 0 {
			continue
		}
		switch was := d.Kind(k.Name); was {
		case 0:
			d.Attributes = append(d.Attributes, k)
		case k.Kind:
		default:
			return refuse.Invalid("%sAttributes cannot be redefined. Please check that your attribute has the same type as previously defined. Existing schema: Schema:[SchemaElement: key{%[2]s:%[3]s}] New schema: Schema:[SchemaElement: key{%[2]s:%[4]s}]", refuse.WrongParameters, k.Name, was, k.Kind)
		}
	}
	x := *a.Add
	if d.Index(x.Name) != nil {
		return refuse.Invalid("%sAttempting to create an index which already exists", refuse.WrongParameters)
	}
	d.NextIndex++
	x.Local, x.Number, x.Building, x.Cursor = false, d.NextIndex, true, nil
	d.Indexes = append(d.Indexes, x)
	if err := d.ValidateIndexes(); err != nil {
		return err
	}
	w.tx.Set(schema.BuildKey(d.Number, x.Number), nil)
	w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, x.Number))
	return nil
}

func (w *work) alterStream(d *schema.Definition, a *schema.Alteration) error {
	switch {
	case a.View == nil:
		return nil
	case *a.View == "" && d.Stream == 0:
		return refuse.Invalid("Table is not in a valid state to disable stream: no stream is enabled")
	case *a.View == "":
		return w.close(d)
	case d.Stream != 0:
		return refuse.Invalid("Table already has an enabled stream: TableName: %s", d.Name)
	}
	return w.open(d, *a.View, a.Label)
}

func (w *work) alterExpiry(d *schema.Definition, a *schema.Alteration) error {
	e := a.Expiry
	switch {
	case e == nil:
		return nil
	case e.Enabled && d.Expiry == e.Attribute:
		return refuse.Invalid("TimeToLive is already enabled")
	case e.Enabled && d.Expiry != "":
		return refuse.Invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", d.Expiry)
	case !e.Enabled && d.Expiry == "":
		return refuse.Invalid("TimeToLive is already disabled")
	case !e.Enabled && d.Expiry != e.Attribute:
		return refuse.Invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", d.Expiry)
	}
	d.Expired, d.ExpiryCursor = w.tx.Now(), nil
	if e.Enabled {
		d.Expiry = e.Attribute
		w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, numberExpiry))
		return nil
	}
	d.Expiry = ""
	w.tx.DeleteRange(cell.Prefix(schema.Numbered(schema.SpaceExpiry, d.Number)))
	w.tx.Cancel(timerKey(timerExpire, d.Number, 0))
	w.tx.Cancel(timerKey(timerBuild, d.Number, numberExpiry))
	return nil
}

// tagsMax is how many tags a table has.
const tagsMax = 50

func (w *work) alterTags(d *schema.Definition, a *schema.Alteration) error {
	for _, t := range a.Tag {
		i := slices.IndexFunc(d.Tags, func(o schema.Tag) bool { return o.Key == t.Key })
		if i < 0 {
			d.Tags = append(d.Tags, t)
		} else {
			d.Tags[i] = t
		}
	}
	d.Tags = slices.DeleteFunc(d.Tags, func(t schema.Tag) bool { return slices.Contains(a.Untag, t.Key) })
	if len(d.Tags) > tagsMax {
		return refuse.Invalid("Too many tags: a table has at most %d", tagsMax)
	}
	return nil
}
