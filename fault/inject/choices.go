package inject

import (
	"sync"
	"time"
)

// choicesMax bounds what a fault remembers of what it has decided.
const choicesMax = 16_384

// choices are what a fault has decided of things that come again: the oldest
// is forgotten when there are too many, and then decided anew.
type choices struct {
	mu    sync.Mutex // guards the rest
	of    map[string]choice
	order []string            // the oldest first
	waits map[string]*Message // of a Reorder fault: the one that is to be overtaken, by queue
}

type choice struct {
	met     bool
	latency time.Duration
	until   time.Time // of a QueueDelay fault; zero: it has not begun
}

// known says whether something was decided.
func (c *choices) known(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.of[id]
	return known
}

// until returns the time that was said first of something that was decided.
func (c *choices) until(id string, at time.Time) (until time.Time, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is, known := c.of[id]
	if !known || !is.until.IsZero() {
		return is.until, false
	}
	is.until = at
	c.of[id] = is
	return at, true
}

// decide says whether the fault meets a thing that may come again, and draws
// how much longer it takes; it decides once of each.
func (r *Running) decide(id string) (latency time.Duration, met bool) {
	c := &r.choices
	c.mu.Lock()
	defer c.mu.Unlock()
	is, known := c.of[id]
	if !known {
		is.latency, is.met = r.meet()
		if c.of == nil {
			c.of = map[string]choice{}
		}
		if len(c.order) >= choicesMax {
			delete(c.of, c.order[0])
			c.order = c.order[1:]
		}
		c.of[id] = is
		c.order = append(c.order, id)
	}
	select {
	case <-r.done:
		return 0, false
	default:
		return is.latency, is.met
	}
}
