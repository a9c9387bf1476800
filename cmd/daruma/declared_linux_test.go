package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/fis"
	"github.com/aws/aws-sdk-go-v2/service/fis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/daruma-io/daruma/node"
)

// declaredTemplate is an app whose template declares an experiment on its function.
const declaredTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { CodeUri: f/, Handler: index.handler, Runtime: python3.12 } }
  Failing: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: failing, ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, MetricName: Errors, Namespace: AWS/Lambda, Dimensions: [{ Name: FunctionName, Value: Another }], Period: 60, Threshold: 1, Statistic: Sum } }
  Role: { Type: AWS::IAM::Role, Properties: { AssumeRolePolicyDocument: {} } }
`

const declaredExperiment = `  Errors:
    Type: AWS::FIS::ExperimentTemplate
    Properties:
      Description: what callers do
      RoleArn: !GetAtt Role.Arn
      StopConditions: [{ Source: aws:cloudwatch:alarm, Value: !GetAtt Failing.Arn }]
      Targets: { f: { ResourceType: aws:lambda:function, ResourceArns: [!GetAtt F.Arn], SelectionMode: ALL } }
      Actions: { errors: { ActionId: aws:lambda:invocation-error, Parameters: { duration: PT12H, preventExecution: true }, Targets: { Functions: f } } }
      Tags: { team: pay }
`

// untilExperiment waits until a template of experiments is as wanted, nil when it is to be gone.
func (p *platform) untilExperiment(id *string, want func(*types.ExperimentTemplate) bool) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		out, err := p.injection().GetExperimentTemplate(p.t.Context(), &fis.GetExperimentTemplateInput{Id: id})
		if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
			out = &fis.GetExperimentTemplateOutput{}
		} else if err != nil {
			p.t.Fatal(err)
		}
		if want(out.ExperimentTemplate) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("got %+v", out.ExperimentTemplate)
		}
		<-time.After(20 * time.Millisecond) // polling, with a deadline
	}
}

func TestAnExperimentThatATemplateDeclaresIsThereAsLongAsItDoes(t *testing.T) {
	dir := t.TempDir()
	declare := func(text string) { put(t, filepath.Join(dir, "template.yaml"), text) }
	declare(declaredTemplate + declaredExperiment)
	put(t, filepath.Join(dir, "f", "index.py"), "def handler(event, context):\n    return {'statusCode': 200, 'body': 'fine'}\n")
	p := startPlatform(t, dir)
	list, err := p.injection().ListExperimentTemplates(t.Context(), &fis.ListExperimentTemplatesInput{})
	if err != nil || len(list.ExperimentTemplates) != 1 || *list.ExperimentTemplates[0].Description != "what callers do" || list.ExperimentTemplates[0].Tags["team"] != "pay" {
		t.Fatalf("got %+v, %v", list, err)
	}
	_, err = p.injection().CreateExperimentTemplate(t.Context(), &fis.CreateExperimentTemplateInput{
		Description: aws.String("d"), RoleArn: aws.String("arn:x"), StopConditions: []types.CreateExperimentTemplateStopConditionInput{{Source: aws.String("none")}},
		Actions: map[string]types.CreateExperimentTemplateActionInput{"a": {ActionId: aws.String("aws:fis:inject-api-throttle-error"), Parameters: map[string]string{"duration": "PT1M", "service": "ec2", "percentage": "1", "operations": "X"}}},
	})
	if want := `"ec2" is not served here; there are ` + strings.Join(node.Services, ", "); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s: templates are checked before it is known what is served", err, want)
	}
	id := list.ExperimentTemplates[0].Id
	run := p.experiment(id)
	p.untilSeen("InjectedFault")
	if _, err := p.injection().StopExperiment(t.Context(), &fis.StopExperimentInput{Id: run}); err != nil {
		t.Fatal(err)
	}
	p.untilSeen("fine")

	// It follows the template, and keeps what was said of it since until that changes.
	if _, err := p.injection().UpdateExperimentTemplate(t.Context(), &fis.UpdateExperimentTemplateInput{Id: id, Description: aws.String("by hand")}); err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = startPlatform(t, dir)
	p.untilExperiment(id, func(is *types.ExperimentTemplate) bool { return is != nil && *is.Description == "by hand" })
	p.untilSeen("fine") // and its files are watched
	declare(declaredTemplate + strings.Replace(declaredExperiment, "what callers do", "what they do now", 1))
	p.untilExperiment(id, func(is *types.ExperimentTemplate) bool {
		return is != nil && *is.Description == "what they do now" && *is.Actions["errors"].ActionId == "aws:lambda:invocation-error"
	})

	// One that is wrong keeps all of a deployment from being.
	declare(declaredTemplate + strings.Replace(declaredExperiment, "!GetAtt Failing.Arn", "arn:aws:cloudwatch:us-east-1:000000000000:alarm:none", 1) + "  Late: { Type: AWS::SQS::Queue, Properties: { QueueName: late } }\n")
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(p.log(), "stopConditions: there is no alarm arn:aws:cloudwatch:us-east-1:000000000000:alarm:none here") {
		if time.Now().After(deadline) {
			t.Fatal("nothing is said of the alarm that there is not")
		}
		<-time.After(20 * time.Millisecond) // polling, with a deadline
	}
	if out, err := p.sqs().GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("late")}); err == nil {
		t.Errorf("there is %s", *out.QueueUrl)
	}
	p.untilExperiment(id, func(is *types.ExperimentTemplate) bool { return is != nil && *is.Description == "what they do now" })

	declare(declaredTemplate)
	p.untilExperiment(id, func(is *types.ExperimentTemplate) bool { return is == nil })
}
