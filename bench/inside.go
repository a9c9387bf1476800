package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/queue"
)

// What a process of this program is inside of: the parts of the product that
// take events in, without a function that runs them. It is a process of its
// own so that its CPU time is nobody else's.

// target is the function that events inside are for.
const target = "Go"

// A core is a cell on a disk with what keeps events.
type core struct {
	cell *cell.Cell
	d    *delivery.Deliveries
	l    *ledger.Ledger
}

func openCore(ctx context.Context, dir string) (*core, error) {
	m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + t.String() }})
	c, err := cell.Open(ctx, cell.Config{Journal: disk.Place{Dir: dir}, Machines: []cell.Machine{catalog.Machine{}, ledger.Machine{}, m}})
	if err != nil {
		return nil, err
	}
	return &core{c, delivery.New(c, m), ledger.New(c)}, nil
}

func (c *core) accept(ctx context.Context, n int) error {
	events := make([]delivery.Event, n)
	for i := range events {
		events[i] = delivery.Event{Target: daruma.Target{Function: target}, Payload: []byte(event), Source: "invoke", Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"}
	}
	_, err := c.d.Accept(ctx, events...)
	return err
}

// fill accepts n events, as fast as that goes.
func (c *core) fill(ctx context.Context, n int) error {
	const batch = 2_000
	for ; n > 0; n -= batch {
		if err := c.accept(ctx, min(n, batch)); err != nil {
			return err
		}
	}
	return nil
}

// fail has n events fail and be kept.
func (c *core) fail(ctx context.Context, n int) error {
	if err := c.fill(ctx, n); err != nil {
		return err
	}
	for done := 0; done < n; {
		got, err := c.d.Lease(ctx, delivery.Want{N: 500, For: time.Minute})
		if err != nil {
			return err
		}
		if len(got.Events) == 0 {
			return fmt.Errorf("%d of %d events were leased", done, n)
		}
		var all sync.WaitGroup
		errs := make(chan error, len(got.Events))
		for _, e := range got.Events {
			all.Go(func() {
				_, err := c.d.Settle(ctx, delivery.Report{Held: e.Held(), Verdict: delivery.Never, Outcome: "refused", Status: 500, ErrorType: "Bench", Message: "it was to fail"}, nil)
				errs <- err
			})
		}
		all.Wait()
		for range got.Events {
			if err := <-errs; err != nil {
				return err
			}
		}
		done += len(got.Events)
	}
	return nil
}

// inside does what work names and prints the measurements as JSON.
func inside(work string, d time.Duration, dir string) error {
	ctx := context.Background()
	c, err := openCore(ctx, filepath.Join(dir, "cell"))
	if err != nil {
		return err
	}
	defer c.cell.Close() //nolint:errcheck // what was measured is durable
	got := map[int]measurement{}
	switch work {
	case "accept":
		for _, level := range levels {
			if got[level], err = hammer(level, d, func(int64) (bool, error) { return true, c.accept(ctx, 1) }); err != nil {
				return err
			}
		}
	case "redrive":
		const each = 8_000
		next := int64(0)
		for _, level := range levels {
			if err := c.fail(ctx, each); err != nil {
				return err
			}
			first := next
			if got[level], err = hammer(level, d, func(n int64) (bool, error) {
				if n >= each {
					return false, nil
				}
				_, err := c.d.Redrive(ctx, ledger.ID(first+n+1), nil)
				return true, err
			}); err != nil {
				return err
			}
			next += each
			if err := c.drop(ctx); err != nil {
				return err
			}
		}
	case "send":
		q, c, err := openQueues(ctx, dir)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // what was measured is durable
		for _, level := range levels {
			if got[level], err = hammer(level, d, func(int64) (bool, error) {
				_, err := q.Send(ctx, "q", queue.Message{Body: []byte(message)})
				return true, err
			}); err != nil {
				return err
			}
		}
	case "sync":
		if got[1], err = syncs(filepath.Join(dir, "sync"), d); err != nil {
			return err
		}
	case "fill":
		if err := c.fill(ctx, pendingEvents); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no such work: %q", work)
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// openQueues opens a cell on a disk that has one queue.
func openQueues(ctx context.Context, dir string) (*queue.Queues, *cell.Cell, error) {
	m := queue.NewMachine()
	c, err := cell.Open(ctx, cell.Config{Journal: disk.Place{Dir: filepath.Join(dir, "queues")}, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		return nil, nil, err
	}
	q, err := queue.Open(ctx, c, m, nil)
	if err == nil {
		_, err = q.Create(ctx, "q", queue.Settings{Hide: 30 * time.Second})
	}
	return q, c, err
}

// syncs appends a kilobyte to a file and waits for the disk, again and again.
func syncs(path string, d time.Duration) (measurement, error) {
	f, err := os.Create(path)
	if err != nil {
		return measurement{}, err
	}
	defer f.Close()
	page := make([]byte, 1024)
	return hammer(1, d, func(int64) (bool, error) {
		if _, err := f.Write(page); err != nil {
			return false, err
		}
		return true, syscall.Fdatasync(int(f.Fd()))
	})
}

// drop settles everything that waits.
func (c *core) drop(ctx context.Context) error {
	for {
		got, err := c.d.Lease(ctx, delivery.Want{N: 500, For: time.Minute})
		if err != nil || len(got.Events) == 0 {
			return err
		}
		var all sync.WaitGroup
		for _, e := range got.Events {
			all.Go(func() {
				_, _ = c.d.Settle(ctx, delivery.Report{Held: e.Held(), Verdict: delivery.Success, Status: 200}, nil) // what is left comes again
			})
		}
		all.Wait()
	}
}

// hammer has so many goroutines do something again and again, for a time or
// until it says that there is no more. The number it is given counts up.
func hammer(level int, d time.Duration, do func(n int64) (more bool, err error)) (measurement, error) {
	var (
		next  atomic.Int64
		mu    sync.Mutex
		times []time.Duration
		errs  []error
		all   sync.WaitGroup
	)
	before, began := usage(), time.Now()
	for range level {
		all.Go(func() {
			var mine []time.Duration
			var err error
			for more := true; more && err == nil && time.Since(began) < d; {
				at := time.Now()
				if more, err = do(next.Add(1) - 1); more && err == nil {
					mine = append(mine, time.Since(at))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			times, errs = append(times, mine...), append(errs, err)
		})
	}
	all.Wait()
	took, spent := time.Since(began), usage()-before
	if err := errors.Join(errs...); err != nil {
		return measurement{}, err
	}
	if len(times) == 0 {
		return measurement{}, errors.New("nothing was done")
	}
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Nanoseconds()) / 1000 }
	n := float64(len(times))
	return measurement{Rate: n / took.Seconds(), P50: at(.5), P99: at(.99), CPU: float64(spent.Microseconds()) / n, Memory: memoryOf([]int{os.Getpid()})}, nil
}

// usage is the CPU time of this process.
func usage() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// oneKey is the credential that events at the door are signed with.
type oneKey struct{ node.Key }

// Credential returns the one there is.
func (k oneKey) Credential(id string) (wire.Credential, bool) {
	return wire.Credential{Secret: k.Secret, Identity: wire.Identity{Account: node.Account, ARN: "arn:aws:iam::" + node.Account + ":user/bench", UserID: "bench"}}, id == k.ID
}

type acceptor struct{ d *delivery.Deliveries }

// Accept returns nil once the event is durable.
func (a acceptor) Accept(ctx context.Context, inv daruma.Invocation) error {
	_, err := a.d.Accept(ctx, delivery.Event{Request: inv.ID, Target: inv.Target, Payload: inv.Payload, Source: inv.Source, Trace: inv.Trace})
	return err
}

// benchKey is what the client signs with.
var benchKey = node.Key{ID: "AKIABENCH00000000000", Secret: "bench-bench-bench-bench-bench"}

// serveDoor is the door for events in front of a cell: signatures checked,
// parameters checked, synced; nothing runs them.
func serveDoor(l net.Listener, dir string) error {
	ctx := context.Background()
	c, err := openCore(ctx, filepath.Join(dir, "door"))
	if err != nil {
		return err
	}
	defer c.cell.Close() //nolint:errcheck // what was measured is durable
	front, err := wire.New(wire.Config{Credentials: oneKey{benchKey}, Region: "us-east-1"})
	if err != nil {
		return err
	}
	functions, err := catalog.Open(ctx, c.cell, catalog.Place{Region: "us-east-1", Account: node.Account})
	if err != nil {
		return err
	}
	f := &catalog.Function{Name: target, Version: catalog.Latest, LogicalID: target, Handler: "bootstrap", Runtime: "provided.al2023", Timeout: 3 * time.Second, MemoryMB: 128}
	if _, err := functions.Deploy(ctx, catalog.Deployment{Functions: []*catalog.Function{f}}); err != nil {
		return err
	}
	door, err := lambda.New(lambda.Config{Runner: nobody{}, View: functions.View, Concurrency: functions, Settings: functions, Acceptor: acceptor{c.d}})
	if err != nil {
		return err
	}
	front.Register("lambda", door.Service())
	return front.Serve(ctx, l)
}

// nobody runs nothing: events are accepted only.
type nobody struct{}

// Run refuses.
func (nobody) Run(context.Context, daruma.Invocation) daruma.Outcome {
	return daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindUnsupported, Message: "nothing is run here"}}
}
