package queue

import (
	"encoding/binary"
	"time"
)

// Keys of the records. A queue has a number of its own that is never given
// twice (four bytes), so that what is left of a removed queue can never be
// taken for a new one's. Numbers of messages, turns and times are eight bytes.
//
//	q name              a Queue: what is configured
//	n                   the last number given to a queue
//	z name              when a queue of this name was removed
//	a queue             its book: counts, and where its lines begin
//	m queue n           a message as it was sent; never changes
//	s queue n           what has changed of it since: its state
//	d queue due n       a message that is hidden until then; empty
//	g queue group 0 n   a message's place in the line of its group; empty
//	l queue group       the line of a group
//	r queue turn        the ring: whose turn it is; the group's name
//	x queue sent n      messages that are older than their numbers tell; empty
//	u queue key         what must not be done twice: a sent message, a receive
//	v queue until key   when that is forgotten; empty
//	k queue n           a Move
//	h                   the secret under which handles are sealed
//
// n is the message's own number, the n-th its queue took. A queue in which
// nothing is delayed or grouped writes one record for a message it takes: its
// line is the messages themselves (see line.go).
const (
	spaceQueue   = 'q'
	spaceNumber  = 'n'
	spaceRemoved = 'z'
	spaceBook    = 'a'
	spaceMessage = 'm'
	spaceState   = 's'
	spaceDue     = 'd'
	spaceGroup   = 'g'
	spaceLine    = 'l'
	spaceRing    = 'r'
	spaceSent    = 'x'
	spaceOnce    = 'u'
	spaceForget  = 'v'
	spaceMove    = 'k'
	spaceSecret  = 'h'
)

// content is the spaces that a purge empties; remains are the others that go
// with a queue.
const (
	content = "msdglrxuv"
	remains = "ak"
)

func queueKey(name string) []byte   { return append([]byte{spaceQueue}, name...) }
func removedKey(name string) []byte { return append([]byte{spaceRemoved}, name...) }

// of begins a key of a queue, with room for extra more bytes.
func of(space byte, id uint32, extra int) []byte {
	k := make([]byte, 0, 5+extra)
	return binary.BigEndian.AppendUint32(append(k, space), id)
}

// at is a key that ends in a number.
func at(space byte, id uint32, n uint64) []byte {
	return binary.BigEndian.AppendUint64(of(space, id, 8), n)
}

// timed is a key of a time and a number.
func timed(space byte, id uint32, t int64, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(of(space, id, 16), uint64(t)), n)
}

func lineKey(id uint32, group string) []byte { return append(of(spaceLine, id, len(group)), group...) }

// places is where the messages of a group lie.
func places(id uint32, group string) []byte {
	return append(append(of(spaceGroup, id, len(group)+9), group...), 0)
}

func placeKey(id uint32, group string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(places(id, group), n)
}

// last is the number a key ends in.
func last(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// timeIn is the time in a key of a time and something else.
func timeIn(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[5:]) & (1<<63 - 1)) }

// nanos is a time as it is in keys.
func nanos(t time.Time) int64 { return max(0, t.UnixNano()) }

func moment(n int64) time.Time { return time.Unix(0, n).UTC() }
