package topic

import (
	"encoding/binary"
	"time"

	"github.com/daruma-io/daruma"
)

// Keys of the records. Numbers and times are eight bytes.
//
//	t topic            a Topic
//	s topic 0 id       a Subscription
//	a topic            its book: counts and last numbers
//	o topic 0 scope 0 once   a message that a FIFO topic knows; the timer of this key forgets it
//	p id 0 n           a post that waits
//	d id 0 due n       when it is due; empty
//	c topic 0 id       (a timer only) a subscription waits no longer to be confirmed
//	m topic 0 n        a message in the archive; the timer of this key without n takes out those that are too old
//	r topic 0 id       how far a replay has come
//
// id is that of a subscription, n the how manyth post or message of its topic it is.
const (
	spaceTopic        = 't'
	spaceSubscription = 's'
	spaceBook         = 'a'
	spaceOnce         = 'o'
	spacePost         = 'p'
	spaceDue          = 'd'
	spaceConfirm      = 'c'
	spaceArchive      = 'm'
	spaceReplay       = 'r'
)

func topicKey(name string) []byte { return append([]byte{spaceTopic}, name...) }
func bookKey(name string) []byte  { return append([]byte{spaceBook}, name...) }
func under(space byte, name string) []byte {
	return append(append(append(make([]byte, 0, len(name)+18), space), name...), 0)
}

func confirmKey(topic, id string) []byte { return append(under(spaceConfirm, topic), id...) }

func subscriptionKey(topic, id string) []byte { return append(under(spaceSubscription, topic), id...) }

func onceKey(topic, scope, once string) []byte {
	return append(append(append(under(spaceOnce, topic), scope...), 0), once...)
}

func archiveKey(topic string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(under(spaceArchive, topic), n)
}

func replayKey(topic, id string) []byte { return append(under(spaceReplay, topic), id...) }

func postKey(id string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(under(spacePost, id), n)
}

func dueKey(id string, due time.Time, n uint64) []byte {
	k := binary.BigEndian.AppendUint64(under(spaceDue, id), uint64(max(0, due.UnixNano())))
	return binary.BigEndian.AppendUint64(k, n)
}

// dueOf takes a key of what is due apart.
func dueOf(id string, key []byte) (due time.Time, n uint64) {
	rest := key[len(id)+2:]
	return time.Unix(0, int64(binary.BigEndian.Uint64(rest)&(1<<63-1))).UTC(), binary.BigEndian.Uint64(rest[8:])
}

func corrupt(what string, err error) error {
	return &daruma.Error{Op: "read " + what, Kind: daruma.KindCorrupt, Err: err}
}
