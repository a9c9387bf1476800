package cloudwatch

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/catalog"
)

// Writer writes what actions of alarms hand over. It depends on nothing but what
// it is given.
type Writer struct{ Place catalog.Place }

// stamp is how times are written in it.
const stamp = "2006-01-02T15:04:05.000-0700"

// regions are the names of regions as people read them; another has its own.
var regions = map[string]string{
	"us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)", "us-west-1": "US West (N. California)", "us-west-2": "US West (Oregon)", "ca-central-1": "Canada (Central)",
	"eu-west-1": "EU (Ireland)", "eu-west-2": "EU (London)", "eu-west-3": "EU (Paris)", "eu-central-1": "EU (Frankfurt)", "eu-north-1": "EU (Stockholm)", "eu-south-1": "EU (Milan)",
	"ap-northeast-1": "Asia Pacific (Tokyo)", "ap-northeast-2": "Asia Pacific (Seoul)", "ap-south-1": "Asia Pacific (Mumbai)", "ap-southeast-1": "Asia Pacific (Singapore)", "ap-southeast-2": "Asia Pacific (Sydney)", "sa-east-1": "South America (Sao Paulo)",
}

// Subject is that of a message to a topic.
func (w Writer) Subject(a *alarm.Alarm) string {
	text := string(a.Situation.State) + `: "` + a.Name + `" in ` + cmp.Or(regions[w.Place.Region], w.Place.Region)
	return strings.ToValidUTF8(text[:min(len(text), 100)], "")
}

// Message is what a topic is told.
func (w Writer) Message(a *alarm.Alarm, was alarm.Situation) []byte {
	type dimension struct {
		Value string `json:"value"`
		Name  string `json:"name"`
	}
	type trigger struct {
		MetricName                       string
		Namespace                        string
		StatisticType                    string
		Statistic                        string  `json:",omitempty"`
		ExtendedStatistic                string  `json:",omitempty"`
		Unit                             *string // null when the alarm has none
		Dimensions                       []dimension
		Period                           int
		EvaluationPeriods                int
		DatapointsToAlarm                int `json:",omitempty"`
		ComparisonOperator               string
		Threshold                        float64
		TreatMissingData                 string
		EvaluateLowSampleCountPercentile string
	}
	t := trigger{MetricName: a.Metric.Name, Namespace: a.Metric.Namespace, StatisticType: "Statistic", Statistic: map[string]string{"SampleCount": "SAMPLE_COUNT"}[a.Statistic], Dimensions: []dimension{}, Period: int(a.Period / time.Second),
		EvaluationPeriods: a.Periods, DatapointsToAlarm: a.ToAlarm, ComparisonOperator: a.Comparison, Threshold: a.Threshold, TreatMissingData: cmp.Or(a.Missing, alarm.AsMissing), EvaluateLowSampleCountPercentile: a.FewSamples}
	t.Statistic = cmp.Or(t.Statistic, strings.ToUpper(a.Statistic))
	if a.Percentile != "" {
		t.StatisticType, t.ExtendedStatistic = "ExtendedStatistic", a.Percentile
	}
	if a.Unit != "" {
		t.Unit = &a.Unit
	}
	for _, d := range a.Metric.Dimensions {
		t.Dimensions = append(t.Dimensions, dimension{d.Value, d.Name})
	}
	message := struct {
		AlarmName                          string
		AlarmDescription                   *string
		AWSAccountId                       string
		AlarmConfigurationUpdatedTimestamp string
		NewStateValue                      alarm.State
		NewStateReason                     string
		StateChangeTime                    string
		Region                             string
		AlarmArn                           string
		OldStateValue                      alarm.State
		OKActions                          []string
		AlarmActions                       []string
		InsufficientDataActions            []string
		Trigger                            trigger
	}{a.Name, nil, w.Place.Account, a.Changed.UTC().Format(stamp), a.Situation.State, a.Situation.Reason, a.Situation.At.UTC().Format(stamp), cmp.Or(regions[w.Place.Region], w.Place.Region), arn(w.Place, a.Name), was.State,
		list(a.OnOK), list(a.OnAlarm), list(a.OnInsufficient), t}
	if a.Description != "" {
		message.AlarmDescription = &a.Description
	}
	text, _ := json.Marshal(message) // a threshold that came as a number can be written
	return text
}

// Event is what a function gets. The id stands for the metric in it.
func (w Writer) Event(a *alarm.Alarm, was alarm.Situation, id string) []byte {
	type state struct {
		Value      alarm.State `json:"value"`
		Reason     string      `json:"reason"`
		ReasonData string      `json:"reasonData,omitempty"`
		Timestamp  string      `json:"timestamp"`
	}
	of := func(s alarm.Situation) state { return state{s.State, s.Reason, s.Data, s.At.UTC().Format(stamp)} }
	dimensions := map[string]string{}
	for _, d := range a.Metric.Dimensions {
		dimensions[d.Name] = d.Value
	}
	text, _ := json.Marshal(map[string]any{ // as above
		"source": "aws.cloudwatch", "alarmArn": arn(w.Place, a.Name), "accountId": w.Place.Account, "time": a.Situation.At.UTC().Format(stamp), "region": w.Place.Region,
		"alarmData": map[string]any{"alarmName": a.Name, "state": of(a.Situation), "previousState": of(was),
			"configuration": map[string]any{"description": a.Description, "metrics": []any{map[string]any{"id": id, "returnData": true,
				"metricStat": map[string]any{"metric": map[string]any{"namespace": a.Metric.Namespace, "name": a.Metric.Name, "dimensions": dimensions}, "period": int(a.Period / time.Second), "stat": cmp.Or(a.Statistic, a.Percentile)}}}}},
	})
	return text
}
