package delivery

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Versions of the records that are not JSON.
//
//	event   1  request, function, qualifier, source, trace, client, depth, policy (JSON or ""), payload
//	state   1  accepted, attempts, not run, back-off, age in seconds, from, own policy, status, size, qualifier, outcome, message, tried (JSON or "")
//	account 1  the numbers of Account in their order
const (
	eventVersion   = 1
	stateVersion   = 1
	accountVersion = 1
)

func hasZero(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// appendEvent writes an event as the accept command carries it: its record as
// it will be stored, behind its length.
func appendEvent(b []byte, e *Event) ([]byte, error) {
	var policy []byte
	if e.Policy != nil {
		var err error
		if policy, err = json.Marshal(e.Policy); err != nil {
			return nil, err
		}
	}
	h := make([]byte, 0, len(e.Target.Function)+len(e.Target.Qualifier)+len(e.Source)+len(e.Trace)+len(e.Client)+len(e.Request)+len(policy)+len(e.Payload)+32)
	for _, s := range []string{e.Request, e.Target.Function, e.Target.Qualifier, e.Source, e.Trace, e.Client} {
		h = cell.AppendText(h, s)
	}
	h = binary.AppendUvarint(h, uint64(e.Depth))
	h = cell.AppendText(h, policy)
	h = append(h, e.Payload...)
	return cell.AppendText(b, cell.Seal(eventVersion, h)), nil
}

// decodeEvent reads an event's record.
func decodeEvent(record []byte) (Event, error) {
	body, err := unseal("event", eventVersion, record)
	if err != nil {
		return Event{}, err
	}
	c := cell.Cursor{Rest: body}
	e := Event{Request: c.Text(), Target: daruma.Target{Function: c.Text(), Qualifier: c.Text()}, Source: c.Text(), Trace: c.Text(), Client: c.Text(), Depth: c.Small()}
	if raw := c.Bytes(); len(raw) > 0 {
		e.Policy = new(Policy)
		if err := json.Unmarshal(raw, e.Policy); err != nil {
			return Event{}, corrupt("event", err)
		}
	}
	if c.Err != nil {
		return Event{}, corrupt("event", c.Err)
	}
	e.Payload = c.Rest
	return e, nil
}

// A state is what changes of a delivery. It lies with the event's place in the queue.
type state struct {
	accepted  time.Time
	attempts  int
	notRun    int
	backoff   int           // times it could not run since it last did
	age       time.Duration // its own policy's; 0: that of its target's
	from      ledger.ID
	qualifier string
	size      int    // of the event's record
	own       bool   // it has a policy of its own
	outcome   string // of the last try, in words
	status    int    // of the last try
	message   string // of the last try
	tried     []ledger.Attempt
}

func (s *state) encode() ([]byte, error) {
	b := make([]byte, 0, 64)
	own := uint64(0)
	if s.own {
		own = 1
	}
	for _, n := range []uint64{uint64(max(0, s.accepted.UnixNano())), uint64(s.attempts), uint64(s.notRun), uint64(s.backoff), uint64(s.age / time.Second), uint64(s.from), own, uint64(s.status), uint64(s.size)} {
		b = binary.AppendUvarint(b, n)
	}
	var tried []byte
	if len(s.tried) > 0 {
		var err error
		if tried, err = json.Marshal(s.tried); err != nil {
			return nil, err
		}
	}
	for _, t := range []string{s.qualifier, s.outcome, s.message, string(tried)} {
		b = cell.AppendText(b, t)
	}
	return cell.Seal(stateVersion, b), nil
}

func decodeState(record []byte) (*state, error) {
	body, err := unseal("state of an event", stateVersion, record)
	if err != nil {
		return nil, err
	}
	c := cell.Cursor{Rest: body}
	small := c.Small
	s := &state{accepted: time.Unix(0, int64(c.Number()&(1<<63-1))).UTC(), attempts: small(), notRun: small(), backoff: small(),
		age: time.Duration(small()) * time.Second, from: ledger.ID(c.Number()), own: c.Number() == 1, status: small(), size: small(),
		qualifier: c.Text(), outcome: c.Text(), message: c.Text()}
	if raw := c.Bytes(); len(raw) > 0 {
		if err := json.Unmarshal(raw, &s.tried); err != nil {
			return nil, corrupt("state of an event", err)
		}
	}
	if c.Err != nil {
		return nil, corrupt("state of an event", c.Err)
	}
	return s, nil
}

func unseal(kind string, version byte, record []byte) ([]byte, error) {
	got, body, err := cell.Unseal(record)
	if err != nil {
		return nil, corrupt(kind, err)
	}
	if got != version {
		return nil, &daruma.Error{Op: "read record", Ref: kind, Kind: daruma.KindUnsupported, Err: errors.New("it was written by a version that is not known"),
			Hint: "the data was written by another version of this program: use that one, or a newer one"}
	}
	return body, nil
}

func corrupt(kind string, err error) error {
	return &daruma.Error{Op: "read record", Ref: kind, Kind: daruma.KindCorrupt, Err: err}
}
