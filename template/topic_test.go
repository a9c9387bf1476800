package template

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const topicTemplate = `  T:
    Type: AWS::SNS::Topic
    Properties:
      TopicName: orders
      DisplayName: Orders
      SignatureVersion: '2'
      Tags: [{ Key: k, Value: v }]
      Subscription:
        - { Protocol: lambda, Endpoint: !GetAtt F.Arn }
        - { Protocol: https, Endpoint: 'https://example.com/' }
  Queued:
    Type: AWS::SNS::Subscription
    Properties:
      TopicArn: !Ref T
      Protocol: sqs
      Endpoint: arn:aws:sqs:us-east-1:123456789012:q
      RawMessageDelivery: true
      FilterPolicyScope: MessageBody
      FilterPolicy: { color: [red, { prefix: b }] }
      RedrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:us-east-1:123456789012:dlq' }
  Policy:
    Type: AWS::SNS::TopicPolicy
    Properties: { Topics: [!Ref T], PolicyDocument: { Statement: [] } }
  Fifo: { Type: AWS::SNS::Topic, Properties: { FifoTopic: true, ContentBasedDeduplication: true, ArchivePolicy: { MessageRetentionPeriod: 30 } } }
  Again:
    Type: AWS::SNS::Subscription
    Properties:
      TopicArn: !Ref Fifo
      Protocol: sqs
      Endpoint: arn:aws:sqs:us-east-1:123456789012:q
      ReplayPolicy: { PointType: Timestamp, StartingPoint: '2024-04-01T00:00:00.000Z' }
Outputs:
  Arn: { Value: !Ref T }
  Name: { Value: !GetAtt T.TopicName }
  FifoArn: { Value: !Ref Fifo }
`

func TestTopicsAndSubscriptionsAreRead(t *testing.T) {
	app := loads(t, sam+function("F", "AutoPublishAlias: live", "Events:", "  E: { Type: SNS, Properties: { Topic: !Ref T, FilterPolicy: { a: [1] } } }")+topicTemplate)
	if len(app.Unsupported) != 0 {
		t.Errorf("got %v", app.Unsupported)
	}
	orders, fifo := app.Topics[0], app.Topics[1]
	if diff := cmp.Diff(map[string]string{"DisplayName": "Orders", "SignatureVersion": "2", "Policy": `{"Statement":[]}`}, orders.Attributes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"k": "v"}, orders.Tags); diff != "" {
		t.Error(diff)
	}
	if orders.Name != "orders" || !strings.HasPrefix(fifo.Name, "app-Fifo-") || !strings.HasSuffix(fifo.Name, ".fifo") || fifo.Attributes["ContentBasedDeduplication"] != "true" {
		t.Errorf("got %+v and %+v", orders, fifo)
	}
	got := map[string]Subscription{}
	ids := map[string]bool{}
	again := app.Subscriptions[len(app.Subscriptions)-1]
	if again.LogicalID != "Again" || again.Topic != fifo.Name || again.Attributes["ReplayPolicy"] != `{"PointType":"Timestamp","StartingPoint":"2024-04-01T00:00:00.000Z"}` || fifo.Attributes["ArchivePolicy"] != `{"MessageRetentionPeriod":30}` {
		t.Errorf("got %+v and %+v", again, fifo)
	}
	for _, s := range app.Subscriptions[:len(app.Subscriptions)-1] {
		if s.Topic != "orders" || s.ID == "" || ids[s.ID] {
			t.Errorf("got %+v", s)
		}
		ids[s.ID] = true
		got[s.LogicalID+" "+s.Protocol] = s
	}
	if len(got) != 4 || got["FE lambda"].Endpoint != "arn:aws:lambda:us-east-1:123456789012:function:F:live" || got["FE lambda"].Attributes["FilterPolicy"] != `{"a":[1]}` ||
		got["T lambda"].Endpoint != "arn:aws:lambda:us-east-1:123456789012:function:F" || got["T https"].Endpoint != "https://example.com/" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"RawMessageDelivery": "true", "FilterPolicyScope": "MessageBody", "FilterPolicy": `{"color":["red",{"prefix":"b"}]}`,
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dlq"}`}, got["Queued sqs"].Attributes); diff != "" {
		t.Error(diff)
	}
	for i, want := range []string{"arn:aws:sns:us-east-1:123456789012:orders", "orders", "arn:aws:sns:us-east-1:123456789012:" + fifo.Name} {
		if app.Outputs[i].Value != want {
			t.Errorf("%s is %s, want %s", app.Outputs[i].Name, app.Outputs[i].Value, want)
		}
	}
}

func TestADestinationMayBeATopic(t *testing.T) {
	app := loads(t, sam+function("F", "EventInvokeConfig:", "  DestinationConfig:", "    OnFailure: { Type: SNS, Destination: !Ref T }", "    OnSuccess: { Type: SNS }")+"  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }\n")
	if len(app.Topics) != 2 || len(app.Unsupported) != 0 || app.EventInvoke[0].OnFailure != "arn:aws:sns:us-east-1:123456789012:t" || app.EventInvoke[0].OnSuccess != "arn:aws:sns:us-east-1:123456789012:"+app.Topics[1].Name {
		t.Errorf("got %+v, %+v, %v", app.Topics, app.EventInvoke, app.Unsupported)
	}
}

func TestTopicsThatCannotBeAreRefused(t *testing.T) {
	with := func(properties string) string {
		return sam + function("F") + "  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }\n  S: { Type: AWS::SNS::Subscription, Properties: " + properties + " }\n"
	}
	topic := func(properties string) string {
		return sam + function("F") + "  T: { Type: AWS::SNS::Topic, Properties: " + properties + " }\n"
	}
	event := func(properties string) string {
		return sam + function("F", "Events: { E: { Type: SNS, Properties: "+properties+" } }") + "  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }\n"
	}
	wrong(t, []line{
		{"no protocol", with("{ TopicArn: !Ref T, Endpoint: e }"), "Protocol"},
		{"a protocol there is not", with("{ TopicArn: !Ref T, Protocol: odd, Endpoint: e }"), "property 'Protocol' must be one of"},
		{"a property there is not", with("{ TopicArn: !Ref T, Protocol: https, Endpoint: 'https://x/', Raw: true }"), "property 'Raw' is not defined"},
		{"a filter policy that is text", with("{ TopicArn: !Ref T, Protocol: https, Endpoint: 'https://x/', FilterPolicy: odd }"), "property 'FilterPolicy' must be a map"},
		{"a name that ends in .fifo", topic("{ TopicName: t.fifo }"), "the name of a FIFO topic ends with .fifo"},
		{"a FIFO topic whose name does not", topic("{ TopicName: t, FifoTopic: true }"), "the name of a FIFO topic ends with .fifo"},
		{"once by body without FIFO", topic("{ ContentBasedDeduplication: true }"), "are for topics with FifoTopic: true"},
		{"an archive without FIFO", topic("{ ArchivePolicy: { MessageRetentionPeriod: 30 } }"), "are for topics with FifoTopic: true"},
		{"a replay policy that is text", with("{ TopicArn: !Ref T, Protocol: https, Endpoint: 'https://x/', ReplayPolicy: odd }"), "property 'ReplayPolicy' must be a map"},
		{"an event without a topic", event("{ FilterPolicy: { a: [1] } }"), "Topic"},
	})
	refused(t, []line{
		{"mail", with("{ TopicArn: !Ref T, Protocol: email, Endpoint: a@example.com }"), "subscriptions with the protocol email are not supported; without it: deliveries of the topic t to its endpoint"},
		{"another topic", with("{ TopicArn: 'arn:aws:sns:us-east-1:123456789012:other', Protocol: https, Endpoint: 'https://x/' }"), "the topic arn:aws:sns:us-east-1:123456789012:other is not in this template"},
		{"another region", with("{ TopicArn: !Ref T, Protocol: https, Endpoint: 'https://x/', Region: eu-west-1 }"), "topics of other regions are not supported"},
		{"a queue between that is elsewhere", event("{ Topic: !Ref T, SqsSubscription: { QueueArn: 'arn:aws:sqs:us-east-1:123456789012:other', QueueUrl: u } }"), "the queue arn:aws:sqs:us-east-1:123456789012:other is not in this template"},
	})
}

func TestADeadLetterMayGoToATopic(t *testing.T) {
	app := loads(t, sam+function("F", "DeadLetterQueue: { Type: SNS, TargetArn: !Ref T }")+"  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }\n")
	if app.Functions[0].DeadLetter != "arn:aws:sns:us-east-1:123456789012:t" || len(app.Unsupported) != 0 {
		t.Errorf("got %q, %v", app.Functions[0].DeadLetter, app.Unsupported)
	}
}

func TestAQueueMayStandBetweenATopicAndAFunction(t *testing.T) {
	app := loads(t, sam+function("F", "Events:", "  E: { Type: SNS, Properties: { Topic: !Ref T, SqsSubscription: true } }", "  G: { Type: SNS, Properties: { Topic: !Ref T, FilterPolicy: { a: [1] }, SqsSubscription: { QueueArn: !GetAtt Q.Arn, QueueUrl: !Ref Q, BatchSize: 5, Enabled: false } } }")+
		"  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }\n  Q: { Type: AWS::SQS::Queue, Properties: { QueueName: q } }\n")
	if len(app.Unsupported) != 0 || len(app.Subscriptions) != 2 || len(app.Mappings) != 2 || len(app.Queues) != 2 {
		t.Fatalf("got %+v, %+v, %+v, %v", app.Subscriptions, app.Mappings, app.Queues, app.Unsupported)
	}
	for i, m := range app.Mappings {
		s := app.Subscriptions[i]
		if s.Protocol != "sqs" || s.Endpoint != m.Source || m.Target.Function != "F" {
			t.Errorf("got %+v and %+v", s, m)
		}
	}
	if m := app.Mappings[1]; m.Source != "arn:aws:sqs:us-east-1:123456789012:q" || *m.Batch != 5 || !m.Disabled || app.Mappings[0].Disabled || app.Subscriptions[1].Attributes["FilterPolicy"] != `{"a":[1]}` {
		t.Errorf("got %+v", app.Mappings)
	}
}
