package table

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/expression"
)

// A Machine applies the commands of tables. Each cell has its own.
type Machine struct {
	expressions expression.Cache
	directory   atomic.Pointer[directory] // of the last command applied; replaced by the apply loop only
}

// A directory is what tables and streams there are. It does not change.
type directory struct {
	tables  map[string]*schema
	numbers map[uint32]*schema
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
	d := &directory{tables: map[string]*schema{}, numbers: map[uint32]*schema{}, streams: map[uint32]*Stream{}}
	for _, def := range definitions().All(r, cell.Prefix([]byte{spaceTable})) {
		s := newSchema(def)
		d.tables[def.Name], d.numbers[def.Number] = s, s
	}
	for _, s := range streams().All(r, cell.Prefix([]byte{spaceStream})) {
		d.streams[s.Number] = s
	}
	m.directory.Store(d)
	return nil
}

// table returns a table as it is now, or nil.
func (m *Machine) table(name string) *schema { return m.directory.Load().tables[name] }

// A work is one command being applied.
type work struct {
	m        *Machine
	tx       *cell.Tx
	books    []*book
	tables   map[string]*schema // that the command has changed; nil: removed
	streams  map[uint32]*Stream // likewise
	outcomes []Outcome
}

// Apply takes one step.
func (m *Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	w := &work{m: m, tx: tx}
	answer, err := w.apply(cmd)
	if err != nil {
		return nil, err
	}
	w.finish()
	return answer, nil
}

func (w *work) apply(cmd cell.Command) (any, error) {
	switch cmd.Name {
	case commandWrite:
		r, err := decodeRequest(string(cmd.Body))
		if err != nil {
			return nil, err
		}
		return w.write(r)
	case commandCreate:
		return with(cmd, w.create)
	case commandAlter:
		return with(cmd, w.alter)
	case commandDrop:
		return with(cmd, w.drop)
	case commandDeploy:
		return with(cmd, w.deploy)
	}
	return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: cmd.Name, Err: fmt.Errorf("tables know no such command")}
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
			w.tx.Set(numbered(spaceAccount, b.table), b.encode())
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
			d.tables, d.numbers, d.streams = map[string]*schema{}, map[uint32]*schema{}, map[uint32]*Stream{}
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
func (w *work) table(name string) *schema {
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
func (w *work) define(d *Definition) {
	definitions().Put(w.tx, append([]byte{spaceTable}, d.Name...), d)
	if w.tables == nil {
		w.tables = map[string]*schema{}
	}
	w.tables[d.Name] = newSchema(d)
}

// number gives the next number of a table or a stream.
func (w *work) number() uint32 {
	key := []byte{spaceNumber}
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
	record, ok := s.Get(numbered(spaceAccount, table))
	if !ok {
		return b, nil
	}
	version, body, err := cell.Unseal(record)
	if err != nil {
		return nil, err
	}
	d := decoder{s: string(body)}
	b.sequence = d.uvarint()
	b.trimming = uint32(d.uvarint())
	n := d.uvarint()
	if version != 1 || n > uint64(len(d.s)) {
		return nil, corrupt("account", errHead)
	}
	b.counts = make([]Count, n)
	for i := range b.counts {
		b.counts[i] = Count{int64(d.uvarint()), int64(d.uvarint())}
	}
	if d.bad || d.s != "" {
		return nil, corrupt("account", errHead)
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

// A target is an action with what it is about.
type target struct {
	*Action
	schema    *schema
	key       []byte
	condition *expression.Bound
	update    *expression.Bound
}

// resolve checks an action against its expressions and its table, in the order
// in which the service does.
func (m *Machine) resolve(a *Action) (*target, error) {
	t := &target{Action: a}
	scope := expression.Scope{Names: a.Names, Values: a.Values}
	var err error
	if a.Update != "" {
		if t.update, err = m.bind(&scope, expression.Update, a.Update); err != nil {
			return nil, err
		}
	}
	if a.Condition != "" {
		if t.condition, err = m.bind(&scope, expression.Condition, a.Condition); err != nil {
			return nil, err
		}
	}
	if err := scope.Unused(); err != nil {
		return nil, said(err)
	}
	s := m.table(a.Table)
	if s == nil {
		return nil, notFound()
	}
	t.schema = s
	if a.Kind == Put {
		if err := s.checkItem(a.Item); err != nil {
			return nil, err
		}
		if err := s.checkIndexKeys(a.Item, false); err != nil {
			return nil, err
		}
	} else if err := s.checkKey(a.Item); err != nil {
		return nil, err
	}
	if t.update != nil {
		for _, n := range t.update.Heads() {
			if n == s.hash || n == s.sort {
				return nil, invalid("%sCannot update attribute %s. This attribute is part of the key", wrongParameters, n)
			}
		}
	}
	t.key = s.itemKey(a.Item)
	return t, nil
}

// bind parses an expression and gives it its names and values.
func (m *Machine) bind(scope *expression.Scope, kind expression.Kind, text string) (*expression.Bound, error) {
	e, err := m.expressions.Parse(kind, text)
	if err != nil {
		return nil, said(err)
	}
	b, err := scope.Bind(e)
	if err != nil {
		return nil, said(err)
	}
	return b, nil
}
