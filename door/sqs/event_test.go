package sqs

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/queue"
)

func TestTheEventOfAFunctionIsThatOfTheService(t *testing.T) {
	id := queue.ID{1, 2, 3}
	at := time.UnixMilli(1700000000000)
	m := queue.Received{Message: queue.Message{ID: id, Body: []byte("say \"hi\"\n"), Sender: "AIDA", Trace: "Root=1-a", Attributes: []queue.Attribute{{Name: "k", Type: "String", Value: []byte("v")}, {Name: "b", Type: "Binary", Value: []byte{255}}}},
		Handle: "h", Sent: at, First: at.Add(time.Millisecond), Count: 1}
	plain := queue.Received{Message: queue.Message{ID: queue.ID{9}, Body: []byte("x"), Group: "g", Once: "o"}, Held: queue.Held{Number: 7}, Sent: at, First: at, Count: 2, From: "q"}
	raw := Event(place, &queue.Queue{Name: "q"}, []queue.Received{m})
	want := `{"Records":[{"messageId":"01020300-0000-0000-0000-000000000000","receiptHandle":"h","body":"say \"hi\"\n","attributes":{"AWSTraceHeader":"Root=1-a","ApproximateFirstReceiveTimestamp":"1700000000001","ApproximateReceiveCount":"1","SenderId":"AIDA","SentTimestamp":"1700000000000"},` +
		`"messageAttributes":{"b":{"binaryValue":"/w==","stringListValues":[],"binaryListValues":[],"dataType":"Binary"},"k":{"stringValue":"v","stringListValues":[],"binaryListValues":[],"dataType":"String"}},"md5OfMessageAttributes":"` + attributesMD5([]queue.Attribute{m.Attributes[1], m.Attributes[0]}) + `","md5OfBody":"` + bodyMD5(m.Body) + `","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:q","awsRegion":"us-east-1"}]}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
	var e events.SQSEvent
	if err := json.Unmarshal(Event(place, &queue.Queue{Name: "q.fifo", Settings: queue.Settings{FIFO: true}}, []queue.Received{m, plain}), &e); err != nil {
		t.Fatal(err)
	}
	if a := e.Records[1].Attributes; a["MessageGroupId"] != "g" || a["MessageDeduplicationId"] != "o" || a["SequenceNumber"] != "10000000000000000007" || a["DeadLetterQueueSourceArn"] != "arn:aws:sqs:us-east-1:000000000000:q" || e.Records[1].Md5OfMessageAttributes != "" {
		t.Errorf("got %+v", e.Records[1])
	}
}

func TestAReportOfFailuresIsReadAsTheServiceReadsIt(t *testing.T) {
	messages := []queue.Received{{Message: queue.Message{ID: queue.ID{1}}}, {Message: queue.Message{ID: queue.ID{2}}}, {Message: queue.Message{ID: queue.ID{3}}}}
	id := func(n int) string { return messages[n].ID.String() }
	for _, c := range []struct {
		response string
		want     []int
		bad      bool
	}{
		{response: ``}, {response: `null`}, {response: `{}`}, {response: `{"batchItemFailures":[]}`}, {response: `{"batchItemFailures":null}`},
		{response: fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q},{"itemIdentifier":%q},{"itemIdentifier":%q}]}`, id(2), id(0), id(2)), want: []int{0, 2}},
		{response: `{"batchItemFailures":[{"itemIdentifier":""}]}`, bad: true}, {response: `{"batchItemFailures":[{"itemIdentifier":null}]}`, bad: true},
		{response: `{"batchItemFailures":[{"id":"x"}]}`, bad: true}, {response: `{"batchItemFailures":[{"itemIdentifier":"unknown"}]}`, bad: true},
		{response: `{"foo":[]}`, bad: true}, {response: `{`, bad: true}, {response: `[]`, bad: true}, {response: `{"batchItemFailures":"x"}`, bad: true},
	} {
		got, err := Failures([]byte(c.response), messages)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v, bad %v", c.response, got, err, c.want, c.bad)
		}
	}
}

func FuzzFailures(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"01000000-0000-0000-0000-000000000000"}]}`))
	f.Add([]byte(`null`))
	messages := []queue.Received{{Message: queue.Message{ID: queue.ID{1}}}}
	f.Fuzz(func(t *testing.T, response []byte) {
		if got, err := Failures(response, messages); len(got) > 1 || err != nil && got != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
