package schema

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/value"
)

// Where things lie among the machine's keys. Numbers are big-endian.
//
//	t name                  a table's definition
//	a table                 its account: counts, sizes, the last sequence number
//	i table 0 place         an item
//	i table index place tie an entry of an index: the item as it is projected
//	b table index           the index is being built; nothing else is said
//	e table second place    an item that expires then
//	s stream                a stream
//	c stream sequence       a change
//	x token                 a transaction's token
//	y time token            the same, by time
//	n                       the last number given to a table or a stream
//
// A place is three bytes of a hash of the partition, the partition, and the
// sort key; a tie, the place of the item in the table, shortened.
const (
	SpaceTable   = 't'
	SpaceAccount = 'a'
	SpaceItem    = 'i'
	SpaceBuild   = 'b'
	SpaceExpiry  = 'e'
	SpaceStream  = 's'
	SpaceChange  = 'c'
	SpaceToken   = 'x'
	SpaceTime    = 'y'
	SpaceNumber  = 'n'
)

// A Table is a definition with what is worked out of it once.
type Table struct {
	*Definition
	Hash, Sort string     // the table's key attributes; Sort "" when there is none
	keyNames   []string   // both
	Base       Ordering   // of the items themselves
	Orders     []Ordering // in the order of Definition.Indexes
}

// An Ordering is a key by which items lie in the store.
type Ordering struct {
	Index  *Index // nil for the table itself
	Key    KeySchema
	Prefix []byte
}

// New works out what is to be known of a definition.
func New(d *Definition) *Table {
	s := &Table{Definition: d, Hash: d.Key.Hash[0], keyNames: d.Key.Names()}
	if len(d.Key.Range) > 0 {
		s.Sort = d.Key.Range[0]
	}
	s.Base = Ordering{Key: d.Key, Prefix: s.Prefix(0)}
	for i := range d.Indexes {
		s.Orders = append(s.Orders, Ordering{Index: &d.Indexes[i], Key: d.Indexes[i].Key, Prefix: s.Prefix(d.Indexes[i].Number)})
	}
	return s
}

// Numbered is the beginning of the keys in a space that belong to a table or a stream.
func Numbered(space byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{space}, n)
}

// Prefix is the beginning of the keys of an index, and of the items for 0.
func (s *Table) Prefix(index uint32) []byte {
	return binary.BigEndian.AppendUint32(Numbered(SpaceItem, s.Number), index)
}

// BuildKey marks an index that is being built. Readers look at it, and not at
// the definition, since that may be newer than the state they read.
func BuildKey(table, index uint32) []byte {
	return binary.BigEndian.AppendUint32(Numbered(SpaceBuild, table), index)
}

// Ordering returns that of an index, or of the table for "".
func (s *Table) Ordering(index string) *Ordering {
	if index == "" {
		return &s.Base
	}
	for i := range s.Orders {
		if s.Orders[i].Index.Name == index {
			return &s.Orders[i]
		}
	}
	return nil
}

// Partitions and ties longer than this are represented by their hash: nobody
// asks for their order, and keys stay short.
const (
	plainBytesMax = 255
	plainPart     = 0
	hashedPart    = 1
)

// AppendPartition appends where a partition lies: the items of a table are in
// the order of a hash, as they are for the service.
func AppendPartition(b []byte, values ...value.Value) []byte {
	h := md5.New()
	h.Write([]byte("Outliers"))
	var scratch [64]byte
	size := 0
	for _, v := range values {
		h.Write(value.AppendHashed(scratch[:0], v))
		size += len(v.Text())
	}
	var sum [md5.Size]byte
	b = append(b, h.Sum(sum[:0])[:3]...)
	return appendPlain(b, size, values...)
}

// appendPlain appends values so that none is the beginning of another; in
// their order when they are short.
func appendPlain(b []byte, size int, values ...value.Value) []byte {
	from := len(b)
	b = append(b, plainPart)
	for _, v := range values {
		b = value.AppendKey(b, v)
	}
	if size > plainBytesMax {
		sum := sha256.Sum256(b[from:])
		b = append(b[:from], hashedPart)
		b = append(b, sum[:]...)
	}
	return b
}

// values returns the attributes names of an item; false when one is missing.
func valuesOf(it value.Item, names []string) ([]value.Value, bool) {
	values := make([]value.Value, 0, 4)
	for _, n := range names {
		v, ok := it.Get(n)
		if !ok {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// place appends where an item lies in the table. Its key must have been checked.
func (s *Table) place(b []byte, it value.Item) []byte {
	h, _ := it.Get(s.Hash)
	b = AppendPartition(b, h)
	if s.Sort != "" {
		v, _ := it.Get(s.Sort)
		b = value.AppendKey(b, v)
	}
	return b
}

// ItemKey is where an item lies in the store.
func (s *Table) ItemKey(it value.Item) []byte {
	b := make([]byte, 0, len(s.Base.Prefix)+64)
	return s.place(append(b, s.Base.Prefix...), it)
}

// EntryKey is where an item's entry lies in an index; nil when it has none.
func (s *Table) EntryKey(o *Ordering, it value.Item) []byte {
	if !s.fits(o.Index, it) {
		return nil
	}
	return s.EntryPlace(o, it)
}

// EntryPlace is where an entry with the attributes of an item would lie in an
// index; nil when the item lacks one.
func (s *Table) EntryPlace(o *Ordering, it value.Item) []byte {
	hash, ok := valuesOf(it, o.Key.Hash)
	if !ok {
		return nil
	}
	sort, ok := valuesOf(it, o.Key.Range)
	if !ok {
		return nil
	}
	b := append(make([]byte, 0, len(o.Prefix)+128), o.Prefix...)
	b = AppendPartition(b, hash...)
	for _, v := range sort {
		b = value.AppendKey(b, v)
	}
	h, _ := it.Get(s.Hash)
	b = AppendPartition(b, h)
	if s.Sort != "" {
		v, _ := it.Get(s.Sort)
		b = appendPlain(b, len(v.Text()), v)
	}
	return b
}

// KeyItem is an item's key, as an item.
func (s *Table) KeyItem(it value.Item) value.Item { return Pick(it, s.keyNames) }

// Pick returns the attributes names of an item that it has.
func Pick(it value.Item, names []string) value.Item {
	out := make(value.Item, 0, len(names))
	for i := range it {
		if slices.Contains(names, it[i].Name) {
			out = append(out, it[i])
		}
	}
	return out
}

// Projected is what of an item is in an index.
func (s *Table) Projected(x *Index, it value.Item) value.Item {
	if x.Projection.Kind == ProjectAll {
		return it
	}
	return Pick(it, s.Projection(x))
}

// Projection is the names of what is in an index that has not everything.
func (s *Table) Projection(x *Index) []string {
	return slices.Concat(s.Key.Names(), x.Key.Names(), x.Projection.Include)
}

// ExpiryOf says when an item expires, and false when it does not.
func (s *Table) ExpiryOf(it value.Item) (int64, bool) {
	v, ok := it.Get(s.Expiry)
	if !ok || v.Kind() != value.Number {
		return 0, false
	}
	whole, _, _ := strings.Cut(v.Text(), ".")
	at, err := strconv.ParseInt(whole, 10, 64)
	return at, err == nil && at > 0
}

// HasLocals says whether there are local indexes.
func (s *Table) HasLocals() bool {
	for i := range s.Indexes {
		if s.Indexes[i].Local {
			return true
		}
	}
	return false
}

// fits says whether an item's attributes can be the key of an entry. An item
// that was there before an index need not: it is left out.
func (s *Table) fits(x *Index, it value.Item) bool {
	within := func(names []string, bytesMax int) bool {
		size := 0
		for _, n := range names {
			v, _ := it.Get(n)
			if v.Kind() != s.Kind(n) || v.Kind() != value.Number && v.Text() == "" {
				return false
			}
			size += len(v.Text())
		}
		return size <= bytesMax
	}
	return within(x.Key.Hash, hashBytesMax) && within(x.Key.Range, rangeBytesMax)
}
