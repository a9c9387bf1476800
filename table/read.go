package table

import (
	"context"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
)

// Limits of reads.
const (
	BatchGetMax      = 100      // keys
	batchGetBytesMax = 16 << 20 // of items
	transactBytesMax = 4 << 20  // of the items of a transaction
)

// Get reads an item.
func (t *Tables) Get(ctx context.Context, g read.Get) (read.Got, error) {
	at, err := read.ResolveGet(&t.machine.expressions, t.machine.table, &g)
	if err != nil {
		return read.Got{}, err
	}
	if err := t.meters.Admit(at.Schema, "", false); err != nil {
		return read.Got{}, err
	}
	var out read.Got
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		out, err = at.Read(r, g.Consistent)
		return err
	})
	if err == nil {
		t.meters.Charge(at.Schema, out.Capacity)
	}
	return out, err
}

// GetAll reads items of one state: all of them, or it fails. It is a
// transaction that reads.
func (t *Tables) GetAll(ctx context.Context, gets []read.Get) ([]read.Got, error) {
	at := make([]*read.Reading, len(gets))
	reasons := make([]refuse.Reason, len(gets))
	failed := false
	seen := map[string]bool{}
	for i := range gets {
		var err error
		at[i], err = read.ResolveGet(&t.machine.expressions, t.machine.table, &gets[i])
		if refuse.OfAction(err) {
			reasons[i], _ = refuse.ReasonOf(err)
			failed = true
			continue
		}
		if err != nil {
			return nil, err
		}
		if seen[string(at[i].Key)] {
			return nil, refuse.Invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[string(at[i].Key)] = true
	}
	if failed {
		return nil, refuse.Cancel(reasons)
	}
	if err := throughput.AdmitAll(len(at), func(i int) error { return t.meters.Admit(at[i].Schema, "", false) }); err != nil {
		return nil, err
	}
	out := make([]read.Got, len(gets))
	size := 0
	err := t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		for i := range at {
			if out[i], err = at[i].Read(r, true); err != nil {
				return err
			}
			if size += out[i].Size; size > transactBytesMax {
				return refuse.Invalid("Collection size of items exceeded the limit of 4 MB")
			}
			out[i].Capacity.Scale(2)
		}
		return nil
	})
	for i := range out {
		t.meters.Charge(at[i].Schema, out[i].Capacity)
	}
	return out, err
}

// GetBatch reads items, each for itself. It returns which of them were not
// read, since there was no room in the answer or no throughput: their places in gets.
func (t *Tables) GetBatch(ctx context.Context, gets []read.Get) (out []read.Got, left []int, err error) {
	at := make([]*read.Reading, len(gets))
	seen := map[string]bool{}
	for i := range gets {
		if at[i], err = read.BindGet(&t.machine.expressions, &gets[i]); err != nil {
			return nil, nil, err
		}
		key := string(value.AppendItem(value.AppendPiece(nil, gets[i].Table), gets[i].Key))
		if seen[key] { // told before what is wrong with a table
			return nil, nil, refuse.Invalid("Provided list of item keys contains duplicates")
		}
		seen[key] = true
	}
	for i := range at {
		if err = at[i].Resolve(t.machine.table); err != nil {
			return nil, nil, err
		}
	}
	out = make([]read.Got, len(gets))
	size := 0
	var refused error
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) (err error) {
		for i := range at {
			if err := t.meters.Admit(at[i].Schema, "", false); err != nil {
				refused, left = err, append(left, i)
				continue
			}
			if size > batchGetBytesMax {
				left = append(left, i)
				continue
			}
			if out[i], err = at[i].Read(r, gets[i].Consistent); err != nil {
				return err
			}
			if size += out[i].Size; size > batchGetBytesMax {
				out[i], left = read.Got{}, append(left, i)
				continue
			}
			t.meters.Charge(at[i].Schema, out[i].Capacity)
		}
		return nil
	})
	if refused != nil && len(left) == len(gets) {
		return nil, nil, refused
	}
	return out, left, err
}

// Query returns a page of items.
func (t *Tables) Query(ctx context.Context, q read.Query) (*read.Page, error) {
	p, err := read.ResolveQuery(&t.machine.expressions, t.machine.table, &q)
	if err != nil {
		return nil, err
	}
	if err := t.meters.Admit(p.Schema, q.Index, false); err != nil {
		return nil, err
	}
	page := &read.Page{Capacity: throughput.Capacity{Table: q.Table}}
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) error { return p.Run(r, page) })
	if err != nil {
		return nil, err
	}
	t.meters.Charge(p.Schema, page.Capacity)
	return page, nil
}
