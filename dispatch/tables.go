package dispatch

import (
	"context"
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/value"
)

// ChangesKind is the kind of a mapping's source that is the changes of a table.
const ChangesKind = "stream"

// TableShards is package table as shards: each stream of a table is one.
type TableShards struct {
	t     *table.Tables
	named Naming
}

// A Naming says how streams, shards and records are known outside.
type Naming struct {
	Find   func(m *mapping.Mapping) []*table.Stream // oldest first
	Shard  func(s *table.Stream) string
	Record func(s *table.Stream, c *table.Change) []byte
}

// NewTableShards returns the shards of t's streams.
func NewTableShards(t *table.Tables, named Naming) *TableShards { return &TableShards{t, named} }

// Shards returns the streams that have the mapping's name: one, unless it was
// closed and opened again under it.
func (x *TableShards) Shards(_ context.Context, m *mapping.Mapping) ([]Shard, error) {
	var all []Shard
	for _, s := range x.named.Find(m) {
		is := Shard{ID: x.named.Shard(s)}
		if n := len(all); n > 0 {
			is.Parent = all[n-1].ID
		}
		all = append(all, is)
	}
	if len(all) == 0 {
		return nil, noStream(m)
	}
	return all, nil
}

func noStream(m *mapping.Mapping) error {
	return &daruma.Error{Op: "read stream", Ref: m.Source.Name, Kind: daruma.KindNotFound, Err: errors.New("there is no such stream")}
}

func (x *TableShards) stream(m *mapping.Mapping, shard string) (*table.Stream, error) {
	for _, s := range x.named.Find(m) {
		if x.named.Shard(s) == shard {
			return s, nil
		}
	}
	return nil, noStream(m)
}

// Bounds returns the first change that is still there, and the last one made.
func (x *TableShards) Bounds(ctx context.Context, m *mapping.Mapping, shard string) (first, last uint64, err error) {
	s, err := x.stream(m, shard)
	if err != nil {
		return 0, 0, err
	}
	return x.t.Bounds(ctx, s.Number)
}

// Read returns changes.
func (x *TableShards) Read(ctx context.Context, m *mapping.Mapping, shard string, from uint64, n int) (Piece, error) {
	s, err := x.stream(m, shard)
	if err != nil {
		return Piece{}, err
	}
	tail, err := x.t.Changes(ctx, s.Number, from, n)
	if r, ok := errors.AsType[*refuse.Error](err); ok && r.Code == refuse.TrimmedData {
		tail, err = x.t.Changes(ctx, s.Number, 0, 1) // the first that is neither gone nor too old
		if err != nil {
			return Piece{}, err
		}
		next := tail.Next
		if len(tail.Changes) > 0 {
			next = tail.Changes[0].Sequence
		}
		return Piece{Gone: true, Next: next}, nil
	}
	if err != nil {
		return Piece{}, err
	}
	p := Piece{Next: tail.Next, End: tail.End}
	for _, c := range tail.Changes {
		p.Records = append(p.Records, StreamRecord{Sequence: c.Sequence, At: c.At, Key: string(value.AppendItem(nil, c.Keys)), Body: x.named.Record(s, c)})
	}
	return p, nil
}

// Changed waits until there may be more changes.
func (x *TableShards) Changed(ctx context.Context, after uint64) (uint64, error) {
	return x.t.Changed(ctx, after)
}
