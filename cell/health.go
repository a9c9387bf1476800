package cell

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// HealthState says what a cell can be trusted with.
type HealthState uint8

// The states of a cell, worst first.
const (
	Unhealthy HealthState = iota // it takes nothing, or what it holds is damaged; the zero value
	Full                         // the disk is nearly full: it is read, and commands that free room are taken
	Degraded                     // it works, and somebody should look at it
	Healthy                      // it works
)

var healthStates = [...]string{"unhealthy", "full", "degraded", "healthy"}

// String returns the state in words.
func (s HealthState) String() string { return healthStates[s] }

// StallMax is how long a write may be on its way to the disk before the cell is unhealthy.
const StallMax = 2 * time.Second

// Health is how a cell is.
type Health struct {
	State   HealthState
	Reason  string        // for people; "" when it is healthy
	Err     error         // the cause, with its kind; nil when there is none
	Canary  time.Duration // since something last became durable
	Waiting int           // commands that wait to be applied
	Panics  int           // commands undone because their machine panicked, since the cell was opened
	Free    uint64        // bytes free on the disk; 0 when there is none
}

// Health returns how the cell is, from what it has seen itself: a canary is
// written and synced every [Config].CanaryEvery when nothing else is. It is cheap.
func (c *Cell) Health() Health {
	s := c.journal.Status()
	age, panics, lastPanic := c.vitals.read(time.Now())
	h := Health{Canary: age, Waiting: c.intake.len(), Panics: panics, Free: s.Free}
	set := func(state HealthState, err error) Health {
		h.State, h.Reason, h.Err = state, err.Error(), err
		return h
	}
	late := c.every + StallMax
	switch {
	case s.Damage != nil:
		return set(Unhealthy, s.Damage)
	case s.Refuses != nil && daruma.KindOf(s.Refuses) == daruma.KindFull:
		return set(Full, s.Refuses)
	case s.Refuses != nil:
		return set(Unhealthy, s.Refuses)
	case s.Pending > StallMax:
		return set(Unhealthy, stalled("a write has been on its way to the disk for %v", s.Pending))
	case age > late:
		return set(Unhealthy, stalled("nothing has reached the disk for %v", age))
	case s.Full != nil:
		return set(Full, s.Full)
	case panics > 0:
		return set(Degraded, lastPanic)
	}
	h.State = Healthy
	return h
}

func stalled(format string, d time.Duration) error {
	return &daruma.Error{Op: "sync", Kind: daruma.KindUnavailable, Err: fmt.Errorf(format, d.Round(time.Millisecond))}
}

// sing writes a canary whenever nothing else has become durable for a while.
// It runs until ctx ends.
func (c *Cell) sing(ctx context.Context) {
	quiet := true
	for (daruma.SystemClock{}).Sleep(ctx, c.every) == nil {
		if age, _, _ := c.vitals.read(time.Now()); age < c.every {
			continue
		}
		_, err := c.do(ctx, Command{Machine: self, Name: canary, Frees: true}, true)
		if err != nil && ctx.Err() == nil && quiet {
			c.log.Error("cell: the canary did not reach the disk", "err", err)
		}
		quiet = err == nil
	}
}

// vitals are what a cell notes about itself.
type vitals struct {
	mu        sync.Mutex
	last      time.Time // when something last became durable, by the machine's clock
	panics    int
	lastPanic error
}

func (v *vitals) durable(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = now
}

func (v *vitals) panicked(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.panics++
	v.lastPanic = err
}

func (v *vitals) read(now time.Time) (age time.Duration, panics int, lastPanic error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(0, now.Sub(v.last)), v.panics, v.lastPanic
}
