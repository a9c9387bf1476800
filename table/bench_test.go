package table_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/write"
)

// BenchmarkTables measures synced writes and reads on a disk, with so many
// callers at once.
func BenchmarkTables(b *testing.B) {
	m := table.NewMachine()
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: b.TempDir()}, Machines: []cell.Machine{m}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	tables := table.New(c, m, nil)
	ctx := context.Background()
	d := orders()
	d.View, d.Indexes, d.Attributes = "", nil, d.Attributes[:2]
	if _, err := tables.Create(ctx, d); err != nil {
		b.Fatal(err)
	}
	pad := strings.Repeat("x", 400)
	for i := range 10_000 {
		if i%25 == 0 {
			var batch []write.Action
			for k := range 25 {
				batch = append(batch, write.Action{Kind: write.Put, Table: "orders", Item: item("pk", fmt.Sprint((i+k)/20), "sk", (i+k)%20, "v", 1, "pad", pad)})
			}
			if _, _, err := tables.WriteBatch(ctx, batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, op := range []struct {
		name string
		f    func(n int) error
	}{
		{"put", func(n int) error {
			_, err := tables.Write(ctx, write.Action{Kind: write.Put, Table: "orders", Item: item("pk", fmt.Sprint("p", n%5000), "sk", 1, "v", n, "pad", pad)})
			return err
		}},
		{"update", func(n int) error {
			_, err := tables.Write(ctx, write.Action{Kind: write.Update, Table: "orders", Item: item("pk", fmt.Sprint(n%500), "sk", n%20), Update: "SET v = v + :one", Condition: "v >= :one", Values: item(":one", 1)})
			return err
		}},
		{"get", func(n int) error {
			_, err := tables.Get(ctx, read.Get{Table: "orders", Key: item("pk", fmt.Sprint(n%500), "sk", n%20)})
			return err
		}},
		{"query20", func(n int) error {
			p, err := tables.Query(ctx, read.Query{Table: "orders", Condition: "pk = :p", Values: item(":p", fmt.Sprint(n%500))})
			if err == nil && p.Count != 20 {
				return fmt.Errorf("%d items", p.Count)
			}
			return err
		}},
		{"transact4", func(n int) error {
			var all []write.Action
			for i := range 4 {
				all = append(all, write.Action{Kind: write.Put, Table: "orders", Item: item("pk", fmt.Sprint("t", n%5000), "sk", i, "pad", pad)})
			}
			_, err := tables.Transact(ctx, "", all)
			return err
		}},
	} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", op.name, callers), func(b *testing.B) {
				var next atomic.Int64
				var group sync.WaitGroup
				b.ResetTimer()
				for range callers {
					group.Go(func() {
						for {
							n := int(next.Add(1))
							if n > b.N {
								return
							}
							if err := op.f(n); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			})
		}
	}
}
