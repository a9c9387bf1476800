package queue

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Versions of the records that are not JSON.
//
//	message 1  sent (8), received before, first received, failure, letter of (queue), indexed, then as it was sent:
//	           id (16), group, once, size, trace, sender, attributes, body
//	state   1  flags, count, first received, due, lease, last received, indexed sent, failure, size, group, attempts (JSON or "")
//	book    1  the numbers of book in their order
//	line    1  turn, messages, hidden, head
//	once    1  id (16), n, until
//	again   1  until, then n and lease of each message
const (
	messageVersion = 1
	stateVersion   = 1
	bookVersion    = 1
	lineVersion    = 1
	onceVersion    = 1
	againVersion   = 1
)

var errCut = errors.New("it is cut short")

// An ID names a message: a random UUID.
type ID [16]byte

// String returns the ID in the form of a UUID.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[:], id[:4])
	b[8] = '-'
	hex.Encode(b[9:], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// ParseID reads what [ID.String] writes.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return ID{}, false
	}
	return id, true
}

// stamped gives an ID its version and variant.
func (id ID) stamped() ID {
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A cursor reads what the append functions wrote. After an error everything is zero.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) number() uint64 {
	n, used := binary.Uvarint(c.rest)
	if used <= 0 {
		c.rest, c.err = nil, errCut
		return 0
	}
	c.rest = c.rest[used:]
	return n
}

// signed reads a number that is a time or a count.
func (c *cursor) signed() int64 { return int64(c.number() & (1<<63 - 1)) }

func (c *cursor) fixed(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.err = nil, errCut
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) bytes() []byte {
	n := c.number()
	if n > uint64(len(c.rest)) {
		c.rest, c.err = nil, errCut
		return nil
	}
	return c.fixed(int(n))
}

func (c *cursor) text() string { return string(c.bytes()) }

func (c *cursor) id() (id ID) {
	copy(id[:], c.fixed(len(id)))
	return id
}

// appendMessage writes a message as the send command carries it.
func appendMessage(b []byte, m *Message) []byte {
	b = append(b, m.ID[:]...)
	b = appendText(appendText(b, m.Group), m.Once)
	b = binary.AppendUvarint(b, uint64(m.Size()))
	b = appendText(appendText(b, m.Trace), m.Sender)
	b = binary.AppendUvarint(b, uint64(len(m.Attributes)))
	for i := range m.Attributes {
		a := &m.Attributes[i]
		b = appendText(appendText(appendText(b, a.Name), a.Type), a.Value)
	}
	return append(b, m.Body...)
}

// readMessage reads what appendMessage wrote; the body shares its memory.
func (c *cursor) message() Message {
	m := Message{ID: c.id(), Group: c.text(), Once: c.text()}
	c.number() // the size follows from the rest
	m.Trace, m.Sender = c.text(), c.text()
	if n := c.number(); n > 0 && c.err == nil {
		if n > uint64(len(c.rest)) {
			c.rest, c.err = nil, errCut
			return Message{}
		}
		m.Attributes = make([]Attribute, 0, min(n, 10))
		for range n {
			m.Attributes = append(m.Attributes, Attribute{Name: c.text(), Type: c.text(), Value: c.bytes()})
			if c.err != nil {
				return Message{}
			}
		}
	}
	m.Body = c.rest
	return m
}

// A record is a stored message: what the platform knows of it, and the message
// as it was sent.
type record struct {
	sent    int64
	count   int    // receives before it came here
	first   int64  // the first of these
	failure uint64 // in the ledger, when it is a dead letter or was one
	from    string // the queue it is a dead letter of
	indexed bool   // there is a key of its age

	id    ID
	group string
	once  string
	size  int
	rest  []byte // the message as it was sent
}

// readHead reads what is at the beginning of a message as it was sent.
func (r *record) readHead(part []byte) error {
	c := cursor{rest: part}
	r.id, r.group, r.once, r.size, r.rest = c.id(), c.text(), c.text(), int(c.number()&(1<<31-1)), part
	return c.err
}

// check says what is wrong with a message as it was sent, all of it.
func (r *record) check() error {
	c := cursor{rest: r.rest}
	c.id()
	group, once, size := len(c.bytes()), len(c.bytes()), c.number()
	trace, sender, n := len(c.bytes()), len(c.bytes()), 0
	for range c.number() {
		n += len(c.bytes()) + len(c.bytes()) + len(c.bytes())
		if c.err != nil {
			break
		}
	}
	n += len(c.rest)
	switch {
	case c.err != nil:
		return c.err
	case uint64(n) != size || max(group, once) > GroupBytesMax || max(trace, sender) > textBytesMax || hasZero(r.group) || hasZero(r.once):
		return errors.New("its parts are too long, or not as long as it says")
	}
	return nil
}

func (r *record) encode() []byte {
	b := make([]byte, 0, len(r.rest)+len(r.from)+40+cell.SealBytes)
	b = binary.BigEndian.AppendUint64(append(b, messageVersion), uint64(r.sent))
	for _, n := range [...]uint64{uint64(r.count), uint64(r.first), r.failure} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(b, r.from)
	b = append(b, flag(r.indexed))
	return cell.SealAll(append(b, r.rest...))
}

func decodeRecord(raw []byte) (*record, error) {
	body, err := unseal("message", messageVersion, raw)
	if err != nil {
		return nil, err
	}
	c := cursor{rest: body}
	r := new(record)
	if b := c.fixed(8); b != nil {
		r.sent = int64(binary.BigEndian.Uint64(b) & (1<<63 - 1))
	}
	r.count, r.first, r.failure, r.from = int(c.number()&(1<<31-1)), c.signed(), c.number(), c.text()
	if b := c.fixed(1); b != nil {
		r.indexed = b[0] != 0
	}
	if c.err == nil {
		c.err = r.readHead(c.rest)
	}
	if c.err != nil {
		return nil, corrupt("message", c.err)
	}
	return r, nil
}

// message returns all of the message as it was sent.
func (r *record) message() (Message, error) {
	c := cursor{rest: r.rest}
	m := c.message()
	if c.err != nil {
		return Message{}, corrupt("message", c.err)
	}
	return m, nil
}

// What a message is, beside being in the queue.
const (
	flagInFlight = 1 << iota // somebody has received it
	flagDelayed              // nobody may receive it yet
	flagInternal             // who has received it is part of the platform
)

// A state is what has changed of a message since it was sent.
type state struct {
	flags   byte
	count   int
	first   int64
	due     int64 // when it is no longer hidden, in flight or delayed
	lease   uint64
	taken   int64 // when it was received last
	indexed int64 // when it was sent, if there is a key of its age
	failure uint64
	size    int
	group   string
	tries   tries
}

// tries is what is known of the tries of a message.
type tries struct {
	Function string           `json:"function,omitempty"` // of the last one
	Each     []ledger.Attempt `json:"each,omitempty"`
	Last     *Report          `json:"last,omitempty"` // of the last one, without its attempt
}

func (s *state) is(flag byte) bool { return s.flags&flag != 0 }

func (s *state) encode() []byte {
	var tried []byte
	if len(s.tries.Each) > 0 {
		tried, _ = json.Marshal(&s.tries) // times, texts and numbers cannot fail
	}
	b := make([]byte, 0, 48+len(s.group)+len(tried))
	b = append(b, stateVersion, s.flags)
	for _, n := range [...]uint64{uint64(s.count), uint64(s.first), uint64(s.due), s.lease, uint64(s.taken), uint64(s.indexed), s.failure, uint64(s.size)} {
		b = binary.AppendUvarint(b, n)
	}
	return cell.SealAll(appendText(appendText(b, s.group), tried))
}

func decodeState(raw []byte) (*state, error) {
	body, err := unseal("state of a message", stateVersion, raw)
	if err != nil {
		return nil, err
	}
	c := cursor{rest: body}
	s := new(state)
	if b := c.fixed(1); b != nil {
		s.flags = b[0]
	}
	s.count, s.first, s.due, s.lease, s.taken, s.indexed, s.failure, s.size, s.group = int(c.number()&(1<<31-1)), c.signed(), c.signed(), c.number(), c.signed(), c.signed(), c.number(), int(c.number()&(1<<31-1)), c.text()
	if raw := c.bytes(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &s.tries); err != nil {
			return nil, corrupt("state of a message", err)
		}
	}
	if c.err != nil {
		return nil, corrupt("state of a message", c.err)
	}
	return s, nil
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

func unseal(kind string, version byte, raw []byte) ([]byte, error) { //nolint:unparam // each kind of record has a version of its own
	got, body, err := cell.Unseal(raw)
	if err != nil {
		return nil, corrupt(kind, err)
	}
	if got != version {
		return nil, &daruma.Error{Op: "read record", Ref: kind, Kind: daruma.KindUnsupported, Err: fmt.Errorf("version %d is not known", got),
			Hint: "the data was written by another version of this program: use that one, or a newer one"}
	}
	return body, nil
}

func corrupt(kind string, err error) error {
	return &daruma.Error{Op: "read record", Ref: kind, Kind: daruma.KindCorrupt, Err: err}
}

func invalid(ref, format string, args ...any) error {
	return &daruma.Error{Kind: daruma.KindInvalid, Ref: ref, Err: fmt.Errorf(format, args...)}
}
