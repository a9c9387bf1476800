package table

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/daruma-io/daruma/cell"
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
	spaceTable   = 't'
	spaceAccount = 'a'
	spaceItem    = 'i'
	spaceBuild   = 'b'
	spaceExpiry  = 'e'
	spaceStream  = 's'
	spaceChange  = 'c'
	spaceToken   = 'x'
	spaceTime    = 'y'
	spaceNumber  = 'n'
)

// A schema is a definition with what is worked out of it once.
type schema struct {
	*Definition
	hash, sort string     // the table's key attributes; sort "" when there is none
	base       ordering   // of the items themselves
	indexes    []ordering // in the order of Definition.Indexes
}

// An ordering is a key by which items lie in the store.
type ordering struct {
	index  *Index // nil for the table itself
	key    KeySchema
	prefix []byte
}

func newSchema(d *Definition) *schema {
	s := &schema{Definition: d, hash: d.Key.Hash[0]}
	if len(d.Key.Range) > 0 {
		s.sort = d.Key.Range[0]
	}
	s.base = ordering{key: d.Key, prefix: s.prefix(0)}
	for i := range d.Indexes {
		s.indexes = append(s.indexes, ordering{index: &d.Indexes[i], key: d.Indexes[i].Key, prefix: s.prefix(d.Indexes[i].Number)})
	}
	return s
}

func numbered(space byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{space}, n)
}

func (s *schema) prefix(index uint32) []byte {
	return binary.BigEndian.AppendUint32(numbered(spaceItem, s.Number), index)
}

// buildKey marks an index that is being built. Readers look at it, and not at
// the definition, since that may be newer than the state they read.
func buildKey(table, index uint32) []byte {
	return binary.BigEndian.AppendUint32(numbered(spaceBuild, table), index)
}

// ordering returns that of an index, or of the table for "".
func (s *schema) ordering(index string) *ordering {
	if index == "" {
		return &s.base
	}
	for i := range s.indexes {
		if s.indexes[i].index.Name == index {
			return &s.indexes[i]
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

// appendPartition appends where a partition lies: the items of a table are in
// the order of a hash, as they are for the service.
func appendPartition(b []byte, values ...value.Value) []byte {
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
func (s *schema) place(b []byte, it value.Item) []byte {
	h, _ := it.Get(s.hash)
	b = appendPartition(b, h)
	if s.sort != "" {
		v, _ := it.Get(s.sort)
		b = value.AppendKey(b, v)
	}
	return b
}

// itemKey is where an item lies in the store.
func (s *schema) itemKey(it value.Item) []byte {
	b := make([]byte, 0, len(s.base.prefix)+64)
	return s.place(append(b, s.base.prefix...), it)
}

// entryKey is where an item's entry lies in an index; nil when it has none.
func (s *schema) entryKey(o *ordering, it value.Item) []byte {
	hash, ok := valuesOf(it, o.key.Hash)
	if !ok {
		return nil
	}
	sort, ok := valuesOf(it, o.key.Range)
	if !ok {
		return nil
	}
	b := append(make([]byte, 0, len(o.prefix)+128), o.prefix...)
	b = appendPartition(b, hash...)
	for _, v := range sort {
		b = value.AppendKey(b, v)
	}
	h, _ := it.Get(s.hash)
	b = appendPartition(b, h)
	if s.sort != "" {
		v, _ := it.Get(s.sort)
		b = appendPlain(b, len(v.Text()), v)
	}
	return b
}

// keyItem is an item's key, as an item.
func (s *schema) keyItem(it value.Item) value.Item { return pick(it, s.Key.names()) }

// pick returns the attributes names of an item that it has.
func pick(it value.Item, names []string) value.Item {
	out := make(value.Item, 0, len(names))
	for i := range it {
		if slices.Contains(names, it[i].Name) {
			out = append(out, it[i])
		}
	}
	return out
}

// projected is what of an item is in an index.
func (s *schema) projected(x *Index, it value.Item) value.Item {
	if x.Projection.Kind == ProjectAll {
		return it
	}
	return pick(it, s.projection(x))
}

// projection is the names of what is in an index that has not everything.
func (s *schema) projection(x *Index) []string {
	return slices.Concat(s.Key.names(), x.Key.names(), x.Projection.Include)
}

// checkKey checks a key that was given as one.
func (s *schema) checkKey(key value.Item) error {
	if len(key) != len(s.Key.names()) {
		return invalid("The provided key element does not match the schema")
	}
	for _, n := range s.Key.names() {
		v, ok := key.Get(n)
		if !ok || v.Kind() != s.kind(n) {
			return invalid("The provided key element does not match the schema")
		}
	}
	return s.checkKeyValues(key)
}

// checkItem checks the key attributes of an item that is put.
func (s *schema) checkItem(it value.Item) error {
	for _, n := range s.Key.names() {
		v, ok := it.Get(n)
		if !ok {
			return invalid("%sMissing the key %s in the item", wrongParameters, n)
		}
		if v.Kind() != s.kind(n) {
			return invalid("%sType mismatch for key %s expected: %s actual: %s", wrongParameters, n, s.kind(n), v.Kind())
		}
	}
	return s.checkKeyValues(it)
}

func emptyWord(k value.Kind) string {
	if k == value.Binary {
		return "binary"
	}
	return "string"
}

func (s *schema) checkKeyValues(it value.Item) error {
	for i, n := range s.Key.names() {
		v, _ := it.Get(n)
		switch {
		case v.Kind() != value.Number && v.Text() == "":
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyWord(v.Kind()), n)
		case i == 0 && v.Kind() != value.Number && len(v.Text()) > hashBytesMax:
			return invalid("%sSize of hashkey has exceeded the maximum size limit of%d bytes", wrongParameters, hashBytesMax)
		case i == 1 && v.Kind() != value.Number && len(v.Text()) > rangeBytesMax:
			return invalid("%sAggregated size of all range keys has exceeded the size limit of %d bytes", wrongParameters, rangeBytesMax)
		}
	}
	return nil
}

// checkIndexKeys checks the attributes of an item that indexes are ordered by.
// update says that they came about by an update.
func (s *schema) checkIndexKeys(it value.Item, update bool) error {
	for i := range s.indexes {
		x := s.indexes[i].index
		hash := 0
		sort := 0
		for k, n := range x.Key.names() {
			v, ok := it.Get(n)
			if !ok {
				continue
			}
			switch want := s.kind(n); {
			case v.Kind() != want && update:
				return invalid("The update expression attempted to update the secondary index key to unsupported type")
			case v.Kind() != want:
				return invalid("%sType mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", wrongParameters, n, want, v.Kind(), x.Name)
			case want != value.Number && v.Text() == "":
				return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", emptyWord(want), x.Name, n)
			}
			if k < len(x.Key.Hash) {
				hash += len(v.Text())
			} else {
				sort += len(v.Text())
			}
		}
		if hash > hashBytesMax {
			return invalid("%sSize of hashkey has exceeded the maximum size limit of%d bytes", wrongParameters, hashBytesMax)
		}
		if sort > rangeBytesMax {
			return invalid("%sAggregated size of all range keys has exceeded the size limit of %d bytes", wrongParameters, rangeBytesMax)
		}
	}
	return nil
}

// Records of items hold their size before them, which is what most writes and
// all reads want to know of what was there.
//
//	1: the size, the item (value.AppendItem)
const itemVersion = 1

func encodeItem(it value.Item) (record []byte, size int) {
	size = it.Size()
	b := make([]byte, 0, size+size/4+32)
	b = binary.AppendUvarint(b, uint64(size))
	return cell.Seal(itemVersion, value.AppendItem(b, it)), size
}

func decodeItem(record []byte) (it value.Item, size int, err error) {
	body, size, err := itemBody(record)
	if err != nil {
		return nil, 0, err
	}
	if it, err = value.DecodeItem(string(body)); err != nil {
		return nil, 0, corrupt("item", err)
	}
	return it, size, nil
}

// itemBody returns the item within a record, and its size.
func itemBody(record []byte) ([]byte, int, error) {
	version, body, err := cell.Unseal(record)
	if err != nil {
		return nil, 0, err
	}
	size, n := binary.Uvarint(body)
	if version != itemVersion || n <= 0 || size > 2*ItemBytesMax {
		return nil, 0, corrupt("item", errHead)
	}
	return body[n:], int(size), nil
}
