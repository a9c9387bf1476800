// Package read is what is asked of tables and what is found: items by their keys,
// and queries in the order of a table or an index, page by page. A request is checked
// against its table first ([ResolveGet], [ResolveQuery]) and then read from one state
// of the store. It holds nothing; all of it may be used from any goroutine, a
// [Plan] by one at a time.
package read

import (
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
)

// A Get asks for an item.
type Get struct {
	Table      string
	Key        value.Item
	Consistent bool   // only tells what it costs: all reads here are
	Projection string // "" for the whole item
	Names      value.Item
	Leaves     bool // what the projection leads to is wanted under the last names of its paths
}

// A Got is an item, or that there is none.
type Got struct {
	Item     value.Item // nil when there is none
	Found    bool
	Capacity throughput.Capacity
	Size     int
}

// A Reading is a get with what it is about.
type Reading struct {
	Schema     *schema.Table
	Key        []byte
	get        *Get
	projection *expression.Bound
}

// ResolveGet checks a get against its table.
func ResolveGet(expressions *expression.Cache, tables func(name string) *schema.Table, g *Get) (*Reading, error) {
	r, err := BindGet(expressions, g)
	if err != nil {
		return nil, err
	}
	return r, r.Resolve(tables)
}

// BindGet checks what can be without a table; Resolve does the rest.
func BindGet(expressions *expression.Cache, g *Get) (*Reading, error) {
	projection, err := project(expressions, g.Projection, g.Names)
	if err != nil {
		return nil, err
	}
	return &Reading{get: g, projection: projection}, nil
}

// Resolve checks a get that BindGet returned against its table.
func (g *Reading) Resolve(tables func(name string) *schema.Table) error {
	s := tables(g.get.Table)
	if s == nil {
		return refuse.NoResource()
	}
	if err := s.CheckKey(g.get.Key); err != nil {
		return err
	}
	g.Schema, g.Key = s, s.ItemKey(g.get.Key)
	return s.CheckPaths(g.projection)
}

func project(expressions *expression.Cache, text string, names value.Item) (*expression.Bound, error) {
	scope := expression.Scope{Names: names}
	var b *expression.Bound
	if text != "" {
		var err error
		if b, err = expressions.Bind(&scope, expression.Projection, text); err != nil {
			return nil, refuse.Said(err)
		}
	}
	if err := scope.Unused(); err != nil {
		return nil, refuse.Said(err)
	}
	return b, nil
}

// shown is what a projection, if there is one, shows of an item.
func shown(projection *expression.Bound, leaves bool, it value.Item) value.Item {
	switch {
	case projection == nil:
		return it
	case leaves:
		return projection.Leaves(it)
	}
	return projection.Project(it)
}

// Read reads one item.
func (g *Reading) Read(r *cell.Reader, consistent bool) (Got, error) {
	out := Got{Capacity: throughput.Capacity{Table: g.Schema.Name}}
	record, ok := r.Get(g.Key)
	if ok {
		it, size, err := schema.DecodeItem(record)
		if err != nil {
			return out, err
		}
		out.Item, out.Found, out.Size = shown(g.projection, g.get.Leaves, it), true, size
	}
	out.Capacity.Units = throughput.ReadUnits(out.Size, consistent)
	return out, nil
}
