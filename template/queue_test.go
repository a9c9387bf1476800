package template

import (
	"strings"
	"testing"
)

func TestQueuesAreReadWithTheirAttributesAsTheServiceHasThem(t *testing.T) {
	app := loads(t, sam+function("F", "Environment: { Variables: { URL: !Ref Q, ARN: !GetAtt Q.Arn, NAME: !GetAtt Q.QueueName, DLQ: !GetAtt Dead.QueueUrl } }")+`
  Dead: { Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: { QueueName: dead, MessageRetentionPeriod: 1209600, Tags: [{ Key: a, Value: b }], RedriveAllowPolicy: { redrivePermission: allowAll } } }
  Q:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: '60'
      DelaySeconds: 5
      SqsManagedSseEnabled: true
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
  Fifo: { Type: AWS::SQS::Queue, Properties: { FifoQueue: true, ContentBasedDeduplication: true, DeduplicationScope: messageGroup, FifoThroughputLimit: perMessageGroupId } }
  P: { Type: AWS::SQS::QueuePolicy, Properties: { Queues: [!Ref Q], PolicyDocument: { Statement: [] } } }
`)
	arn := "arn:aws:sqs:us-east-1:123456789012:dead"
	compare(t, []Queue{
		{LogicalID: "Dead", Name: "dead", Retain: true, Tags: map[string]string{"a": "b"}, Position: "template.yaml:10:17", Attributes: map[string]string{"MessageRetentionPeriod": "1209600", "RedriveAllowPolicy": `{"redrivePermission":"allowAll"}`}},
		{LogicalID: "Q", Name: app.Queues[1].Name, Position: "template.yaml:12:11", Attributes: map[string]string{"VisibilityTimeout": "60", "DelaySeconds": "5", "SqsManagedSseEnabled": "true", "Policy": `{"Statement":[]}`, "RedrivePolicy": `{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":3}`}},
		{LogicalID: "Fifo", Name: app.Queues[2].Name, Position: "template.yaml:18:17", Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}},
	}, app.Queues)
	name := app.Queues[1].Name
	if !strings.HasPrefix(name, "app-Q-") || len(name) != len("app-Q-")+12 || !strings.HasSuffix(app.Queues[2].Name, ".fifo") {
		t.Errorf("got the names %q and %q, want as CloudFormation makes them", name, app.Queues[2].Name)
	}
	env := app.Functions[0].Env
	if env["URL"] != "https://sqs.us-east-1.amazonaws.com/123456789012/"+name || env["ARN"] != "arn:aws:sqs:us-east-1:123456789012:"+name || env["NAME"] != name || env["DLQ"] != "https://sqs.us-east-1.amazonaws.com/123456789012/dead" {
		t.Errorf("got %v", env)
	}
	if again := loads(t, sam+"Resources: { Q: { Type: AWS::SQS::Queue } }\n"); again.Queues[0].Name != name {
		t.Errorf("got %q, then %q, want the same name whatever else there is", name, again.Queues[0].Name)
	}
}

func TestWrongQueuesAreRefused(t *testing.T) {
	q := func(properties string) string {
		return sam + "Resources: { Q: { Type: AWS::SQS::Queue, Properties: { " + properties + " } } }\n"
	}
	wrong(t, []line{
		{"delay", q("DelaySeconds: 901"), "property 'DelaySeconds' must be from 0 to 900, not 901"},
		{"unknown property", q("Visibility: 1"), "property 'Visibility' is not defined"},
		{"FIFO without its suffix", q("FifoQueue: true, QueueName: q"), "must end with .fifo suffix"},
		{"a suffix without FIFO", q("QueueName: q.fifo"), "a name that ends in .fifo is that of a FIFO queue (add FifoQueue: true)"},
		{"standard with FIFO's attributes", q("ContentBasedDeduplication: true"), "Unknown Attribute ContentBasedDeduplication."},
		{"scope", q("FifoQueue: true, DeduplicationScope: group"), "must be one of messageGroup, queue"},
		{"redrive policy", q("RedrivePolicy: [1]"), "property 'RedrivePolicy' must be a map"},
		{"two of one name", sam + "Resources: { Q: { Type: AWS::SQS::Queue, Properties: { QueueName: x } }, R: { Type: AWS::SQS::Queue, Properties: { QueueName: x } } }\n", "the queue x exists already (the other is Q)"},
		{"FIFO as a dead-letter queue", sam + function("F", "DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt Q.Arn }") + "  Q: { Type: AWS::SQS::Queue, Properties: { FifoQueue: true } }\n", "is a FIFO queue, which does not take asynchronous events"},
	})
}

func TestQueuesTakeDeadLettersAndRecordsOfFunctions(t *testing.T) {
	app := loads(t, sam+function("F", "DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt Q.Arn }", "EventInvokeConfig: { DestinationConfig: { OnSuccess: { Type: SQS }, OnFailure: { Type: SQS, Destination: !GetAtt Q.Arn } } }")+
		"  Q: { Type: AWS::SQS::Queue, Properties: { QueueName: q } }\n"+resourceFunction("G", "Environment: { Variables: { ARN: !GetAtt FEventInvokeConfigOnSuccessQueue.Arn } }"))
	arn := "arn:aws:sqs:us-east-1:123456789012:q"
	if f := app.Functions[0]; f.DeadLetter != arn {
		t.Errorf("got %q", f.DeadLetter)
	}
	made := app.Queues[1]
	if e := app.EventInvoke[0]; e.OnFailure != arn || e.OnSuccess != "arn:aws:sqs:us-east-1:123456789012:"+made.Name || made.LogicalID != "FEventInvokeConfigOnSuccessQueue" || app.Functions[1].Env["ARN"] != e.OnSuccess {
		t.Errorf("got %+v, %+v, %v", e, made, app.Functions[1].Env)
	}
}
