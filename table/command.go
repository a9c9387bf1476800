package table

import (
	"encoding/binary"
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table/value"
)

const (
	machineName    = "table"
	commandWrite   = "write"
	commandCreate  = "create"
	commandAlter   = "alter"
	commandDrop    = "drop"
	commandDeploy  = "deploy"
	timerBuild     = "build"
	timerExpire    = "expire"
	timerTrim      = "trim"
	requestVersion = 1
)

var errHead = errors.New("its head cannot be read")

func corrupt(what string, err error) error {
	return &daruma.Error{Op: "read record", Ref: what, Kind: daruma.KindCorrupt, Err: err}
}

// An ActionKind is what an action does.
type ActionKind uint8

// The kinds of action.
const (
	Put    ActionKind = iota // an item takes the place of the one with its key
	Update                   // an item is changed, or comes into being
	Delete                   // an item goes
	Check                    // a condition holds; only within a transaction
)

// Returns says what of an item a write returns.
type Returns uint8

// What a write returns.
const (
	ReturnNothing Returns = iota
	ReturnAllOld
	ReturnUpdatedOld
	ReturnAllNew
	ReturnUpdatedNew
)

// An Action is one write of one item, with what is expected of it.
type Action struct {
	Kind      ActionKind
	Table     string
	Item      value.Item // of Put the item; of the others its key
	Condition string     // a condition; "" for none
	Update    string     // an update; "" changes nothing
	Names     value.Item // of the expressions: "#a" to a text
	Values    value.Item // ":v" to a value
	Return    Returns
	// OldOnFailure asks for the item when the condition does not hold.
	OldOnFailure bool
}

// A Mode says how the actions of a request belong together.
type mode uint8

const (
	single      mode = iota // there is one
	batch                   // each for itself, none with a condition
	transaction             // all or none
)

// A request is what a write command carries.
type request struct {
	mode    mode
	token   string // of a transaction; "" for none
	actions []Action
	hash    []byte // of a transaction with a token: of its actions
}

// encodeActions appends actions to b.
func encodeActions(b []byte, actions []Action) []byte {
	b = binary.AppendUvarint(b, uint64(len(actions)))
	for i := range actions {
		a := &actions[i]
		flags := byte(a.Kind)<<4 | byte(a.Return)<<1
		if a.OldOnFailure {
			flags |= 1
		}
		b = append(b, flags)
		b = appendText(b, a.Table)
		b = value.AppendItem(b, a.Item)
		b = appendText(b, a.Condition)
		b = appendText(b, a.Update)
		b = value.AppendItem(b, a.Names)
		b = value.AppendItem(b, a.Values)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func (r *request) encode() []byte {
	size := 64
	for i := range r.actions {
		a := &r.actions[i]
		size += 64 + len(a.Table) + len(a.Condition) + len(a.Update)
		for _, it := range []value.Item{a.Item, a.Names, a.Values} {
			size += it.Size() + 8*len(it)
		}
	}
	b := make([]byte, 0, size)
	b = append(b, requestVersion, byte(r.mode))
	b = appendText(b, r.token)
	b = appendText(b, string(r.hash))
	return encodeActions(b, r.actions)
}

var errRequest = &daruma.Error{Op: "read command", Ref: machineName, Kind: daruma.KindInvalid, Err: errors.New("it is damaged, or of another version")}

// decodeRequest reads a request; its texts share s.
func decodeRequest(s string) (*request, error) {
	d := decoder{s: s}
	version, m := d.byte(), mode(d.byte())
	r := &request{mode: m, token: d.text()}
	r.hash = []byte(d.text())
	n := d.uvarint()
	if d.bad || version != requestVersion || m > transaction || n > ActionsMax {
		return nil, errRequest
	}
	r.actions = make([]Action, n)
	for i := range r.actions {
		a := &r.actions[i]
		flags := d.byte()
		a.Kind, a.Return, a.OldOnFailure = ActionKind(flags>>4), Returns(flags>>1&7), flags&1 == 1
		a.Table = d.text()
		a.Item = d.item()
		a.Condition, a.Update = d.text(), d.text()
		a.Names, a.Values = d.item(), d.item()
		if d.bad || a.Kind > Check || a.Return > ReturnUpdatedNew {
			return nil, errRequest
		}
	}
	if d.s != "" {
		return nil, errRequest
	}
	return r, nil
}

// A decoder reads a record from its beginning.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.bad = true
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	var head [binary.MaxVarintLen64]byte
	n := copy(head[:], d.s)
	x, k := binary.Uvarint(head[:n])
	if k <= 0 {
		d.bad, d.s = true, ""
		return 0
	}
	d.s = d.s[k:]
	return x
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.bad, d.s = true, ""
		return ""
	}
	t := d.s[:n]
	d.s = d.s[n:]
	return t
}

func (d *decoder) item() value.Item {
	it, rest, err := value.DecodeItemPrefix(d.s)
	if err != nil {
		d.bad, d.s = true, ""
		return nil
	}
	d.s = rest
	return it
}
