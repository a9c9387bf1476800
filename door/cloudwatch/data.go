package cloudwatch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/series"
)

// Limits of what is read of metrics (API Reference).
const (
	pointsMax      = 1440    // of GetMetricStatistics
	dataPointsMax  = 100_800 // of GetMetricData, all together
	dataQueriesMax = 500
	listedMax      = 500
	listedAge      = 14 * 24 * time.Hour // what was counted lately is listed
)

// A datapoint is one of GetMetricStatistics.
type datapoint struct {
	Timestamp          *instant
	SampleCount        *float64 `json:",omitempty"`
	Average            *float64 `json:",omitempty"`
	Sum                *float64 `json:",omitempty"`
	Minimum            *float64 `json:",omitempty"`
	Maximum            *float64 `json:",omitempty"`
	Unit               string
	ExtendedStatistics map[string]float64 `json:",omitempty"`
}

// window is the periods between two times, as many as there are whole ones: the
// number of them, and the end of the last.
func (d *Door) window(start, end *instant, period int) (n int, last time.Time, refused *wire.Error) {
	switch {
	case start == nil:
		return 0, last, absent("StartTime")
	case end == nil:
		return 0, last, absent("EndTime")
	case !time.Time(*start).Before(time.Time(*end)):
		return 0, last, parameter("The parameter StartTime must be less than the parameter EndTime.")
	case !whole(time.Duration(period) * time.Second):
		return 0, last, parameter("Period must be 10, 20, 30 or a multiple of 60, and is " + strconv.Itoa(period) + ".")
	}
	step := int64(period)
	from := time.Time(*start).Unix() / step * step
	to := (time.Time(*end).Unix() + step - 1) / step * step
	if now := d.cfg.Now().Unix(); to > now+step {
		to = (now + step - 1) / step * step
	}
	if to <= from {
		return 0, last, nil
	}
	return int((to - from) / step), time.Unix(to, 0).UTC(), nil
}

// statistics answers GetMetricStatistics.
func (d *Door) statistics(_ *call, in *struct {
	Namespace, MetricName, Unit string
	Dimensions                  []dimension
	StartTime, EndTime          *instant
	Period                      *int
	Statistics                  []string
	ExtendedStatistics          []string
}) (any, *wire.Error) {
	if in.Period == nil {
		return nil, absent("Period")
	}
	if len(in.Statistics)+len(in.ExtendedStatistics) == 0 {
		return nil, combination("At least one of the parameters Statistics and ExtendedStatistics must be given.")
	}
	m := metric(in.Namespace, in.MetricName, in.Dimensions)
	key, refused := d.asked(m.Namespace, m.Name, in.Dimensions, in.Unit, append(slices.Clone(in.Statistics), in.ExtendedStatistics...))
	if refused != nil {
		return nil, refused
	}
	n, end, refused := d.window(in.StartTime, in.EndTime, *in.Period)
	if refused != nil {
		return nil, refused
	}
	if n > pointsMax {
		return nil, combination(fmt.Sprintf("You have requested up to %d datapoints, which exceeds the limit of %d. You may reduce the datapoints requested by increasing Period, or decreasing the time range.", n, pointsMax))
	}
	out := struct {
		Label      string
		Datapoints []datapoint
	}{in.MetricName, []datapoint{}}
	period := time.Duration(*in.Period) * time.Second
	for i, sum := range d.cfg.Series.Periods(key, end, period, n) {
		if sum.Count == 0 {
			continue
		}
		p := datapoint{Timestamp: instantOf(end.Add(time.Duration(i-n) * period)), Unit: unitOf(m)}
		for _, name := range in.Statistics {
			if v, ok := sum.Statistic(name); ok {
				*map[string]**float64{"SampleCount": &p.SampleCount, "Average": &p.Average, "Sum": &p.Sum, "Minimum": &p.Minimum, "Maximum": &p.Maximum}[name] = &v
			}
		}
		for _, name := range in.ExtendedStatistics {
			if v, ok := sum.Statistic(name); ok {
				if p.ExtendedStatistics == nil {
					p.ExtendedStatistics = map[string]float64{}
				}
				p.ExtendedStatistics[name] = v
			}
		}
		out.Datapoints = append(out.Datapoints, p)
	}
	return out, nil
}

// asked is the key of a metric that is read, of which statistics are wanted.
func (d *Door) asked(namespace, name string, dimensions []dimension, unit string, stats []string) (series.Key, *wire.Error) {
	m := metric(namespace, name, dimensions)
	key, err := Key(m)
	if err != nil {
		return key, parameter(err.Error())
	}
	if unit != "" && unit != unitOf(m) {
		return key, parameter("Unit: " + name + " is counted in " + unitOf(m) + ", and not in " + unit)
	}
	for _, s := range stats {
		if _, ok := series.Percentile(s); !ok && !slices.Contains(statistics, s) {
			return key, parameter(s + " is no statistic here: there are SampleCount, Average, Sum, Minimum, Maximum and percentiles, such as p99.9")
		}
	}
	return key, nil
}

// A result is the answer to one question of GetMetricData.
type result struct {
	Id         string
	Label      string
	Timestamps []instant
	Values     []float64
	StatusCode string
}

// data answers GetMetricData, for single metrics.
func (d *Door) data(_ *call, in *struct {
	MetricDataQueries []struct {
		Id         string
		Expression string
		Label      string
		AccountId  string
		Period     *int
		ReturnData *bool
		MetricStat *struct {
			Metric struct {
				Namespace, MetricName string
				Dimensions            []dimension
			}
			Period *int
			Stat   string
			Unit   string
		}
	}
	StartTime, EndTime *instant
	ScanBy             string
	NextToken          string
	MaxDatapoints      *int
	LabelOptions       *struct{ Timezone string }
}) (any, *wire.Error) {
	if len(in.MetricDataQueries) == 0 || len(in.MetricDataQueries) > dataQueriesMax {
		return nil, parameter("MetricDataQueries: there are from 1 to " + strconv.Itoa(dataQueriesMax))
	}
	out := struct {
		MetricDataResults []result
		Messages          []struct{}
	}{[]result{}, []struct{}{}}
	total := 0
	for _, q := range in.MetricDataQueries {
		switch {
		case q.Expression != "":
			return nil, parameter("Expression is not supported here: no math is done on metrics")
		case q.AccountId != "" && q.AccountId != d.cfg.Place.Account:
			return nil, parameter("AccountId: there is one account here")
		case q.MetricStat == nil || q.MetricStat.Period == nil || q.Id == "":
			return nil, absent("MetricStat with its Period, and Id")
		case q.ReturnData != nil && !*q.ReturnData:
			continue
		}
		is := q.MetricStat
		key, refused := d.asked(is.Metric.Namespace, is.Metric.MetricName, is.Metric.Dimensions, is.Unit, []string{is.Stat})
		if refused != nil {
			return nil, refused
		}
		n, end, refused := d.window(in.StartTime, in.EndTime, *is.Period)
		if refused != nil {
			return nil, refused
		}
		if total += n; total > dataPointsMax {
			return nil, parameter(fmt.Sprintf("More than %d datapoints are asked for at once.", dataPointsMax))
		}
		one := result{Id: q.Id, Label: cmp.Or(q.Label, is.Metric.MetricName), Timestamps: []instant{}, Values: []float64{}, StatusCode: "Complete"}
		period := time.Duration(*is.Period) * time.Second
		for i, sum := range d.cfg.Series.Periods(key, end, period, n) {
			if v, ok := sum.Statistic(is.Stat); ok {
				one.Timestamps, one.Values = append(one.Timestamps, instant(end.Add(time.Duration(i-n)*period))), append(one.Values, v)
			}
		}
		if in.ScanBy != "TimestampAscending" {
			slices.Reverse(one.Timestamps)
			slices.Reverse(one.Values)
		}
		out.MetricDataResults = append(out.MetricDataResults, one)
	}
	return out, nil
}

// list answers ListMetrics: what was counted lately.
func (d *Door) list(_ *call, in *struct {
	Namespace, MetricName, NextToken, RecentlyActive, OwningAccount string
	IncludeLinkedAccounts                                           *bool
	Dimensions                                                      []struct {
		Name  string
		Value *string
	}
}) (any, *wire.Error) {
	type listed struct {
		Namespace  string
		MetricName string
		Dimensions []dimension
	}
	age := listedAge
	switch in.RecentlyActive {
	case "":
	case "PT3H":
		age = 3 * time.Hour
	default:
		return nil, validation("recentlyActive", in.RecentlyActive, "satisfy enum value set: [PT3H]")
	}
	out := struct {
		Metrics   []listed
		NextToken string `json:",omitempty"`
	}{Metrics: []listed{}}
	keys := d.cfg.Series.Keys(d.cfg.Now(), age)
	text := func(k series.Key) string { return k.Of + "\x00" + k.Name + "\x00" + k.Measure }
	slices.SortFunc(keys, func(a, b series.Key) int { return cmp.Compare(text(a), text(b)) })
	from, err := strconv.Atoi("0" + in.NextToken)
	if err != nil {
		return nil, parameter("NextToken: it is none that was given here")
	}
	for i := from; i < len(keys); i++ {
		m, ok := metricOf(keys[i])
		if !ok || in.Namespace != "" && in.Namespace != m.Namespace || in.MetricName != "" && in.MetricName != m.Name {
			continue
		}
		wanted := true
		for _, f := range in.Dimensions {
			wanted = wanted && f.Name == m.Dimensions[0].Name && (f.Value == nil || *f.Value == m.Dimensions[0].Value)
		}
		if !wanted {
			continue
		}
		if len(out.Metrics) == listedMax {
			out.NextToken = strconv.Itoa(i)
			break
		}
		out.Metrics = append(out.Metrics, listed{m.Namespace, m.Name, []dimension{dimension(m.Dimensions[0])}})
	}
	return out, nil
}
