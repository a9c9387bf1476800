package disk

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daruma-io/daruma"
)

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
	left, started := int64(openCheckBytes), time.Now()
	for _, path := range tables {
		info, err := os.Stat(path)
		if err != nil {
			continue // it was compacted away; the store has checked that all are there
		}
		if left -= info.Size(); left < 0 || time.Since(started) > openCheckTime {
			return nil
		}
		if err := checkTable(path, o); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
