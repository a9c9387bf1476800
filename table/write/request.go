// Package write is what clients want done to items, and what becomes of an item:
//
//	Action ─► Resolve against its table ─► Evaluate against the item there is ─► Change
//
// Conditions are decided and updates worked out here; what follows from a change
// (indexes, streams, counts) is the machine's. A [Request] is how actions are written
// into a command. It holds nothing, and does no I/O; a value of it is for one goroutine.
package write

import (
	"encoding/binary"
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table/value"
)

// A Kind is what an action does.
type Kind uint8

// The kinds of action.
const (
	Put    Kind = iota // an item takes the place of the one with its key
	Update             // an item is changed, or comes into being
	Delete             // an item goes
	Check              // a condition holds; only within a transaction
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
	Kind      Kind
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
type Mode uint8

// The modes.
const (
	Single      Mode = iota // there is one
	Batch                   // each for itself, none with a condition
	Transaction             // all or none
)

const requestVersion = 1

// A Request is what a write command carries.
type Request struct {
	Mode    Mode
	Token   string // of a transaction; "" for none
	Actions []Action
	Hash    []byte // of a transaction with a token: of its actions
}

// EncodeActions appends actions to b.
func EncodeActions(b []byte, actions []Action) []byte {
	b = binary.AppendUvarint(b, uint64(len(actions)))
	for i := range actions {
		a := &actions[i]
		flags := byte(a.Kind)<<4 | byte(a.Return)<<1
		if a.OldOnFailure {
			flags |= 1
		}
		b = append(b, flags)
		b = value.AppendPiece(b, a.Table)
		b = value.AppendItem(b, a.Item)
		b = value.AppendPiece(b, a.Condition)
		b = value.AppendPiece(b, a.Update)
		b = value.AppendItem(b, a.Names)
		b = value.AppendItem(b, a.Values)
	}
	return b
}

// Encode writes a request as the body of a command.
func (r *Request) Encode() []byte {
	size := 64
	for i := range r.Actions {
		a := &r.Actions[i]
		size += 64 + len(a.Table) + len(a.Condition) + len(a.Update)
		for _, it := range []value.Item{a.Item, a.Names, a.Values} {
			size += it.Size() + 8*len(it)
		}
	}
	b := make([]byte, 0, size)
	b = append(b, requestVersion, byte(r.Mode))
	b = value.AppendPiece(b, r.Token)
	b = value.AppendPiece(b, string(r.Hash))
	return EncodeActions(b, r.Actions)
}

var errRequest = &daruma.Error{Op: "read command", Ref: "table", Kind: daruma.KindInvalid, Err: errors.New("it is damaged, or of another version")}

// DecodeRequest reads a request; its texts share s.
func DecodeRequest(s string) (*Request, error) {
	d := value.Decoder{S: s}
	version, m := d.Byte(), Mode(d.Byte())
	r := &Request{Mode: m, Token: d.Text()}
	r.Hash = []byte(d.Text())
	n := d.Uvarint()
	if d.Bad || version != requestVersion || m > Transaction || n > ActionsMax {
		return nil, errRequest
	}
	r.Actions = make([]Action, n)
	for i := range r.Actions {
		a := &r.Actions[i]
		flags := d.Byte()
		a.Kind, a.Return, a.OldOnFailure = Kind(flags>>4), Returns(flags>>1&7), flags&1 == 1
		a.Table = d.Text()
		a.Item = d.Item()
		a.Condition, a.Update = d.Text(), d.Text()
		a.Names, a.Values = d.Item(), d.Item()
		if d.Bad || a.Kind > Check || a.Return > ReturnUpdatedNew {
			return nil, errRequest
		}
	}
	if d.S != "" {
		return nil, errRequest
	}
	return r, nil
}
