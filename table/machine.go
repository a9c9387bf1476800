package table

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

const (
	machineName   = "table"
	commandWrite  = "write"
	commandCreate = "create"
	commandAlter  = "alter"
	commandDrop   = "drop"
	commandDeploy = "deploy"
	timerBuild    = "build"
	timerExpire   = "expire"
	timerTrim     = "trim"
)

// A Machine applies the commands of tables. Each cell has its own.
type Machine struct {
	expressions expression.Cache
	directory   atomic.Pointer[directory] // of the last command applied; replaced by the apply loop only
}

// A directory is what tables and streams there are. It does not change.
type directory struct {
	tables  map[string]*schema.Table
	numbers map[uint32]*schema.Table
	streams map[uint32]*Stream
}

// NewMachine returns a machine for one cell.
func NewMachine() *Machine {
	m := &Machine{}
	m.directory.Store(&directory{})
	return m
}

// Name is the machine's name in its cell.
func (*Machine) Name() string { return machineName }

// Load reads what tables and streams there are.
func (m *Machine) Load(r *cell.Reader) error {
	d := &directory{tables: map[string]*schema.Table{}, numbers: map[uint32]*schema.Table{}, streams: map[uint32]*Stream{}}
	for _, def := range schema.Definitions().All(r, cell.Prefix([]byte{schema.SpaceTable})) {
		s := schema.New(def)
		d.tables[def.Name], d.numbers[def.Number] = s, s
	}
	for _, s := range streams().All(r, cell.Prefix([]byte{schema.SpaceStream})) {
		d.streams[s.Number] = s
	}
	m.directory.Store(d)
	return nil
}

// table returns a table as it is now, or nil.
func (m *Machine) table(name string) *schema.Table { return m.directory.Load().tables[name] }

// A work is one command being applied.
type work struct {
	m        *Machine
	tx       *cell.Tx
	books    []*book
	tables   map[string]*schema.Table // that the command has changed; nil: removed
	streams  map[uint32]*Stream       // likewise
	outcomes []write.Outcome
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{m: m, tx: tx}
	answer, err := commands.Apply(w, cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

// commands is what tables can be asked for.
var commands = cell.Commands[*work]{
	commandWrite:  cell.Reading((*work).writeAll),
	commandCreate: cell.Answering((*work).create),
	commandAlter:  cell.Answering((*work).alter),
	commandDrop:   cell.Answering((*work).drop),
	commandDeploy: cell.Answering((*work).deploy),
}

// Due does what was put off: see timerBuild, timerExpire and timerTrim.
func (m *Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	w := &work{m: m, tx: tx}
	var kind string
	var a, b uint32
	if n, err := fmt.Sscanf(string(key), "%s %d %d", &kind, &a, &b); n != 3 || err != nil {
		return nil // of no version there is
	}
	var err error
	switch s := m.directory.Load().numbers[a]; {
	case kind == timerTrim:
		err = w.trim(a)
	case s == nil: // the table is gone
	case kind == timerBuild:
		err = w.build(s, b)
	case kind == timerExpire:
		err = w.expire(s)
	}
	if err != nil {
		return err
	}
	w.finish()
	return nil
}

func timerKey(kind string, a, b uint32) []byte { return fmt.Appendf(nil, "%s %d %d", kind, a, b) }

// finish writes the accounts, and has the directory replaced once the step is taken.
func (w *work) finish() {
	for _, b := range w.books {
		if b.changed {
			w.tx.Set(schema.Numbered(schema.SpaceAccount, b.table), b.encode())
		}
	}
	if w.tables == nil && w.streams == nil {
		return
	}
	tables, streams := w.tables, w.streams
	w.tx.Then(func() {
		old := w.m.directory.Load()
		d := &directory{tables: maps.Clone(old.tables), numbers: maps.Clone(old.numbers), streams: maps.Clone(old.streams)}
		if d.tables == nil {
			d.tables, d.numbers, d.streams = map[string]*schema.Table{}, map[uint32]*schema.Table{}, map[uint32]*Stream{}
		}
		for name, s := range tables {
			if before := d.tables[name]; before != nil {
				delete(d.numbers, before.Number)
			}
			if s == nil {
				delete(d.tables, name)
				continue
			}
			d.tables[name], d.numbers[s.Number] = s, s
		}
		for n, s := range streams {
			if s == nil {
				delete(d.streams, n)
				continue
			}
			d.streams[n] = s
		}
		w.m.directory.Store(d)
	})
}

// table returns a table as the command has it, or nil.
func (w *work) table(name string) *schema.Table {
	if s, changed := w.tables[name]; changed {
		return s
	}
	return w.m.table(name)
}

// stream returns a stream as the command has it, or nil.
func (w *work) stream(number uint32) *Stream {
	if s, changed := w.streams[number]; changed {
		return s
	}
	return w.m.directory.Load().streams[number]
}

// define writes a definition and makes it the one there is.
func (w *work) define(d *schema.Definition) {
	schema.Definitions().Put(w.tx, append([]byte{schema.SpaceTable}, d.Name...), d)
	if w.tables == nil {
		w.tables = map[string]*schema.Table{}
	}
	w.tables[d.Name] = schema.New(d)
}

// number gives the next number of a table or a stream.
func (w *work) number() uint32 {
	key := []byte{schema.SpaceNumber}
	n := uint32(1)
	if raw, ok := w.tx.Get(key); ok && len(raw) == 4 {
		n = binary.BigEndian.Uint32(raw) + 1
	}
	w.tx.Set(key, binary.BigEndian.AppendUint32(nil, n))
	return n
}

// A Count is how much there is of a table, or of an index.
type Count struct{ Items, Bytes int64 }

// A book is a table's account, as one command has it.
type book struct {
	table    uint32
	changed  bool
	sequence uint64  // of the last change of the table
	trimming uint32  // the stream for which the timer that trims it is set
	counts   []Count // by the number of the index; 0 is the table
}

// account returns a table's account, which is written when it has changed.
func (w *work) account(table uint32) (*book, error) {
	for _, b := range w.books {
		if b.table == table {
			return b, nil
		}
	}
	b, err := readAccount(w.tx, table)
	if err != nil {
		return nil, err
	}
	w.books = append(w.books, b)
	return b, nil
}

func readAccount(s cell.State, table uint32) (*book, error) {
	b := &book{table: table}
	record, ok := s.Get(schema.Numbered(schema.SpaceAccount, table))
	if !ok {
		return b, nil
	}
	version, body, err := cell.Unseal(record)
	if err != nil {
		return nil, err
	}
	d := value.Decoder{S: string(body)}
	b.sequence = d.Uvarint()
	b.trimming = uint32(d.Uvarint())
	n := d.Uvarint()
	if version != 1 || n > uint64(len(d.S)) {
		return nil, value.Corrupt("account", value.ErrHead)
	}
	b.counts = make([]Count, n)
	for i := range b.counts {
		b.counts[i] = Count{int64(d.Uvarint()), int64(d.Uvarint())}
	}
	if d.Bad || d.S != "" {
		return nil, value.Corrupt("account", value.ErrHead)
	}
	return b, nil
}

func (b *book) encode() []byte {
	out := binary.AppendUvarint(nil, b.sequence)
	out = binary.AppendUvarint(out, uint64(b.trimming))
	out = binary.AppendUvarint(out, uint64(len(b.counts)))
	for _, c := range b.counts {
		out = binary.AppendUvarint(out, uint64(max(c.Items, 0)))
		out = binary.AppendUvarint(out, uint64(max(c.Bytes, 0)))
	}
	return cell.Seal(1, out)
}

// add counts items and bytes of an index in, or out.
func (b *book) add(index uint32, items, bytes int) {
	for int(index) >= len(b.counts) {
		b.counts = append(b.counts, Count{})
	}
	b.counts[index].Items += int64(items)
	b.counts[index].Bytes += int64(bytes)
	b.changed = true
}

// count returns what is counted of an index.
func (b *book) count(index uint32) Count {
	if int(index) < len(b.counts) {
		return b.counts[index]
	}
	return Count{}
}

// resolve checks an action against its table as it is now.
func (m *Machine) resolve(a *write.Action) (*write.Target, error) {
	return write.Resolve(&m.expressions, m.table, a)
}
