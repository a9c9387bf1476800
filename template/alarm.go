package template

import (
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const cloudwatchAlarm = "AWS::CloudWatch::Alarm"

// An Alarm is an alarm that should exist, in the words of the service's API. Who
// makes it says what of it is wrong, or not supported ([Options].Alarm).
type Alarm struct {
	LogicalID         string
	Name              string
	Description       string
	Namespace         string
	Metric            string
	Dimensions        map[string]string
	Statistic         string
	ExtendedStatistic string
	Unit              string
	PeriodS           int
	Periods           int
	ToAlarm           int // 0 when it is not given
	Threshold         float64
	Comparison        string
	Missing           string
	FewSamples        string
	Muted             bool
	OnAlarm           []string
	OnOK              []string
	OnInsufficient    []string
	Tags              map[string]string
	Retain            bool // it stays when the template says nothing of it any more
	Position          string
}

// alarm reads an AWS::CloudWatch::Alarm.
func (l *loader) alarm(r *resource) {
	p := l.properties(r)
	name := l.physicalName(r, r.at)
	p.text("AlarmName")
	if p.given("Metrics") || p.given("ThresholdMetricId") {
		const missing = "the alarm and its actions"
		p.refuse("Metrics", missing, "an alarm watches one metric, by MetricName and Namespace, and no math is done")
		p.refuse("ThresholdMetricId", missing, "a threshold is a number")
		return
	}
	p.require("ComparisonOperator", "EvaluationPeriods", "MetricName", "Namespace", "Period", "Threshold")
	a := Alarm{LogicalID: r.id, Description: p.text("AlarmDescription"), Namespace: p.text("Namespace"), Metric: p.text("MetricName"), Dimensions: map[string]string{},
		Statistic: p.text("Statistic"), ExtendedStatistic: p.text("ExtendedStatistic"), Unit: p.text("Unit"),
		PeriodS: p.integer("Period", 1, 7*24*3600, 0), Periods: p.integer("EvaluationPeriods", 1, 7*24*3600, 0), ToAlarm: p.integer("DatapointsToAlarm", 1, 7*24*3600, 0), Threshold: l.number(p, "Threshold"),
		Comparison: p.text("ComparisonOperator"), Missing: p.text("TreatMissingData"), FewSamples: p.text("EvaluateLowSampleCountPercentile"), Muted: p.given("ActionsEnabled") && !p.boolean("ActionsEnabled"),
		OnAlarm: l.actions(p, "AlarmActions"), OnOK: l.actions(p, "OKActions"), OnInsufficient: l.actions(p, "InsufficientDataActions"),
		Tags: l.tagList(p), Retain: l.retained(r), Position: r.at.String()}
	known := true
	for _, item := range p.list("Dimensions") {
		if item.Kind != tree.Map {
			p.fault("Dimensions", item.Pos, "a dimension must be a map with Name and Value", "")
			continue
		}
		d := l.within("Dimensions", item)
		d.require("Name", "Value")
		if v := d.value("Value"); v != nil && len(v.Refs) > 0 {
			d.missing("Value", v.Pos, "what the alarm watches is not supported or not known here: "+v.Text, "the alarm and its actions", "")
			known = false
		}
		a.Dimensions[d.text("Name")] = d.text("Value")
		d.done()
	}
	for _, only := range []string{"EvaluationCriteria", "EvaluationInterval", "EvaluationWindow", "ActionConfiguration", "WarmUpConfiguration"} {
		p.refuse(only, "what it says of how the alarm is judged", "")
	}
	p.done()
	if name == nil || name.Kind == tree.Broken || !known || a.PeriodS == 0 || a.Periods == 0 {
		return
	}
	a.Name = name.Text
	for _, o := range l.app.Alarms {
		if o.Name == a.Name {
			p.fault("AlarmName", p.at("AlarmName"), "the alarm "+a.Name+" exists already", "the other is "+o.LogicalID)
			return
		}
	}
	if l.checkAlarm != nil {
		if err := l.checkAlarm(l.app.Place, &a); err != nil {
			l.report(Problem{Position: r.at, Message: err.Error(), Missing: "the alarm and its actions", Unsupported: daruma.KindOf(err) == daruma.KindUnsupported})
			return
		}
	}
	l.app.Alarms = append(l.app.Alarms, a)
}

// number returns a number, 0 when the property is absent or wrong.
func (l *loader) number(p *properties, name string) float64 {
	text := p.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.fault(name, p.value(name).Pos, "property '"+p.full(name)+"' must be a number, not \""+text+"\"", "")
	}
	return n
}

// actions returns the ARNs of actions that are known here.
func (l *loader) actions(p *properties, name string) (arns []string) {
	for _, item := range p.list(name) {
		switch {
		case !item.IsScalar():
			p.fault(name, item.Pos, "property '"+p.full(name)+"' must be a list of strings", "")
		case len(item.Refs) > 0:
			p.missing(name, item.Pos, "the action "+item.Text+" is not supported or not known here", "the action", "")
		default:
			arns = append(arns, item.Text)
		}
	}
	return arns
}
