package template

import (
	"strings"
	"testing"
)

func TestResourcePoliciesAreSaidToBeKeptAndNotEnforced(t *testing.T) {
	app := loads(t, sam+`
Resources:
  Q: { Type: AWS::SQS::Queue }
  T: { Type: AWS::SNS::Topic }
  OfQ: { Type: AWS::SQS::QueuePolicy, Properties: { Queues: [!Ref Q], PolicyDocument: { Statement: [] } } }
  OfT: { Type: AWS::SNS::TopicPolicy, Properties: { Topics: [!Ref T], PolicyDocument: { Statement: [] } } }
`)
	if len(app.Warnings) != 1 || !strings.Contains(app.Warnings.Error(), "kept, not enforced: OfQ, OfT") {
		t.Errorf("got %v, want one warning that names both", app.Warnings)
	}
	if app := loads(t, sam+"Resources: { Q: { Type: AWS::SQS::Queue } }\n"); len(app.Warnings) != 0 {
		t.Errorf("got %v, want no warning without a policy", app.Warnings)
	}
}

func TestProtectionThatIsNotHereIsSaidToBeAbsent(t *testing.T) {
	app := loads(t, sam+function("F", "KmsKeyArn: arn:aws:kms:us-east-1:123456789012:key/k")+`
  A: { Type: AWS::DynamoDB::Table, Properties: { KeySchema: [{ AttributeName: pk, KeyType: HASH }], AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }], BillingMode: PAY_PER_REQUEST,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 7 }, SSESpecification: { SSEEnabled: true, SSEType: KMS }, ContributorInsightsSpecification: { Enabled: true },
    GlobalSecondaryIndexes: [{ IndexName: i, KeySchema: [{ AttributeName: pk, KeyType: HASH }], Projection: { ProjectionType: ALL }, ContributorInsightsSpecification: { Enabled: true }, WarmThroughput: { ReadUnitsPerSecond: 12000 } }] } }
  B: { Type: AWS::Serverless::SimpleTable, Properties: { PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }, SSESpecification: { SSEEnabled: false } } }
  Q: { Type: AWS::SQS::Queue, Properties: { KmsMasterKeyId: alias/aws/sqs, KmsDataKeyReusePeriodSeconds: 300 } }
  T: { Type: AWS::SNS::Topic, Properties: { KmsMasterKeyId: alias/aws/sns } }
`)
	for _, want := range []string{
		"no table can be brought back to an earlier time: A, B (daruma tables export",
		"what is stored lies in the node's directory as it is: A, F, Q, T (only its owner",
		"no reports tell of keys that are used much: A",
	} {
		if !strings.Contains(app.Warnings.Error(), want) {
			t.Errorf("got %v, want one with %q", app.Warnings, want)
		}
	}
	if len(app.Warnings) != 3 {
		t.Errorf("got %d warnings, want 3: each once", len(app.Warnings))
	}
	if request := app.Tables[0].Request; strings.Contains(request, "Insights") || strings.Contains(request, "Warm") {
		t.Errorf("the request has %s", request)
	}
}
