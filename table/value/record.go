package value

import (
	"encoding/binary"
	"errors"
)

// Items are recorded as the number of attributes and then each name and value.
// A value is a byte for its kind and then, for text, bytes and numbers, their
// length and themselves; for lists, maps and sets the length of what follows,
// the number of elements and the elements, so that a reader can step over them.

// AppendItem appends the record of an item to b.
func AppendItem(b []byte, it Item) []byte {
	b = binary.AppendUvarint(b, uint64(len(it)))
	for i := range it {
		b = AppendPiece(b, it[i].Name)
		b = appendValue(b, it[i].Value)
	}
	return b
}

// appendValue appends the record of a value to b.
func appendValue(b []byte, v Value) []byte {
	switch v.kind {
	case None, Null:
		return append(b, byte(v.kind))
	case Bool:
		if v.yes {
			return append(b, byte(v.kind), 1)
		}
		return append(b, byte(v.kind), 0)
	case Number, String, Binary:
		return AppendPiece(append(b, byte(v.kind)), v.text)
	}
	b = append(b, byte(v.kind))
	from := len(b)
	switch v.kind {
	case Map:
		b = AppendItem(b, v.attrs)
	case List:
		b = binary.AppendUvarint(b, uint64(len(v.list)))
		for i := range v.list {
			b = appendValue(b, v.list[i])
		}
	default:
		b = binary.AppendUvarint(b, uint64(len(v.list)))
		for i := range v.list {
			b = AppendPiece(b, v.list[i].text)
		}
	}
	// The length goes before what it is the length of.
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(b)-from))
	b = append(b, head[:n]...)
	copy(b[from+n:], b[from:len(b)-n])
	copy(b[from:], head[:n])
	return b
}

// AppendPiece appends a text behind its length: see [Decoder.Text].
func AppendPiece(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var errRecord = errors.New("the record of an item is damaged")

// DecodeItem reads what [AppendItem] wrote; the item shares s's memory.
func DecodeItem(s string) (Item, error) {
	it, rest, err := DecodeItemPrefix(s)
	if rest != "" {
		return nil, errRecord
	}
	return it, err
}

// DecodeItemPrefix is [DecodeItem] that returns what follows the item.
func DecodeItemPrefix(s string) (it Item, rest string, err error) {
	r := reader{s: s}
	it = r.item(0)
	if r.bad {
		return nil, "", errRecord
	}
	return it, r.s, nil
}

// A reader reads a record from its beginning.
type reader struct {
	s   string
	bad bool
}

func (r *reader) fail() uint64 {
	r.bad, r.s = true, ""
	return 0
}

func (r *reader) uvarint() uint64 {
	var x uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		if c < 0x80 {
			if i > 0 && c == 0 || i == 9 && c > 1 {
				return r.fail()
			}
			r.s = r.s[i+1:]
			return x | uint64(c)<<(7*i)
		}
		x |= uint64(c&0x7f) << (7 * i)
	}
	return r.fail()
}

func (r *reader) byte() byte {
	if r.s == "" {
		return byte(r.fail())
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}

// count reads how many elements follow; each takes at least a byte.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		return int(r.fail())
	}
	return int(n)
}

func (r *reader) item(depth int) Item {
	n := r.count()
	it := make(Item, 0, n)
	for range n {
		name := r.text()
		if len(it) > 0 && it[len(it)-1].Name >= name {
			r.fail()
		}
		v := r.value(depth)
		if r.bad || v.kind == None {
			r.fail()
			return nil
		}
		it = append(it, Attribute{name, v})
	}
	return it
}

func (r *reader) value(depth int) Value {
	kind := Kind(r.byte())
	switch kind {
	case None, Null:
		return Value{kind: kind}
	case Bool:
		c := r.byte()
		if c > 1 {
			r.fail()
		}
		return Value{kind: kind, yes: c == 1}
	case Number, String, Binary:
		return Value{kind: kind, text: r.text()}
	}
	if kind > Map || depth > DepthMax {
		r.fail()
		return Value{}
	}
	inside := reader{s: r.text()}
	v := Value{kind: kind}
	if kind == Map {
		v.attrs = inside.item(depth + 1)
	} else {
		n := inside.count()
		v.list = make([]Value, 0, n)
		for range n {
			if kind == List {
				v.list = append(v.list, inside.value(depth+1))
			} else {
				v.list = append(v.list, Value{kind: kind.Element(), text: inside.text()})
			}
			if inside.bad {
				break
			}
		}
		if kind != List && n == 0 {
			inside.bad = true
		}
	}
	if inside.bad || inside.s != "" {
		r.fail()
		return Value{}
	}
	return v
}
