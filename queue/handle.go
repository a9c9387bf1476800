package queue

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/daruma-io/daruma"
)

const (
	secretBytes   = 32
	handleVersion = 1
	handleBytes   = 1 + 4 + 8 + 8 // version, queue, message, lease
	sealBytes     = 16            // of an HMAC with SHA-256
)

// A sealer makes handles that nobody else can make. A handle names the queue
// by its number, the message and the lease, so that it cannot be used for
// another queue, nor for a later one of the same name.
type sealer struct{ macs *sync.Pool } // of hash.Hash, keyed

func newSealer(secret []byte) sealer {
	return sealer{&sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// handle seals a lease.
func (s sealer) handle(queue uint32, h Held) string {
	var raw [handleBytes + sha256.Size]byte
	raw[0] = handleVersion
	binary.BigEndian.PutUint32(raw[1:], queue)
	binary.BigEndian.PutUint64(raw[5:], h.Number)
	binary.BigEndian.PutUint64(raw[13:], h.Lease)
	s.sum(raw[:handleBytes])
	return base64.StdEncoding.EncodeToString(raw[:handleBytes+sealBytes])
}

// sum writes the seal behind b, which has room for it.
func (s sealer) sum(b []byte) {
	mac := s.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(b)
	mac.Sum(b)
	s.macs.Put(mac)
}

// open returns the lease a handle of a queue names.
func (s sealer) open(queue uint32, handle string) (Held, error) {
	var raw [handleBytes + sealBytes + 2]byte
	n, err := 0, error(nil)
	if len(handle) <= base64.StdEncoding.EncodedLen(handleBytes+sealBytes) {
		n, err = base64.StdEncoding.Strict().Decode(raw[:], []byte(handle))
	}
	if err != nil || n != handleBytes+sealBytes {
		return Held{}, errHandle
	}
	var good [handleBytes + sha256.Size]byte
	copy(good[:], raw[:handleBytes])
	s.sum(good[:handleBytes])
	if subtle.ConstantTimeCompare(good[handleBytes:handleBytes+sealBytes], raw[handleBytes:n]) != 1 || raw[0] != handleVersion || binary.BigEndian.Uint32(raw[1:]) != queue {
		return Held{}, errHandle
	}
	return Held{Number: binary.BigEndian.Uint64(raw[5:]), Lease: binary.BigEndian.Uint64(raw[13:])}, nil
}

var errHandle = daruma.Invalidf("%w, or it was changed", ErrHandle)
