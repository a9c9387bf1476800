package daruma

import (
	"context"
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
