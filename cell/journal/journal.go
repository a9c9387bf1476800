// Package journal is the contract between a cell and what keeps its history:
// commands in order, durable, together with the state they lead to.
//
// A cell hands over entries, each of them many commands. The journal gives
// every entry a position, has it applied (see [Apply]), keeps the changes
// together with the position in one atomic step, and says when that is
// durable. Whether it stores the commands and applies them again later (a
// replicated log) or stores the changes at once (the disk journal) is its own
// matter: Apply is deterministic, so both lead to the same state.
//
// What every journal promises, and the exam in journaltest asks:
//
//   - Order: entries are applied and become durable in the order they were
//     appended. Positions grow; an entry that changed nothing may be given the
//     position before it.
//   - All or nothing: after any crash the state is that of some position, at
//     least the last one reported durable. There is nothing of a later entry
//     without all of the entries before it.
//   - No going back: a [Snapshot] shows durable state only.
//   - Fencing: an entry with a fence lower than one seen before is refused.
//   - Never a shorter history: what is damaged or missing is an error of
//     KindCorrupt that names the file, not an earlier state.
//
// It does not promise exactly-once to callers: an Append that ended in doubt
// may have happened.
package journal

import (
	"context"
	"time"
)

// Limits of what a journal takes.
const (
	KeyBytesMax   = 8 << 10  // a key
	ValueBytesMax = 16 << 20 // a value
	EntryBytesMax = 64 << 20 // the changes of one entry: keys and values together
)

// A Command is one step a machine is asked to take. All that its outcome
// depends on is in it, in its entry, and in the state it is applied to.
type Command struct {
	Machine string // who applies it
	Name    string // what it is: "put", "lease"
	Body    []byte // its arguments, in the machine's own form; at most CommandBytesMax of the cell
	Frees   bool   // it makes room (a delete, an acknowledgement): taken while the disk is nearly full
}

// An Entry is what a journal keeps as one step: commands that are applied one
// after another, and what they may know of the outside world.
type Entry struct {
	Position uint64    // set by the journal; the first is 1
	Fence    uint64    // the generation of the cell that made it
	Time     time.Time // the cell's clock, in UTC and without a monotonic reading
	Seed     uint64    // what random numbers in it are drawn from
	Commands []Command
}

// A Write sets a key, or deletes it.
type Write struct {
	Key    []byte
	Value  []byte
	Delete bool
}

// A Range is the keys from Lower up to but not including Upper. A nil Upper has no end.
type Range struct {
	Lower, Upper []byte
}

// Changes are what an entry does to the state: the keys of Deleted go first,
// then Writes are made, which have each key once and ascend.
type Changes struct {
	Deleted []Range
	Writes  []Write
}

// Empty says whether there is nothing to do.
func (c Changes) Empty() bool { return len(c.Deleted) == 0 && len(c.Writes) == 0 }

// A Reader reads one state.
type Reader interface {
	// Get returns the value of key, or nil and false. The value may be kept
	// and must not be changed. A damaged file is a KindCorrupt error that
	// names it.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan yields the keys of r in ascending order, or in descending order,
	// until yield returns false. Keys and values may be kept and must not be
	// changed.
	Scan(r Range, descending bool, yield func(key, value []byte) bool) error
}

// A Snapshot is a state that does not change, and is durable.
type Snapshot interface {
	Reader
	// Position is that of the last entry in it.
	Position() uint64
	// Close gives up what the snapshot keeps from being cleaned away.
	Close() error
}

// Apply works out what an entry does to the state before it, and what to
// answer whoever appended it. It depends on nothing else and changes nothing
// itself. An error says that it cannot: nothing of the entry is kept, and
// Append returns the error.
type Apply func(e Entry, before Reader) (changes Changes, result any, err error)

// Done is told the end of an entry that Append took: its position once it is
// durable, and what Apply returned. An error of KindDoubtful says that nobody
// knows whether the entry will be found after a restart. It is called once for
// each entry, in order, never from two goroutines at once, and returns quickly.
type Done func(position uint64, result any, err error)

// A Journal keeps entries.
type Journal interface {
	// Append puts e behind all entries before it. It waits while too many
	// entries are on their way to the disk. With a nil error done is called,
	// perhaps before Append returns; with an error it never is, and nothing
	// of the entry is kept: KindConflict for a fence that is too low,
	// KindFull when there is no room, KindUnavailable when the journal has
	// failed or is closed. One goroutine at a time may call it.
	Append(e Entry, done Done) error
	// Snapshot returns the durable state: with every entry of which Done was
	// told before the call, and without those still on their way. It may be
	// called from any goroutine.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Checkpoint writes a copy of the durable state into dir, which must not
	// exist. The copy can be opened as a journal of the same kind. Work goes
	// on meanwhile.
	Checkpoint(ctx context.Context, dir string) error
	// Status is cheap and may be called from any goroutine.
	Status() Status
	// Close ends the journal once what was appended is durable. Snapshots
	// must be closed before.
	Close() error
}

// Status is where a journal stands.
type Status struct {
	Applied uint64        // position of the last entry applied
	Durable uint64        // position of the last entry known to be durable
	Fence   uint64        // the highest fence seen
	Time    time.Time     // of the last entry applied; zero when there is none
	Pending time.Duration // how long the oldest entry has been waiting to become durable
	Full    error         // KindFull while only commands that free are taken; else nil
	Refuses error         // why nothing at all is taken now (KindUnavailable, KindFull, KindCorrupt); else nil
	Damage  error         // KindCorrupt: damage that was found, and is lasting; else nil
	Free    uint64        // bytes free on the disk; 0 when there is none
}

// A Place is where a journal lies: a directory, or memory.
type Place interface {
	// Open opens the journal, or makes an empty one. An opened journal owns
	// its place until it is closed: KindLocked when another process has it.
	Open(ctx context.Context, apply Apply) (Journal, error)
}
