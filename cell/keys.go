package cell

import (
	"encoding/binary"
	"time"
)

// Where things lie in the store. The first byte says what a key is:
//
//	0x00              the journal's own
//	0x01 at name 0 k  a timer in the order of its time: at is 8 bytes, k its key
//	0x02 name 0 k     when the timer k of a machine is due
//	0x03 k            the cell's own records
//	0x10 name 0 k     the key k of a machine
//
// Names hold no zero byte, so no machine's keys can reach into another's.
const (
	spaceDue     = 0x01
	spaceTimer   = 0x02
	spaceCell    = 0x03
	spaceMachine = 0x10
)

// nameBytesMax is the longest name of a machine.
const nameBytesMax = 32

func validName(s string) bool {
	if s == "" || len(s) > nameBytesMax || s == self {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '-') {
			continue
		}
		return false
	}
	return true
}

// space returns the prefix of a machine's keys in a space.
func space(first byte, machine string) []byte {
	p := make([]byte, 0, len(machine)+2)
	p = append(p, first)
	p = append(p, machine...)
	return append(p, 0)
}

// under returns key below prefix, as a new slice.
func under(prefix, key []byte) []byte {
	k := make([]byte, 0, len(prefix)+len(key))
	return append(append(k, prefix...), key...)
}

// after returns the first key behind all keys that begin with prefix, or nil
// when there is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// orderedTime returns at as eight bytes that sort as times do. Times before
// 1970 and after 2262 are the first and the last there are.
func orderedTime(at time.Time) [8]byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(nanoseconds(at)))
	return b
}

var (
	timeFirst = time.Unix(0, 0)
	timeLast  = time.Unix(0, 1<<63-1)
)

func nanoseconds(at time.Time) int64 {
	switch {
	case at.Before(timeFirst):
		return 0
	case at.After(timeLast):
		return 1<<63 - 1
	}
	return at.UnixNano()
}

// dueKey is where a timer lies in the order of times.
func dueKey(at time.Time, machine string, key []byte) []byte {
	t := orderedTime(at)
	k := make([]byte, 0, 1+len(t)+len(machine)+1+len(key))
	k = append(append(k, spaceDue), t[:]...)
	return append(append(append(k, machine...), 0), key...)
}
