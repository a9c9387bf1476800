package ledger

import (
	"bytes"
	"context"
	"time"

	"github.com/daruma-io/daruma/cell"
)

const (
	retainMax   = 128       // failures one step drops
	retainEvery = time.Hour // when nothing else asks for it
	retainSoon  = time.Millisecond
)

// A Usage is how much the ledger keeps, and what it has dropped to stay within its limits.
type Usage struct {
	Failures int64 `json:"failures"` // kept
	Open     int64 `json:"open"`     // of these
	Bytes    int64 `json:"bytes"`    // of records and events
	Recorded int64 `json:"recorded"` // ever: Failures and everything dropped

	DroppedOld    int64 `json:"droppedOld"`    // past their age
	DroppedClosed int64 `json:"droppedClosed"` // to make room
	DroppedOpen   int64 `json:"droppedOpen"`   // to make room, with nobody having looked at them

	// The limits, as they are configured.
	KeepAge   time.Duration `json:"keepAgeNs"`
	KeepBytes int64         `json:"keepBytes"`
	KeepMax   int64         `json:"keepMax"`
}

// Usage returns how much the ledger keeps.
func (l *Ledger) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	err := l.view(ctx, "read the ledger's usage", func(r *cell.Reader) error {
		u = *usage(r)
		return nil
	})
	return u, err
}

func usage(s cell.State) *Usage {
	if u := usages().Get(s, []byte{spaceUsage}); u != nil {
		return u
	}
	return &Usage{}
}

// keep drops what is too much, and sees that the rest is looked at again.
func (m Machine) keep(tx *cell.Tx, u *Usage) {
	if u.Failures > m.KeepMax || u.Bytes > m.KeepBytes || u.KeepAge != m.KeepAge || u.KeepBytes != m.KeepBytes || u.KeepMax != m.KeepMax {
		m.retain(tx)
		return
	}
	if _, ok := tx.Scheduled([]byte(commandRetain)); !ok {
		tx.Schedule(tx.Now().Add(retainEvery), []byte(commandRetain))
	}
}

// Due drops what has grown too old.
func (m Machine) Due(tx *cell.Tx, _ []byte, _ time.Time) error {
	m.withDefaults().retain(tx)
	return nil
}

// retain drops what is past its age, then what is too much: the oldest closed
// failures first, then the oldest open ones.
func (m Machine) retain(tx *cell.Tx) {
	u := usage(tx)
	u.KeepAge, u.KeepBytes, u.KeepMax = m.KeepAge, m.KeepBytes, m.KeepMax
	left := retainMax
	for key, record := range tx.Scan(cell.Range{Lower: firstKept(tx), Upper: []byte{spaceFailure + 1}}) {
		f, err := failures().Decode(record)
		if err != nil {
			failures().Get(tx, key) // has the step end in its error
			return
		}
		if left == 0 || tx.Now().Sub(f.At) < m.KeepAge {
			break
		}
		drop(tx, u, f, int64(len(record)))
		u.DroppedOld++
		left--
	}
	for left > 0 && (u.Failures > m.KeepMax || u.Bytes > m.KeepBytes) {
		f, size := oldest(tx)
		if f == nil {
			break
		}
		if f.State == Open {
			u.DroppedOpen++
		} else {
			u.DroppedClosed++
		}
		drop(tx, u, f, size)
		left--
	}
	usages().Put(tx, []byte{spaceUsage}, u)
	switch {
	case left == 0:
		tx.Schedule(tx.Now().Add(retainSoon), []byte(commandRetain))
	case u.Failures > 0:
		tx.Schedule(tx.Now().Add(retainEvery), []byte(commandRetain))
	}
}

// oldest returns the oldest closed failure, or the oldest open one when none is closed.
func oldest(tx *cell.Tx) (f *Failure, size int64) {
	first := uint64(0)
	for _, s := range []State{Redriven, Discarded, Resolved} {
		if n := oldestIn(tx, s); n > 0 && (first == 0 || n < first) {
			first = n
		}
	}
	if first == 0 {
		first = oldestIn(tx, Open)
	}
	if first == 0 {
		return nil, 0
	}
	record, _ := tx.Get(numbered(spaceFailure, first))
	return failures().Get(tx, numbered(spaceFailure, first)), int64(len(record))
}

// oldestIn returns the lowest number in a state, or 0. It remembers where it
// found it, which spares the next scan the deleted keys below.
func oldestIn(tx *cell.Tx, s State) uint64 {
	rg := cell.Prefix(indexPrefix(byState, string(s)))
	floor, ok := tx.Get(floorKey(s))
	if ok {
		rg.Lower = floor
	}
	for key := range tx.Scan(rg) {
		if !bytes.Equal(key, floor) {
			tx.Set(floorKey(s), key)
		}
		return number(key)
	}
	return 0
}

// lower notes that a number has come into a state.
func lower(tx *cell.Tx, s State, n ID) {
	key := indexKey(byState, string(s), n)
	if floor, ok := tx.Get(floorKey(s)); ok && bytes.Compare(key, floor) < 0 {
		tx.Set(floorKey(s), key)
	}
}

func floorKey(s State) []byte { return append([]byte{spaceNumber, 's'}, s...) }

// firstKept is the key below which no failure is. It spares the scan what was dropped.
func firstKept(tx *cell.Tx) []byte {
	if at, ok := tx.Get([]byte{spaceNumber, 'f'}); ok {
		return at
	}
	return []byte{spaceFailure}
}

// drop removes a failure and everything that leads to it.
func drop(tx *cell.Tx, u *Usage, f *Failure, size int64) {
	key := numbered(spaceFailure, uint64(f.Number))
	first := numbered(spaceFailure, uint64(f.Number)+1)
	for k := range tx.Scan(cell.Range{Lower: firstKept(tx), Upper: key}) {
		first = k // an older one stays
		break
	}
	tx.Set([]byte{spaceNumber, 'f'}, first)
	tx.Delete(key)
	tx.Delete(numbered(spaceEvent, uint64(f.Number)))
	tx.Delete(indexKey(byState, string(f.State), f.Number))
	index(f, func(key []byte) { tx.Delete(key) })
	u.Failures--
	u.Bytes -= size + int64(f.EventBytes)
	if f.State == Open {
		u.Open--
		need(tx, f, -1)
	}
	g := groups().Get(tx, numbered(spaceGroup, uint64(f.Group)))
	if g == nil {
		return
	}
	if f.State == Open {
		g.Open--
	}
	if g.Kept--; g.Kept > 0 {
		groups().Put(tx, numbered(spaceGroup, uint64(g.Number)), g)
		return
	}
	// The group goes with its last failure.
	tx.Delete(numbered(spaceGroup, uint64(g.Number)))
	tx.Delete(alikeKey(f))
}
