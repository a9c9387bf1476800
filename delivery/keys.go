package delivery

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Keys of the records. Times are eight bytes of Unix nanoseconds, so that keys
// are in the order of times.
//
//	e function 0 n         the event as it was accepted; never changes
//	w function 0 due n     a waiting event: its state
//	l function 0 n         a leased event: lease, until and state
//	t until function 0 n   the order in which leases run out; empty
//	a function             its Account
//	s function 0 qualifier a Setting
//	k function             what is Declared of it
//	n                      the last lease number given
//
// n is the event's own number: the n-th its function accepted. Request IDs would
// be spread over the whole store, which makes writing several times slower.
const (
	spaceEvent    = 'e'
	spaceWaiting  = 'w'
	spaceLeased   = 'l'
	spaceUntil    = 't'
	spaceAccount  = 'a'
	spaceSetting  = 's'
	spaceDeclared = 'k'
	spaceNumber   = 'n'
)

func eventKey(function string, n uint64) []byte { return numbered(spaceEvent, function, n) }
func leaseKey(function string, n uint64) []byte { return numbered(spaceLeased, function, n) }

func numbered(space byte, function string, n uint64) []byte {
	k := make([]byte, 0, len(function)+10)
	k = append(append(append(k, space), function...), 0)
	return binary.BigEndian.AppendUint64(k, n)
}

func accountKey(function string) []byte { return append([]byte{spaceAccount}, function...) }

func declaredKey(function string) []byte { return append([]byte{spaceDeclared}, function...) }

// line is where a function's waiting events lie.
func line(function string) []byte {
	return append(append([]byte{spaceWaiting}, function...), 0)
}

func waitingKey(function string, due time.Time, n uint64) []byte {
	k := make([]byte, 0, len(function)+18)
	k = append(append(append(k, spaceWaiting), function...), 0)
	return binary.BigEndian.AppendUint64(appendTime(k, due), n)
}

// waiting takes a key of a function's line apart.
func waiting(function string, key []byte) (due time.Time, n uint64) {
	rest := key[len(function)+2:]
	return timeOf(rest), binary.BigEndian.Uint64(rest[8:])
}

func untilKey(until time.Time, function string, n uint64) []byte {
	k := make([]byte, 0, len(function)+18)
	k = append(append(appendTime(append(k, spaceUntil), until), function...), 0)
	return binary.BigEndian.AppendUint64(k, n)
}

// until takes a key of the order of leases apart.
func until(key []byte) (at time.Time, function string, n uint64) {
	end := len(key) - 9
	return timeOf(key[1:]), string(key[9:end]), binary.BigEndian.Uint64(key[end+1:])
}

func settingKey(function, qualifier string) []byte {
	if qualifier == "" {
		qualifier = latest
	}
	k := append([]byte{spaceSetting}, function...)
	return append(append(k, 0), qualifier...)
}

func settingOf(key []byte) (function, qualifier string) {
	f, q, _ := bytes.Cut(key[1:], []byte{0})
	return string(f), string(q)
}

func appendTime(b []byte, at time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(max(0, at.UnixNano())))
}

func timeOf(b []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(b)&(1<<63-1))).UTC()
}
