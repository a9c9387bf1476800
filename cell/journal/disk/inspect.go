package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// inspect looks at a store that was not closed, before anything is changed in
// it. The store itself takes the longest history it can read for the whole
// one: it stops at a log record that is damaged, and does not miss a log that
// is gone. So the history is checked here: the tables hold everything up to
// some position, the logs must hold every position from there on, and the last
// must not be below the high-water mark.
func (p Place) inspect(hw *highwater) (applied, error) {
	store := p.path(storeName)
	logs, err := syncedLogs(store)
	if err != nil {
		return applied{}, err
	}
	var db *pebble.DB
	g := plainGate(vfs.Default)
	err = g.run(func() (err error) {
		o := p.options(g, &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}})
		o.ReadOnly = true
		db, err = pebble.Open(store, o)
		return err
	})
	if err != nil {
		return applied{}, p.blame(logs, hw, err)
	}
	var last, flushed applied
	err = g.run(func() (err error) {
		if last, err = readApplied(db); err != nil {
			return err
		}
		flushed, err = readFlushed(db)
		return errors.Join(err, db.Close())
	})
	if err != nil {
		return applied{}, p.blame(logs, hw, err)
	}
	if last.id != hw.id {
		return applied{}, corrupt(store, errors.New("it belongs to another cell"))
	}
	return last, p.checkHistory(logs, flushed.position, last.position, hw)
}

// checkHistory follows the positions in the logs from the first one that no table has.
func (p Place) checkHistory(logs []logFile, flushed, last uint64, hw *highwater) error {
	next, suspect := flushed+1, ""
	for _, l := range logs {
		gap := uint64(0)
		err := l.positions(func(position uint64) bool {
			if position > next {
				gap = position
				return false
			}
			if position == next {
				next++
			}
			return true
		})
		if gap > 0 {
			return p.lost(suspect, hw, "entries %d to %d are missing", next, gap-1)
		}
		if err != nil {
			suspect = l.path
		}
	}
	if last+1 != next {
		return p.lost(suspect, hw, "the logs end at entry %d, the store at %d", next-1, last)
	}
	if last < hw.position {
		if suspect == "" && len(logs) > 0 && filepath.Base(logs[len(logs)-1].path) == hw.logName() {
			suspect = logs[len(logs)-1].path
		}
		return p.lost(suspect, hw, "the history ends at entry %d, but %d were durable", last, hw.position)
	}
	return nil
}

// lost says that history is missing, and where: in the file in which reading
// ended early, or in a log that is gone.
func (p Place) lost(suspect string, hw *highwater, format string, args ...any) error {
	if suspect == "" {
		suspect = p.path(storeName)
		if l := filepath.Join(suspect, hw.logName()); hw.log != 0 && !exists(l) {
			return corrupt(l, fmt.Errorf("the file is missing: "+format, args...))
		}
	}
	return corrupt(suspect, fmt.Errorf(format, args...))
}

var (
	fileNumber = regexp.MustCompile(`\b\d{6,}\b`)
	namedFile  = regexp.MustCompile(`(MANIFEST|OPTIONS)-\d{6,}|marker\.[a-z.-]+\.\d+\.[\w-]+`)
)

// blame names the file behind an error with which the store would not open.
func (p Place) blame(logs []logFile, hw *highwater, err error) error {
	if errors.Is(err, os.ErrPermission) || noSpace(err) {
		return unreachable("open", p.path(storeName), err)
	}
	store := p.path(storeName)
	text := fmt.Sprintf("%+v", err)
	short := errors.New(oneLine(err.Error()))
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return corrupt(filepath.Join(store, "marker.manifest"), errors.New("the file is missing, or the directory is empty"))
	}
	if name := namedFile.FindString(text); name != "" {
		return corrupt(filepath.Join(store, name), short)
	}
	for _, l := range logs {
		if bad := l.positions(func(uint64) bool { return true }); bad != nil && strings.Contains(text, "WAL") {
			return corrupt(l.path, short)
		}
	}
	if n := fileNumber.FindString(text); n != "" {
		return corrupt(filepath.Join(store, n+".sst"), short)
	}
	return p.lost("", hw, "%v", short)
}

func readApplied(r pebble.Reader) (applied, error) {
	v, closer, err := r.Get([]byte(appliedKey))
	if err != nil {
		return applied{}, fmt.Errorf("read the last position: %w", err)
	}
	a, err := decodeApplied(v)
	return a, errors.Join(err, closer.Close())
}

// readFlushed reads the last position the tables hold. A store that has never
// written one holds none.
func readFlushed(db *pebble.DB) (a applied, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte(appliedKey), UpperBound: []byte(appliedKey + "\x00"), OnlyReadGuaranteedDurable: true})
	if err != nil {
		return a, err
	}
	if it.First() {
		a, err = decodeApplied(it.Value())
	}
	return a, errors.Join(err, it.Error(), it.Close())
}

// A logFile is one of the store's logs.
type logFile struct {
	path string
	log  wal.LogicalLog
}

// syncedLogs returns the logs in order. What the system has of them is made
// durable first: a log that was written and not synced before the process died
// would otherwise be read now and lost in a power cut later.
func syncedLogs(store string) ([]logFile, error) {
	found, err := wal.Scan(wal.Dir{FS: vfs.Default, Dirname: store})
	if errors.Is(err, os.ErrNotExist) {
		return nil, corrupt(store, errors.New("the directory is missing"))
	}
	if err != nil {
		return nil, unreachable("list logs", store, err)
	}
	var logs []logFile
	for _, l := range found {
		_, path := l.SegmentLocation(0)
		if err := syncFile(path); err != nil {
			return nil, unreachable("sync", path, err)
		}
		logs = append(logs, logFile{path, l})
	}
	return logs, nil
}

// positions yields the positions of the entries in the log, in order. It
// returns an error when the log does not end as one that was closed.
func (l logFile) positions(yield func(uint64) bool) error {
	r := l.log.OpenForRead()
	defer func() { _ = r.Close() }() // it was only read
	for {
		rec, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch, err := io.ReadAll(rec)
		if err != nil {
			return err
		}
		var position uint64
		var ok bool
		err = caught(func() (err error) { position, ok, err = positionIn(batch); return err })
		if err != nil {
			return err
		}
		if ok && !yield(position) {
			return nil
		}
	}
}

// positionIn finds the position in the batch of one entry. Batches of the
// store's own have none.
func positionIn(batch []byte) (position uint64, ok bool, err error) {
	if len(batch) < batchrepr.HeaderLen {
		return 0, false, errors.New("a batch is too short")
	}
	for r := batchrepr.Read(batch); ; {
		kind, key, value, more, err := r.Next()
		if err != nil {
			return 0, false, err
		}
		if !more {
			return 0, false, nil
		}
		if kind == pebble.InternalKeyKindSet && string(key) == appliedKey {
			a, err := decodeApplied(value)
			return a.position, err == nil, err
		}
	}
}

// checkTable reads a table and compares all its checksums.
func checkTable(path string, o *pebble.Options) error {
	err := protect(func() error {
		f, err := vfs.Default.Open(path)
		if err != nil {
			return err
		}
		readable, err := sstable.NewSimpleReadable(f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
		if err != nil {
			return err // it has closed the file
		}
		return errors.Join(r.ValidateBlockChecksums(), r.Close())
	})
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return err
	}
	return unreadable(path, errors.New(oneLine(err.Error())))
}

// tables returns the paths of the tables that are in use, the newest first.
func (p Place) tables(db *pebble.DB) ([]string, error) {
	var numbers []uint64
	err := protect(func() error {
		levels, err := db.SSTables()
		for _, l := range levels {
			for _, t := range l {
				numbers = append(numbers, uint64(t.BackingSSTNum))
			}
		}
		return err
	})
	slices.Sort(numbers)
	slices.Reverse(numbers)
	paths := make([]string, 0, len(numbers))
	for _, n := range slices.Compact(numbers) {
		paths = append(paths, filepath.Join(p.path(storeName), fmt.Sprintf("%06d.sst", n)))
	}
	return paths, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
