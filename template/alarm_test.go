package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

const alarmTemplate = `  T: { Type: AWS::SNS::Topic }
  Failing:
    Type: AWS::CloudWatch::Alarm
    DeletionPolicy: Retain
    Properties:
      AlarmDescription: it fails
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions: [{ Name: FunctionName, Value: !Ref F }]
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 3
      DatapointsToAlarm: 2
      Threshold: 0.5
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
      ActionsEnabled: false
      AlarmActions: [!Ref T]
      OKActions: [!GetAtt F.Arn]
      Tags: [{ Key: team, Value: pay }]
`

func TestAlarmsAreRead(t *testing.T) {
	app := loads(t, sam+function("F")+resourceFunction("G", "Environment: { Variables: { NAME: !Ref Failing, ARN: !GetAtt Failing.Arn } }")+alarmTemplate)
	if len(app.Unsupported) != 0 || len(app.Alarms) != 1 {
		t.Fatalf("got %v, %v", app.Alarms, app.Unsupported)
	}
	got := app.Alarms[0]
	want := Alarm{LogicalID: "Failing", Name: got.Name, Description: "it fails", Namespace: "AWS/Lambda", Metric: "Errors", Dimensions: map[string]string{"FunctionName": "F"}, Statistic: "Sum", PeriodS: 60, Periods: 3, ToAlarm: 2,
		Threshold: 0.5, Comparison: "GreaterThanThreshold", Missing: "notBreaching", Muted: true, OnAlarm: got.OnAlarm, OnOK: []string{"arn:aws:lambda:us-east-1:123456789012:function:F"}, Tags: map[string]string{"team": "pay"}, Retain: true, Position: got.Position}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.OnAlarm) != 1 || !strings.HasPrefix(got.OnAlarm[0], "arn:aws:sns:us-east-1:123456789012:") || !strings.Contains(got.Name, "-Failing-") {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"NAME": got.Name, "ARN": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:" + got.Name}, app.Functions[1].Env); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAnAlarmCannotHaveIsRefused(t *testing.T) {
	const rest = "Namespace: AWS/Lambda, MetricName: Errors, Statistic: Sum, EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: GreaterThanThreshold"
	for properties, want := range map[string]string{
		rest: "missing required property 'Period'", rest + ", Period: x": "must be a whole number", strings.Replace(rest, "Threshold: 1", "Threshold: much", 1) + ", Period: 60": "must be a number",
		rest + ", Period: 60, Perod: 1": "'Perod' is not defined", "Metrics: [{ Id: e, Expression: m1/m2 }], EvaluationPeriods: 1": "property 'Metrics' is not supported",
		rest + ", Period: 60, EvaluationWindow: {}": "property 'EvaluationWindow' is not supported", rest + ", Period: 60, AlarmActions: [!Ref B]": "is not supported or not known here",
		rest + ", Period: 60, Dimensions: [{ Name: FunctionName, Value: !Ref B }]": "what the alarm watches is not supported",
	} {
		app, problems := read(t, sam+function("F")+"  A: { Type: AWS::CloudWatch::Alarm, Properties: { "+properties+" } }\n  B: { Type: AWS::S3::Bucket }\n", Options{})
		got := problems.Error()
		if app != nil {
			got += app.Unsupported.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", properties, got, want)
		}
	}
}

func TestWhoMakesAlarmsSaysWhatIsWrongWithThem(t *testing.T) {
	for kind, message := range map[daruma.Kind]string{daruma.KindInvalid: "it is wrong", daruma.KindUnsupported: "it is not counted"} {
		app, problems := read(t, sam+function("F")+alarmTemplate, Options{Alarm: func(p catalog.Place, a *Alarm) error {
			if a.Metric != "Errors" || p.Region == "" {
				t.Errorf("got %+v", a)
			}
			return &daruma.Error{Kind: kind, Err: errors.New(message)}
		}})
		switch {
		case kind == daruma.KindInvalid && !strings.Contains(problems.Error(), message):
			t.Errorf("got %v", problems)
		case kind == daruma.KindUnsupported && (app == nil || len(app.Alarms) != 0 || len(app.Unsupported) != 1 || app.Unsupported[0].Missing == "" || app.Unsupported[0].Message != message):
			t.Errorf("got %+v, %v", app, problems)
		}
	}
}

func TestWhatOfAnAlarmComesToNoValueIsAsIfItWereNotThere(t *testing.T) {
	app := loads(t, "Conditions: { Prod: !Equals [a, b] }\n"+sam+function("F")+strings.NewReplacer("ActionsEnabled: false", "ActionsEnabled: !If [Prod, true, !Ref AWS::NoValue]\n      Metrics: !If [Prod, [{ Id: e, Expression: m1 }], !Ref AWS::NoValue]").Replace(alarmTemplate))
	if len(app.Alarms) != 1 || app.Alarms[0].Muted {
		t.Errorf("got %+v, want one alarm whose actions are taken", app.Alarms)
	}
}
