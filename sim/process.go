package sim

import (
	"context"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// A host is what the processes of a world run on, one after the other: its
// medium keeps what is durable when they end. Only whoever carries the plan out
// begins and stops them.
type host struct {
	clock  daruma.Clock
	medium *memory.Medium
	began  time.Time // the world

	cell    *cell.Cell
	life    context.Context // of the process; its functions die with it
	end     context.CancelFunc
	drain   context.CancelFunc // has what runs come to its end
	stopped chan struct{}      // closed when nothing of the process runs any more
	dead    sync.WaitGroup     // processes that crashed: what they still try leads nowhere
}

func newHost() host { return host{clock: daruma.SystemClock{}, medium: &memory.Medium{}} }

// begin begins a process on a cell. run says what runs in it, until its context ends.
func (h *host) begin(c *cell.Cell) (run func(all ...func(context.Context) error)) {
	h.cell = c
	h.life, h.end = context.WithCancel(context.Background())
	live, drain := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	h.drain, h.stopped = drain, stopped
	return func(all ...func(context.Context) error) {
		var running sync.WaitGroup
		for _, one := range all {
			running.Go(func() { _ = one(live) })
		}
		go func() {
			running.Wait()
			close(stopped)
		}()
	}
}

// stop ends the process as it should be ended, and waits for all that there ever were.
func (h *host) stop() {
	h.drain()
	<-h.stopped
	h.end()
	_ = h.cell.Close() // when its medium has crashed: an error
	h.dead.Wait()
}

// crash ends the process suddenly. Nobody waits for it: a dispatcher that cannot
// settle any more goes on trying for as long as it may drain, in a process that
// is no more not at all.
func (h *host) crash() {
	h.end()
	h.medium.Crash()
	h.drain()
	dead, stopped := h.cell, h.stopped
	h.dead.Go(func() {
		<-stopped
		_ = dead.Close() // an error: its medium has crashed
	})
}

// last has a world last: open begins its first process, and live carries its
// plan out and says how it ended. What live has work beside it ends with the world.
func (h *host) last(ctx context.Context, open func(ctx context.Context, first bool) error, live func(ctx context.Context, workload *sync.WaitGroup) error) error {
	h.began = h.clock.Now()
	if err := open(ctx, true); err != nil {
		return err
	}
	defer h.stop()
	ctx, end := context.WithCancel(ctx)
	var workload sync.WaitGroup
	defer workload.Wait()
	defer end() // a world that has failed has no more to do
	return live(ctx, &workload)
}

// again does something each second until it is done. It returns false when ctx
// has ended before.
func (h *host) again(ctx context.Context, do func() (done bool)) bool {
	for !do() {
		if h.clock.Sleep(ctx, time.Second) != nil {
			return false
		}
	}
	return true
}

// until waits for a time of the plan.
func (h *host) until(ctx context.Context, at time.Duration) {
	_ = h.clock.Sleep(ctx, at-h.clock.Now().Sub(h.began))
}

// suffer has the process end by a trouble, and waits until it may begin anew.
func (h *host) suffer(ctx context.Context, t Trouble) {
	if t.Kind == "torn" {
		h.medium.Hold()
		_ = h.clock.Sleep(ctx, t.Held)
	}
	if t.Kind == "restart" {
		h.stop()
	} else {
		h.crash()
	}
	_ = h.clock.Sleep(ctx, t.Down)
}
