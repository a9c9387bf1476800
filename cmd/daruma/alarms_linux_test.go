package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/fis"
	"github.com/aws/aws-sdk-go-v2/service/fis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/daruma-io/daruma/node"
)

// watcher is the SDK's client for alarms.
func (p *platform) watcher() *cloudwatch.Client {
	p.t.Helper()
	key, err := node.OperatorKey(p.address.Data)
	if err != nil {
		p.t.Fatal(err)
	}
	return cloudwatch.New(cloudwatch.Options{Region: p.address.Region, BaseEndpoint: aws.String(p.address.AWS), HTTPClient: p.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")})
}

func (p *platform) alarm(name string) cwtypes.MetricAlarm {
	p.t.Helper()
	out, err := p.watcher().DescribeAlarms(p.t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}})
	if err != nil || len(out.MetricAlarms) != 1 {
		p.t.Fatalf("the alarm %s: %+v, %v", name, out, err)
	}
	return out.MetricAlarms[0]
}

// untilAlarm has something done again until an alarm is in a state.
func (p *platform) untilAlarm(name string, s cwtypes.StateValue, do func()) (a cwtypes.MetricAlarm) {
	p.t.Helper()
	within(p.t, time.Minute, name+" to be "+string(s), func() (bool, string) {
		if a = p.alarm(name); a.StateValue == s {
			return true, ""
		}
		do()
		return false, string(a.StateValue) + ": " + *a.StateReason
	})
	return a
}

const alarmsTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { FunctionName: F, CodeUri: f/, Handler: index.handler, Runtime: python3.12, Tags: { chaos: ready } } }
  Ops: { Type: AWS::SNS::Topic, Properties: { TopicName: ops, Subscription: [{ Protocol: sqs, Endpoint: !GetAtt Told.Arn }] } }
  Told: { Type: AWS::SQS::Queue, Properties: { QueueName: told } }
  Full: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: full, Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, Dimensions: [{ Name: QueueName, Value: !GetAtt Told.QueueName }],
    Statistic: Maximum, Period: 10, EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: GreaterThanOrEqualToThreshold } }
  Failing:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: failing
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions: [{ Name: FunctionName, Value: !Ref F }]
      Statistic: Sum
      Period: 10
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
      AlarmActions: [!Ref Ops]
      OKActions: [!GetAtt F.Arn]
`

// alarmsApp writes the app whose function fails when its event says so.
func alarmsApp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"template.yaml": alarmsTemplate, "f/index.py": "def handler(event, context):\n    if event.get('fail'):\n        raise Exception('asked to')\n    return 'fine'\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var fastPlatform = []string{"--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--time-scale=60"}

func TestATemplatesAlarmGoesOffAndTellsItsTopic(t *testing.T) {
	dir := alarmsApp(t)
	p := startPlatform(t, dir, fastPlatform...)
	if a := p.alarm("failing"); a.StateValue == cwtypes.StateValueAlarm {
		t.Fatalf("it begins as %+v", a)
	}
	p.untilAlarm("failing", cwtypes.StateValueOk, func() { p.invoke(t.Context(), "F", `{}`) })
	a := p.untilAlarm("failing", cwtypes.StateValueAlarm, func() { p.invoke(t.Context(), "F", `{"fail":true}`) })
	if !strings.HasPrefix(*a.StateReason, "Threshold Crossed: 1 datapoint [") || !strings.HasSuffix(*a.StateReason, "was greater than the threshold (0.0).") {
		t.Errorf("got %s", *a.StateReason)
	}
	p.untilAlarm("full", cwtypes.StateValueAlarm, func() {})
	var told struct{ AlarmName, NewStateValue, OldStateValue, NewStateReason string }
	key, err := node.OperatorKey(p.address.Data)
	if err != nil {
		t.Fatal(err)
	}
	queues := sqs.New(sqs.Options{Region: p.address.Region, BaseEndpoint: aws.String(p.address.AWS), HTTPClient: p.http, Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")})
	out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(p.address.AWS + "/000000000000/told")})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("got %+v, %v", out, err)
	}
	var envelope struct{ Subject, Message, TopicArn string }
	if err := json.Unmarshal([]byte(*out.Messages[0].Body), &envelope); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(envelope.Message), &told); err != nil || envelope.Subject != `ALARM: "failing" in US East (N. Virginia)` || told.AlarmName != "failing" || told.NewStateValue != "ALARM" || told.OldStateValue != "OK" || told.NewStateReason != *a.StateReason {
		t.Errorf("got %+v: %+v, %v", envelope, told, err)
	}
	for metric, dimension := range map[string][2]string{"AWS/Lambda Duration": {"FunctionName", "F"}, "AWS/Lambda ConcurrentExecutions": {"FunctionName", "F"}, "AWS/Lambda AsyncEventsReceived": {"FunctionName", "F"}, "AWS/SNS NumberOfMessagesPublished": {"TopicName", "ops"}, "AWS/SQS NumberOfMessagesSent": {"QueueName", "told"}} {
		namespace, name, _ := strings.Cut(metric, " ")
		stats, err := p.watcher().GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{Namespace: &namespace, MetricName: &name, Dimensions: []cwtypes.Dimension{{Name: &dimension[0], Value: &dimension[1]}},
			StartTime: aws.Time(a.StateUpdatedTimestamp.Add(-time.Hour)), EndTime: aws.Time(a.StateUpdatedTimestamp.Add(time.Hour)), Period: aws.Int32(3600), Statistics: []cwtypes.Statistic{cwtypes.StatisticMaximum, cwtypes.StatisticSum}})
		if err != nil || len(stats.Datapoints) == 0 {
			t.Fatalf("%s: got %+v, %v", metric, stats, err)
		}
		sum := 0.0
		for _, one := range stats.Datapoints {
			sum += *one.Sum
		}
		if sum <= 0 || strings.HasSuffix(metric, "Published") && sum != 1 || strings.HasSuffix(metric, "Sent") && sum != 1 {
			t.Errorf("%s: got %v", metric, sum)
		}
	}

	// It outlives the platform, and comes back when nothing fails.
	_, err = p.watcher().SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("full"), StateValue: cwtypes.StateValueAlarm, StateReason: aws.String("a test")})
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = startPlatform(t, dir, fastPlatform...)
	p.untilAlarm("failing", cwtypes.StateValueOk, func() {})
	history, err := p.watcher().DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("failing"), HistoryItemType: cwtypes.HistoryItemTypeAction})
	if err != nil || len(history.AlarmHistoryItems) < 2 {
		t.Fatalf("got %+v, %v", history, err)
	}
	for _, i := range history.AlarmHistoryItems {
		if !strings.HasPrefix(*i.HistorySummary, "Successfully executed action arn:aws:") {
			t.Errorf("got %s", *i.HistorySummary)
		}
	}
}

func TestAnAlarmStopsAnExperimentAndItsFaultIsGone(t *testing.T) {
	p := startPlatform(t, alarmsApp(t), fastPlatform...)
	p.untilAlarm("failing", cwtypes.StateValueOk, func() { p.invoke(t.Context(), "F", `{}`) })
	in := &fis.CreateExperimentTemplateInput{
		Description: aws.String("it fails, and is stopped"), RoleArn: aws.String("arn:aws:iam::000000000000:role/fis"),
		StopConditions: []types.CreateExperimentTemplateStopConditionInput{{Source: aws.String("aws:cloudwatch:alarm"), Value: p.alarm("failing").AlarmArn}},
		Targets:        map[string]types.CreateExperimentTemplateTargetInput{"ready": {ResourceType: aws.String("aws:lambda:function"), ResourceTags: map[string]string{"chaos": "ready"}, SelectionMode: aws.String("ALL")}},
		Actions: map[string]types.CreateExperimentTemplateActionInput{
			"calm":  {ActionId: aws.String("aws:cloudwatch:assert-alarm-state"), Parameters: map[string]string{"alarmArns": *p.alarm("failing").AlarmArn, "alarmStates": "OK"}},
			"error": {ActionId: aws.String("aws:lambda:invocation-error"), StartAfter: []string{"calm"}, Parameters: map[string]string{"duration": "PT12H", "preventExecution": "true"}, Targets: map[string]string{"Functions": "ready"}},
		},
	}
	made, err := p.injection().CreateExperimentTemplate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var id *string
	within(t, time.Minute, "a fault that is met", func() (bool, string) {
		state := types.ExperimentStatusStopped
		if id != nil {
			e, err := p.injection().GetExperiment(t.Context(), &fis.GetExperimentInput{Id: id})
			if err != nil {
				t.Fatal(err)
			}
			state = e.Experiment.State.Status
		}
		if state == types.ExperimentStatusStopped { // on a busy machine a start that failed may have set the alarm off meanwhile
			p.untilAlarm("failing", cwtypes.StateValueOk, func() { p.invoke(t.Context(), "F", `{}`) })
			id = p.experiment(made.ExperimentTemplate.Id)
		}
		got := p.seen(t, "F", "{}")
		return strings.Contains(got, "InjectedFault"), string(state) + ": " + got
	})
	p.untilAlarm("failing", cwtypes.StateValueAlarm, func() { p.invoke(t.Context(), "F", `{}`) })
	e := p.awaitExperiment(id)
	if e.State.Status != types.ExperimentStatusStopped || *e.State.Reason != "Experiment halted by stop condition." || e.Actions["error"].State.Status != types.ExperimentActionStatusStopped || e.Actions["calm"].State.Status != types.ExperimentActionStatusCompleted {
		t.Errorf("got %+v with %+v", e.State, e.Actions)
	}
	if got := p.seen(t, "F", "{}"); !strings.Contains(got, "fine") {
		t.Errorf("the fault is in force still: %s", got)
	}

	// While an alarm is off, an experiment ends before it breaks anything. This
	// one stays off: the topic's message lies in the queue.
	in.ClientToken = nil // the SDK has put one there
	in.StopConditions[0].Value = p.untilAlarm("full", cwtypes.StateValueAlarm, func() {}).AlarmArn
	if made, err = p.injection().CreateExperimentTemplate(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if e := p.awaitExperiment(p.experiment(made.ExperimentTemplate.Id)); e.State.Status != types.ExperimentStatusStopped || *e.State.Reason != "Experiment halted by stop condition." || e.Actions["error"].State.Status != types.ExperimentActionStatusCancelled {
		t.Errorf("got %+v with %+v", e.State, e.Actions)
	}
}
