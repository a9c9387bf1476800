package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

const (
	// flightMax is how many entries may be on their way to the disk before
	// Append waits: one that syncs, and one that lies in the log meanwhile.
	// Then those who wait make the next entry larger.
	flightMax = 2
	// closeMax is how long Close waits for a disk that takes nothing.
	closeMax = 5 * time.Second
	// Before a journal is opened, the newest tables are read and checked, for
	// as long and as far as this; the rest is checked in the background.
	openCheckBytes = 64 << 20
	openCheckTime  = 300 * time.Millisecond
)

// disk is an opened journal. Four goroutines work on it: the caller of Append,
// who applies; commit, which hands batches to the store; settle, which waits
// for their syncs; and, when the gate has shut, fail, which answers what settle
// no longer will. commit and settle may stop for ever behind a shut gate, so
// nobody waits for them without waiting for the gate.
type disk struct {
	place Place
	apply journal.Apply
	db    *pebble.DB
	gate  *gate
	room  *room
	hw    *highwater
	lock  *os.File

	appending sync.Mutex // held while an entry is applied; guards last
	last      applied
	batches   chan *pebble.Batch // to commit
	committed chan error         // from commit
	slots     chan struct{}      // one token for each entry in flight, but for one
	arrived   chan struct{}      // a token when there is something to settle
	settling  sync.Mutex         // held while ends are told: by settle, or by fail

	basing sync.Mutex
	bases  []*base // the states before the entries in flight, and before the one being handed over; guarded by basing
	rests  *base   // the state while there are none of these, once somebody has read it; nil before; guarded by basing

	mu      sync.Mutex
	durable uint64
	applied applied
	flights []flight      // in order
	moved   chan struct{} // closed when durable or fault changes, or flights is empty; nil when nobody waits
	fault   error         // why nothing is taken any more
	failing bool          // flights were answered, or are being answered, by fail
	damage  error         // the first damage found
	closing bool

	readers sync.WaitGroup // open snapshots and checkpoints
	stop    context.CancelFunc
	failed  chan struct{}  // closed when fail has answered everything
	running sync.WaitGroup // the guards
}

// A flight is an entry on its way to the disk.
type flight struct {
	batch    *pebble.Batch // nil when it changed nothing
	position uint64
	result   any
	done     journal.Done
	departed time.Time
}

func newDisk(p Place, apply journal.Apply, hw *highwater, room *room) *disk {
	d := &disk{place: p, apply: apply, hw: hw, room: room, batches: make(chan *pebble.Batch), committed: make(chan error, 1), slots: make(chan struct{}, flightMax), arrived: make(chan struct{}, 1), failed: make(chan struct{})}
	d.gate = &gate{FS: p.files, starving: room.starve, failed: d.broken, damaged: d.harm, shut: make(chan struct{})}
	return d
}

// events are what the store tells.
func (d *disk) events() *pebble.EventListener {
	return &pebble.EventListener{
		WALCreated: func(i pebble.WALCreateInfo) { d.hw.uses(uint64(i.FileNum)) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			d.harm(i.Path, errors.New(oneLine(i.Details.Error())))
		},
		BackgroundError: func(err error) {
			if pebble.IsCorruptionError(err) {
				d.harm(d.fileIn(err), errors.New(oneLine(err.Error())))
			}
			d.place.Logger.Warn("cell: the store could not tidy up", "err", oneLine(err.Error()))
		},
	}
}

// fileIn finds the table an error speaks of.
func (d *disk) fileIn(err error) string {
	store := d.place.path(storeName)
	if n, e := strconv.ParseUint(fileNumber.FindString(err.Error()), 10, 64); e == nil {
		return filepath.Join(store, fmt.Sprintf("%06d.sst", n))
	}
	return store
}

func (d *disk) start() {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go d.commit()
	go d.settle()
	d.running.Go(func() { d.watch(ctx) })
	d.running.Go(func() { d.scrub(ctx) })
}

// harm notes that a file is damaged.
func (d *disk) harm(path string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.damage != nil {
		return
	}
	d.damage = &daruma.Error{Op: "read", Ref: path, Kind: daruma.KindCorrupt, Err: err, Hint: "what it holds cannot be read; restore the cell from a checkpoint"}
	d.place.Logger.Error("cell: a file is damaged", "path", path, "err", err)
}

// refusal says why nothing is taken.
func (d *disk) refusal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusalLocked()
}

func (d *disk) refusalLocked() error {
	if d.closing {
		return &daruma.Error{Op: "use journal", Ref: d.place.Dir, Kind: daruma.KindUnavailable, Err: errors.New("the journal is closed")}
	}
	return d.fault
}

func (d *disk) wakeLocked() {
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

// Status returns where the journal stands.
func (d *disk) Status() journal.Status {
	free, full, none := d.room.state()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := journal.Status{Applied: d.applied.position, Durable: d.durable, Fence: d.applied.fence, Time: d.applied.time, Full: full, Refuses: d.refusalLocked(), Damage: d.damage, Free: free}
	if s.Applied == 0 {
		s.Time = time.Time{}
	}
	if s.Refuses == nil {
		s.Refuses = none
	}
	if len(d.flights) > 0 {
		s.Pending = time.Since(d.flights[0].departed)
	}
	return s
}

// Close ends the journal.
func (d *disk) Close() error {
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return os.ErrClosed
	}
	d.closing = true
	d.wakeLocked()
	d.mu.Unlock()
	d.stop()
	late := time.AfterFunc(closeMax, func() { d.gate.close(errShut) }) // it waits for space
	d.appending.Lock()                                                 // the last entry has departed
	close(d.batches)
	d.appending.Unlock()
	d.landed()
	late.Stop()
	d.running.Wait()
	d.readers.Wait()
	if d.gate.refusal() != nil {
		<-d.failed
		return errors.Join(d.fault, d.hw.close(), d.lock.Close())
	}
	return errors.Join(d.finish(), d.hw.close(), d.lock.Close())
}

// landed waits until nothing is in flight.
func (d *disk) landed() {
	select {
	case d.arrived <- struct{}{}: // so that settle ends
	default:
	}
	for {
		d.mu.Lock()
		if len(d.flights) == 0 {
			d.mu.Unlock()
			return
		}
		if d.moved == nil {
			d.moved = make(chan struct{})
		}
		moved := d.moved
		d.mu.Unlock()
		<-moved
	}
}

// finish closes the store and takes the inventory.
func (d *disk) finish() error {
	late := time.AfterFunc(closeMax, func() { d.gate.close(errShut) })
	defer late.Stop()
	if err := d.gate.run(func() error { return errors.Join(d.disturb(), d.db.Close()) }); err != nil {
		return unreachable("close store", d.place.Dir, err)
	}
	inv, err := takeInventory(d.place.path(storeName), every)
	if err == nil {
		err = writeSealed(d.place.path(inventoryName), inv)
	}
	if err == nil {
		err = d.hw.enter(closed)
	}
	if err != nil {
		return unreachable("close cell", d.place.Dir, err)
	}
	return nil
}
