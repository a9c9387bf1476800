package watch

import "github.com/prometheus/client_golang/prometheus"

// A Gauge is a number that somebody else knows, by labels. It can be given to Watch.Register.
type Gauge struct {
	Name, Help string
	Labels     []string
	Read       func() []Sample // called whenever metrics are read; from any goroutine
}

// A Sample is the number of a gauge for some labels' values, in the order of its Labels.
type Sample struct {
	Labels []string
	Value  float64
}

// Describe tells what there is to collect.
func (g Gauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc() }

// Collect reads the gauge.
func (g Gauge) Collect(to chan<- prometheus.Metric) {
	for _, s := range g.Read() {
		to <- prometheus.MustNewConstMetric(g.desc(), prometheus.GaugeValue, s.Value, s.Labels...)
	}
}

func (g Gauge) desc() *prometheus.Desc { return prometheus.NewDesc(g.Name, g.Help, g.Labels, nil) }
