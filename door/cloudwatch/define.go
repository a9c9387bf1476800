package cloudwatch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/series"
)

type dimension struct{ Name, Value string }

type tag struct{ Key, Value string }

// A definition is an alarm as it is asked for.
type definition struct {
	AlarmName                        string
	AlarmDescription                 string
	ActionsEnabled                   *bool
	OKActions                        []string
	AlarmActions                     []string
	InsufficientDataActions          []string
	MetricName                       string
	Namespace                        string
	Statistic                        string
	ExtendedStatistic                string
	Dimensions                       []dimension
	Period                           *int
	Unit                             string
	EvaluationPeriods                *int
	DatapointsToAlarm                *int
	Threshold                        *float64
	ComparisonOperator               string
	TreatMissingData                 string
	EvaluateLowSampleCountPercentile string
	ThresholdMetricId                string
	Metrics                          []any
	Tags                             []tag
}

// put answers PutMetricAlarm.
func (d *Door) put(c *call, in *definition) (any, *wire.Error) {
	is, refused := in.alarm()
	if refused == nil {
		refused = wrong(is)
	}
	if refused == nil {
		refused = missing(d.cfg.Place, is)
	}
	if refused != nil {
		return nil, refused
	}
	tags, refused := tagsOf(in.Tags)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Alarms.Put(c.ctx, *is, tags); err != nil {
		return nil, failed(err)
	}
	return nil, nil
}

// alarm is the alarm that is asked for, not checked yet but for what it lacks.
func (in *definition) alarm() (*alarm.Definition, *wire.Error) {
	switch {
	case in.AlarmName == "":
		return nil, absent("AlarmName")
	case len(in.Metrics) > 0:
		return nil, parameter("Metrics is not supported here: an alarm watches one metric, by MetricName and Namespace, and no math is done")
	case in.ThresholdMetricId != "" || slices.Contains([]string{"LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold", "GreaterThanUpperThreshold"}, in.ComparisonOperator):
		return nil, parameter("Anomaly detection is not supported here: a threshold is a number")
	case in.MetricName == "":
		return nil, absent("MetricName")
	case in.Namespace == "":
		return nil, absent("Namespace")
	case in.Period == nil:
		return nil, absent("Period")
	case in.EvaluationPeriods == nil:
		return nil, absent("EvaluationPeriods")
	case in.Threshold == nil:
		return nil, absent("Threshold")
	case in.ComparisonOperator == "":
		return nil, absent("ComparisonOperator")
	case in.DatapointsToAlarm != nil && *in.DatapointsToAlarm < 1:
		return nil, validation("datapointsToAlarm", strconv.Itoa(*in.DatapointsToAlarm), "have value greater than or equal to 1")
	case *in.Period < 1 || *in.Period > 7*24*3600:
		return nil, validation("period", strconv.Itoa(*in.Period), "be from 10 to 604800")
	}
	is := &alarm.Definition{
		Name: in.AlarmName, Description: in.AlarmDescription, Metric: metric(in.Namespace, in.MetricName, in.Dimensions),
		Statistic: in.Statistic, Percentile: in.ExtendedStatistic, Unit: in.Unit, Period: time.Duration(*in.Period) * time.Second, Periods: *in.EvaluationPeriods,
		Threshold: *in.Threshold, Comparison: in.ComparisonOperator, Missing: in.TreatMissingData, FewSamples: in.EvaluateLowSampleCountPercentile,
		Muted: in.ActionsEnabled != nil && !*in.ActionsEnabled, OnAlarm: in.AlarmActions, OnOK: in.OKActions, OnInsufficient: in.InsufficientDataActions,
	}
	if in.DatapointsToAlarm != nil {
		is.ToAlarm = *in.DatapointsToAlarm
	}
	return is, nil
}

func metric(namespace, name string, dimensions []dimension) alarm.Metric {
	m := alarm.Metric{Namespace: namespace, Name: name}
	for _, d := range dimensions {
		m.Dimensions = append(m.Dimensions, alarm.Dimension(d))
	}
	m.Dimensions = alarm.Sorted(m.Dimensions)
	return m
}

// Check says, in the service's words, what is wrong with an alarm that is to be
// put (KindInvalid), or what of it is not supported here (KindUnsupported).
func Check(p catalog.Place, is *alarm.Definition) error {
	if refused := wrong(is); refused != nil {
		return &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New(refused.Message)}
	}
	if refused := missing(p, is); refused != nil {
		return &daruma.Error{Kind: daruma.KindUnsupported, Err: errors.New(refused.Message)}
	}
	return nil
}

// statistics are those that are no percentiles.
var statistics = []string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}

// Bounds of periods: what an alarm looks at together ([User Guide, "Alarms"]).
const (
	dayMax  = 24 * time.Hour
	weekMax = 7 * 24 * time.Hour
)

// wrong refuses what the service refuses.
func wrong(is *alarm.Definition) *wire.Error {
	together := is.Period * time.Duration(is.Periods)
	switch {
	case is.Name == "" || len(is.Name) > alarm.NameBytesMax || strings.HasPrefix(is.Name, ":"):
		return validation("alarmName", is.Name, "have length from 1 to 255, and not begin with a colon")
	case (is.Statistic == "") == (is.Percentile == ""):
		return combination("Exactly one of Statistic and ExtendedStatistic is needed.")
	case is.Statistic != "" && !slices.Contains(statistics, is.Statistic):
		return validation("statistic", is.Statistic, "satisfy enum value set: ["+strings.Join(statistics, ", ")+"]")
	case is.Periods < 1:
		return validation("evaluationPeriods", strconv.Itoa(is.Periods), "have value greater than or equal to 1")
	case !whole(is.Period):
		return parameter(fmt.Sprintf("Period must be 10, 20, 30 or a multiple of 60, and is %d.", is.Period/time.Second))
	case is.ToAlarm > is.Periods:
		return combination("DatapointsToAlarm must not be greater than EvaluationPeriods.")
	case is.Period < time.Hour && together > dayMax:
		return combination("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
	case together > weekMax:
		return combination("Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800).")
	case !slices.Contains(alarm.Comparisons(), is.Comparison):
		return validation("comparisonOperator", is.Comparison, "satisfy enum value set: ["+strings.Join(alarm.Comparisons(), ", ")+"]")
	}
	if err := is.Validate(); err != nil {
		return failed(err)
	}
	return nil
}

// missing refuses what is not supported here.
func missing(p catalog.Place, is *alarm.Definition) *wire.Error {
	if is.Period < time.Minute && is.Period*time.Duration(is.Periods) > series.LongMax {
		return combination("Periods of less than a minute are kept for three hours here: EvaluationPeriods times Period must not be greater than 10800.")
	}
	if _, ok := series.Percentile(is.Percentile); is.Percentile != "" && !ok {
		return parameter("ExtendedStatistic: " + is.Percentile + " is no percentile, such as p99.9; other extended statistics are not supported here")
	}
	if _, err := Key(is.Metric); err != nil {
		return parameter(err.Error())
	}
	if unit := unitOf(is.Metric); is.Unit != "" && is.Unit != unit {
		return parameter("Unit: " + is.Metric.Name + " is counted in " + unit + ", and not in " + is.Unit)
	}
	for _, action := range slices.Concat(is.OnAlarm, is.OnOK, is.OnInsufficient) {
		if _, _, err := Action(p, action); err != nil {
			return parameter(err.Error())
		}
	}
	return nil
}

// whole says whether a period is one that alarms can have.
func whole(p time.Duration) bool {
	return p == 10*time.Second || p == 20*time.Second || p == 30*time.Second || p >= time.Minute && p%time.Minute == 0
}

// Action finds out what an action is: a topic, by name, or a function.
func Action(p catalog.Place, of string) (topic string, function daruma.Target, err error) {
	if name, ok := strings.CutPrefix(of, "arn:aws:sns:"+p.Region+":"+p.Account+":"); ok && name != "" && !strings.Contains(name, ":") {
		if strings.HasSuffix(name, ".fifo") {
			return "", function, fmt.Errorf("the action %s is not supported here: alarms publish to standard topics", of)
		}
		return name, function, nil
	}
	if t, ok := p.FunctionTarget(of); ok {
		return "", t, nil
	}
	return "", function, fmt.Errorf("the action %s is not supported here: alarms publish to topics and invoke functions of this account and region", of)
}

func tagsOf(list []tag) (map[string]string, *wire.Error) {
	if len(list) > alarm.TagsMax {
		return nil, parameter("An alarm has at most " + strconv.Itoa(alarm.TagsMax) + " tags.")
	}
	tags := map[string]string{}
	for _, t := range list {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return nil, parameter("A tag has a key of 1 to 128 characters and a value of up to 256.")
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}
