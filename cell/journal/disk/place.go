// Package disk holds the journal that lies in a directory: the embedded
// default. The store is Pebble, and its synced write-ahead log is the journal:
// what an entry changes and its position are one batch, so there is nothing to
// replay and nothing to trim.
//
//	DIR/CELL        whose it is; there from the first moment to the last
//	DIR/LOCK        held while a process has it
//	DIR/HIGHWATER   the highest position known to be durable, and the phase
//	DIR/INVENTORY   which files there should be in the store
//	DIR/BALLAST     space that is given up when the disk is nearly full
//	DIR/store/      Pebble's
//
// It promises what every journal promises, given a disk that keeps what it
// says it has synced. Beyond that: no space is not a fault but a wait; after
// any other fault of a write nothing is taken any more and nothing is reported
// durable; what is damaged or missing is named. DESIGN.md beside the cell has
// the reasons.
//
// It waits in real time, not by the product's clock: disks do.
package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

// The files of a journal.
const (
	cellName      = "CELL"
	lockName      = "LOCK"
	highwaterName = "HIGHWATER"
	inventoryName = "INVENTORY"
	ballastName   = "BALLAST"
	storeName     = "store"
)

// A Place is a directory, with how its journal is to be kept.
type Place struct {
	// Dir is the directory. It is made when there is none, readable for its owner only.
	Dir string
	// FreeBytesMin is how much of the disk must be free for commands that do
	// not free room themselves. 128 MiB when 0.
	FreeBytesMin uint64
	// BallastBytes is the size of the file that is given up when the disk is
	// nearly full. 32 MiB when 0.
	BallastBytes uint64
	// CacheBytes is how much of the store is kept in memory, what was last
	// written included. 44 MiB when 0.
	CacheBytes int64
	// ScrubEvery is how long the background check of all tables rests between
	// two rounds. 24 hours when 0.
	ScrubEvery time.Duration
	// Logger is where it reports what goes wrong; nowhere when nil.
	Logger *slog.Logger

	files vfs.FS // what the store in use is kept on; tests break it
}

// cellFile is the content of CELL.
type cellFile struct {
	Format   int       `json:"format"` // formatVersion
	ID       string    `json:"id"`     // the identity, in hex
	Created  time.Time `json:"created"`
	Complete bool      `json:"complete"` // false while the directory is being made: nothing was ever acknowledged
}

// formatVersion is that of the directory. 1: the first.
const formatVersion = 1

func (p Place) path(name string) string { return filepath.Join(p.Dir, name) }

func (p Place) withDefaults() Place {
	if p.FreeBytesMin == 0 {
		p.FreeBytesMin = 128 << 20
	}
	if p.BallastBytes == 0 {
		p.BallastBytes = 32 << 20
	}
	if p.CacheBytes == 0 {
		p.CacheBytes = cacheBytesDefault
	}
	if p.ScrubEvery == 0 {
		p.ScrubEvery = 24 * time.Hour
	}
	if p.files == nil {
		p.files = vfs.Default
	}
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	return p
}

// Open opens the journal in the directory, or makes one in an empty directory.
// Nothing is changed in a directory in which something is damaged or missing:
// that is a KindCorrupt error with the path of the file. KindLocked when
// another process, or this one, has it open.
func (p Place) Open(ctx context.Context, apply journal.Apply) (journal.Journal, error) {
	p = p.withDefaults()
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return nil, unreachable("make directory", p.Dir, err)
	}
	if err := os.Chmod(p.Dir, 0o700); err != nil {
		return nil, unreachable("protect directory", p.Dir, err)
	}
	held, err := lock(p.Dir, p.path(lockName))
	if err != nil {
		return nil, err
	}
	j, err := p.open(ctx, apply)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	j.lock = held
	return j, nil
}

// open does what Open does, in the locked directory.
func (p Place) open(ctx context.Context, apply journal.Apply) (*disk, error) {
	room := &room{dir: p.Dir, ballast: p.path(ballastName), low: p.FreeBytesMin, last: p.FreeBytesMin / 8, size: p.BallastBytes, log: p.Logger, gone: !exists(p.path(ballastName))}
	room.look()
	id, err := p.identify()
	if err != nil {
		return nil, err
	}
	hw, err := openHighwater(p.path(highwaterName), id)
	if err != nil {
		return nil, err
	}
	j := newDisk(p, apply, hw, room)
	if err := j.recover(ctx); err != nil {
		return nil, errors.Join(err, hw.close())
	}
	j.start()
	return j, nil
}

// identify reads whose directory it is, and makes it into one when it is empty.
func (p Place) identify() (id identity, err error) {
	var c cellFile
	err = readSealed(p.path(cellName), &c)
	if errors.Is(err, os.ErrNotExist) {
		for _, name := range []string{highwaterName, inventoryName, storeName} {
			if exists(p.path(name)) {
				return id, corrupt(p.path(cellName), fmt.Errorf("the file is missing, and %s is there", name))
			}
		}
		return p.create()
	}
	if err != nil {
		if daruma.KindOf(err) != daruma.KindCorrupt {
			err = unreachable("read", p.path(cellName), err)
		}
		return id, err
	}
	if c.Format != formatVersion {
		return id, &daruma.Error{Op: "open cell", Ref: p.path(cellName), Kind: daruma.KindUnsupported, Err: fmt.Errorf("format %d is not known", c.Format), Hint: "the directory was made by another version of this program: use that one, or a newer one"}
	}
	if !c.Complete {
		return p.create()
	}
	if n, err := hex.Decode(id[:], []byte(c.ID)); err != nil || n != len(id) {
		return id, corrupt(p.path(cellName), errors.New("its identity makes no sense"))
	}
	return id, nil
}

// create makes an empty journal. CELL says that it is not complete until it
// is, so that what a crash leaves behind can be told from damage.
func (p Place) create() (id identity, err error) {
	rand.Read(id[:]) // never fails
	c := cellFile{Format: formatVersion, ID: hex.EncodeToString(id[:]), Created: time.Now().UTC().Truncate(time.Second)}
	steps := []func() error{
		func() error { return writeSealed(p.path(cellName), c) },
		func() error { return os.RemoveAll(p.path(storeName)) },
		func() error { return os.RemoveAll(p.path(inventoryName)) },
		func() error { return p.createStore(id) },
		func() error { return createHighwater(p.path(highwaterName), id, 0, opening) },
		func() error { return syncDir(p.Dir) },
		func() error { return syncDir(filepath.Dir(p.Dir)) },
		func() error { c.Complete = true; return writeSealed(p.path(cellName), c) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return id, unreachable("create cell", p.Dir, err)
		}
	}
	return id, nil
}

// createStore makes an empty store that knows whose it is.
func (p Place) createStore(id identity) error {
	g := plainGate(vfs.Default)
	return g.run(func() error {
		db, err := pebble.Open(p.path(storeName), p.options(g, &pebble.EventListener{}))
		if err != nil {
			return err
		}
		first := applied{id: id, time: time.Unix(0, 0)}
		return errors.Join(db.Set([]byte(appliedKey), first.encode(), pebble.Sync), db.Flush(), db.Close())
	})
}
