// Package otlp sends spans to a collector of traces, in the OpenTelemetry
// protocol over HTTP.
//
// An [Exporter] gathers spans into batches and sends one after the other. It
// never holds anybody up: spans that come faster than a collector takes them,
// and those of a batch that it does not take within its time, are dropped and
// counted. They stay where they are kept on this machine all the same.
//
// Spans become messages of the protocol when they are sent. No objects of the
// OpenTelemetry SDK are made where an event runs (docs/decisions/0012-traces.md).
package otlp

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"

	"github.com/daruma-io/daruma"
)

// Config says where spans are sent. URL is required.
type Config struct {
	URL     string // of a collector: "http://localhost:4318"; without a path it is /v1/traces
	App     string // service.namespace; the service is the function, or the app for what happens at a door
	Version string // of this program

	Log   *slog.Logger  // told when a collector stops taking spans, and when it takes them again; discarded when nil
	Queue int           // spans that may wait to be sent; 8192 when 0
	Batch int           // most spans in one request; 512 when 0
	Every time.Duration // longest a span waits for its batch to be full; a second when 0
	Retry time.Duration // how long a batch is tried before it is dropped; 30 s when 0
}

// drain bounds how long an exporter that ends goes on sending what waits.
const drain = 3 * time.Second

// An Exporter sends spans. Its methods may be called from any goroutine.
type Exporter struct {
	cfg     Config
	client  otlptrace.Client
	waiting chan daruma.Span

	sent, dropped prometheus.Counter
}

// New returns an exporter. It starts nothing. KindInvalid when the URL is none.
func New(cfg Config) (*Exporter, error) {
	to, err := Endpoint(cfg.URL)
	if err != nil {
		return nil, err
	}
	cfg.Queue, cfg.Batch = cmp.Or(cfg.Queue, 8192), cmp.Or(cfg.Batch, 512)
	cfg.Every, cfg.Retry = cmp.Or(cfg.Every, time.Second), cmp.Or(cfg.Retry, 30*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Exporter{
		cfg: cfg, waiting: make(chan daruma.Span, cfg.Queue),
		client: otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(to), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: min(time.Second, cfg.Retry/8), MaxInterval: 10 * time.Second, MaxElapsedTime: cfg.Retry})),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_spans_exported_total", Help: "Spans that the collector took.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_spans_not_exported_total", Help: "Spans that the collector did not take, or that came faster than it took them.",
		}),
	}, nil
}

// Endpoint checks a collector's URL and completes its path.
func Endpoint(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		err = errors.New("it does not look like http://localhost:4318")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		err = errors.New("it has a query, a fragment or a user: headers are given in OTEL_EXPORTER_OTLP_HEADERS")
	}
	if err != nil {
		return "", &daruma.Error{Op: "find the collector", Ref: text, Kind: daruma.KindInvalid, Err: err}
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Send has a span sent, or drops it when too many are waiting. It never blocks.
func (e *Exporter) Send(s daruma.Span) {
	select {
	case e.waiting <- s:
	default:
		e.dropped.Inc()
	}
}

// Describe and Collect make the exporter's counts metrics.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(e, ch) }

// Collect tells how many spans were sent and dropped.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	ch <- e.sent
	ch <- e.dropped
}

// Run sends spans until ctx ends, then those that wait, for a bounded time, and returns nil.
func (e *Exporter) Run(ctx context.Context) error {
	if err := e.client.Start(context.WithoutCancel(ctx)); err != nil {
		return &daruma.Error{Op: "start exporting spans", Ref: e.cfg.URL, Err: err}
	}
	u := upload{Exporter: e}
	for u.gather(ctx) {
		u.send(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for u.rest() {
		u.send(last)
	}
	if err := e.client.Stop(last); err != nil {
		e.cfg.Log.Warn("stop exporting spans", "to", e.cfg.URL, "error", err)
	}
	return nil
}

// An upload is an exporter's batch under way.
type upload struct {
	*Exporter
	batch   []daruma.Span
	failing bool
}

// gather waits for a batch: a full one, or what has come within Every of its
// first span. It returns false when ctx has ended; what was gathered is kept.
func (u *upload) gather(ctx context.Context) bool {
	select {
	case s := <-u.waiting:
		u.batch = append(u.batch, s)
	case <-ctx.Done():
		return false
	}
	full := time.NewTimer(u.cfg.Every)
	defer full.Stop()
	for len(u.batch) < u.cfg.Batch {
		select {
		case s := <-u.waiting:
			u.batch = append(u.batch, s)
		case <-full.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// rest takes a batch of what waits, without waiting. It returns false when there is none.
func (u *upload) rest() bool {
	for len(u.batch) < u.cfg.Batch {
		select {
		case s := <-u.waiting:
			u.batch = append(u.batch, s)
		default:
			return len(u.batch) > 0
		}
	}
	return true
}

// send sends the batch. What interrupted it, the end of ctx, leaves it for rest.
func (u *upload) send(ctx context.Context) {
	err := u.client.UploadTraces(ctx, resources(u.batch, u.cfg.App, u.cfg.Version))
	n := float64(len(u.batch))
	switch {
	case err == nil:
		u.sent.Add(n)
		if u.failing {
			u.cfg.Log.Warn("spans are exported again", "to", u.cfg.URL)
		}
	case errors.Is(ctx.Err(), context.Canceled):
		return
	default:
		u.dropped.Add(n)
		if !u.failing {
			u.cfg.Log.Warn("spans are not exported", "to", u.cfg.URL, "error", err)
		}
	}
	u.failing = err != nil
	clear(u.batch)
	u.batch = u.batch[:0]
}
