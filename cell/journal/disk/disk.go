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
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

const (
	// flightMax is how many entries may be on their way to the disk: one that
	// syncs, and one that gathers in the log meanwhile.
	flightMax = 2
	// closeMax is how long Close waits for a disk that takes nothing.
	closeMax = 5 * time.Second
	// openCheckBytes of the newest tables are read and checked before a
	// journal is opened; the rest is checked in the background.
	openCheckBytes = 64 << 20
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

// recover checks what is there, and opens the store.
func (d *disk) recover(ctx context.Context) error {
	store := d.place.path(storeName)
	phase := d.hw.phase
	if phase != opening {
		if err := d.checkInventory(store); err != nil {
			return err
		}
	}
	if phase != closed {
		if _, err := d.place.inspect(d.hw); err != nil {
			return err
		}
	}
	if err := d.hw.enter(opening); err != nil {
		return unreachable("write", d.hw.path, err)
	}
	if err := d.openStore(ctx, store); err != nil {
		return err
	}
	err := d.adopt(store)
	if err != nil {
		d.gate.close(err)
	}
	return err
}

// checkInventory compares the files of the store with the list of them.
func (d *disk) checkInventory(store string) error {
	path := d.place.path(inventoryName)
	var inv inventory
	err := readSealed(path, &inv)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return corrupt(path, errors.New("the file is missing"))
	case err != nil && daruma.KindOf(err) != daruma.KindCorrupt:
		return unreachable("read", path, err)
	case err != nil:
		return err
	}
	return inv.check(store)
}

// openStore opens the store behind the gate. A disk without any room does not
// keep the caller waiting beyond ctx, or closeMax.
func (d *disk) openStore(ctx context.Context, store string) error {
	var db *pebble.DB
	opened := make(chan error, 1)
	go func() {
		opened <- d.gate.run(func() (err error) {
			db, err = pebble.Open(store, d.place.options(d.gate, d.events()))
			return err
		})
	}()
	patience := time.NewTimer(closeMax)
	defer patience.Stop()
	for {
		select {
		case err := <-opened:
			if err == nil {
				d.db = db
				return nil
			}
			if d.gate.refusal() != nil {
				return unreachable("open store", store, err)
			}
			return d.place.blame(nil, d.hw, err)
		case <-ctx.Done():
			d.gate.close(context.Cause(ctx))
			return &daruma.Error{Op: "open store", Ref: store, Kind: daruma.KindExpired, Err: context.Cause(ctx)}
		case <-patience.C:
			d.room.look()
			if _, _, none := d.room.state(); none != nil {
				d.gate.close(errShut)
				return none
			}
			patience.Reset(closeMax)
		}
	}
}

// adopt checks the opened store, and notes that it is in use.
func (d *disk) adopt(store string) error {
	var err error
	if err := protect(func() error { d.last, err = readApplied(d.db); return err }); err != nil {
		return d.place.blame(nil, d.hw, err)
	}
	if d.last.id != d.hw.id {
		return corrupt(store, errors.New("it belongs to another cell"))
	}
	if d.last.position < d.hw.position {
		return d.place.lost("", d.hw, "the history ends at entry %d, but %d were durable", d.last.position, d.hw.position)
	}
	if err := d.checkTables(); err != nil {
		return err
	}
	inv, err := lasting(store)
	if err == nil {
		err = writeSealed(d.place.path(inventoryName), inv)
	}
	if err == nil {
		err = d.hw.raise(d.last.position)
	}
	if err == nil {
		err = d.hw.enter(running)
	}
	if err != nil {
		return unreachable("open cell", d.place.Dir, err)
	}
	d.applied, d.durable = d.last, d.last.position
	return nil
}

// checkTables checks the newest tables.
func (d *disk) checkTables() error {
	tables, err := d.place.tables(d.db)
	if err != nil {
		return d.place.blame(nil, d.hw, err)
	}
	o := d.place.options(plainGate(vfs.Default), nil)
	left := int64(openCheckBytes)
	for _, path := range tables {
		info, err := os.Stat(path)
		if err != nil {
			continue // it was compacted away; the store has checked that all are there
		}
		if left -= info.Size(); left < 0 {
			return nil
		}
		if err := checkTable(path, o); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
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

// Append applies e and hands its changes to the store. It returns when the
// next entry may come.
func (d *disk) Append(e journal.Entry, done journal.Done) error {
	if err := d.append(e, done); err != nil {
		return err
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.gate.shut:
	}
	return nil
}

func (d *disk) append(e journal.Entry, done journal.Done) error {
	d.appending.Lock()
	defer d.appending.Unlock()
	if err := d.refusal(); err != nil {
		return err
	}
	if e.Fence < d.last.fence {
		return &daruma.Error{Op: "append entry", Ref: d.place.Dir, Kind: daruma.KindConflict, Err: errors.New("a newer leader has taken over")}
	}
	e.Position = d.last.position + 1
	changes, result, err := d.apply(e, reader{d, d.db})
	if err != nil {
		return err
	}
	f := flight{position: d.last.position, result: result, done: done, departed: time.Now()}
	if !changes.Empty() {
		f.position = e.Position
		next := applied{position: e.Position, fence: e.Fence, time: e.Time, id: d.hw.id}
		if f.batch, err = d.batch(changes, next); err != nil {
			return err
		}
		if err := d.hand(f.batch); err != nil {
			<-d.failed
			done(f.position, result, d.doubt(err))
			return nil
		}
		d.last = next
	}
	d.depart(f)
	return nil
}

// hand has the commit goroutine give a batch to the store.
func (d *disk) hand(b *pebble.Batch) error {
	select {
	case d.batches <- b: // commit is idle, or stopped for ever
	case <-d.gate.shut:
		return d.gate.refusal()
	}
	select {
	case err := <-d.committed:
		if err != nil {
			d.gate.close(err)
		}
		return err
	case <-d.gate.shut:
		return d.gate.refusal()
	}
}

// commit gives batches to the store. It has a goroutine of its own because the
// store may stop it for ever.
func (d *disk) commit() {
	for b := range d.batches {
		d.committed <- caught(func() error { return d.db.ApplyNoSyncWait(b, pebble.Sync) })
	}
}

// depart puts an applied entry in flight.
func (d *disk) depart(f flight) {
	d.mu.Lock()
	d.applied = d.last
	failing := d.failing
	if !failing {
		d.flights = append(d.flights, f)
	}
	d.mu.Unlock()
	if failing {
		<-d.failed
		f.done(f.position, f.result, d.doubt(d.gate.refusal()))
		return
	}
	select {
	case d.arrived <- struct{}{}:
	default:
	}
}

// batch puts the changes of an entry and its position together.
func (d *disk) batch(c journal.Changes, next applied) (*pebble.Batch, error) {
	b := d.db.NewBatch()
	var err error
	for _, r := range c.Deleted {
		err = errors.Join(err, b.DeleteRange(r.Lower, r.Upper, nil))
	}
	for _, w := range c.Writes {
		if w.Delete {
			err = errors.Join(err, b.Delete(w.Key, nil))
		} else {
			err = errors.Join(err, b.Set(w.Key, w.Value, nil))
		}
	}
	err = errors.Join(err, b.Set([]byte(appliedKey), next.encode(), nil))
	if err != nil {
		return nil, &daruma.Error{Op: "append entry", Kind: daruma.KindInternal, Err: errors.Join(err, b.Close())}
	}
	return b, nil
}

// settle waits for entries to become durable, one after another, and tells
// whoever appended them. It ends when the journal is closed, or the gate shuts.
func (d *disk) settle() {
	for {
		f, ok := d.head()
		if !ok {
			return
		}
		var err error
		if f.batch != nil {
			err = caught(func() error { return errors.Join(f.batch.SyncWait(), f.batch.Close()) })
		}
		if err == nil {
			err = d.hw.raise(f.position)
		}
		if err != nil {
			d.gate.close(err)
			return
		}
		if !d.arrive(f) {
			return
		}
		select {
		case <-d.slots:
		case <-d.gate.shut:
		}
	}
}

// head waits for the oldest entry in flight.
func (d *disk) head() (flight, bool) {
	for {
		d.mu.Lock()
		closing := d.closing
		if len(d.flights) > 0 {
			f := d.flights[0]
			d.mu.Unlock()
			return f, true
		}
		d.mu.Unlock()
		if closing {
			return flight{}, false
		}
		select {
		case <-d.arrived:
		case <-d.gate.shut:
			return flight{}, false
		}
	}
}

// arrive tells that an entry is durable, unless the gate has shut meanwhile.
func (d *disk) arrive(f flight) bool {
	d.settling.Lock()
	defer d.settling.Unlock()
	d.mu.Lock()
	if d.failing {
		d.mu.Unlock()
		return false
	}
	d.flights = d.flights[1:]
	d.durable = f.position
	d.wakeLocked()
	d.mu.Unlock()
	f.done(f.position, f.result, nil)
	return true
}

// broken notes that a change of a file has failed, and has what is in flight
// answered. It is called once, by the gate.
func (d *disk) broken(err error) {
	d.mu.Lock()
	d.failing = true
	d.fault = &daruma.Error{Op: "write", Ref: d.place.Dir, Kind: daruma.KindUnavailable, Err: fmt.Errorf("the disk has failed: %w", err), Hint: "nothing is acknowledged any more; look after the disk and start again"}
	d.wakeLocked()
	d.mu.Unlock()
	if !errors.Is(err, errShut) {
		d.place.Logger.Error("cell: the disk has failed", "dir", d.place.Dir, "err", oneLine(err.Error()))
	}
	go d.fail(err)
}

// fail answers the entries in flight when the gate has shut.
func (d *disk) fail(err error) {
	d.settling.Lock()
	defer d.settling.Unlock()
	d.mu.Lock()
	lost := d.flights
	d.flights = nil
	d.wakeLocked()
	d.mu.Unlock()
	for _, f := range lost {
		f.done(f.position, f.result, d.doubt(err))
	}
	close(d.failed)
}

func (d *disk) doubt(err error) error {
	return &daruma.Error{Op: "sync entry", Ref: d.place.Dir, Kind: daruma.KindDoubtful, Err: err}
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
	if err := d.gate.run(d.db.Close); err != nil {
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
