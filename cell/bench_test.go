package cell_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
	"github.com/daruma-io/daruma/cell/journal/disk"
)

// BenchmarkDurable measures commands of 512 bytes that are answered when they
// are on the disk, beside batches of the same size that Pebble itself syncs.
func BenchmarkDurable(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("cell-%d", writers), func(b *testing.B) { durableCell(b, writers) })
		b.Run(fmt.Sprintf("pebble-%d", writers), func(b *testing.B) { durablePebble(b, writers) })
	}
}

func durableCell(b *testing.B, writers int) {
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: b.TempDir()}, Machines: []cell.Machine{celltest.Putter{}}})
	if err != nil {
		b.Fatal(err)
	}
	celltest.Drive(b, writers, 1, "durable/s", func(n int64) error {
		_, err := c.Do(b.Context(), cell.Command{Machine: "putter", Name: "put", Body: celltest.Numbered(n)})
		return err
	})
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}

func durablePebble(b *testing.B, writers int) {
	db, err := pebble.Open(b.TempDir(), &pebble.Options{Logger: quiet{}, MemTableSize: 4 << 20, FormatMajorVersion: pebble.FormatValueSeparation})
	if err != nil {
		b.Fatal(err)
	}
	celltest.Drive(b, writers, 1, "durable/s", func(n int64) error {
		body, batch := celltest.Numbered(n), db.NewBatch()
		_ = batch.Set(body[:8], body, nil)
		return batch.Commit(pebble.Sync)
	})
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
