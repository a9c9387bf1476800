// Package once remembers which events of a function were done, by a key in each
// event, so that the same event is not run again when it comes twice.
//
//	run ─► its source settles it and keeps its key, in one step
//	the same key again, the same event   ─► answered with what is kept
//	the same key again, another event    ─► refused
//	after its time                       ─► forgotten
//
// It promises that a key is kept in the very step that settles its event (Keep
// inside another machine's command): there is no moment in which an event is done
// and its key is not known. It does not promise that an event runs once: one that
// ran, and whose end was lost in a crash, runs again. Who runs events sees to it
// that two with one key do not run at once. The methods of Records may be called
// from any goroutine.
package once

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/ledger"
)

// Limits of what is kept.
const (
	ForMin      = time.Second
	ForMax      = 90 * 24 * time.Hour
	ForDefault  = time.Hour
	keyBytesMax = 256 // of a key, for people; one that is longer is told apart by the hash of all of it
)

// A Rule says which events of a function are the same.
type Rule struct {
	Path string        `json:"path"`  // a JSON path to the key: "$.order.id"
	For  time.Duration `json:"forNs"` // how long a key is kept
}

// Check says what is wrong with a rule.
func (r Rule) Check() error {
	if err := ledger.CheckPath(r.Path); err != nil {
		return &daruma.Error{Op: "check idempotency", Ref: r.Path, Kind: daruma.KindInvalid, Err: err, Hint: "a path is like $.order.id"}
	}
	if r.For < ForMin || r.For > ForMax {
		return &daruma.Error{Op: "check idempotency", Kind: daruma.KindInvalid, Err: errors.New("a key is kept from a second to 90 days")}
	}
	return nil
}

// A Fate is what became of an event with a key.
type Fate string

// The fates there are.
const (
	Ran        Fate = "run"
	Suppressed Fate = "suppressed" // it was answered with what is kept
	Clashed    Fate = "clashed"    // its key was kept for another event
)

// An Entry is one event with a key.
type Entry struct {
	Function string        `json:"function"`
	Key      string        `json:"key"`
	Hash     string        `json:"hash"` // of all of the event
	For      time.Duration `json:"forNs"`
	Fate     Fate          `json:"fate"`
}

// Of returns the entry of an event, and nil when it has no key.
func (r Rule) Of(function string, event []byte) *Entry {
	key, ok := ledger.Key(event, r.Path)
	if !ok {
		return nil
	}
	if len(key) > keyBytesMax {
		sum := sha256.Sum256([]byte(key))
		key = ledger.Cut(key, keyBytesMax) + " " + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(event)
	return &Entry{Function: function, Key: key, Hash: hex.EncodeToString(sum[:]), For: r.For, Fate: Ran}
}

// As is the entry with another fate.
func (e Entry) As(f Fate) *Entry {
	e.Fate = f
	return &e
}

// A Record is what is kept of an event that is done.
type Record struct {
	Key    string    `json:"key"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
	Result []byte    `json:"result,omitempty"`
}

// A Tally counts the events of a function that had a key.
type Tally struct {
	Function   string `json:"function"`
	Run        int64  `json:"run"`
	Suppressed int64  `json:"suppressed"`
	Clashed    int64  `json:"clashed"`
	Kept       int64  `json:"kept"` // keys that are known now
}

// Accepted is how many there were.
func (t *Tally) Accepted() int64 { return t.Run + t.Suppressed + t.Clashed }

const (
	machineName = "once"
	commandKeep = "keep"
)

// records and tallies are how they are kept: under "k/<function>/<hash of the key>", and "t/<function>".
//
//	1: the first
func records() cell.Format[Record] { return cell.Format[Record]{Kind: "key", Version: 1} }

func tallies() cell.Format[Tally] { return cell.Format[Tally]{Kind: "tally of keys", Version: 1} }

func keyOf(function, key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return append([]byte("k/"+function+"/"), sum[:]...)
}

func tallyKey(function string) []byte { return []byte("t/" + function) }

// Keep notes what became of events, as part of another machine's step. result is
// what a run was answered with, when there is one entry.
func Keep(tx *cell.Tx, result []byte, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	head, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	body := binary.AppendUvarint(make([]byte, 0, len(head)+len(result)+4), uint64(len(head)))
	_, err = tx.Do(cell.Command{Machine: machineName, Name: commandKeep, Body: append(append(body, head...), result...)})
	return err
}

// A Machine applies the commands of keys.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	n, used := binary.Uvarint(cmd.Body)
	if cmd.Name != commandKeep || used <= 0 || n > uint64(len(cmd.Body)-used) {
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: cmd.Name, Err: errors.New("this is no command of keys")}
	}
	var entries []Entry
	if err := json.Unmarshal(cmd.Body[used:used+int(n)], &entries); err != nil {
		return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: cmd.Name, Err: err}
	}
	if plantedLater(tx, cmd.Body) {
		return nil, nil
	}
	result := cmd.Body[used+int(n):]
	for _, e := range entries {
		t := tallies().Get(tx, tallyKey(e.Function))
		if t == nil {
			t = &Tally{Function: e.Function}
		}
		switch e.Fate {
		case Suppressed:
			t.Suppressed++
		case Clashed:
			t.Clashed++
		case Ran:
			t.Run++
			keep(tx, t, e, result)
		default:
			return nil, &daruma.Error{Kind: daruma.KindInvalid, Ref: string(e.Fate), Err: errors.New("an event has no such fate")}
		}
		tallies().Put(tx, tallyKey(e.Function), t)
	}
	return nil, nil
}

// keep keeps a key. One that is known stays as it was.
func keep(tx *cell.Tx, t *Tally, e Entry, result []byte) {
	key := keyOf(e.Function, e.Key)
	is := records().Get(tx, key)
	if is != nil && is.Until.After(tx.Now()) {
		return
	}
	if is == nil {
		t.Kept++
	}
	is = &Record{Key: e.Key, Hash: e.Hash, At: tx.Now(), Until: tx.Now().Add(e.For), Result: result}
	records().Put(tx, key, is)
	tx.Schedule(is.Until, key)
}

// Due forgets a key whose time is over.
func (m Machine) Due(tx *cell.Tx, key []byte, _ time.Time) error {
	if plantedDue(tx, key, m) {
		return nil
	}
	is := records().Get(tx, key)
	if is == nil {
		return nil
	}
	if is.Until.After(tx.Now()) {
		tx.Schedule(is.Until, key)
		return nil
	}
	tx.Delete(key)
	function := string(key[2 : len(key)-sha256.Size-1])
	if t := tallies().Get(tx, tallyKey(function)); t != nil {
		t.Kept--
		tallies().Put(tx, tallyKey(function), t)
	}
	return nil
}

// Records is the keys of one cell, of which Machine is one of the machines.
type Records struct{ cell *cell.Cell }

// New returns the keys that lie in c. It starts nothing.
func New(c *cell.Cell) *Records { return &Records{c} }

// Find returns what is kept under an entry's key, and nil when nothing is.
func (x *Records) Find(ctx context.Context, e *Entry, now time.Time) (*Record, error) {
	var is *Record
	err := x.cell.View(ctx, machineName, func(r *cell.Reader) error {
		is = records().Get(r, keyOf(e.Function, e.Key))
		return nil
	})
	if is != nil && !is.Until.After(now) {
		is = nil
	}
	return is, err
}

// Tallies returns the tallies of all functions that have had keys, by name.
func (x *Records) Tallies(ctx context.Context) ([]Tally, error) {
	var all []Tally
	err := x.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, t := range tallies().All(r, cell.Prefix([]byte("t/"))) {
			all = append(all, *t)
		}
		return nil
	})
	return all, err
}
