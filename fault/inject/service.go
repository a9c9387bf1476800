package inject

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma/fault"
)

// A Call is a request to one of the cloud's services.
type Call struct {
	Who       // Function is "" when it comes from elsewhere
	Service   string
	Operation string
	Allowed   string   // what a role must allow for it; Operation when ""
	Resources []string // the names of what it is asked about
}

// An Answer is what a fault says to a Call, in the service's place. The zero
// value says nothing: the service answers.
type Answer struct {
	Drop   bool // the connection is closed without an answer
	Denied bool // the role of who asks does not allow it
	// Code is an error: one of the words that With.Code has, or the service's own.
	Code    string
	Message string // the service's own words when ""
	Status  int    // the one that goes with Code when 0
}

// Calls says whether some fault is on services, so that Call is worth asking.
func (s *Faults) Calls() bool {
	active := s.active.Load()
	return active != nil && len(active[fault.Services]) > 0
}

// Call has a request meet the faults of its service. It returns when the
// request may go on or a fault answers it; a request that nobody answers waits
// until ctx ends.
func (s *Faults) Call(ctx context.Context, c Call) Answer {
	active := s.active.Load()
	if active == nil {
		return Answer{}
	}
	what := c.Service + " " + c.Operation
	for _, f := range active[fault.Services] {
		if !f.asks(&c) {
			continue
		}
		if f.fault.Kind == fault.Capacity && !f.bucket.over(f.fault.With.PerSecond, time.Now()) {
			continue
		}
		latency, met := f.meet()
		if !met {
			continue
		}
		switch w := &f.fault.With; f.fault.Kind {
		case fault.Latency:
			s.note(f, c.Who, fmt.Sprintf("%s is held for %s", what, latency.Round(time.Microsecond)))
			if f.wait(ctx, latency) != nil {
				return Answer{Drop: true}
			}
		case fault.Error:
			code := w.Code
			if code == "" {
				code = "internal"
			}
			s.note(f, c.Who, what+" is answered with the error "+code)
			return Answer{Code: code, Message: w.Message, Status: w.Status}
		case fault.Permission:
			s.note(f, c.Who, what+" is denied: the function's role does not allow it any more")
			return Answer{Denied: true}
		case fault.Capacity:
			s.note(f, c.Who, what+" is over the capacity that the fault leaves")
			return Answer{Code: "throttled"}
		case fault.Refused:
			s.note(f, c.Who, what+" is dropped without an answer")
			return Answer{Drop: true}
		case fault.Blackhole:
			s.note(f, c.Who, what+" gets no answer")
			if f.hang(ctx) != nil {
				return Answer{Drop: true}
			}
		}
	}
	return Answer{}
}

// asks says whether a call is one that the fault is for.
func (r *Running) asks(c *Call) bool {
	t := &r.fault.Target
	operation := fault.Like(t.Operation, c.Operation) || r.fault.Kind == fault.Permission && c.Allowed != "" && fault.Like(t.Operation, c.Allowed)
	if !fault.Like(t.Service, c.Service) || !operation || t.Function != "" && (c.Function == "" || !fault.Like(t.Function, c.Function)) {
		return false
	}
	return t.Resource == "" || t.Resource == "*" || slices.ContainsFunc(c.Resources, func(name string) bool { return fault.Like(t.Resource, name) })
}

// A bucket says when something comes more often than so many times a second.
// It holds what may come at once: one second's worth.
type bucket struct {
	mu   sync.Mutex
	left float64
	at   time.Time // zero: it is full
}

// over takes one out, unless none is left, which it says.
func (b *bucket) over(perSecond float64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := max(1, perSecond)
	if b.at.IsZero() {
		b.left = full
	} else {
		b.left = min(full, b.left+now.Sub(b.at).Seconds()*perSecond)
	}
	b.at = now
	if b.left < 1 {
		return true
	}
	b.left--
	return false
}
