package template

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

const streamedTable = `  T: { Type: AWS::DynamoDB::Table, Properties: { TableName: orders, BillingMode: PAY_PER_REQUEST, AttributeDefinitions: [{ AttributeName: a, AttributeType: S }], KeySchema: [{ AttributeName: a, KeyType: HASH }], StreamSpecification: { StreamViewType: NEW_IMAGE } } }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: dead } }
`

func TestMappingsOfStreamsAreReadFromEventsAndResources(t *testing.T) {
	app := loads(t, sam+function("F", `Events: { E: { Type: DynamoDB, Properties: { Stream: !GetAtt T.StreamArn, StartingPosition: TRIM_HORIZON, BatchSize: 7, BisectBatchOnFunctionError: true, MaximumRetryAttempts: 0, MaximumRecordAgeInSeconds: 60, ParallelizationFactor: 2, TumblingWindowInSeconds: 0, DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt Dead.Arn } } } } }`)+
		resourceFunction("G")+streamedTable+`  M: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref G, EventSourceArn: !GetAtt T.StreamArn, StartingPosition: LATEST, DestinationConfig: { OnFailure: { Destination: !GetAtt Dead.Arn } } } }
`)
	for i := range app.Mappings {
		app.Mappings[i].Position = ""
	}
	n := func(n int) *int { return &n }
	arn, dead := "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/"+TableStreamLabel, "arn:aws:sqs:us-east-1:123456789012:dead"
	want := []Mapping{
		{LogicalID: "FE", Target: daruma.Target{Function: app.Mappings[0].Target.Function}, Source: arn, Batch: n(7), Stream: &StreamMapping{Start: "TRIM_HORIZON", Lanes: n(2), Retries: n(0), Age: n(60), Tumble: n(0), Bisect: true, OnFailure: dead}},
		{LogicalID: "M", Target: daruma.Target{Function: app.Mappings[1].Target.Function}, Source: arn, Stream: &StreamMapping{Start: "LATEST", OnFailure: dead}},
	}
	if diff := cmp.Diff(want, app.Mappings); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestMappingsOfStreamsThatCannotBeAreRefused(t *testing.T) {
	with := func(more string) string {
		return sam + function("F", "Events: { E: { Type: DynamoDB, Properties: { Stream: !GetAtt T.StreamArn"+more+" } } }") + streamedTable
	}
	wrong(t, []line{
		{"no position", with(""), "missing required property 'Events.E.StartingPosition'"},
		{"a time", with(", StartingPosition: AT_TIMESTAMP"), "Unsupported starting position for arn type: "},
		{"too many lanes", with(", StartingPosition: LATEST, ParallelizationFactor: 11"), "must be from 1 to 10, not 11"},
		{"scaling", with(", StartingPosition: LATEST, ScalingConfig: { MaximumConcurrency: 2 }"), "Unsupported ScalingConfig parameter for given event source mapping type."},
	})
	refused(t, []line{
		{"a bucket", with(", StartingPosition: LATEST, DestinationConfig: { OnFailure: { Type: S3, Destination: 'arn:aws:s3:::b' } }"), "destinations of streams other than queues and topics are not supported"},
	})
}
