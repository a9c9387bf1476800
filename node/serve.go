package node

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/watch"
)

// How long stopping may take.
const (
	drainMax = 10 * time.Second // for requests under way to be answered
	closeMax = 5 * time.Second  // for environments to end; what still runs then has lost its caller
)

// Run opens the doors and works until ctx ends, Stop is called, or a part
// fails. It then closes the doors, lets what is under way end, ends the
// environments and closes the cell. It returns nil when it was asked to stop.
func (n *Node) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-n.stop:
			end(nil)
		case <-ctx.Done():
		}
	}()
	n.clock.LetGo()
	// The log goes on until everything that writes to it has ended.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	watched := make(chan error, 2)
	go func() { watched <- n.watch.Run(watching) }()
	go func() { watched <- n.runExport(watching) }()

	var doors sync.WaitGroup
	serve := func(f func(context.Context) error) {
		doors.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				end(err)
			}
		})
	}
	serve(n.governor.Run)
	serve(n.mapped.Run)
	serve(n.streamed.Run)
	serve(func(ctx context.Context) error { return n.front.Serve(ctx, n.listeners.aws) })
	serve(func(ctx context.Context) error { return n.web.Serve(ctx, n.listeners.web) })
	serve(func(ctx context.Context) error { return n.console.Serve(ctx, n.listeners.console) })
	serve(n.dispatcher.Run)
	serve(n.poster.Run)
	serve(n.replays.Run)
	serve(n.notifier.Run)
	serve(n.scribe.Run)
	serve(n.rehearser.Run)
	serve(n.raiser.Run)
	if n.sources != nil {
		serve(n.watchSources)
	}
	err := n.address.write()
	if err == nil {
		close(n.ready)
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}
	end(nil)
	close(n.ending)
	n.faults.StopAll() // what they hold goes on, and ends
	doors.Wait()
	err = errors.Join(err, n.close(), n.address.remove())
	stopWatching()
	return errors.Join(err, <-watched, <-watched)
}

// Logs returns lines of the functions' log; see watch.Watch.
func (n *Node) Logs(ctx context.Context, q watch.Query) iter.Seq2[daruma.Line, error] {
	return n.watch.Logs(ctx, q)
}

func (n *Node) consoleLogs(ctx context.Context, q console.LogQuery) iter.Seq2[daruma.Line, error] {
	return n.Logs(ctx, watch.Query{Function: q.Function, Request: q.Request, Trace: q.Trace, Contains: q.Contains, Since: q.Since, Last: q.Last, Follow: q.Follow})
}
