package dynamodb

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestTheOfficialSDKUnderstandsTheDoor(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if _, err := w.sdk.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("locks"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := dynamodb.NewTableExistsWaiter(w.sdk).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("locks")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	// What an idempotency utility does: the first takes the lock, the second gets the record.
	lock := &dynamodb.PutItemInput{
		TableName: aws.String("locks"), Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "k"}, "status": &types.AttributeValueMemberS{Value: "INPROGRESS"}, "expiration": &types.AttributeValueMemberN{Value: "2000"}},
		ConditionExpression:       aws.String("attribute_not_exists(#id) OR #expiry < :now OR (#status = :inprogress AND attribute_exists(#in_progress_expiry) AND #in_progress_expiry < :now_in_millis)"),
		ExpressionAttributeNames:  map[string]string{"#id": "id", "#expiry": "expiration", "#status": "status", "#in_progress_expiry": "in_progress_expiration"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":now": &types.AttributeValueMemberN{Value: "1000.123"}, ":inprogress": &types.AttributeValueMemberS{Value: "INPROGRESS"}, ":now_in_millis": &types.AttributeValueMemberN{Value: "1000123"}},

		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if _, err := w.sdk.PutItem(ctx, lock); err != nil {
		t.Fatal(err)
	}
	_, err := w.sdk.PutItem(ctx, lock)
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok || failed.Item["status"].(*types.AttributeValueMemberS).Value != "INPROGRESS" {
		t.Fatalf("got %v", err)
	}
	_, err = w.sdk.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Put: &types.Put{TableName: aws.String("locks"), Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "k"}}, ConditionExpression: aws.String("attribute_not_exists(id)")}},
	}})
	if e, ok := errors.AsType[*types.TransactionCanceledException](err); !ok || *e.CancellationReasons[0].Code != "ConditionalCheckFailed" {
		t.Fatalf("got %v", err)
	}
	pages := dynamodb.NewScanPaginator(w.sdk, &dynamodb.ScanInput{TableName: aws.String("locks"), Limit: aws.Int32(1)})
	n := 0
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(p.Items)
	}
	if n != 1 {
		t.Errorf("got %d items, want 1", n)
	}
	_, err = w.sdk.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("gone"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "k"}}})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("got %v", err)
	}
}
