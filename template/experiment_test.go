package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

const experimentsApp = `  Failing: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: failing, ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, MetricName: Errors, Namespace: AWS/Lambda, Period: 60, Threshold: 1, Statistic: Sum } }
  Slow:
    Type: AWS::FIS::ExperimentTemplate
    DeletionPolicy: Retain
    Properties:
      Description: !Sub 'slow ${F}'
      RoleArn: !GetAtt Role.Arn
      StopConditions: [{ Source: aws:cloudwatch:alarm, Value: !GetAtt Failing.Arn }]
      Targets:
        f: { ResourceType: aws:lambda:function, ResourceArns: [!GetAtt F.Arn], SelectionMode: ALL, Parameters: { functionQualifier: live } }
        net: { ResourceType: aws:ec2:subnet, ResourceTags: { a: b }, SelectionMode: COUNT(1), Filters: [{ Path: AvailabilityZone, Values: [x] }] }
      Actions:
        delay: { ActionId: aws:lambda:invocation-add-delay, Description: d, Parameters: { duration: PT5M, startupDelayMilliseconds: 2000 }, Targets: { Functions: f }, StartAfter: [wait] }
        wait: { ActionId: aws:fis:wait, Parameters: { duration: PT1M } }
      ExperimentOptions: { AccountTargeting: single-account, EmptyTargetResolutionMode: skip }
      Tags: { team: pay }
  Role: { Type: AWS::IAM::Role, Properties: { RoleName: fis, AssumeRolePolicyDocument: {} } }
Outputs:
  Id: { Value: !Ref Slow }
  Same: { Value: !GetAtt Slow.Id }
`

func TestATemplateOfExperimentsIsReadInTheWordsOfTheAPI(t *testing.T) {
	app := loads(t, sam+function("F")+experimentsApp)
	e := app.Experiments[0]
	var got, want any
	if err := json.Unmarshal([]byte(e.Request), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"description": "slow F", "roleArn": "arn:aws:iam::123456789012:role/fis", "tags": {"team": "pay"},
		"stopConditions": [{"source": "aws:cloudwatch:alarm", "value": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:failing"}],
		"targets": {
			"f": {"resourceType": "aws:lambda:function", "resourceArns": ["arn:aws:lambda:us-east-1:123456789012:function:F"], "resourceTags": null, "selectionMode": "ALL", "parameters": {"functionQualifier": "live"}, "filters": null},
			"net": {"resourceType": "aws:ec2:subnet", "resourceArns": null, "resourceTags": {"a": "b"}, "selectionMode": "COUNT(1)", "parameters": null, "filters": [{"path": "AvailabilityZone", "values": ["x"]}]}},
		"actions": {
			"delay": {"actionId": "aws:lambda:invocation-add-delay", "description": "d", "parameters": {"duration": "PT5M", "startupDelayMilliseconds": "2000"}, "targets": {"Functions": "f"}, "startAfter": ["wait"]},
			"wait": {"actionId": "aws:fis:wait", "description": "", "parameters": {"duration": "PT1M"}, "targets": null, "startAfter": null}},
		"experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "skip"}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if e.LogicalID != "Slow" || !e.Retain || len(e.ID) != 19 || !strings.HasPrefix(e.ID, "EXT") || app.Outputs[0].Value != e.ID || app.Outputs[1].Value != e.ID {
		t.Errorf("got %+v and %+v", e, app.Outputs)
	}
	if len(app.Unsupported) != 0 {
		t.Errorf("got %v", app.Unsupported)
	}
}

func TestATemplateOfExperimentsThatIsWrongOrNotSupportedIsSaidToBe(t *testing.T) {
	app := sam + function("F") + experimentsApp
	with := func(old, is string) string {
		if !strings.Contains(app, old) {
			t.Fatalf("there is no %s", old)
		}
		return strings.Replace(app, old, is, 1)
	}
	wrong(t, []line{
		{"no description", with("Description: !Sub 'slow ${F}'", "Tags: {}"), "missing required property 'Description'"},
		{"unknown", with("ExperimentOptions:", "ExperimentOption:"), "property 'ExperimentOption' is not defined (did you mean ExperimentOptions?)"},
		{"unknown within an action", with("Description: d,", "Describtion: d,"), "property 'Actions.delay.Describtion' is not defined"}, //nolint:misspell // it is what is misspelt
		{"unknown within a target", with("SelectionMode: ALL", "SelectMode: ALL"), "property 'Targets.f.SelectMode' is not defined"},
		{"a target that is none", with("f: { ResourceType: aws:lambda:function,", "f: { "), "missing required property 'Targets.f.ResourceType'"},
		{"an attribute", with("GetAtt Slow.Id", "GetAtt Slow.Arn"), "does not support attribute type Arn"},
	})
	refused(t, []line{
		{"logs", with("Tags: { team: pay }", "LogConfiguration: { LogSchemaVersion: 2 }"), "property 'LogConfiguration' is not supported; without it: the log of the experiment"},
		{"reports", with("Tags: { team: pay }", "ExperimentReportConfiguration: {}"), "property 'ExperimentReportConfiguration' is not supported"},
		{"an alarm that is not here", with("AWS::CloudWatch::Alarm, Properties: { AlarmName: failing, ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, MetricName: Errors, Namespace: AWS/Lambda, Period: 60, Threshold: 1, Statistic: Sum }", "AWS::CloudWatch::CompositeAlarm, Properties: { AlarmName: failing, AlarmRule: x }"),
			"what stops the experiment is not supported or not known here: arn:aws:cloudwatch:us-east-1:123456789012:alarm:failing; without it: the experiment template"},
	})
	for kind, unsupported := range map[daruma.Kind]bool{daruma.KindUnsupported: true, daruma.KindInvalid: false} {
		got, problems := read(t, app, Options{ExperimentTemplate: func(*ExperimentTemplate) error { return &daruma.Error{Kind: kind, Err: errors.New("it cannot be")} }})
		switch {
		case unsupported && (got == nil || len(got.Experiments) != 0 || !strings.Contains(got.Unsupported.Error(), "it cannot be; without it: the experiment template")):
			t.Errorf("not supported: got %+v", got)
		case !unsupported && (got != nil || !strings.Contains(problems.Error(), "it cannot be")):
			t.Errorf("wrong: got %v", problems)
		}
	}
}
