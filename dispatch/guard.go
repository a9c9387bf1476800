package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/once"
)

// A Guard has events of one key run once: it knows which run now, and asks
// package once which are done. Nil guards nothing.
type Guard struct {
	records *once.Records
	rule    func(function string) (once.Rule, bool)
	clock   daruma.Clock

	mu   sync.Mutex
	runs map[claim]bool // guarded by mu
}

// A claim is the right to run the event of a key.
type claim struct{ function, key string }

// NewGuard returns a guard of the functions that have a rule.
func NewGuard(records *once.Records, rule func(function string) (once.Rule, bool), clock daruma.Clock) *Guard {
	return &Guard{records: records, rule: rule, clock: clock, runs: map[claim]bool{}}
}

// A ruling says what is done with an event.
type ruling uint8

const (
	free     ruling = iota // it has no key: it runs
	fresh                  // it runs, and its key is claimed until it is let go
	answered               // it is done: what is kept is its answer
	busy                   // another one with its key runs
	clashing               // its key was another event's
)

// busyPause is how long an event waits for another one with its key.
const busyPause = time.Second

const clashType = "IdempotencyMismatch"

var errClash = errors.New("its idempotency key was used for another event")

// ask says what is done with an event of a function.
func (g *Guard) ask(ctx context.Context, function string, event func() []byte) (ruling, *once.Entry, *once.Record, error) {
	if g == nil {
		return free, nil, nil, nil
	}
	rule, ok := g.rule(function)
	if !ok {
		return free, nil, nil, nil
	}
	e := rule.Of(function, event())
	if e == nil {
		return free, nil, nil, nil
	}
	if !g.claim(e) {
		return busy, e, nil, nil
	}
	is, err := g.records.Find(ctx, e, g.clock.Now())
	switch {
	case err != nil:
		g.let(e)
		return busy, e, nil, err
	case is == nil:
		return fresh, e, nil, nil
	}
	g.let(e)
	if is.Hash != e.Hash {
		return clashing, e.As(once.Clashed), is, nil
	}
	return answered, e.As(once.Suppressed), is, nil
}

func (g *Guard) claim(e *once.Entry) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := claim{e.Function, e.Key}
	if g.runs[c] {
		return false
	}
	g.runs[c] = true
	return true
}

// let lets claims go. Nil entries have none.
func (g *Guard) let(entries ...*once.Entry) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range entries {
		if e != nil {
			delete(g.runs, claim{e.Function, e.Key})
		}
	}
}
