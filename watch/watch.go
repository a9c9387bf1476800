// Package watch sees what happens and never changes it: it keeps the log of
// every function and the spans of every trace on disk in bounded space, counts
// and times every run, and answers questions about all three.
//
// A [Watch] is the product's daruma.Observer. Being told something costs its
// caller a place in a queue: what cannot be kept up with is dropped and counted,
// never waited for. Lines of one environment stay in their order. What was
// told Config.Flush before the process is killed is on disk; what was told
// later may be lost, and no promise of the platform rests on any of it.
package watch

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// Config says where a Watch keeps the log and the spans, and how much of them.
type Config struct {
	Dir      string        // where the log's segments lie; required
	BytesMax int64         // most bytes of log kept, 256 MiB when 0; the oldest goes first
	Queue    int           // lines that may wait to be written, 16384 when 0
	Flush    time.Duration // longest a written line or span stays in memory, 200 ms when 0

	Spans        string            // where the spans' segments lie; "spans" in Dir when ""
	SpanBytesMax int64             // most bytes of spans kept, 64 MiB when 0; the oldest go first
	SpanAgeMax   time.Duration     // spans older than this go, a sixteenth of it later at most; 14 days when 0
	SpanQueue    int               // spans that may wait to be written, 8192 when 0
	Forward      func(daruma.Span) // is told every span, too; it must not block; may be nil
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
	c.Spans = cmp.Or(c.Spans, filepath.Join(c.Dir, "spans"))
	c.SpanBytesMax = cmp.Or(c.SpanBytesMax, 64<<20)
	c.SpanAgeMax = cmp.Or(c.SpanAgeMax, 14*24*time.Hour)
	c.SpanQueue = cmp.Or(c.SpanQueue, 8192)
	return c
}

// A Watch keeps logs, spans and counts. Its methods may be called from any goroutine.
type Watch struct {
	cfg     Config
	lines   chan daruma.Line
	told    told
	joins   chan join // readers that want what was told so far
	log     *segments
	spans   *segments
	buf     []byte // the writer's own: a record
	metrics *metrics

	leaves  chan *follower
	stopped chan struct{} // closed when Run has returned

	followers map[*follower]struct{} // the writer's own

	mu           sync.Mutex // guards environments
	environments map[string]daruma.Environment
}

// New opens the log and the spans, making their directories when there are none. Nothing is written until Run.
func New(cfg Config) (*Watch, error) {
	cfg = cfg.withDefaults()
	log, err := openSegments(cfg.Dir, cfg.BytesMax, 0, time.Now)
	if err != nil {
		return nil, &daruma.Error{Op: "open log", Ref: cfg.Dir, Err: err}
	}
	spans, err := openSegments(cfg.Spans, cfg.SpanBytesMax, cfg.SpanAgeMax, time.Now)
	if err != nil {
		return nil, &daruma.Error{Op: "open spans", Ref: cfg.Spans, Err: errors.Join(err, log.close())}
	}
	w := &Watch{
		cfg:          cfg,
		lines:        make(chan daruma.Line, cfg.Queue),
		joins:        make(chan join),
		leaves:       make(chan *follower),
		stopped:      make(chan struct{}),
		told:         told{most: cfg.SpanQueue, many: make(chan struct{}, 1)},
		log:          log,
		spans:        spans,
		followers:    map[*follower]struct{}{},
		environments: map[string]daruma.Environment{},
	}
	w.metrics = newMetrics(w)
	return w, nil
}

// expireEvery is how often it is looked for what has grown too old.
const expireEvery = time.Minute

// Run writes what is told until ctx ends, then writes what is still waiting, closes the files and returns.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Flush)
	defer tick.Stop()
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	defer w.stop()
	for {
		select {
		case l := <-w.lines:
			w.keep(l)
		case <-w.told.many:
			w.keepSpans()
		case <-tick.C:
			w.keepSpans()
			w.flush()
		case <-expire.C:
			w.count(w.spans.expire())
		case j := <-w.joins:
			w.drain()
			w.flush()
			w.admit(j)
		case f := <-w.leaves:
			delete(w.followers, f)
		case <-ctx.Done():
			w.drain()
			w.flush()
			return errors.Join(w.log.close(), w.spans.close())
		}
	}
}

// drain keeps what waits now, and not what comes meanwhile.
func (w *Watch) drain() {
	for range len(w.lines) {
		w.keep(<-w.lines)
	}
	w.keepSpans()
}

func (w *Watch) keep(l daruma.Line) {
	w.buf = appendLine(w.buf[:0], l)
	w.count(w.log.append(w.buf))
	for f := range w.followers {
		f.offer(l)
	}
}

func (w *Watch) flush() {
	w.count(w.log.flush())
	w.count(w.spans.flush())
}

// count counts a failed write.
func (w *Watch) count(err error) {
	if err != nil {
		w.metrics.logErrors.Inc()
	}
}

// ends returns the ends of what is kept.
func (w *Watch) ends() marks { return marks{log: w.log.end(), spans: w.spans.end()} }

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

// Changed remembers the state of an environment until it is gone.
func (w *Watch) Changed(e daruma.Environment) {
	w.metrics.changed(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics.lately.changed(e.Function, w.environments[e.ID].State, e.State)
	if e.State == daruma.Gone {
		delete(w.environments, e.ID)
		return
	}
	w.environments[e.ID] = e
}
