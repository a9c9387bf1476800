package disk

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/daruma-io/daruma/cell/journal"
)

// heldSyncs returns a file system on which each sync of a log waits to be
// let through: asked tells of it, and takes the permission.
func heldSyncs() (files vfs.FS, asked chan chan struct{}) {
	asked = make(chan chan struct{})
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
		if sync && strings.HasSuffix(op.Path, ".log") {
			through := make(chan struct{})
			asked <- through
			<-through
		}
		return nil
	})), asked
}

func TestAnEntryIsDurableOnlyOnceItIsSynced(t *testing.T) {
	files, asked := heldSyncs()
	letting := make(chan struct{}) // closed when syncs are let through unseen
	go func() {
		<-letting
		for through := range asked {
			close(through)
		}
	}()
	opened := make(chan journal.Journal, 1)
	failed := make(chan error, 1)
	go func() {
		j, err := Place{Dir: t.TempDir(), FreeBytesMin: 1 << 20, BallastBytes: 1 << 12, files: files}.Open(t.Context(), setOnly)
		if err != nil {
			failed <- err
			return
		}
		opened <- j
	}()
	var j journal.Journal
	for j == nil {
		select {
		case j = <-opened:
		case err := <-failed:
			t.Fatal(err)
		case through := <-asked:
			close(through)
		}
	}
	defer func() {
		close(letting)
		_ = j.Close()
		close(asked)
	}()
	for i := range 20 {
		key, _ := scripted(i)
		done := make(chan error, 1)
		go func() {
			if err := j.Append(journal.Entry{Fence: 1, Time: time.Now(), Commands: []journal.Command{{Name: key, Body: []byte("x")}}}, func(_ uint64, _ any, err error) { done <- err }); err != nil {
				done <- err
			}
		}()
		select {
		case err := <-done:
			t.Fatalf("entry %d was durable before its log was synced: %v", i, err)
		case through := <-asked:
			select {
			case err := <-done:
				t.Fatalf("entry %d was durable while its log was being synced: %v", i, err)
			default:
			}
			close(through)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
