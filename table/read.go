package table

import (
	"context"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

// Limits of reads.
const (
	BatchGetMax      = 100      // keys
	batchGetBytesMax = 16 << 20 // of items
	transactBytesMax = 4 << 20  // of the items of a transaction that reads
)

// A Get asks for an item.
type Get struct {
	Table      string
	Key        value.Item
	Consistent bool   // only tells what it costs: all reads here are
	Projection string // "" for the whole item
	Names      value.Item
}

// A Got is an item, or that there is none.
type Got struct {
	Item     value.Item // nil when there is none
	Found    bool
	Capacity Capacity
	size     int
}

// A reading is a get with what it is about.
type reading struct {
	schema     *schema
	key        []byte
	projection *expression.Bound
}

func (t *Tables) resolveGet(g *Get) (*reading, error) {
	projection, err := t.projection(g.Projection, g.Names)
	if err != nil {
		return nil, err
	}
	s := t.machine.table(g.Table)
	if s == nil {
		return nil, notFound()
	}
	if err := s.checkKey(g.Key); err != nil {
		return nil, err
	}
	return &reading{s, s.itemKey(g.Key), projection}, nil
}

func (t *Tables) projection(text string, names value.Item) (*expression.Bound, error) {
	scope := expression.Scope{Names: names}
	var b *expression.Bound
	if text != "" {
		var err error
		if b, err = t.machine.bind(&scope, expression.Projection, text); err != nil {
			return nil, err
		}
	}
	if err := scope.Unused(); err != nil {
		return nil, said(err)
	}
	return b, nil
}

// read reads one item.
func (g *reading) read(r *cell.Reader, consistent bool) (Got, error) {
	out := Got{Capacity: Capacity{Table: g.schema.Name}}
	record, ok := r.Get(g.key)
	if ok {
		it, size, err := decodeItem(record)
		if err != nil {
			return out, err
		}
		out.Item, out.Found, out.size = it, true, size
		if g.projection != nil {
			out.Item = g.projection.Project(it)
		}
	}
	out.Capacity.Units = readUnits(out.size, consistent)
	return out, nil
}

// Get reads an item.
func (t *Tables) Get(ctx context.Context, g Get) (Got, error) {
	at, err := t.resolveGet(&g)
	if err != nil {
		return Got{}, err
	}
	if err := t.meters.admit(at.schema, "", false); err != nil {
		return Got{}, err
	}
	var out Got
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		out, err = at.read(r, g.Consistent)
		return err
	})
	if err == nil {
		t.meters.charge(at.schema, out.Capacity)
	}
	return out, err
}

// GetAll reads items of one state: all of them, or it fails. It is a
// transaction that reads.
func (t *Tables) GetAll(ctx context.Context, gets []Get) ([]Got, error) {
	at := make([]*reading, len(gets))
	seen := map[string]bool{}
	for i := range gets {
		var err error
		if at[i], err = t.resolveGet(&gets[i]); err != nil {
			return nil, err
		}
		if seen[string(at[i].key)] {
			return nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[string(at[i].key)] = true
	}
	if err := admitAll(len(at), func(i int) error { return t.meters.admit(at[i].schema, "", false) }); err != nil {
		return nil, err
	}
	out := make([]Got, len(gets))
	size := 0
	err := t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		for i := range at {
			if out[i], err = at[i].read(r, true); err != nil {
				return err
			}
			if size += out[i].size; size > transactBytesMax {
				return invalid("Collection size of items exceeded the limit of 4 MB")
			}
			out[i].Capacity.scale(2)
		}
		return nil
	})
	for i := range out {
		t.meters.charge(at[i].schema, out[i].Capacity)
	}
	return out, err
}

// GetBatch reads items, each for itself. It returns which of them were not
// read, since there was no room in the answer or no throughput: their places in gets.
func (t *Tables) GetBatch(ctx context.Context, gets []Get) (out []Got, left []int, err error) {
	at := make([]*reading, len(gets))
	seen := map[string]bool{}
	for i := range gets {
		if at[i], err = t.resolveGet(&gets[i]); err != nil {
			return nil, nil, err
		}
		if seen[string(at[i].key)] {
			return nil, nil, invalid("Provided list of item keys contains duplicates")
		}
		seen[string(at[i].key)] = true
	}
	out = make([]Got, len(gets))
	size := 0
	var refused error
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		for i := range at {
			if err := t.meters.admit(at[i].schema, "", false); err != nil {
				refused, left = err, append(left, i)
				continue
			}
			if size > batchGetBytesMax {
				left = append(left, i)
				continue
			}
			if out[i], err = at[i].read(r, gets[i].Consistent); err != nil {
				return err
			}
			if size += out[i].size; size > batchGetBytesMax {
				out[i], left = Got{}, append(left, i)
				continue
			}
			t.meters.charge(at[i].schema, out[i].Capacity)
		}
		return nil
	})
	if refused != nil && len(left) == len(gets) {
		return nil, nil, refused
	}
	return out, left, err
}
