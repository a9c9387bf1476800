// Package table is the noun for tables: items found by their key, written one
// atomic step at a time, read in the order of their keys and of their
// indexes, with what changed in the order in which it did.
//
//	Put, Update, Delete, Transact ──► one command ──► item, indexes, expiry, change, counts
//	Get, Query, Scan ──► a view of the state between two commands
//
// A [Machine] applies the commands of all tables of a cell. What a condition
// asks is decided, what an update does is worked out, indexes follow and the
// change is recorded in the one step that changes the item; a transaction is
// one such step for all of its items.
//
// It promises that a write which was answered is on the disk, that a read shows
// everything answered before it, that a failed write has done nothing, that a
// change is in the stream once, in order, and not at all when nothing changed.
// Memory does not grow with items. It does not promise when an expired item is
// deleted, only that it is soon; an added index has the items there were when
// it is no longer building. Rules are those of the AWS Developer Guide and API
// Reference of tables; refusals say so in the service's words.
//
// The methods of [Tables] may be called from any goroutine.
package table

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/write"
)

// Tables is the tables of one cell.
type Tables struct {
	cell    *cell.Cell
	machine *Machine
	clock   daruma.Clock
	meters  *throughput.Meters
}

// New returns the tables that lie in c, of which m is one of the machines. The
// clock is what throughput goes by; the system's when nil. It starts nothing.
func New(c *cell.Cell, m *Machine, clock daruma.Clock) *Tables {
	if clock == nil {
		clock = daruma.SystemClock{}
	}
	return &Tables{cell: c, machine: m, clock: clock, meters: throughput.New(clock)}
}

// Write takes one action. The error holds a [*refuse.Error] when the request is
// wrong, its condition does not hold, or throughput is used up; otherwise it
// is the cell's.
func (t *Tables) Write(ctx context.Context, a write.Action) (write.Outcome, error) {
	if a.Kind == write.Check {
		return write.Outcome{}, refuse.Invalid("a check is a part of a transaction")
	}
	s := t.machine.table(a.Table)
	if err := t.meters.AdmitAction(s, a.Kind == write.Check); err != nil {
		return write.Outcome{}, err
	}
	out, err := t.do(ctx, &write.Request{Mode: write.Single, Actions: []write.Action{a}})
	if err != nil {
		t.meters.Charge(s, throughput.Capacity{Write: true, Units: 1})
		return write.Outcome{}, err
	}
	t.meters.Charge(s, out[0].Capacity)
	return out[0], nil
}

// batchBytesMax is how much of a batch one command carries.
const batchBytesMax = 4 << 20

// WriteBatch takes actions that have no conditions, each for itself. It returns
// which of them were not taken for lack of throughput. When one is wrong, none is taken.
func (t *Tables) WriteBatch(ctx context.Context, actions []write.Action) (done []write.Outcome, left []write.Action, err error) {
	targets := make([]*write.Target, len(actions))
	for i := range actions {
		if s := t.machine.table(actions[i].Table); s != nil && actions[i].Kind == write.Put {
			if err := s.CheckKey(s.KeyItem(actions[i].Item)); err != nil {
				return nil, nil, err // a batch tells of items' keys as of keys
			}
		}
		if targets[i], err = t.machine.resolve(&actions[i]); err != nil {
			return nil, nil, err
		}
		if actions[i].Kind == write.Put && actions[i].Item.Size() > schema.ItemBytesMax {
			return nil, nil, refuse.Invalid("Item size has exceeded the maximum allowed size")
		}
	}
	if err := write.Distinct(targets, write.Batch); err != nil {
		return nil, nil, err
	}
	var part []write.Action
	size := 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		out, err := t.do(ctx, &write.Request{Mode: write.Batch, Actions: part})
		if err != nil {
			return err
		}
		for _, o := range out {
			t.meters.Charge(t.machine.table(o.Capacity.Table), o.Capacity)
		}
		done, part, size = append(done, out...), nil, 0
		return nil
	}
	var refused error
	for i := range actions {
		if err := t.meters.AdmitAction(targets[i].Schema, actions[i].Kind == write.Check); err != nil {
			refused, left = err, append(left, actions[i])
			continue
		}
		n := actions[i].Item.Size()
		if size+n > batchBytesMax {
			if err := flush(); err != nil {
				return done, append(left, actions[i:]...), err
			}
		}
		part, size = append(part, actions[i]), size+n
	}
	if err := flush(); err != nil {
		return done, left, err
	}
	if len(done) == 0 && refused != nil {
		return nil, nil, refused
	}
	return done, left, nil
}

// Transact takes all actions or none. With a token, the same actions are taken
// once within ten minutes, however often they are asked for. The error holds a
// [*refuse.Error] with a reason for each action when one of them stands in the way.
func (t *Tables) Transact(ctx context.Context, token string, actions []write.Action) ([]write.Outcome, error) {
	r := &write.Request{Mode: write.Transaction, Token: token, Actions: actions}
	if token != "" {
		sum := sha256.Sum256(write.EncodeActions(nil, actions))
		r.Hash = sum[:]
	}
	if err := throughput.AdmitAll(len(actions), func(i int) error {
		return t.meters.AdmitAction(t.machine.table(actions[i].Table), actions[i].Kind == write.Check)
	}); err != nil {
		return nil, err
	}
	out, err := t.do(ctx, r)
	for _, o := range out {
		t.meters.Charge(t.machine.table(o.Capacity.Table), o.Capacity)
	}
	return out, err
}

func (t *Tables) do(ctx context.Context, r *write.Request) ([]write.Outcome, error) {
	frees := !slices.ContainsFunc(r.Actions, func(a write.Action) bool { return a.Kind != write.Delete })
	got, err := t.cell.Do(ctx, cell.Command{Machine: machineName, Name: commandWrite, Body: r.Encode(), Frees: frees})
	if err != nil {
		return nil, err
	}
	return got.([]write.Outcome), nil
}

// Create makes a table, and returns what it is.
func (t *Tables) Create(ctx context.Context, c schema.Creation) (*schema.Definition, error) {
	return t.define(ctx, commandCreate, c)
}

// Alter changes a table, and returns what it is then.
func (t *Tables) Alter(ctx context.Context, a schema.Alteration) (*schema.Definition, error) {
	return t.define(ctx, commandAlter, a)
}

// Drop removes a table with its items, and returns what it was.
func (t *Tables) Drop(ctx context.Context, name string) (*schema.Definition, error) {
	return t.define(ctx, commandDrop, name)
}

func (t *Tables) define(ctx context.Context, command string, arguments any) (*schema.Definition, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, &daruma.Error{Op: command, Kind: daruma.KindInvalid, Err: err}
	}
	got, err := t.cell.Do(ctx, cell.Command{Machine: machineName, Name: command, Body: body, Frees: command == commandDrop})
	if err != nil {
		return nil, err
	}
	return got.(*schema.Definition), nil
}

// Names returns the names of all tables, in order.
func (t *Tables) Names() []string {
	all := t.machine.directory.Load().tables
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Definition returns what a table is, and nil when there is none.
func (t *Tables) Definition(name string) *schema.Definition {
	if s := t.machine.table(name); s != nil {
		return s.Definition
	}
	return nil
}

// A Description is a table with what is in it.
type Description struct {
	*schema.Definition
	Count   Count
	Indexes []Count // in the order of the definition's
	Stream  *Stream // the open one, or the last that was; nil when there is none
}

// Describe returns what a table is and how much is in it.
func (t *Tables) Describe(ctx context.Context, name string) (*Description, error) {
	s := t.machine.table(name)
	if s == nil {
		return nil, refuse.NoTable(name)
	}
	d := &Description{Definition: s.Definition, Stream: t.machine.directory.Load().streams[s.LastStream]}
	err := t.cell.View(ctx, machineName, func(r *cell.Reader) error {
		b, err := readAccount(r, s.Number)
		if err != nil {
			return err
		}
		d.Count = b.count(0)
		for i := range s.Indexes {
			d.Indexes = append(d.Indexes, b.count(s.Indexes[i].Number))
		}
		return nil
	})
	return d, err
}

// Streams returns the streams of a table, or of all for "", oldest first.
func (t *Tables) Streams(table string) []*Stream {
	var all []*Stream
	for _, s := range t.machine.directory.Load().streams {
		if table == "" || s.Table == table {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Stream) int {
		if c := strings.Compare(a.Table, b.Table); c != 0 {
			return c
		}
		return int(a.Number) - int(b.Number)
	})
	return all
}

// A Tail is a piece of a stream.
type Tail struct {
	Changes []*Change
	Next    uint64 // where to go on: the number behind the last change there was
	End     bool   // the stream is closed, and there is nothing behind
}

// changesBytesMax is how much one piece of a stream holds.
const changesBytesMax = 1 << 20

// Changes returns up to n changes of a stream from a sequence number on, the
// number itself included. What is older than [StreamAge] is gone: the error
// holds TrimmedData when from is below it and not 0.
func (t *Tables) Changes(ctx context.Context, stream uint32, from uint64, n int) (Tail, error) {
	s := t.machine.directory.Load().streams[stream]
	if s == nil {
		return Tail{}, refuse.NoResource()
	}
	tail := Tail{Next: max(from, s.First+1)}
	horizon := t.clock.Now().Add(-StreamAge)
	err := t.cell.View(ctx, machineName, func(r *cell.Reader) error {
		size := 0
		for key, record := range r.Scan(cell.Range{Lower: changeKey(stream, from), Upper: schema.Numbered(schema.SpaceChange, stream+1)}) {
			if len(tail.Changes) >= n || size >= changesBytesMax {
				return nil
			}
			c, err := decodeChange(key, record)
			if err != nil {
				return err
			}
			old := c.At.Before(horizon)
			if from > 0 && (old || c.Sequence > tail.Next) {
				return refuse.Of(&refuse.Error{Code: refuse.TrimmedData, Message: "The operation attempted to read past the oldest stream record in a shard."})
			}
			tail.Next = c.Sequence + 1
			if old {
				continue
			}
			tail.Changes = append(tail.Changes, c)
			size += c.Bytes
		}
		tail.End = !s.Closed.IsZero() && tail.Next > s.Last
		return nil
	})
	return tail, err
}

// Bounds returns the sequence numbers of the first change of a stream that is
// still there and of the last one made. When none is left, first is last+1.
func (t *Tables) Bounds(ctx context.Context, stream uint32) (first, last uint64, err error) {
	directory := t.machine.directory.Load()
	s := directory.streams[stream]
	if s == nil {
		return 0, 0, refuse.NoResource()
	}
	err = t.cell.View(ctx, machineName, func(r *cell.Reader) error {
		last = s.Last
		if d := directory.tables[s.Table]; s.Closed.IsZero() && d != nil {
			b, err := readAccount(r, d.Number)
			if err != nil {
				return err
			}
			last = b.sequence
		}
		first = max(last, s.First) + 1
		for key, record := range r.Scan(cell.Prefix(schema.Numbered(schema.SpaceChange, stream))) {
			c, err := decodeChange(key, record)
			if err != nil {
				return err
			}
			first = c.Sequence
			break
		}
		return nil
	})
	return first, max(last, first-1), err
}

// Changed waits until tables are no longer what they were when after was returned, and
// returns a mark of the last change. See [cell.Cell.Changed].
func (t *Tables) Changed(ctx context.Context, after uint64) (uint64, error) {
	return t.cell.Changed(ctx, machineName, after)
}
