package cell

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/daruma-io/daruma"
)

// A record is one byte of version, a body, and four bytes of checksum over
// both (CRC-32C, little endian). The version says what the body means; it is
// never reused for another meaning.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal makes a record of a body.
func Seal(version byte, body []byte) []byte {
	b := make([]byte, 0, len(body)+SealBytes)
	return SealAll(append(append(b, version), body...))
}

// SealBytes is by how much a record is longer than its body.
const SealBytes = 5

// SealAll makes a record of b, which is the version and the body behind it. It
// is written in place where b has room, so b belongs to the record from then on.
func SealAll(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Unseal returns the version and the body of a record, which shares its
// memory. A record whose checksum is wrong is KindCorrupt.
func Unseal(record []byte) (version byte, body []byte, err error) {
	n := len(record) - 4
	if n < 1 {
		return 0, nil, &daruma.Error{Op: "read record", Kind: daruma.KindCorrupt, Err: fmt.Errorf("%d bytes are too short for a record", len(record))}
	}
	if sum := crc32.Checksum(record[:n], castagnoli); sum != binary.LittleEndian.Uint32(record[n:]) {
		return 0, nil, &daruma.Error{Op: "read record", Kind: daruma.KindCorrupt, Err: fmt.Errorf("its checksum is wrong")}
	}
	return record[0], record[1:n:n], nil
}

// A Format is how records of one kind are written: as JSON, under a version.
// It is a value to be kept in a constant place beside the type, with a ledger
// of its versions in the comment.
type Format[T any] struct {
	Kind    string                            // what the records are, for errors
	Version byte                              // what is written; 1 or higher
	Older   map[byte]func([]byte) (*T, error) // how bodies of earlier versions are read; nil when there are none
}

// Encode makes a record of v.
func (f Format[T]) Encode(v *T) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, &daruma.Error{Op: "write record", Ref: f.Kind, Kind: daruma.KindInternal, Err: err}
	}
	return Seal(f.Version, body), nil
}

// Decode reads a record. An unknown version is KindUnsupported: it was written
// by a newer program, and what it says must not be lost by guessing.
func (f Format[T]) Decode(record []byte) (*T, error) {
	version, body, err := Unseal(record)
	if err != nil {
		return nil, f.wrap(daruma.KindCorrupt, err)
	}
	if version != f.Version {
		older, ok := f.Older[version]
		if !ok {
			return nil, &daruma.Error{Op: "read record", Ref: f.Kind, Kind: daruma.KindUnsupported, Err: fmt.Errorf("version %d is not known", version), Hint: "the data was written by another version of this program: use that one, or a newer one"}
		}
		v, err := older(body)
		if err != nil {
			return nil, f.wrap(daruma.KindCorrupt, err)
		}
		return v, nil
	}
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, f.wrap(daruma.KindCorrupt, err)
	}
	return v, nil
}

func (f Format[T]) wrap(kind daruma.Kind, err error) error {
	return &daruma.Error{Op: "read record", Ref: f.Kind, Kind: kind, Err: err}
}

// Put writes v under key. A value that cannot be written undoes the command.
func (f Format[T]) Put(tx *Tx, key []byte, v *T) {
	record, err := f.Encode(v)
	if err != nil {
		tx.fail(err)
		return
	}
	tx.Set(key, record)
}

// Get returns the record under key, or nil. One that cannot be read makes the
// command or the view end in its error, and is nil here.
func (f Format[T]) Get(s State, key []byte) *T {
	record, ok := s.Get(key)
	if !ok {
		return nil
	}
	v, err := f.Decode(record)
	if err != nil {
		s.fail(fmt.Errorf("%q: %w", key, err))
		return nil
	}
	return v
}

// All yields the records of r with their keys, in ascending order. It ends at
// the first that cannot be read, and so do the command or the view.
func (f Format[T]) All(s State, r Range) iter.Seq2[[]byte, *T] {
	return func(yield func([]byte, *T) bool) {
		for key, record := range s.Scan(r) {
			v, err := f.Decode(record)
			if err != nil {
				s.fail(fmt.Errorf("%q: %w", key, err))
				return
			}
			if !yield(key, v) {
				return
			}
		}
	}
}

// Slice returns what All yields without the keys; nil when there is nothing.
func (f Format[T]) Slice(s State, r Range) (all []*T) {
	for _, v := range f.All(s, r) {
		all = append(all, v)
	}
	return all
}
