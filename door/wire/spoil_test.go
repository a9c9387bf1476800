package wire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/daruma-io/daruma/door/wire"
)

// spoiling answers every request with an error, and notes what was asked.
type spoiling struct {
	code      string
	operation string
	resources []string
}

func (s *spoiling) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	s.operation, s.resources = wire.Operation(r), wire.Resources(r)
	wire.Spoil(w, r, s.code, "", 0)
}

type oneKey struct{}

func (oneKey) Credential(id string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret-of-the-test", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/test", UserID: "u", Account: "000000000000"}}, id == "AKIATEST"
}

func TestAServiceFailsInItsOwnWordsAsItsSDKReadsThem(t *testing.T) {
	s := &spoiling{}
	front, err := wire.New(wire.Config{Credentials: oneKey{}, Region: "us-east-1", Around: func(string, wire.Handler) wire.Handler { return s }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dynamodb", "sqs", "lambda"} {
		front.Register(name, wire.Service{Handler: s, BodyBytesMax: 1 << 20})
	}
	server := httptest.NewServer(front)
	defer server.Close()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret-of-the-test", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	tables, queues, functions := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg), lambda.NewFromConfig(cfg)
	item := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}}
	ctx := context.Background()
	put := func() error {
		_, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: item})
		return err
	}
	transact := func() error {
		_, err := tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
			{Put: &types.Put{TableName: aws.String("Orders"), Item: item}}, {Delete: &types.Delete{TableName: aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/Stock"), Key: item}}}})
		return err
	}
	send := func() error {
		_, err := queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(server.URL + "/000000000000/jobs"), MessageBody: aws.String("x")})
		return err
	}
	invoke := func() error {
		_, err := functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("Charge")})
		return err
	}
	for _, c := range []struct {
		code, operation string
		call            func() error
		resources       []string
		want            string // the SDK's code
		status          int
	}{
		{wire.Throttled, "PutItem", put, []string{"Orders"}, "ProvisionedThroughputExceededException", 400},
		{wire.ConditionFailed, "PutItem", put, []string{"Orders"}, "ConditionalCheckFailedException", 400},
		{wire.Internal, "PutItem", put, []string{"Orders"}, "InternalServerError", 500},
		{wire.Denied, "PutItem", put, []string{"Orders"}, "AccessDeniedException", 400},
		{"ItemCollectionSizeLimitExceededException", "TransactWriteItems", transact, []string{"Orders", "Stock"}, "ItemCollectionSizeLimitExceededException", 400},
		{wire.Throttled, "SendMessage", send, []string{"jobs"}, "RequestThrottled", 403},
		{wire.Internal, "SendMessage", send, []string{"jobs"}, "InternalFailure", 500},
		{wire.Throttled, "Invoke", invoke, []string{"Charge"}, "TooManyRequestsException", 429},
		{wire.Internal, "Invoke", invoke, []string{"Charge"}, "ServiceException", 500},
		{wire.Denied, "Invoke", invoke, []string{"Charge"}, "AccessDeniedException", 403},
		{wire.Unavailable, "Invoke", invoke, []string{"Charge"}, "ServiceUnavailableException", 503},
	} {
		s.code = c.code
		err := c.call()
		var said smithy.APIError
		var answer *smithyhttp.ResponseError
		if !errors.As(err, &said) || said.ErrorCode() != c.want || !errors.As(err, &answer) || answer.HTTPStatusCode() != c.status {
			t.Errorf("%s of %s: got %v, want %s with %d", c.code, c.operation, err, c.want, c.status)
		}
		if s.operation != c.operation || !slices.Equal(s.resources, c.resources) {
			t.Errorf("got %s of %v, want %s of %v", s.operation, s.resources, c.operation, c.resources)
		}
	}
	s.code = wire.Throttled
	if err := put(); err != nil {
		if _, ok := errors.AsType[*types.ProvisionedThroughputExceededException](err); !ok {
			t.Errorf("got %T, want the error's own type", err)
		}
	}
}
