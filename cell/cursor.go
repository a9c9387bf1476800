package cell

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/daruma-io/daruma"
)

// ErrCut says that a record or a command ends before all of its parts do.
var ErrCut = errors.New("it is cut short")

// AppendText writes a text or bytes as a part of a record or a command that is
// not JSON: behind their length, which is a varint, as numbers are.
func AppendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A Cursor reads parts one after the other, sharing their memory. After an error
// everything is zero.
type Cursor struct {
	Rest []byte // what follows
	Err  error  // ErrCut
}

// Number reads a varint.
func (c *Cursor) Number() uint64 {
	n, used := binary.Uvarint(c.Rest)
	if used <= 0 {
		c.cut()
		return 0
	}
	c.Rest = c.Rest[used:]
	return n
}

// Signed reads a number that is a time or a count, 0 or more.
func (c *Cursor) Signed() int64 { return int64(c.Number() & (1<<63 - 1)) }

// Small reads a number that is a count of what fits into memory.
func (c *Cursor) Small() int { return int(c.Number() & (1<<31 - 1)) }

// Fixed reads n bytes.
func (c *Cursor) Fixed(n int) []byte {
	if n > len(c.Rest) {
		c.cut()
		return nil
	}
	b := c.Rest[:n:n]
	c.Rest = c.Rest[n:]
	return b
}

// Bytes reads bytes behind their length.
func (c *Cursor) Bytes() []byte {
	n := c.Number()
	if n > uint64(len(c.Rest)) {
		c.cut()
		return nil
	}
	return c.Fixed(int(n))
}

// Text reads a text behind its length.
func (c *Cursor) Text() string { return string(c.Bytes()) }

func (c *Cursor) cut() { c.Rest, c.Err = nil, ErrCut }

// Join makes the body of a command of JSON and of bytes that follow it.
func Join(arguments []byte, raw ...[]byte) []byte {
	size := 0
	for _, r := range raw {
		size += len(r)
	}
	b := AppendText(make([]byte, 0, len(arguments)+size+binary.MaxVarintLen32), arguments)
	for _, r := range raw {
		b = append(b, r...)
	}
	return b
}

// Split takes apart what Join has made. KindInvalid when that is not it.
func Split(body []byte, arguments any) (raw []byte, err error) {
	c := Cursor{Rest: body}
	head := c.Bytes()
	if err = c.Err; err == nil {
		err = json.Unmarshal(head, arguments)
	}
	if err != nil {
		return nil, &daruma.Error{Op: "read a command", Kind: daruma.KindInvalid, Err: err}
	}
	return c.Rest, nil
}
