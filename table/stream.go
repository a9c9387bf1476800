package table

import (
	"encoding/binary"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// StreamAge is how long changes are kept (Developer Guide, "Change data
// capture").
const StreamAge = 24 * time.Hour

const trimStep = 10_000 // changes looked at in one step

// A Stream is the changes of a table from when it was asked for until it is
// closed: in the order in which they were made, each once. It does not change.
type Stream struct {
	Number  uint32                `json:"number"`
	Table   string                `json:"table"`
	Key     schema.KeySchema      `json:"key"`
	Kinds   []schema.KeyAttribute `json:"kinds"`
	View    schema.View           `json:"view"`
	Created time.Time             `json:"created"`
	Label   string                `json:"label,omitempty"` // what tells it from the table's others; "" for when it was created
	Closed  time.Time             `json:"closed,omitzero"`
	First   uint64                `json:"first"`          // sequence number before the first change
	Last    uint64                `json:"last,omitempty"` // of the last change, once it is closed
}

// streams is how streams are kept.
//
//	1: the first
func streams() cell.Format[Stream] { return cell.Format[Stream]{Kind: "stream", Version: 1} }

// A ChangeKind is what became of an item.
type ChangeKind uint8

// The kinds of change.
const (
	Inserted ChangeKind = iota + 1
	Modified
	Removed
)

// A Change is what became of one item.
type Change struct {
	Sequence uint64 // grows from one change of a table to the next
	At       time.Time
	Kind     ChangeKind
	System   bool // the item expired
	Keys     value.Item
	Old, New value.Item // as the stream's view has them; nil otherwise
	Bytes    int        // the sizes of what is in it
}

const (
	changeVersion = 1
	flagSystem    = 1
	flagOld       = 2
	flagNew       = 4
)

// record writes a change into its table's stream.
func (w *work) record(c *write.Change, b *book, system bool) error {
	s := w.m.directory.Load().streams[c.Schema.Stream]
	if s == nil {
		return value.Corrupt("stream", value.ErrHead)
	}
	kind, flags := Modified, byte(0)
	switch {
	case !c.Exists:
		kind = Inserted
	case c.New == nil:
		kind = Removed
	}
	if system {
		flags |= flagSystem
	}
	if c.Exists && (s.View == schema.ViewOld || s.View == schema.ViewBoth) {
		flags |= flagOld
	}
	if c.New != nil && (s.View == schema.ViewNew || s.View == schema.ViewBoth) {
		flags |= flagNew
	}
	body := make([]byte, 0, 64+c.OldSize+c.NewSize)
	body = binary.BigEndian.AppendUint64(body, uint64(w.tx.Now().UnixNano()))
	body = append(body, byte(kind), flags)
	body = value.AppendItem(body, c.Schema.KeyItem(c.Item))
	if flags&flagOld != 0 {
		body = value.AppendItem(body, c.Old)
	}
	if flags&flagNew != 0 {
		body = value.AppendItem(body, c.New)
	}
	b.sequence++
	b.changed = true
	w.tx.Set(changeKey(s.Number, b.sequence), cell.Seal(changeVersion, body))
	if b.trimming != s.Number {
		b.trimming = s.Number
		w.tx.Schedule(w.tx.Now().Add(StreamAge), timerKey(timerTrim, s.Number, 0))
	}
	return nil
}

func changeKey(stream uint32, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(schema.Numbered(schema.SpaceChange, stream), sequence)
}

func decodeChange(key, record []byte) (*Change, error) {
	version, body, err := cell.Unseal(record)
	if err != nil {
		return nil, err
	}
	if version != changeVersion || len(body) < 10 || len(key) != 13 {
		return nil, value.Corrupt("change", value.ErrHead)
	}
	flags := body[9]
	c := &Change{
		Sequence: binary.BigEndian.Uint64(key[5:]), At: time.Unix(0, int64(binary.BigEndian.Uint64(body))).UTC(),
		Kind: ChangeKind(body[8]), System: flags&flagSystem != 0,
	}
	d := value.Decoder{S: string(body[10:])}
	c.Keys = d.Item()
	c.Bytes = c.Keys.Size()
	if flags&flagOld != 0 {
		c.Old = d.Item()
		c.Bytes += c.Old.Size()
	}
	if flags&flagNew != 0 {
		c.New = d.Item()
		c.Bytes += c.New.Size()
	}
	if d.Bad || d.S != "" || c.Kind < Inserted || c.Kind > Removed {
		return nil, value.Corrupt("change", value.ErrHead)
	}
	return c, nil
}

// open opens a stream of a table.
func (w *work) open(d *schema.Definition, view schema.View, label string) error {
	b, err := w.account(d.Number)
	if err != nil {
		return err
	}
	s := &Stream{Label: label, Number: w.number(), Table: d.Name, Key: d.Key, View: view, Created: w.tx.Now(), First: b.sequence}
	for _, n := range d.Key.Names() {
		s.Kinds = append(s.Kinds, schema.KeyAttribute{Name: n, Kind: d.Kind(n)})
	}
	d.Stream, d.LastStream = s.Number, s.Number
	w.keep(s)
	return nil
}

// keep writes a stream.
func (w *work) keep(s *Stream) {
	streams().Put(w.tx, schema.Numbered(schema.SpaceStream, s.Number), s)
	if w.streams == nil {
		w.streams = map[uint32]*Stream{}
	}
	w.streams[s.Number] = s
}

// close closes a table's stream; it can be read until its changes are too old.
func (w *work) close(d *schema.Definition) error {
	old := w.stream(d.Stream)
	d.Stream = 0
	if old == nil {
		return nil
	}
	b, err := w.account(d.Number)
	if err != nil {
		return err
	}
	s := *old
	s.Closed, s.Last = w.tx.Now(), b.sequence
	w.keep(&s)
	key := timerKey(timerTrim, s.Number, 0)
	if _, set := w.tx.Scheduled(key); !set {
		w.tx.Schedule(s.Closed.Add(StreamAge), key)
	}
	return nil
}

// trim removes changes that are too old, and a closed stream that has none left.
func (w *work) trim(number uint32) error {
	s := w.m.directory.Load().streams[number]
	if s == nil {
		return nil
	}
	prefix, horizon := schema.Numbered(schema.SpaceChange, number), w.tx.Now().Add(-StreamAge)
	n := 0
	var next time.Time
	upper := prefix
	for key, record := range w.tx.Scan(cell.Prefix(prefix)) {
		c, err := decodeChange(key, record)
		if err != nil {
			return err
		}
		upper = key
		if c.At.After(horizon) {
			next = c.At.Add(StreamAge)
			break
		}
		if n++; n > trimStep {
			next = w.tx.Now()
			break
		}
		upper = append(append([]byte(nil), key...), 0)
	}
	w.tx.DeleteRange(cell.Range{Lower: prefix, Upper: upper})
	if next.IsZero() && !s.Closed.IsZero() {
		next = s.Closed.Add(StreamAge)
		if !next.After(w.tx.Now()) {
			w.tx.Delete(schema.Numbered(schema.SpaceStream, number))
			if w.streams == nil {
				w.streams = map[uint32]*Stream{}
			}
			w.streams[number] = nil
			return nil
		}
	}
	if !next.IsZero() {
		w.tx.Schedule(next, timerKey(timerTrim, number, 0))
		return nil
	}
	if t := w.m.directory.Load().tables[s.Table]; t != nil && t.Stream == number {
		b, err := w.account(t.Number)
		if err != nil {
			return err
		}
		b.trimming, b.changed = 0, true
	}
	return nil
}
