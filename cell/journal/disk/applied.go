package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// appliedKey is where each entry notes its position, in the same batch as its changes.
const appliedKey = "\x00applied"

// applied is the record of the last entry applied.
//
//	0   version
//	1   position, fence, time in nanoseconds since 1970 (8 bytes each, little endian)
//	25  identity of the cell
//	41  CRC-32C of all before
type applied struct {
	position uint64
	fence    uint64
	time     time.Time
	id       identity
}

const (
	appliedVersion = 1
	appliedBytes   = 45
)

func (a applied) encode() []byte {
	b := make([]byte, 0, appliedBytes)
	b = append(b, appliedVersion)
	b = binary.LittleEndian.AppendUint64(b, a.position)
	b = binary.LittleEndian.AppendUint64(b, a.fence)
	b = binary.LittleEndian.AppendUint64(b, uint64(a.time.UnixNano()))
	b = append(b, a.id[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeApplied(b []byte) (a applied, err error) {
	switch {
	case len(b) != appliedBytes:
		return a, errors.New("the record of the last entry has a wrong length")
	case crc32.Checksum(b[:41], castagnoli) != binary.LittleEndian.Uint32(b[41:]):
		return a, errors.New("the record of the last entry has a wrong checksum")
	case b[0] != appliedVersion:
		return a, errors.New("the record of the last entry is of an unknown version")
	}
	a.position = binary.LittleEndian.Uint64(b[1:])
	a.fence = binary.LittleEndian.Uint64(b[9:])
	a.time = time.Unix(0, int64(binary.LittleEndian.Uint64(b[17:]))).UTC()
	copy(a.id[:], b[25:])
	return a, nil
}
