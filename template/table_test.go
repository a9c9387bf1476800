package template

import "testing"

func TestTablesAreReadAsRequestsToCreateThem(t *testing.T) {
	app := loads(t, sam+function("F", "Environment: { Variables: { NAME: !Ref T, ARN: !GetAtt T.Arn, STREAM: !GetAtt T.StreamArn, SIMPLE: !GetAtt S.Arn } }")+`
  T:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties:
      TableName: orders
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }, { AttributeName: g, AttributeType: N }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
      ProvisionedThroughput: { ReadCapacityUnits: '5', WriteCapacityUnits: 6 }
      GlobalSecondaryIndexes:
        - { IndexName: by-g, KeySchema: [{ AttributeName: g, KeyType: HASH }], Projection: { ProjectionType: ALL }, ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 } }
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
      TimeToLiveSpecification: { AttributeName: ttl, Enabled: true }
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false }
      SSESpecification: { SSEEnabled: false }
      Tags: [{ Key: a, Value: b }]
  S: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: simple, PrimaryKey: { Name: key, Type: Number }, Tags: { a: b } } }
  D: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: plain, ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 5 } } }
`)
	compare(t, []Table{
		{LogicalID: "T", Name: "orders", Retain: true, Expiry: "ttl", Position: "template.yaml:11:11", Request: `{"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"g","AttributeType":"N"}],"GlobalSecondaryIndexes":[{"IndexName":"by-g","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6},"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},"TableName":"orders","Tags":[{"Key":"a","Value":"b"}]}`},
		{LogicalID: "S", Name: "simple", Position: "template.yaml:25:14", Request: `{"AttributeDefinitions":[{"AttributeName":"key","AttributeType":"N"}],"BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"key","KeyType":"HASH"}],"TableName":"simple","Tags":[{"Key":"a","Value":"b"}]}`},
		{LogicalID: "D", Name: "plain", Position: "template.yaml:26:14", Request: `{"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"BillingMode":"PROVISIONED","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5},"TableName":"plain"}`},
	}, app.Tables)
	env := app.Functions[0].Env
	const arn = "arn:aws:dynamodb:us-east-1:123456789012:table/"
	if env["NAME"] != "orders" || env["ARN"] != arn+"orders" || env["STREAM"] != arn+"orders/stream/"+TableStreamLabel || env["SIMPLE"] != arn+"simple" {
		t.Errorf("got %v", env)
	}
}

func TestWrongTablesAreRefused(t *testing.T) {
	table := func(properties string) string {
		return sam + "Resources: { T: { Type: AWS::DynamoDB::Table, Properties: { KeySchema: [{ AttributeName: pk, KeyType: HASH }], " + properties + " } } }\n"
	}
	wrong(t, []line{
		{"no key", sam + "Resources: { T: { Type: AWS::DynamoDB::Table } }\n", "missing required property 'KeySchema'"},
		{"unknown property", table("Key: 1"), "property 'Key' is not defined"},
		{"two of one name", sam + "Resources: { Q: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: x } }, R: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: x } } }\n", "the table x exists already (the other is Q)"},
		{"kind of key", sam + "Resources: { T: { Type: AWS::Serverless::SimpleTable, Properties: { PrimaryKey: { Type: Text } } } }\n", "must be one of String, Number, Binary"},
	})
	refused(t, []line{
		{"Kinesis", table("KinesisStreamSpecification: { StreamArn: x }"), "property 'KinesisStreamSpecification' is not supported; without it: the copies of changes in the stream"},
	})
}
