// Package watch sees what happens and never changes it: it keeps the log of
// every function on disk in bounded space, counts and times every run, and
// answers questions about both.
//
// A [Watch] is the product's daruma.Observer. Being told something costs its
// caller a channel send: what cannot be kept up with is dropped and counted,
// never waited for. Lines of one environment stay in their order. Everything
// here may be lost in a crash but for what was written before; no promise of
// the platform rests on it.
package watch

import (
	"context"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// Config says where a Watch keeps its log and how much of it.
type Config struct {
	Dir      string        // where the log's segments lie
	BytesMax int64         // most bytes of log kept, 256 MiB when 0; the oldest goes first
	Queue    int           // lines that may wait to be written, 16384 when 0
	Flush    time.Duration // longest a written line stays in memory, 200 ms when 0
}

func (c Config) withDefaults() Config {
	if c.BytesMax == 0 {
		c.BytesMax = 256 << 20
	}
	if c.Queue == 0 {
		c.Queue = 16384
	}
	if c.Flush == 0 {
		c.Flush = 200 * time.Millisecond
	}
	return c
}

// A Watch keeps logs and counts. Its methods may be called from any goroutine.
type Watch struct {
	cfg     Config
	lines   chan daruma.Line
	joins   chan join // readers that want what was logged so far
	store   *segments
	metrics *metrics

	leaves  chan *follower
	stopped chan struct{} // closed when Run has returned

	followers map[*follower]struct{} // the writer's own

	mu           sync.Mutex // guards environments
	environments map[string]daruma.Environment
}

// New opens the log in cfg.Dir, making the directory when there is none. Nothing is written until Run.
func New(cfg Config) (*Watch, error) {
	cfg = cfg.withDefaults()
	store, err := openSegments(cfg.Dir, cfg.BytesMax)
	if err != nil {
		return nil, &daruma.Error{Op: "open log", Ref: cfg.Dir, Err: err}
	}
	w := &Watch{
		cfg:          cfg,
		lines:        make(chan daruma.Line, cfg.Queue),
		joins:        make(chan join),
		leaves:       make(chan *follower),
		stopped:      make(chan struct{}),
		store:        store,
		followers:    map[*follower]struct{}{},
		environments: map[string]daruma.Environment{},
	}
	w.metrics = newMetrics(w)
	return w, nil
}

// Run writes the log until ctx ends, then writes what is still waiting, closes it and returns.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Flush)
	defer tick.Stop()
	defer w.stop()
	for {
		select {
		case l := <-w.lines:
			w.keep(l)
		case <-tick.C:
			w.flush()
		case j := <-w.joins:
			w.drain()
			w.flush()
			w.admit(j)
		case f := <-w.leaves:
			delete(w.followers, f)
		case <-ctx.Done():
			w.drain()
			w.flush()
			return w.store.close()
		}
	}
}

// drain keeps what waits now, and not what comes meanwhile.
func (w *Watch) drain() {
	for range len(w.lines) {
		w.keep(<-w.lines)
	}
}

func (w *Watch) keep(l daruma.Line) {
	if err := w.store.append(l); err != nil {
		w.metrics.logErrors.Inc()
	}
	for f := range w.followers {
		f.offer(l)
	}
}

func (w *Watch) flush() {
	if err := w.store.flush(); err != nil {
		w.metrics.logErrors.Inc()
	}
}

func (w *Watch) stop() {
	for f := range w.followers {
		close(f.lines)
	}
	close(w.stopped)
}

// Logged keeps a line of log, or drops and counts it when too many are waiting.
func (w *Watch) Logged(l daruma.Line) {
	select {
	case w.lines <- l:
	default:
		w.metrics.logDropped.Inc()
	}
}

// Ran counts and times a run.
func (w *Watch) Ran(r daruma.Run) { w.metrics.ran(r) }

// Changed remembers the state of an environment until it is gone.
func (w *Watch) Changed(e daruma.Environment) {
	w.metrics.changed(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.State == daruma.Gone {
		delete(w.environments, e.ID)
		return
	}
	w.environments[e.ID] = e
}
