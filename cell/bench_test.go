package cell_test

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
)

// putter stores its body under a key of eight bytes.
type putter struct{}

func (putter) Name() string { return "putter" }

func (putter) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set(cmd.Body[:8], cmd.Body)
	return nil, nil
}

// BenchmarkDurable measures commands of 512 bytes that are answered when they
// are on the disk, beside batches of the same size that Pebble itself syncs.
func BenchmarkDurable(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("cell-%d", writers), func(b *testing.B) { durableCell(b, writers) })
		b.Run(fmt.Sprintf("pebble-%d", writers), func(b *testing.B) { durablePebble(b, writers) })
	}
}

func durableCell(b *testing.B, writers int) {
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: b.TempDir()}, Machines: []cell.Machine{putter{}}})
	if err != nil {
		b.Fatal(err)
	}
	drive(b, writers, func(body []byte) error {
		_, err := c.Do(b.Context(), cell.Command{Machine: "putter", Name: "put", Body: body})
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
	drive(b, writers, func(body []byte) error {
		batch := db.NewBatch()
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

// drive has writers share b.N calls.
func drive(b *testing.B, writers int, write func(body []byte) error) {
	var n atomic.Int64
	done := make(chan error, writers)
	b.ResetTimer()
	for range writers {
		go func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				body := make([]byte, 512)
				binary.BigEndian.PutUint64(body, uint64(i))
				if err := write(body); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "durable/s")
}
