package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma"
)

// Checkpoint writes a copy of the durable state into dir, which must not
// exist. Tables are shared with the original by hard links where the file
// system allows it: copy the directory elsewhere to be safe from a bad disk.
func (d *disk) Checkpoint(ctx context.Context, dir string) (err error) {
	d.mu.Lock()
	if err := d.refusalLocked(); err != nil {
		d.mu.Unlock()
		return err
	}
	d.readers.Add(1)
	position := d.applied.position
	d.mu.Unlock()
	defer d.readers.Done()
	if err := d.await(ctx, position); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return &daruma.Error{Op: "checkpoint", Ref: dir, Kind: daruma.KindExists, Err: err}
		}
		return unreachable("checkpoint", dir, err)
	}
	copied := Place{Dir: dir}
	steps := []func() error{
		func() error {
			return d.gate.run(func() error { return d.db.Checkpoint(copied.path(storeName), pebble.WithFlushedWAL()) })
		},
		func() error { return copied.seal(d.hw.id, position) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return unreachable("checkpoint", dir, errors.Join(err, os.RemoveAll(dir)))
		}
	}
	return nil
}

// seal makes a directory with a store in it into that of a closed cell.
func (p Place) seal(id identity, position uint64) error {
	inv, err := takeInventory(p.path(storeName), every)
	if err != nil {
		return err
	}
	c := cellFile{Format: formatVersion, ID: hex.EncodeToString(id[:]), Created: time.Now().UTC().Truncate(time.Second), Complete: true}
	return errors.Join(
		writeSealed(p.path(inventoryName), inv),
		createHighwater(p.path(highwaterName), id, position, closed),
		writeSealed(p.path(cellName), c),
		syncDir(filepath.Dir(p.Dir)),
	)
}
