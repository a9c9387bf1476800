package runtest

import (
	"context"
	"strings"
	"sync"

	"github.com/daruma-io/daruma"
)

// An Observer remembers what it was told, and wakes those who wait for it.
type Observer struct {
	mu      sync.Mutex
	lines   []daruma.Line
	spans   []daruma.Span
	states  []daruma.Environment
	changed chan struct{}
}

// Logged remembers a line.
func (o *Observer) Logged(l daruma.Line) { o.add(func() { o.lines = append(o.lines, l) }) }

// Spanned remembers a span.
func (o *Observer) Spanned(s daruma.Span) { o.add(func() { o.spans = append(o.spans, s) }) }

// Changed remembers a state.
func (o *Observer) Changed(e daruma.Environment) { o.add(func() { o.states = append(o.states, e) }) }

func (o *Observer) add(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// Lines returns the lines so far.
func (o *Observer) Lines() []daruma.Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]daruma.Line(nil), o.lines...)
}

// Spans returns the spans so far.
func (o *Observer) Spans() []daruma.Span {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]daruma.Span(nil), o.spans...)
}

// States returns the changes of state so far.
func (o *Observer) States() []daruma.Environment {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]daruma.Environment(nil), o.states...)
}

// Text returns the lines so far, each with its stream in front.
func (o *Observer) Text() string {
	var b strings.Builder
	for _, l := range o.Lines() {
		b.WriteString(l.Stream + ": " + l.Text + "\n")
	}
	return b.String()
}

// Await waits until done says so, looking again after everything that is told.
func (o *Observer) Await(ctx context.Context, done func() bool) error {
	for {
		o.mu.Lock()
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
