package daruma

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is what every wait in the product goes through, so that a story of
// fifteen minutes can be run in fifteen seconds with its proportions kept.
type Clock interface {
	// Now returns the clock's own time.
	Now() time.Time
	// AfterFunc runs f in its own goroutine once d of the clock's time has
	// passed. stop returns false when f has started or was stopped before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
	// Sleep waits for d of the clock's time or until ctx ends, and returns ctx's error then.
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the machine's own clock. Its zero value is ready.
type SystemClock struct{}

// Now returns the current time.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// Sleep waits for d or for the end of ctx.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TimeScaleMax is how many times as fast as the machine's a clock may run. At
// that pace a lease of a minute is looked after every 20 ms.
const TimeScaleMax = 1000

// A ScaledClock runs a whole number of times as fast as the machine's clock.
// While it runs it goes by elapsed time alone: a machine's clock that is set
// does not move it. At a scale of one, unless it is ahead, it is the machine's.
// While it is held it goes as the machine's does.
//
// Its methods may be called from any goroutine.
type ScaledClock struct {
	scale  int64
	anchor atomic.Pointer[anchor]

	mu      sync.Mutex                // guards the rest, and who holds the clock or lets it go
	waiting map[*time.Timer]time.Time // timers that were set while it was held, and when they are due by its time
}

// An anchor is where a clock's own time and the machine's are tied together,
// and how many times as fast it goes from there.
type anchor struct {
	machine, own time.Time
	pace         int64
}

// NewScaledClock returns a clock that shows the machine's time now and runs
// scale times as fast from there. A scale below one counts as one, and one
// above TimeScaleMax as that.
func NewScaledClock(scale int) *ScaledClock {
	c := &ScaledClock{scale: int64(max(1, min(scale, TimeScaleMax)))}
	now := time.Now()
	c.anchor.Store(&anchor{now, now.Round(0), c.scale})
	return c
}

// Hold has the clock go as the machine's does, until LetGo. It is for the time
// in which an app comes up: what that takes is real, and nothing of the app
// should grow old by it. It is called before the clock's first timer is set.
func (c *ScaledClock) Hold() { c.setPace(1) }

// LetGo has a clock that is held run as fast as it should. What waits for its
// time from before waits for what is left of it, at that pace.
func (c *ScaledClock) LetGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setPace(c.scale)
	for t, due := range c.waiting {
		if t.Stop() {
			t.Reset(c.machine(max(0, due.Sub(c.Now()))))
		}
	}
	c.waiting = nil
}

func (c *ScaledClock) setPace(pace int64) {
	now := time.Now()
	c.anchor.Store(&anchor{now, c.At(now).Round(0), pace})
}

// Scale is how many times as fast as the machine's the clock runs.
func (c *ScaledClock) Scale() int { return int(c.scale) }

// GoOnFrom moves the clock to last, unless it is past that: what has happened
// up to then, perhaps on a clock that ran faster, stays in the past.
func (c *ScaledClock) GoOnFrom(last time.Time) {
	if now := time.Now(); last.After(c.At(now)) {
		c.anchor.Store(&anchor{now, last.Round(0), c.anchor.Load().pace})
	}
}

// Ahead is how far the clock is ahead of the machine's.
func (c *ScaledClock) Ahead() time.Duration {
	now := time.Now()
	return c.At(now).Sub(now.Round(0))
}

// While returns how far this clock goes while the machine's goes d. It is for
// waits that protect something real, by code that knows this clock only.
func (c *ScaledClock) While(d time.Duration) time.Duration { return times(d, c.scale) }

func times(d time.Duration, n int64) time.Duration {
	return min(d, time.Duration(math.MaxInt64/n)) * time.Duration(n)
}

// Now returns the clock's time.
func (c *ScaledClock) Now() time.Time { return c.At(time.Now()) }

// At is the clock's time when the machine's is now, a time that time.Now has returned.
func (c *ScaledClock) At(now time.Time) time.Time {
	a := c.anchor.Load()
	own := a.own.Add(times(now.Sub(a.machine), a.pace))
	if a.pace == 1 && !own.After(now.Round(0)) {
		return now
	}
	return own
}

// AfterFunc runs f once d of the clock's time has passed, never before.
func (c *ScaledClock) AfterFunc(d time.Duration, f func()) func() bool {
	if !c.held() {
		return SystemClock{}.AfterFunc(c.machine(d), f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held() { // it was let go meanwhile
		return SystemClock{}.AfterFunc(c.machine(d), f)
	}
	t := time.AfterFunc(d, f)
	if c.waiting == nil {
		c.waiting = map[*time.Timer]time.Time{}
	}
	c.waiting[t] = c.Now().Add(d)
	return t.Stop
}

// held says whether the clock goes slower than it should.
func (c *ScaledClock) held() bool { return c.anchor.Load().pace != c.scale }

// Sleep waits for d of the clock's time, never less, or for the end of ctx.
func (c *ScaledClock) Sleep(ctx context.Context, d time.Duration) error {
	if !c.held() {
		return SystemClock{}.Sleep(ctx, c.machine(d))
	}
	over := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// machine is how long the machine's clock takes for d of this one, rounded up.
func (c *ScaledClock) machine(d time.Duration) time.Duration {
	whole := d / time.Duration(c.scale)
	if d%time.Duration(c.scale) > 0 {
		whole++
	}
	return whole
}
