package cloudwatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/door/wire"
)

// recordsMax is how many alarms, or items of history, one answer has.
const recordsMax = 100

// A shown is an alarm as it is answered.
type shown struct {
	AlarmName                          string
	AlarmArn                           string
	AlarmDescription                   string `json:",omitempty"`
	AlarmConfigurationUpdatedTimestamp *instant
	ActionsEnabled                     bool
	OKActions                          []string
	AlarmActions                       []string
	InsufficientDataActions            []string
	StateValue                         string
	StateReason                        string
	StateReasonData                    string `json:",omitempty"`
	StateUpdatedTimestamp              *instant
	MetricName                         string
	Namespace                          string
	Statistic                          string `json:",omitempty"`
	ExtendedStatistic                  string `json:",omitempty"`
	Dimensions                         []dimension
	Period                             int
	Unit                               string `json:",omitempty"`
	EvaluationPeriods                  int
	DatapointsToAlarm                  int `json:",omitempty"`
	Threshold                          float64
	ComparisonOperator                 string
	TreatMissingData                   string `json:",omitempty"`
	EvaluateLowSampleCountPercentile   string `json:",omitempty"`
	StateTransitionedTimestamp         *instant
}

func (d *Door) show(a *alarm.Alarm) shown {
	s := shown{
		AlarmName: a.Name, AlarmArn: arn(d.cfg.Place, a.Name), AlarmDescription: a.Description, AlarmConfigurationUpdatedTimestamp: instantOf(a.Changed),
		ActionsEnabled: !a.Muted, OKActions: list(a.OnOK), AlarmActions: list(a.OnAlarm), InsufficientDataActions: list(a.OnInsufficient),
		StateValue: string(a.Situation.State), StateReason: a.Situation.Reason, StateReasonData: a.Situation.Data, StateUpdatedTimestamp: instantOf(a.Situation.At), StateTransitionedTimestamp: instantOf(a.Came),
		MetricName: a.Metric.Name, Namespace: a.Metric.Namespace, Statistic: a.Statistic, ExtendedStatistic: a.Percentile, Dimensions: []dimension{}, Period: int(a.Period / time.Second), Unit: a.Unit,
		EvaluationPeriods: a.Periods, DatapointsToAlarm: a.ToAlarm, Threshold: a.Threshold, ComparisonOperator: a.Comparison, TreatMissingData: a.Missing, EvaluateLowSampleCountPercentile: a.FewSamples,
	}
	for _, x := range a.Metric.Dimensions {
		s.Dimensions = append(s.Dimensions, dimension(x))
	}
	return s
}

func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// describe answers DescribeAlarms.
func (d *Door) describe(_ *call, in *struct {
	AlarmNames          []string
	AlarmNamePrefix     string
	AlarmTypes          []string
	ActionPrefix        string
	StateValue          string
	MaxRecords          *int
	NextToken           string
	ChildrenOfAlarmName string
	ParentsOfAlarmName  string
}) (any, *wire.Error) {
	switch {
	case in.ChildrenOfAlarmName != "" || in.ParentsOfAlarmName != "":
		return nil, parameter("There are no composite alarms here: an alarm has neither children nor parents.")
	case len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "":
		return nil, combination("AlarmNames and AlarmNamePrefix cannot be used together.")
	case len(in.AlarmNames) > namesMax:
		return nil, validation("alarmNames", "...", "have length less than or equal to 100")
	case in.StateValue != "" && !slices.Contains([]string{"OK", "ALARM", "INSUFFICIENT_DATA"}, in.StateValue):
		return nil, validation("stateValue", in.StateValue, "satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]")
	}
	n, refused := most(in.MaxRecords)
	if refused != nil {
		return nil, refused
	}
	out := struct {
		MetricAlarms    []shown
		CompositeAlarms []struct{}
		NextToken       string `json:",omitempty"`
	}{[]shown{}, []struct{}{}, ""}
	for _, a := range d.cfg.Alarms.All() {
		acts := slices.ContainsFunc(slices.Concat(a.OnAlarm, a.OnOK, a.OnInsufficient), func(s string) bool { return strings.HasPrefix(s, in.ActionPrefix) })
		switch {
		case a.Name <= in.NextToken && in.NextToken != "",
			len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, a.Name),
			!strings.HasPrefix(a.Name, in.AlarmNamePrefix),
			len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm"),
			in.StateValue != "" && in.StateValue != string(a.Situation.State),
			in.ActionPrefix != "" && !acts:
			continue
		}
		if len(out.MetricAlarms) == n {
			out.NextToken = out.MetricAlarms[n-1].AlarmName
			break
		}
		out.MetricAlarms = append(out.MetricAlarms, d.show(a))
	}
	return out, nil
}

// most is how many records a request asks for.
func most(given *int) (int, *wire.Error) {
	switch {
	case given == nil:
		return 50, nil
	case *given < 1 || *given > recordsMax:
		return 0, validation("maxRecords", strconv.Itoa(*given), "have value from 1 to 100")
	}
	return *given, nil
}

// describeForMetric answers DescribeAlarmsForMetric.
func (d *Door) describeForMetric(_ *call, in *struct {
	MetricName, Namespace, Statistic, ExtendedStatistic, Unit string
	Dimensions                                                []dimension
	Period                                                    *int
}) (any, *wire.Error) {
	if in.MetricName == "" || in.Namespace == "" {
		return nil, absent("MetricName and Namespace")
	}
	m := metric(in.Namespace, in.MetricName, in.Dimensions)
	out := struct{ MetricAlarms []shown }{[]shown{}}
	for _, a := range d.cfg.Alarms.All() {
		switch {
		case !a.Metric.Same(m),
			in.Statistic != "" && in.Statistic != a.Statistic,
			in.ExtendedStatistic != "" && in.ExtendedStatistic != a.Percentile,
			in.Unit != "" && in.Unit != a.Unit,
			in.Period != nil && time.Duration(*in.Period)*time.Second != a.Period:
			continue
		}
		out.MetricAlarms = append(out.MetricAlarms, d.show(a))
	}
	return out, nil
}

// Kinds of items of history.
var itemTypes = map[string]string{alarm.Configured: "ConfigurationUpdate", alarm.Moved: "StateUpdate", alarm.Acted: "Action"}

// An item is a piece of history as it is answered.
type item struct {
	AlarmName       string
	AlarmType       string
	Timestamp       *instant
	HistoryItemType string
	HistorySummary  string
	HistoryData     string
}

// history answers DescribeAlarmHistory.
func (d *Door) history(c *call, in *struct {
	AlarmName          string
	AlarmContributorId string
	AlarmTypes         []string
	HistoryItemType    string
	StartDate          *instant
	EndDate            *instant
	MaxRecords         *int
	NextToken          string
	ScanBy             string
}) (any, *wire.Error) {
	n, refused := most(in.MaxRecords)
	if refused != nil {
		return nil, refused
	}
	from, err := strconv.Atoi("0" + in.NextToken)
	switch {
	case in.AlarmContributorId != "":
		return nil, parameter("AlarmContributorId is not supported here: an alarm watches one metric")
	case err != nil:
		return nil, &wire.Error{Status: 400, Code: "InvalidNextToken", Query: "InvalidNextToken", Message: "The next token specified is invalid."}
	case !slices.Contains([]string{"", "TimestampDescending", "TimestampAscending"}, in.ScanBy):
		return nil, validation("scanBy", in.ScanBy, "satisfy enum value set: [TimestampDescending, TimestampAscending]")
	}
	all, err := d.cfg.Alarms.History(c.ctx, in.AlarmName)
	if err != nil {
		return nil, failed(err)
	}
	all = slices.DeleteFunc(all, func(i alarm.Item) bool {
		return in.HistoryItemType != "" && in.HistoryItemType != itemTypes[i.Kind] || len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm") ||
			in.StartDate != nil && i.At.Before(time.Time(*in.StartDate)) || in.EndDate != nil && i.At.After(time.Time(*in.EndDate))
	})
	if in.ScanBy == "TimestampAscending" {
		slices.Reverse(all)
	}
	out := struct {
		AlarmHistoryItems []item
		NextToken         string `json:",omitempty"`
	}{AlarmHistoryItems: []item{}}
	for i := from; i < len(all); i++ {
		if len(out.AlarmHistoryItems) == n {
			out.NextToken = strconv.Itoa(i)
			break
		}
		out.AlarmHistoryItems = append(out.AlarmHistoryItems, d.item(&all[i]))
	}
	return out, nil
}

func (d *Door) item(i *alarm.Item) item {
	out := item{AlarmName: i.Alarm, AlarmType: "MetricAlarm", Timestamp: instantOf(i.At), HistoryItemType: itemTypes[i.Kind]}
	data := map[string]any{"version": "1.0"}
	switch i.Kind {
	case alarm.Configured:
		out.HistorySummary = fmt.Sprintf("Alarm %q %s", i.Alarm, i.Did)
		data["type"] = map[string]string{"created": "Create", "updated": "Update"}[i.Did]
		data[i.Did+"Alarm"] = d.show(&alarm.Alarm{Definition: *i.Is, Changed: i.At})
	case alarm.Moved:
		out.HistorySummary = fmt.Sprintf("Alarm updated from %s to %s", i.From.State, i.To.State)
		data["oldState"], data["newState"] = stateData(i.From), stateData(i.To)
	default:
		out.HistorySummary = "Successfully executed action " + i.Action
		data["actionState"], data["notificationResource"] = "Succeeded", i.Action
		if i.Failed != "" {
			out.HistorySummary = "Failed to execute action " + i.Action + ". Received error: \"" + i.Failed + "\""
			data["actionState"], data["error"] = "Failed", i.Failed
		}
	}
	text, err := json.Marshal(data)
	if err == nil {
		out.HistoryData = string(text)
	}
	return out
}

func stateData(s *alarm.Situation) map[string]any {
	data := map[string]any{"stateValue": s.State, "stateReason": s.Reason}
	if s.Data != "" {
		data["stateReasonData"] = json.RawMessage(s.Data)
	}
	return data
}
