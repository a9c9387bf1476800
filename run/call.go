package run

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run/logs"
)

// A call is one invocation on its way through an environment.
type call struct {
	inv      daruma.Invocation
	function *catalog.Function
	delivery daruma.Delivery
	queued   time.Time
	began    time.Time     // when it was handed over; its deadline counts from here
	handed   time.Time     // the same by the pool's clock, as inv.At is
	taken    time.Time     // when an environment was begun to be started for it, by the pool's clock
	init     time.Duration // of the environment, when it was started for this call
	cold     bool
	entered  bool        // an environment took it up
	span     daruma.Span // what is told of it at its end
	reserved bool        // it counts against its function's reserved concurrency, not the account's

	claimed atomic.Bool // somebody answers it
	done    chan struct{}
	outcome daruma.Outcome // good once done is closed

	mu   sync.Mutex // guards gone, and is held while inv.Stream is written
	gone bool       // the caller was answered or left: inv.Stream is not its any more
}

// told is what the log says of the call.
func (c *call) told() *logs.Call {
	return &logs.Call{ID: c.inv.ID, Trace: c.delivery.Trace, Root: c.span.Trace, Began: c.began, Init: c.init, Cold: c.cold}
}

var errCallerGone = errors.New("the caller is gone")

// finish hands the outcome to the caller.
func (c *call) finish(o daruma.Outcome) {
	c.leave()
	c.outcome = o
	close(c.done)
}

// leave ends the use of inv.Stream; it waits for a write that is under way.
func (c *call) leave() {
	if c.inv.Stream == nil {
		return
	}
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
}

// begin tells the stream its content type.
func (c *call) begin(contentType string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.inv.Stream.Begin(c.function.Version, contentType)
	}
}

// Write passes a piece of the answer on.
func (c *call) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return 0, errCallerGone
	}
	return c.inv.Stream.Write(p)
}
