package table

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// A Creation is a table as it is asked for. Of the definition, Name,
// Attributes, Key, Indexes, OnDemand, Throughput, Protected, Class and
// Tags count; the rest is filled in.
type Creation struct {
	Definition
	View  View   // of its stream; "" for none
	Label string // of its stream, see [Stream]
}

// An Alteration is what is to change of a table; what is nil stays.
type Alteration struct {
	Table      string
	Attributes []KeyAttribute // that the key of an added index needs, beside those there are
	OnDemand   *bool
	Throughput *Throughput
	Add        *Index
	Remove     string                // an index
	Resize     map[string]Throughput // of indexes
	View       *View                 // of the stream; "" closes it
	Label      string                // of a stream that is opened, see [Stream]
	Protected  *bool
	Class      *string
	Expiry     *ExpirySetting
	Tag        []Tag
	Untag      []string
}

// An ExpirySetting says by which attribute items expire, or that they do not.
type ExpirySetting struct {
	Attribute string
	Enabled   bool
}

// with reads the arguments of a command.
func with[T any](cmd cell.Command, f func(*T) (any, error)) (any, error) {
	arguments := new(T)
	if err := json.Unmarshal(cmd.Body, arguments); err != nil {
		return nil, &daruma.Error{Op: cmd.Name, Kind: daruma.KindInvalid, Err: err}
	}
	return f(arguments)
}

// create makes a table.
func (w *work) create(c *Creation) (any, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	d := c.Definition.clone()
	if w.table(d.Name) != nil {
		return nil, refuse(&Refusal{Code: InUse, Message: "Table already exists: " + d.Name})
	}
	if len(w.m.directory.Load().tables) >= TablesMax {
		return nil, refuse(&Refusal{Code: LimitExceeded, Message: "Subscriber limit exceeded: there are too many tables"})
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
func (w *work) drop(name *string) (any, error) {
	s := w.table(*name)
	if s == nil {
		return nil, tableNotFound(*name)
	}
	if s.Protected {
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	d := s.clone()
	if d.Stream != 0 {
		if err := w.close(d); err != nil {
			return nil, err
		}
	}
	w.tx.Delete(append([]byte{spaceTable}, d.Name...))
	w.tx.Delete(numbered(spaceAccount, d.Number))
	w.books = slices.DeleteFunc(w.books, func(b *book) bool { return b.table == d.Number })
	for _, space := range []byte{spaceItem, spaceExpiry, spaceBuild} {
		w.tx.DeleteRange(cell.Prefix(numbered(space, d.Number)))
	}
	w.tx.Cancel(timerKey(timerExpire, d.Number, 0))
	if w.tables == nil {
		w.tables = map[string]*schema{}
	}
	w.tables[d.Name] = nil
	return d, nil
}

func tableNotFound(name string) error {
	return refuse(&Refusal{Code: NotFound, Message: "Requested resource not found: Table: " + name + " not found"})
}

// alter changes a table.
func (w *work) alter(a *Alteration) (any, error) {
	s := w.table(a.Table)
	if s == nil {
		return nil, tableNotFound(a.Table)
	}
	d := s.clone()
	for _, step := range []func(*Definition, *Alteration) error{w.alterBilling, w.alterIndexes, w.alterStream, w.alterExpiry, w.alterTags} {
		if err := step(d, a); err != nil {
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

func (w *work) alterBilling(d *Definition, a *Alteration) error {
	now := w.tx.Now()
	if a.OnDemand != nil && *a.OnDemand != d.OnDemand {
		d.OnDemand = *a.OnDemand
		if d.OnDemand {
			d.Billed, d.Throughput = &now, Throughput{}
			for i := range d.Indexes {
				d.Indexes[i].Throughput = Throughput{}
			}
		}
	}
	if a.Throughput != nil {
		if err := a.Throughput.validate(""); err != nil {
			return err
		}
		d.Throughput = d.Throughput.become(*a.Throughput, now)
	}
	for name, t := range a.Resize {
		x := d.Index(name)
		if x == nil || x.Local {
			return refuse(&Refusal{Code: NotFound, Message: "Requested resource not found"})
		}
		if err := t.validate(name); err != nil {
			return err
		}
		x.Throughput = x.Throughput.become(t, now)
	}
	return d.validateThroughput()
}

// become is what t is once it is changed to n.
func (t Throughput) become(n Throughput, now time.Time) Throughput {
	n.Increased, n.Decreased, n.Decreases = t.Increased, t.Decreased, t.Decreases
	if n.Read > t.Read || n.Write > t.Write {
		n.Increased = now
	}
	if n.Read < t.Read || n.Write < t.Write {
		if now.Truncate(24 * time.Hour).After(n.Decreased) {
			n.Decreases = 0
		}
		n.Decreased = now
		n.Decreases++
	}
	return n
}

func (w *work) alterIndexes(d *Definition, a *Alteration) error {
	if a.Remove != "" {
		i := slices.IndexFunc(d.Indexes, func(x Index) bool { return x.Name == a.Remove && !x.Local })
		if i < 0 {
			return refuse(&Refusal{Code: NotFound, Message: "Requested resource not found"})
		}
		x := d.Indexes[i]
		prefix := newSchema(d).prefix(x.Number)
		w.tx.DeleteRange(cell.Prefix(prefix))
		w.tx.Cancel(timerKey(timerBuild, d.Number, x.Number))
		w.tx.Delete(buildKey(d.Number, x.Number))
		b, err := w.account(d.Number)
		if err != nil {
			return err
		}
		c := b.count(x.Number)
		b.add(x.Number, -int(c.Items), -int(c.Bytes))
		d.Indexes = slices.Delete(d.Indexes, i, i+1)
		used := d.keysUsed()
		d.Attributes = slices.DeleteFunc(d.Attributes, func(k KeyAttribute) bool { return !slices.Contains(used, k.Name) })
	}
	if a.Add == nil {
		return nil
	}
	for _, k := range a.Attributes {
		if !slices.Contains(a.Add.Key.names(), k.Name) && d.kind(k.Name) == 0 {
			continue
		}
		switch was := d.kind(k.Name); was {
		case 0:
			d.Attributes = append(d.Attributes, k)
		case k.Kind:
		default:
			return invalid("%sAttribute %s is defined as %s already", wrongParameters, k.Name, was)
		}
	}
	x := *a.Add
	if d.Index(x.Name) != nil {
		return invalid("%sAttempting to create an index which already exists", wrongParameters)
	}
	d.NextIndex++
	x.Local, x.Number, x.Building, x.Cursor = false, d.NextIndex, true, nil
	d.Indexes = append(d.Indexes, x)
	if err := d.validateIndexes(); err != nil {
		return err
	}
	w.tx.Set(buildKey(d.Number, x.Number), nil)
	w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, x.Number))
	return nil
}

func (w *work) alterStream(d *Definition, a *Alteration) error {
	switch {
	case a.View == nil:
		return nil
	case *a.View == "" && d.Stream == 0:
		return invalid("Table is not in a valid state to disable stream: no stream is enabled")
	case *a.View == "":
		return w.close(d)
	case d.Stream != 0:
		return invalid("Table already has an enabled stream: TableName: %s", d.Name)
	}
	return w.open(d, *a.View, a.Label)
}

func (w *work) alterExpiry(d *Definition, a *Alteration) error {
	e := a.Expiry
	switch {
	case e == nil:
		return nil
	case e.Enabled && d.Expiry == e.Attribute:
		return invalid("TimeToLive is already enabled")
	case e.Enabled && d.Expiry != "":
		return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", d.Expiry)
	case !e.Enabled && d.Expiry == "":
		return invalid("TimeToLive is already disabled")
	case !e.Enabled && d.Expiry != e.Attribute:
		return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", d.Expiry)
	}
	d.Expired, d.ExpiryCursor = w.tx.Now(), nil
	if e.Enabled {
		d.Expiry = e.Attribute
		w.tx.Schedule(w.tx.Now(), timerKey(timerBuild, d.Number, numberExpiry))
		return nil
	}
	d.Expiry = ""
	w.tx.DeleteRange(cell.Prefix(numbered(spaceExpiry, d.Number)))
	w.tx.Cancel(timerKey(timerExpire, d.Number, 0))
	w.tx.Cancel(timerKey(timerBuild, d.Number, numberExpiry))
	return nil
}

// tagsMax is how many tags a table has.
const tagsMax = 50

func (w *work) alterTags(d *Definition, a *Alteration) error {
	for _, t := range a.Tag {
		i := slices.IndexFunc(d.Tags, func(o Tag) bool { return o.Key == t.Key })
		if i < 0 {
			d.Tags = append(d.Tags, t)
		} else {
			d.Tags[i] = t
		}
	}
	d.Tags = slices.DeleteFunc(d.Tags, func(t Tag) bool { return slices.Contains(a.Untag, t.Key) })
	if len(d.Tags) > tagsMax {
		return invalid("Too many tags: a table has at most %d", tagsMax)
	}
	return nil
}
