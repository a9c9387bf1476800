package disk

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

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
	if plantedEarlyAnswer() {
		done(d.last.position, result, nil)
		done = func(uint64, any, error) {}
	}
	f := flight{position: d.last.position, result: result, done: done, departed: time.Now()}
	if !changes.Empty() {
		f.position = e.Position
		next := applied{position: e.Position, fence: e.Fence, time: e.Time, id: d.hw.id}
		if f.batch, err = d.batch(changes, next); err != nil {
			return err
		}
		d.putBase(d.last.position)
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
		d.committed <- caught(func() error {
			if plantedSkippedSync() {
				return d.db.Apply(b, pebble.NoSync)
			}
			return d.db.ApplyNoSyncWait(b, pebble.Sync)
		})
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
	if f.batch != nil {
		d.dropBase()
	}
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
