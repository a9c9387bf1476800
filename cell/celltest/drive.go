package celltest

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/daruma-io/daruma/cell"
)

// A Putter is a machine that does as little as one can: it keeps the body of
// each command under its first eight bytes.
type Putter struct{}

// Name is the machine's name in its cell.
func (Putter) Name() string { return "putter" }

// Apply takes one step.
func (Putter) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set(cmd.Body[:8], cmd.Body)
	return nil, nil
}

// Numbered returns 512 bytes that begin with a number.
func Numbered(n int64) []byte {
	body := make([]byte, 512)
	binary.BigEndian.PutUint64(body, uint64(n))
	return body
}

// Drive has writers share b.N things, of which each call of write does some:
// those up to n. It reports how many were done in a second, in a unit: "durable/s".
func Drive(b *testing.B, writers, some int, unit string, write func(n int64) error) {
	b.Helper()
	var n atomic.Int64
	done := make(chan error, writers)
	b.ResetTimer()
	for range writers {
		go func() {
			for {
				i := n.Add(int64(some))
				if i-int64(some) >= int64(b.N) {
					done <- nil
					return
				}
				if err := write(i); err != nil {
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
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit)
}
