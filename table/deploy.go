package table

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// A Wish is a table that a deployment declares.
type Wish struct {
	Creation
	Expiry string // the attribute that says when items expire; "" for none
}

// Changes is what [Tables.Deploy] changed, by name.
type Changes struct {
	Created, Updated []string
	Removed          []Gone
	Kept             []string // no longer declared, and kept: to be retained, or protected
}

// A Gone is a table that was removed with its items.
type Gone struct {
	Name  string
	Items int64
}

// Deploy makes the declared tables those of wishes, in one step: what is new
// is created, what is there changed, and what was declared before and is not
// any more removed, unless it is to be retained or is protected. Tables made by
// hand are left alone; a wish for one by its name takes it over.
//
// A change of a table's key, or of its local indexes, would need another
// table: an empty one is made anew, one with items is refused with KindConflict.
func (t *Tables) Deploy(ctx context.Context, wishes []Wish) (Changes, error) {
	body, err := json.Marshal(wishes)
	if err != nil {
		return Changes{}, &daruma.Error{Op: "deploy tables", Kind: daruma.KindInvalid, Err: err}
	}
	got, err := t.cell.Do(ctx, cell.Command{Machine: machineName, Name: commandDeploy, Body: body})
	if err != nil {
		return Changes{}, &daruma.Error{Op: "deploy tables", Kind: daruma.KindOf(err), Err: err, Hint: daruma.HintOf(err)}
	}
	return got.(Changes), nil
}

func (w *work) deploy(wishes *[]Wish) (any, error) {
	var out Changes
	wanted := map[string]bool{}
	for i := range *wishes {
		wish := &(*wishes)[i]
		wanted[wish.Name] = true
		if err := w.fulfil(wish, &out); err != nil {
			return nil, &daruma.Error{Ref: wish.Declared, Kind: daruma.KindOf(err), Err: err, Hint: daruma.HintOf(err)}
		}
	}
	tables := w.m.directory.Load().tables
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		s := tables[name]
		if s.Declared == "" || wanted[name] {
			continue
		}
		if s.Retain || s.Protected {
			d := s.clone()
			d.Declared, d.Retain = "", false
			w.define(d)
			out.Kept = append(out.Kept, name)
			continue
		}
		b, err := w.account(s.Number)
		if err != nil {
			return nil, err
		}
		out.Removed = append(out.Removed, Gone{name, b.count(0).Items})
		if _, err := w.drop(&name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fulfil makes one table what a wish says.
func (w *work) fulfil(wish *Wish, out *Changes) error {
	s := w.table(wish.Name)
	if s != nil && !s.alike(&wish.Definition) {
		b, err := w.account(s.Number)
		if err != nil {
			return err
		}
		if n := b.count(0).Items; n > 0 {
			return &daruma.Error{Kind: daruma.KindConflict, Err: fmt.Errorf("the key or the local indexes of the table %s have changed, which needs another table, and it has %d items", s.Name, n), Hint: "give the table another name, or export its items and delete it"}
		}
		if _, err := w.drop(&wish.Name); err != nil {
			return err
		}
		s = nil
	}
	if s == nil {
		if _, err := w.create(&wish.Creation); err != nil {
			return err
		}
		out.Created = append(out.Created, wish.Name)
		s = w.table(wish.Name)
	}
	before, _ := json.Marshal(s.Definition)
	for _, a := range s.toward(wish, w.stream(s.Stream)) {
		if _, err := w.alter(&a); err != nil {
			return err
		}
	}
	d := w.table(wish.Name).clone()
	d.Declared, d.Retain = wish.Declared, wish.Retain
	w.define(d)
	if after, _ := json.Marshal(d); string(before) != string(after) && !slices.Contains(out.Created, d.Name) {
		out.Updated = append(out.Updated, d.Name)
	}
	return nil
}

// alike says whether a table can become what another is.
func (s *schema) alike(d *Definition) bool {
	same := func(a, b KeySchema) bool { return slices.Equal(a.Hash, b.Hash) && slices.Equal(a.Range, b.Range) }
	if !same(s.Key, d.Key) {
		return false
	}
	for _, n := range d.Key.names() {
		if s.kind(n) != d.kind(n) {
			return false
		}
	}
	locals := func(d *Definition) (all []Index) {
		for _, x := range d.Indexes {
			if x.Local {
				x.Number, x.Throughput = 0, Throughput{}
				all = append(all, x)
			}
		}
		slices.SortFunc(all, func(a, b Index) int { return strings.Compare(a.Name, b.Name) })
		return all
	}
	return slices.EqualFunc(locals(s.Definition), locals(d), func(a, b Index) bool {
		return a.Name == b.Name && same(a.Key, b.Key) && a.Projection.Kind == b.Projection.Kind && slices.Equal(a.Projection.Include, b.Projection.Include)
	})
}

// toward is the alterations that lead from a table to what a wish says.
func (s *schema) toward(wish *Wish, stream *Stream) []Alteration {
	var all []Alteration
	add := func(a Alteration) {
		a.Table = s.Name
		all = append(all, a)
	}
	for i := range s.Indexes {
		x := &s.Indexes[i]
		if y := wish.Index(x.Name); !x.Local && (y == nil || !sameIndex(x, y)) {
			add(Alteration{Remove: x.Name})
		}
	}
	first := Alteration{OnDemand: &wish.OnDemand, Protected: &wish.Protected, Class: &wish.Class, Tag: wish.Tags}
	if !wish.OnDemand && (s.Throughput.Read != wish.Throughput.Read || s.Throughput.Write != wish.Throughput.Write) {
		first.Throughput = &wish.Throughput
	}
	for _, t := range s.Tags {
		if !slices.ContainsFunc(wish.Tags, func(o Tag) bool { return o.Key == t.Key }) {
			first.Untag = append(first.Untag, t.Key)
		}
	}
	for i := range wish.Indexes {
		y := &wish.Indexes[i]
		x := s.Index(y.Name)
		if x != nil && !x.Local && sameIndex(x, y) && !wish.OnDemand && (x.Throughput.Read != y.Throughput.Read || x.Throughput.Write != y.Throughput.Write) {
			if first.Resize == nil {
				first.Resize = map[string]Throughput{}
			}
			first.Resize[y.Name] = y.Throughput
		}
	}
	add(first)
	for i := range wish.Indexes {
		y := wish.Indexes[i]
		if x := s.Index(y.Name); !y.Local && (x == nil || !sameIndex(x, &y)) {
			add(Alteration{Add: &y, Attributes: wish.Attributes})
		}
	}
	none := View("")
	if stream != nil && stream.View != wish.View {
		add(Alteration{View: &none})
	}
	if wish.View != "" && (stream == nil || stream.View != wish.View) {
		add(Alteration{View: &wish.View, Label: wish.Label})
	}
	if s.Expiry != "" && s.Expiry != wish.Expiry {
		add(Alteration{Expiry: &ExpirySetting{Attribute: s.Expiry}})
	}
	if wish.Expiry != "" && s.Expiry != wish.Expiry {
		add(Alteration{Expiry: &ExpirySetting{Attribute: wish.Expiry, Enabled: true}})
	}
	return all
}

func sameIndex(a, b *Index) bool {
	return slices.Equal(a.Key.Hash, b.Key.Hash) && slices.Equal(a.Key.Range, b.Key.Range) && a.Projection.Kind == b.Projection.Kind && slices.Equal(a.Projection.Include, b.Projection.Include)
}
