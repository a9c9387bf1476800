package queue_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// openDisk opens queues on the disk, every answer synced.
func openDisk(b *testing.B, dir string) (*queue.Queues, *cell.Cell) {
	b.Helper()
	m := queue.NewMachine()
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: dir}, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		b.Fatal(err)
	}
	q, err := queue.Open(b.Context(), c, m, nil)
	if err != nil {
		b.Fatal(err)
	}
	if q.Queue("q") == nil {
		if _, err := q.Create(b.Context(), "q", queue.Settings{Hide: 30 * time.Second}); err != nil {
			b.Fatal(err)
		}
	}
	return q, c
}

var body = make([]byte, 256)

func batchOf(n int) []queue.Message {
	list := make([]queue.Message, n)
	for i := range list {
		list[i].Body = body
	}
	return list
}

// BenchmarkSend is messages of 256 bytes put into a queue on the disk.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct{ workers, batch int }{{1, 1}, {16, 1}, {64, 1}, {1, 10}, {64, 10}} {
		b.Run(fmt.Sprintf("%d-by-%d", c.workers, c.batch), func(b *testing.B) {
			q, cell := openDisk(b, b.TempDir())
			defer cell.Close()
			celltest.Drive(b, c.workers, c.batch, "messages/s", func(int64) error {
				_, err := q.Send(b.Context(), "q", batchOf(c.batch)...)
				return err
			})
		})
	}
}

// cycle receives a batch and deletes it.
func cycle(b *testing.B, q *queue.Queues, n int) error {
	got, err := q.Receive(b.Context(), "q", queue.Want{N: n, Wait: time.Second})
	if err != nil || len(got) == 0 {
		return err
	}
	handles := make([]string, len(got))
	for i := range got {
		handles[i] = got[i].Handle
	}
	_, err = q.Delete(b.Context(), "q", handles...)
	return err
}

// BenchmarkCycle is messages sent, received and deleted by workers that do all
// three in turn, while the queue holds a number of messages besides.
func BenchmarkCycle(b *testing.B) {
	for _, c := range []struct{ workers, batch, deep int }{{1, 1, 0}, {16, 1, 0}, {64, 1, 0}, {16, 10, 0}, {64, 1, 1_000_000}, {16, 10, 1_000_000}} {
		b.Run(fmt.Sprintf("%d-by-%d-above-%d", c.workers, c.batch, c.deep), func(b *testing.B) {
			q, cell := openDisk(b, b.TempDir())
			defer cell.Close()
			fill(b, q, c.deep)
			celltest.Drive(b, c.workers, c.batch, "messages/s", func(int64) error {
				if _, err := q.Send(b.Context(), "q", batchOf(c.batch)...); err != nil {
					return err
				}
				return cycle(b, q, c.batch)
			})
		})
	}
}

func fill(b *testing.B, q *queue.Queues, n int) {
	for n > 0 {
		k := min(n, 1000)
		if _, err := q.Send(b.Context(), "q", batchOf(k)...); err != nil {
			b.Fatal(err)
		}
		n -= k
	}
}

// BenchmarkDeep is what a million messages cost: memory, disk, and the time
// from the start to the first answer.
func BenchmarkDeep(b *testing.B) {
	dir := b.TempDir()
	q, c := openDisk(b, dir)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fill(b, q, 1_000_000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	disk := size(b, dir)
	for b.Loop() {
		q, c = openDisk(b, dir)
		if got, err := q.Receive(b.Context(), "q", queue.Want{N: 1}); err != nil || len(got) != 1 {
			b.Fatal(err, len(got))
		}
		b.StopTimer()
		_ = c.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1e6, "MB-heap")
	b.ReportMetric(float64(disk)/1e6, "MB-disk")
}

// size is how many bytes the files below dir have.
func size(b *testing.B, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
