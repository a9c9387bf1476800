package table

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/schema"
)

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
func (t *Tables) Deploy(ctx context.Context, wishes []schema.Wish) (Changes, error) {
	body, err := json.Marshal(wishes)
	if err != nil {
		return Changes{}, &daruma.Error{Op: "deploy tables", Kind: daruma.KindInvalid, Err: err}
	}
	got, err := t.cell.Do(ctx, cell.Command{Machine: machineName, Name: commandDeploy, Body: body})
	if err != nil {
		return Changes{}, daruma.Wrap("deploy tables", "", err)
	}
	return got.(Changes), nil
}

func (w *work) deploy(wishes []schema.Wish) (any, error) {
	var out Changes
	wanted := map[string]bool{}
	for i := range wishes {
		wish := &wishes[i]
		wanted[wish.Name] = true
		if err := w.fulfil(wish, &out); err != nil {
			return nil, daruma.Wrap("", wish.Declared, err)
		}
	}
	tables := w.m.directory.Load().tables
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		s := tables[name]
		if s.Declared == "" || wanted[name] {
			continue
		}
		if s.Retain || s.Protected {
			d := s.Clone()
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
		if _, err := w.drop(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fulfil makes one table what a wish says.
func (w *work) fulfil(wish *schema.Wish, out *Changes) error {
	s := w.table(wish.Name)
	if s != nil && !s.Alike(&wish.Definition) {
		b, err := w.account(s.Number)
		if err != nil {
			return err
		}
		if n := b.count(0).Items; n > 0 {
			return &daruma.Error{Kind: daruma.KindConflict, Err: fmt.Errorf("the key or the local indexes of the table %s have changed, which needs another table, and it has %d items", s.Name, n), Hint: "give the table another name, or export its items and delete it"}
		}
		if _, err := w.drop(wish.Name); err != nil {
			return err
		}
		s = nil
	}
	if s == nil {
		if _, err := w.create(wish.Creation); err != nil {
			return err
		}
		out.Created = append(out.Created, wish.Name)
		s = w.table(wish.Name)
	}
	before, _ := json.Marshal(s.Definition)
	view := schema.View("")
	if open := w.stream(s.Stream); open != nil {
		view = open.View
	}
	for _, a := range s.Toward(wish, view) {
		if _, err := w.alter(a); err != nil {
			return err
		}
	}
	d := w.table(wish.Name).Clone()
	d.Declared, d.Retain = wish.Declared, wish.Retain
	w.define(d)
	if after, _ := json.Marshal(d); string(before) != string(after) && !slices.Contains(out.Created, d.Name) {
		out.Updated = append(out.Updated, d.Name)
	}
	return nil
}
