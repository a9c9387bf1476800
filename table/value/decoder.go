package value

import (
	"encoding/binary"
	"errors"

	"github.com/daruma-io/daruma"
)

// ErrHead says that what is before the rest of a record is damaged.
var ErrHead = errors.New("its head cannot be read")

// Corrupt is the error of a record that cannot be read.
func Corrupt(what string, err error) error {
	return &daruma.Error{Op: "read record", Ref: what, Kind: daruma.KindCorrupt, Err: err}
}

// A Decoder reads a record from its beginning, piece by piece. After a piece that
// is not there it is Bad, and the pieces that follow are empty.
type Decoder struct {
	S   string // what is left
	Bad bool
}

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if d.S == "" {
		d.Bad = true
		return 0
	}
	c := d.S[0]
	d.S = d.S[1:]
	return c
}

// Uvarint reads a number.
func (d *Decoder) Uvarint() uint64 {
	var head [binary.MaxVarintLen64]byte
	n := copy(head[:], d.S)
	x, k := binary.Uvarint(head[:n])
	if k <= 0 {
		d.Bad, d.S = true, ""
		return 0
	}
	d.S = d.S[k:]
	return x
}

// Text reads what [AppendPiece] has written.
func (d *Decoder) Text() string {
	n := d.Uvarint()
	if n > uint64(len(d.S)) {
		d.Bad, d.S = true, ""
		return ""
	}
	t := d.S[:n]
	d.S = d.S[n:]
	return t
}

// Item reads what [AppendItem] has written.
func (d *Decoder) Item() Item {
	it, rest, err := DecodeItemPrefix(d.S)
	if err != nil {
		d.Bad, d.S = true, ""
		return nil
	}
	d.S = rest
	return it
}
