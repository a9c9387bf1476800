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

// A cursor reads the parts of a message, too.
type cursor struct{ cell.Cursor }

func reading(b []byte) cursor { return cursor{cell.Cursor{Rest: b}} }

func (c *cursor) id() (id ID) {
	copy(id[:], c.Fixed(len(id)))
	return id
}

// appendMessage writes a message as the send command carries it.
func appendMessage(b []byte, m *Message) []byte {
	b = append(b, m.ID[:]...)
	b = cell.AppendText(cell.AppendText(b, m.Group), m.Once)
	b = binary.AppendUvarint(b, uint64(m.Size()))
	b = cell.AppendText(cell.AppendText(b, m.Trace), m.Sender)
	b = binary.AppendUvarint(b, uint64(len(m.Attributes)))
	for i := range m.Attributes {
		a := &m.Attributes[i]
		b = cell.AppendText(cell.AppendText(cell.AppendText(b, a.Name), a.Type), a.Value)
	}
	return append(b, m.Body...)
}

// readMessage reads what appendMessage wrote; the body shares its memory.
func (c *cursor) message() Message {
	m := Message{ID: c.id(), Group: c.Text(), Once: c.Text()}
	c.Number() // the size follows from the rest
	m.Trace, m.Sender = c.Text(), c.Text()
	if n := c.Number(); n > 0 && c.Err == nil {
		if n > uint64(len(c.Rest)) {
			c.Rest, c.Err = nil, cell.ErrCut
			return Message{}
		}
		m.Attributes = make([]Attribute, 0, min(n, 10))
		for range n {
			m.Attributes = append(m.Attributes, Attribute{Name: c.Text(), Type: c.Text(), Value: c.Bytes()})
			if c.Err != nil {
				return Message{}
			}
		}
	}
	m.Body = c.Rest
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
	c := reading(part)
	r.id, r.group, r.once, r.size, r.rest = c.id(), c.Text(), c.Text(), c.Small(), part
	return c.Err
}

// check says what is wrong with a message as it was sent, all of it.
func (r *record) check() error {
	c := reading(r.rest)
	c.id()
	group, once, size := len(c.Bytes()), len(c.Bytes()), c.Number()
	trace, sender, n := len(c.Bytes()), len(c.Bytes()), 0
	for range c.Number() {
		n += len(c.Bytes()) + len(c.Bytes()) + len(c.Bytes())
		if c.Err != nil {
			break
		}
	}
	n += len(c.Rest)
	switch {
	case c.Err != nil:
		return c.Err
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
	b = cell.AppendText(b, r.from)
	b = append(b, flag(r.indexed))
	return cell.SealAll(append(b, r.rest...))
}

func decodeRecord(raw []byte) (*record, error) {
	body, err := unseal("message", messageVersion, raw)
	if err != nil {
		return nil, err
	}
	c := reading(body)
	r := new(record)
	if b := c.Fixed(8); b != nil {
		r.sent = int64(binary.BigEndian.Uint64(b) & (1<<63 - 1))
	}
	r.count, r.first, r.failure, r.from = c.Small(), c.Signed(), c.Number(), c.Text()
	if b := c.Fixed(1); b != nil {
		r.indexed = b[0] != 0
	}
	if c.Err == nil {
		c.Err = r.readHead(c.Rest)
	}
	if c.Err != nil {
		return nil, corrupt("message", c.Err)
	}
	return r, nil
}

// message returns all of the message as it was sent.
func (r *record) message() (Message, error) {
	c := reading(r.rest)
	m := c.message()
	if c.Err != nil {
		return Message{}, corrupt("message", c.Err)
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
	return cell.SealAll(cell.AppendText(cell.AppendText(b, s.group), tried))
}

func decodeState(raw []byte) (*state, error) {
	body, err := unseal("state of a message", stateVersion, raw)
	if err != nil {
		return nil, err
	}
	c := reading(body)
	s := new(state)
	if b := c.Fixed(1); b != nil {
		s.flags = b[0]
	}
	s.count, s.first, s.due, s.lease, s.taken, s.indexed, s.failure, s.size, s.group = c.Small(), c.Signed(), c.Signed(), c.Number(), c.Signed(), c.Signed(), c.Number(), c.Small(), c.Text()
	if raw := c.Bytes(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &s.tries); err != nil {
			return nil, corrupt("state of a message", err)
		}
	}
	if c.Err != nil {
		return nil, corrupt("state of a message", c.Err)
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
