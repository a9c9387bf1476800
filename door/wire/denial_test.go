package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/daruma-io/daruma/door/wire"
)

// denying answers every request as one that its role does not allow.
type denying struct{}

func (denying) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	wire.Deny(w, r, wire.Allowance(r, wire.Operation(r)), wire.ResourceARN(r, "us-east-1"))
}

func TestADenialSaysWhoMayNotDoWhatOnWhich(t *testing.T) {
	front, err := wire.New(wire.Config{Credentials: oneKey{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dynamodb", "sqs", "sns", "lambda"} {
		front.Register(name, wire.Service{Handler: denying{}, BodyBytesMax: 1 << 20})
	}
	server := httptest.NewServer(front)
	defer server.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret-of-the-test", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	tables, queues, topics, functions := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), sns.NewFromConfig(cfg), lambda.NewFromConfig(cfg)
	url, topic := aws.String(server.URL+"/000000000000/Jobs"), aws.String("arn:aws:sns:us-east-1:000000000000:News")
	item := map[string]dynamodbtypes.AttributeValue{"id": &dynamodbtypes.AttributeValueMemberS{Value: "1"}}
	ctx := context.Background()
	for _, c := range []struct {
		name, code, action, resource string
		ask                          func() error
	}{
		{"SendMessage", "AccessDeniedException", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:Jobs", func() error {
			_, err := queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x")})
			return err
		}},
		{"a batch needs what one message needs", "AccessDeniedException", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:Jobs", func() error {
			_, err := queues.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []sqstypes.SendMessageBatchRequestEntry{{Id: aws.String("a"), MessageBody: aws.String("x")}}})
			return err
		}},
		{"Publish", "AuthorizationError", "SNS:Publish", *topic, func() error {
			_, err := topics.Publish(ctx, &sns.PublishInput{TopicArn: topic, Message: aws.String("x")})
			return err
		}},
		{"PutItem", "AccessDeniedException", "dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:000000000000:table/Orders", func() error {
			_, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: item})
			return err
		}},
		{"an index", "AccessDeniedException", "dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/Orders/index/ByDay", func() error {
			_, err := tables.Query(ctx, &dynamodb.QueryInput{TableName: aws.String("Orders"), IndexName: aws.String("ByDay"), KeyConditionExpression: aws.String("a = b")})
			return err
		}},
		{"a transaction needs what its steps need", "AccessDeniedException", "dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:000000000000:table/Orders", func() error {
			_, err := tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []dynamodbtypes.TransactWriteItem{{Put: &dynamodbtypes.Put{TableName: aws.String("Orders"), Item: item}}}})
			return err
		}},
		{"Invoke", "AccessDeniedException", "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:Charge", func() error {
			_, err := functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("Charge:live")})
			return err
		}},
		{"nothing that has a name", "AccessDeniedException", "dynamodb:ListTables", "*", func() error {
			_, err := tables.ListTables(ctx, &dynamodb.ListTablesInput{})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, ok := errors.AsType[smithy.APIError](c.ask())
			want := "User: arn:aws:iam::000000000000:user/test is not authorized to perform: " + c.action + " on resource: " + c.resource + " because no identity-based policy allows the " + c.action + " action"
			if !ok || e.ErrorMessage() != want {
				t.Fatalf("got %v, want %s", e, want)
			}
			if code := e.ErrorCode(); code != c.code && code != "AccessDenied" {
				t.Errorf("got the code %s, want %s", code, c.code)
			}
		})
	}
}
