package disk

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
)

var stride = flag.Int("stride", 19, "of the faults at the Nth operation, every how many-th is tried")

func setOnly(e journal.Entry, _ journal.Reader) (journal.Changes, any, error) {
	var c journal.Changes
	for _, cmd := range e.Commands {
		c.Writes = append(c.Writes, journal.Write{Key: []byte(cmd.Name), Value: cmd.Body})
	}
	return c, nil, nil
}

const (
	scriptEntries = 40
	scriptBytes   = 256 << 10 // together three memtables: logs are rotated, tables are written
)

func scripted(i int) (key string, value []byte) {
	return fmt.Sprintf("k%02d", i), bytes.Repeat([]byte{byte(i + 1)}, scriptBytes)
}

// script appends entries until one fails, and returns how many were durable.
func script(j journal.Journal) (acked int, err error) {
	for i := range scriptEntries {
		k, v := scripted(i)
		done := make(chan error, 1)
		err := j.Append(journal.Entry{Fence: 1, Time: time.Now(), Commands: []journal.Command{{Name: k, Body: v}}}, func(_ uint64, _ any, err error) { done <- err })
		if err == nil {
			err = <-done
		}
		if err != nil {
			return i, err
		}
	}
	return scriptEntries, nil
}

// breakAt returns a file system on which the nth change fails once, and
// whether it has.
func breakAt(n int64, errno syscall.Errno) (vfs.FS, *atomic.Int64) {
	var count atomic.Int64
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite:
			if count.Add(1) == n {
				return errno
			}
		}
		return nil
	})), &count
}

// prefix checks that a journal holds the first entries of the script, as they
// were, and returns how many.
func prefix(t *testing.T, dir string) int {
	t.Helper()
	j, err := Place{Dir: dir, FreeBytesMin: 1 << 20, BallastBytes: 1 << 12}.Open(t.Context(), setOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	s, err := j.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	n := 0
	err = s.Scan(journal.Range{Lower: []byte("k")}, false, func(k, v []byte) bool {
		wantKey, want := scripted(n)
		if string(k) != wantKey || !bytes.Equal(v, want) {
			t.Errorf("entry %d is not what was written: %s", n, k)
		}
		n++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFaultAtAnyWriteLosesNothingThatWasDurable(t *testing.T) {
	total := faultAt(t, 1<<40, syscall.EIO) // counts
	t.Logf("%d changes of files", total)
	for n := int64(1); n <= total; n += int64(*stride) {
		faultAt(t, n, syscall.EIO)
	}
}

func TestNoSpaceAtAnyWriteIsWaitedOut(t *testing.T) {
	total := faultAt(t, 1<<40, syscall.EIO)
	for n := int64(1); n <= total; n += int64(*stride) {
		faultAt(t, n, syscall.ENOSPC)
	}
}

// faultAt runs the script with a fault at the nth change, and returns how many
// changes there were.
func faultAt(t *testing.T, n int64, errno syscall.Errno) int64 {
	t.Helper()
	dir := t.TempDir()
	files, count := breakAt(n, errno)
	acked := 0
	j, err := Place{Dir: dir, FreeBytesMin: 1 << 20, BallastBytes: 1 << 12, files: files}.Open(context.Background(), setOnly)
	if err == nil {
		acked, err = script(j)
		if err != nil {
			if k := daruma.KindOf(err); k != daruma.KindDoubtful && k != daruma.KindUnavailable {
				t.Errorf("fault at %d: got %v, want doubt or unavailable", n, err)
			}
			if s := j.Status(); s.Refuses == nil {
				t.Errorf("fault at %d: the journal takes more after %v", n, err)
			}
		}
		_ = j.Close()
	}
	if found := prefix(t, dir); found < acked || found > acked+1 {
		t.Errorf("fault at %d: %d entries were durable, %d are there", n, acked, found)
	}
	return count.Load()
}
