package delivery_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// BenchmarkAccept measures events of 512 bytes that are accepted on the disk by
// 64 writers, one in each command, beside commands of the bare cell.
func BenchmarkAccept(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("cell-%d", writers), func(b *testing.B) { bench(b, writers, 0) })
		for _, batch := range []int{1, 10} {
			b.Run(fmt.Sprintf("accept-%d-by-%d", writers, batch), func(b *testing.B) { bench(b, writers, batch) })
		}
	}
}

func bench(b *testing.B, writers, batch int) {
	m := delivery.NewMachine(delivery.Config{ARN: arn})
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: b.TempDir()}, Machines: []cell.Machine{m, ledger.Machine{}, celltest.Putter{}}})
	if err != nil {
		b.Fatal(err)
	}
	d := delivery.New(c, m)
	celltest.Drive(b, writers, max(1, batch), "durable/s", func(n int64) error {
		body := celltest.Numbered(n)
		if batch == 0 {
			_, err := c.Do(b.Context(), cell.Command{Machine: "putter", Name: "put", Body: body})
			return err
		}
		events := make([]delivery.Event, batch)
		for j := range events {
			events[j] = delivery.Event{Target: daruma.Target{Function: "Orders"}, Payload: body, Source: "invoke", Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"}
		}
		_, err := d.Accept(b.Context(), events...)
		return err
	})
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpenWithAMillionWaiting measures how long a cell with a million
// events of 1,000 functions takes to open, and a lease of 100 of them after that.
func BenchmarkOpenWithAMillionWaiting(b *testing.B) {
	const events, functions, batch = 1_000_000, 1_000, 2_000
	dir := b.TempDir()
	open := func() (*cell.Cell, *delivery.Deliveries) {
		m := delivery.NewMachine(delivery.Config{ARN: arn})
		c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: dir}, Machines: []cell.Machine{m, ledger.Machine{}}})
		if err != nil {
			b.Fatal(err)
		}
		return c, delivery.New(c, m)
	}
	c, d := open()
	payload := make([]byte, 200)
	for i := range payload {
		payload[i] = '1'
	}
	for n := 0; n < events; n += batch {
		some := make([]delivery.Event, batch)
		for i := range some {
			some[i] = delivery.Event{Target: daruma.Target{Function: fmt.Sprintf("F%d", (n+i)%functions)}, Payload: payload}
		}
		if _, err := d.Accept(b.Context(), some...); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var floor, opening, leasing, settling time.Duration
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		bare, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: dir}})
		if err != nil {
			b.Fatal(err)
		}
		floor += time.Since(began)
		if err := bare.Close(); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		c, d = open()
		opening += time.Since(began)
		runtime.ReadMemStats(&after)
		for range 50 {
			began = time.Now()
			got, err := d.Lease(b.Context(), delivery.Want{N: 100, For: time.Minute})
			if err != nil || len(got.Events) != 100 {
				b.Fatal(len(got.Events), err)
			}
			leasing += time.Since(began)
			began = time.Now()
			var all sync.WaitGroup
			for _, l := range got.Events {
				all.Go(func() {
					if _, err := d.Settle(b.Context(), delivery.Report{Held: l.Held(), Verdict: delivery.Success, Status: 200}, nil); err != nil {
						b.Error(err)
					}
				})
			}
			all.Wait()
			settling += time.Since(began)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(floor.Milliseconds())/float64(b.N), "ms/open-bare-cell")
	b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(float64(leasing.Microseconds())/float64(b.N)/50, "µs/lease-100")
	b.ReportMetric(float64(settling.Microseconds())/float64(b.N)/50, "µs/settle-100")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "MiB-heap")
}
