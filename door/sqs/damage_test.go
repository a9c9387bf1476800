package sqs_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/queue"
)

func TestADamagedRecordIsARecordWithHalfItsBody(t *testing.T) {
	place := catalog.Place{Region: "us-east-1", Account: "000000000000"}
	m := queue.Received{Message: queue.Message{ID: queue.NewID(), Body: []byte(`{"id":"häßlich"}`)}}
	var event struct{ Records []json.RawMessage }
	if err := json.Unmarshal(sqs.Event(place, &queue.Queue{Name: "Jobs"}, []queue.Received{m}), &event); err != nil {
		t.Fatal(err)
	}
	record := event.Records[0]
	if name, id, ok := sqs.Told(place, record); !ok || name != "Jobs" || id != m.ID.String() {
		t.Errorf("got %q %q %v, want the queue and the message's ID", name, id, ok)
	}
	for instead, want := range map[string]string{"": `{"id":"h`, `x"y`: `x"y`} {
		var got, was events.SQSMessage
		if err := json.Unmarshal(sqs.Damaged(record, instead), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(record, &was); err != nil {
			t.Fatal(err)
		}
		if got.Body != want {
			t.Errorf("got the body %q, want %q", got.Body, want)
		}
		if got.Body = was.Body; got.MessageId != was.MessageId || got.Md5OfBody != was.Md5OfBody || got.EventSourceARN != was.EventSourceARN || got.ReceiptHandle != was.ReceiptHandle {
			t.Errorf("got %+v, want all but the body as it was: %+v", got, was)
		}
	}
	for _, other := range []string{`{`, `{"messageId":"x"}`, `{"messageId":"x","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:elsewhere:0:Q"}`} {
		if _, _, ok := sqs.Told(place, []byte(other)); ok {
			t.Errorf("%s is taken for a message of this place", other)
		}
	}
}
