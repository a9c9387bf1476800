package template

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

func TestEventSourceMappingsAreReadFromEventsAndResources(t *testing.T) {
	app := loads(t, sam+function("F", "AutoPublishAlias: live", `Events: { E: { Type: SQS, Properties: { Queue: !GetAtt Q.Arn, BatchSize: 100, MaximumBatchingWindowInSeconds: 5, Enabled: false, FunctionResponseTypes: [ReportBatchItemFailures], ScalingConfig: { MaximumConcurrency: 7 }, FilterCriteria: { Filters: [{ Pattern: '{"body":["x"]}' }] } } } }`)+
		resourceFunction("G")+`  Q: { Type: AWS::SQS::Queue, Properties: { QueueName: orders } }
  M: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref G, EventSourceArn: !GetAtt Q.Arn, Tags: [{ Key: k, Value: v }] } }
`)
	const arn = "arn:aws:sqs:us-east-1:123456789012:orders"
	for i := range app.Mappings {
		app.Mappings[i].Position = ""
	}
	n := func(n int) *int { return &n }
	want := []Mapping{
		{LogicalID: "FE", Target: daruma.Target{Function: app.Mappings[0].Target.Function, Qualifier: "live"}, Source: arn, Batch: n(100), Window: n(5), AtOnce: n(7), Partial: true, Disabled: true, Filters: []string{`{"body":["x"]}`}},
		{LogicalID: "M", Target: daruma.Target{Function: app.Mappings[1].Target.Function}, Source: arn, Tags: map[string]string{"k": "v"}},
	}
	if diff := cmp.Diff(want, app.Mappings); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestWhatOfAMappingComesToNoValueIsAsIfItWereNotThere(t *testing.T) {
	app := loads(t, "Conditions: { Off: !Equals [a, b] }\n"+sam+function("F")+`  Q: { Type: AWS::SQS::Queue, Properties: { SqsManagedSseEnabled: !If [Off, false, !Ref AWS::NoValue] } }
  M: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref F, EventSourceArn: !GetAtt Q.Arn, Enabled: !If [Off, false, !Ref AWS::NoValue], StartingPosition: !If [Off, LATEST, !Ref AWS::NoValue] } }
`)
	if len(app.Mappings) != 1 || app.Mappings[0].Disabled {
		t.Errorf("got %+v, want one mapping that takes messages", app.Mappings)
	}
	if v, given := app.Queues[0].Attributes["SqsManagedSseEnabled"]; given {
		t.Errorf("the queue is given SqsManagedSseEnabled: %s", v)
	}
}
