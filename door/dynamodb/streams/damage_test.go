package streams_test

import (
	"encoding/json"
	"testing"

	"github.com/daruma-io/daruma/door/dynamodb/streams"
)

const record = `{"eventID":"c4ca","eventName":"INSERT","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"Keys":{"id":{"S":"1"}},"NewImage":{"id":{"S":"1"},"n":{"N":"2"}},"SequenceNumber":"111","SizeBytes":26},"eventSourceARN":"arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/2026-11-28T00:00:00.000"}`

func TestADamagedRecordHasNoValues(t *testing.T) {
	arn, id, ok := streams.Told([]byte(record))
	if !ok || id != "c4ca" || arn != "arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/2026-11-28T00:00:00.000" {
		t.Errorf("got %q %q %v", arn, id, ok)
	}
	var got struct {
		EventID  string `json:"eventID"`
		DynamoDB struct {
			Keys, NewImage, OldImage map[string]any
			SequenceNumber           string
		} `json:"dynamodb"`
	}
	if err := json.Unmarshal(streams.Damaged([]byte(record), ""), &got); err != nil {
		t.Fatal(err)
	}
	value, there := got.DynamoDB.NewImage["n"]
	if !there || value != nil || got.DynamoDB.Keys["id"] != nil || got.DynamoDB.OldImage != nil || len(got.DynamoDB.NewImage) != 2 {
		t.Errorf("got %+v, want every attribute, and no value", got)
	}
	if got.EventID != "c4ca" || got.DynamoDB.SequenceNumber != "111" {
		t.Errorf("got %+v, want all else as it was", got)
	}
	if got := streams.Damaged([]byte(record), "{"); string(got) != "{" {
		t.Errorf("got %s, want what was given", got)
	}
}
