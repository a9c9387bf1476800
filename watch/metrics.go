package watch

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/daruma-io/daruma"
)

// metrics are counts and latencies in the Prometheus model.
type metrics struct {
	registry   *prometheus.Registry
	runs       *prometheus.CounterVec
	met        *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	cold       *prometheus.HistogramVec
	ended      *prometheus.CounterVec
	logDropped prometheus.Counter
	logErrors  prometheus.Counter
	spans      prometheus.Counter
	spansLost  prometheus.Counter
	lately     *lately

	byRun sync.Map // runKey → runMetrics: resolving labels costs more than counting
}

type runKey struct {
	function, version string
	outcome           daruma.OutcomeKind
}

type runMetrics struct {
	count    prometheus.Counter
	met      prometheus.Counter // of count: runs that a fault met
	duration prometheus.Observer
}

var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900}

func newMetrics(w *Watch) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		lately:   newLately(),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daruma_runs_total", Help: "Runs of functions, by outcome.",
		}, []string{"function", "version", "outcome"}),
		met: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daruma_runs_met_by_faults_total", Help: "Of the runs of functions, those that a fault met, by outcome.",
		}, []string{"function", "version", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daruma_run_duration_seconds", Help: "The functions' own time per run.", Buckets: durationBuckets,
		}, []string{"function"}),
		cold: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daruma_cold_start_seconds", Help: "Time spent starting an environment for a waiting event.", Buckets: durationBuckets,
		}, []string{"function"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daruma_environments_ended_total", Help: "Environments that are gone, by cause.",
		}, []string{"function", "cause"}),
		logDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_log_lines_dropped_total", Help: "Log lines that were not kept because too many were waiting.",
		}),
		logErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_log_write_errors_total", Help: "Failed writes of the log or of spans.",
		}),
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_spans_kept_total", Help: "Spans of traces that were kept.",
		}),
		spansLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "daruma_spans_dropped_total", Help: "Spans of traces that were not kept because too many were waiting, or could not be written.",
		}),
	}
	m.registry.MustRegister(m.runs, m.met, m.duration, m.cold, m.ended, m.logDropped, m.logErrors, m.spans, m.spansLost, environments{w},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) ran(r *daruma.Span) {
	key := runKey{r.Function, r.Version, r.Outcome}
	got, ok := m.byRun.Load(key)
	if !ok {
		outcome := strings.ReplaceAll(r.Outcome.String(), " ", "_")
		got, _ = m.byRun.LoadOrStore(key, runMetrics{
			m.runs.WithLabelValues(r.Function, r.Version, outcome), m.met.WithLabelValues(r.Function, r.Version, outcome), m.duration.WithLabelValues(r.Function),
		})
	}
	rm := got.(runMetrics)
	rm.count.Inc()
	if len(r.Faults) > 0 {
		rm.met.Inc()
	}
	if r.Outcome.Ran() {
		rm.duration.Observe(r.Duration.Seconds())
		m.lately.took(r.Function, r.Duration)
	}
	if r.Cold {
		m.cold.WithLabelValues(r.Function).Observe(r.Init.Seconds())
	}
}

func (m *metrics) changed(e daruma.Environment) {
	if e.State == daruma.Gone {
		m.ended.WithLabelValues(e.Function, e.Cause).Inc()
	}
}

// environments counts environments when it is asked.
type environments struct{ w *Watch }

var environmentsDesc = prometheus.NewDesc("daruma_environments", "Environments there are, by state.", []string{"function", "state"}, nil)

func (environments) Describe(ch chan<- *prometheus.Desc) { ch <- environmentsDesc }

func (c environments) Collect(ch chan<- prometheus.Metric) {
	counts := map[[2]string]int{}
	for _, e := range c.w.Environments() {
		counts[[2]string{e.Function, string(e.State)}]++
	}
	for k, n := range counts {
		ch <- prometheus.MustNewConstMetric(environmentsDesc, prometheus.GaugeValue, float64(n), k[0], k[1])
	}
}

// Register adds another package's own metrics to what Metrics serves.
func (w *Watch) Register(c prometheus.Collector) error { return w.metrics.registry.Register(c) }

// Metrics answers with every metric in the Prometheus text format.
func (w *Watch) Metrics() http.Handler {
	return promhttp.HandlerFor(w.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Environments returns the environments there are, by function, then by start.
func (w *Watch) Environments() []daruma.Environment {
	w.mu.Lock()
	defer w.mu.Unlock()
	es := make([]daruma.Environment, 0, len(w.environments))
	for _, e := range w.environments {
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b daruma.Environment) int {
		if c := strings.Compare(a.Function, b.Function); c != 0 {
			return c
		}
		return a.Started.Compare(b.Started)
	})
	return es
}

// Totals are a function's runs since the platform started.
type Totals struct {
	Runs     int64 `json:"runs"`
	Failures int64 `json:"failures"` // ran and did not end well
	Timeouts int64 `json:"timeouts"` // of the failures: ended at their time-out, and met by no fault
	Refusals int64 `json:"refusals"` // did not run: throttled, no capacity, …
}

// Totals returns the counts of every function that was asked for.
func (w *Watch) Totals() map[string]Totals {
	totals := map[string]Totals{}
	w.metrics.byRun.Range(func(k, v any) bool {
		key, n := k.(runKey), int64(value(v.(runMetrics).count))
		t := totals[key.function]
		switch {
		case key.outcome == daruma.Done:
			t.Runs += n
		case key.outcome.Ran():
			t.Runs += n
			t.Failures += n
			if key.outcome == daruma.TimedOut {
				t.Timeouts += n - int64(value(v.(runMetrics).met))
			}
		default:
			t.Refusals += n
		}
		totals[key.function] = t
		return true
	})
	return totals
}

func value(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0
	}
	return m.GetCounter().GetValue()
}
