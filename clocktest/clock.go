// Package clocktest is what tests share of clocks: one that is set by hand, and
// the machine's own, moved ahead. It never ships. The methods of its clocks may
// be called from any goroutine.
package clocktest

import (
	"context"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// A Clock stands until it is advanced. Timers run, each in a goroutine of its
// own, when it is moved past them; those that are due already run at once.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*timer]bool
}

type timer struct {
	at time.Time
	f  func()
}

// At returns a clock that stands at a time.
func At(now time.Time) *Clock {
	return &Clock{now: now, timers: map[*timer]bool{}}
}

// Now returns the time at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc runs f when the clock has been moved by d.
func (c *Clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d <= 0 {
		go f()
		return func() bool { return false }
	}
	t := &timer{c.now.Add(d), f}
	c.timers[t] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := c.timers[t]
		delete(c.timers, t)
		return was
	}
}

// Sleep waits until the clock has been moved by d, or for the end of ctx.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	done := make(chan struct{})
	defer c.AfterFunc(d, func() { close(done) })()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Advance moves the clock by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for t := range c.timers {
		if !t.at.After(c.now) {
			delete(c.timers, t)
			go t.f()
		}
	}
}

// An Ahead is the machine's clock, whose time can be moved ahead. Its timers go
// by the machine's. Its zero value is not ahead.
type Ahead struct {
	daruma.SystemClock
	mu sync.Mutex
	by time.Duration
}

// Now returns the machine's time, moved ahead.
func (c *Ahead) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

// Advance moves the clock further ahead.
func (c *Ahead) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}
