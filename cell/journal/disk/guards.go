package disk

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daruma-io/daruma"
)

const (
	lookEvery  = 250 * time.Millisecond // at the free space
	syncEvery  = time.Second            // of the high-water file
	scrubPause = 500 * time.Millisecond // between two tables: some megabytes a second at most
)

// watch looks after the free space and the high-water file until ctx ends.
func (d *disk) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	synced := time.Now()
	for {
		d.room.look()
		select {
		case <-ctx.Done():
			return
		case <-d.gate.shut:
			return
		case <-tick.C:
		}
		if time.Since(synced) < syncEvery {
			continue
		}
		synced = time.Now()
		if err := d.hw.sync(); err != nil {
			d.gate.close(err)
		}
	}
}

// scrub reads all tables and compares their checksums, again and again, until ctx ends.
func (d *disk) scrub(ctx context.Context) {
	o := d.place.options(plainGate(vfs.Default), nil)
	for {
		tables, err := d.place.tables(d.db)
		if err != nil {
			d.place.Logger.Warn("cell: the tables cannot be listed", "err", err)
		}
		for _, path := range tables {
			if !d.rest(ctx, scrubPause) {
				return
			}
			err := checkTable(path, o)
			if errors.Is(err, os.ErrNotExist) && d.inUse(path) {
				err = corrupt(path, errors.New("the file is missing"))
			}
			if e, ok := errors.AsType[*daruma.Error](err); ok && e.Kind == daruma.KindCorrupt {
				d.harm(path, e.Err)
			}
		}
		if !d.rest(ctx, d.place.ScrubEvery) {
			return
		}
	}
}

// inUse says whether the store still needs a table.
func (d *disk) inUse(path string) bool {
	tables, err := d.place.tables(d.db)
	if err != nil {
		return false
	}
	for _, t := range tables {
		if t == path {
			return true
		}
	}
	return false
}

// rest waits, and returns false when there is nothing more to do.
func (d *disk) rest(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-d.gate.shut:
		return false
	case <-t.C:
		return true
	}
}
