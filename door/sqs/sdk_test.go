package sqs

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// code is the code of an error as the SDK has it, with its text.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode() + ": " + e.ErrorMessage()
	}
	return fmt.Sprint(err)
}

// refused says that err has a code and a text.
func (w *world) refused(err error, want string) {
	w.t.Helper()
	if got := code(err); !strings.Contains(got, want) {
		w.t.Errorf("got %s, want %s", got, want)
	}
}

func (w *world) send(url *string, body string) *sqs.SendMessageOutput {
	w.t.Helper()
	out, err := w.sdk.SendMessage(w.t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) receive(url *string, n int32) []types.Message {
	w.t.Helper()
	out, err := w.sdk.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: n, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Messages
}

func TestAMessageGoesThroughTheSDKWithItsChecksums(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", nil)
	out, err := w.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("hello \"wörld\"\n\t€ <&>"), MessageAttributes: map[string]types.MessageAttributeValue{
		"b": {DataType: aws.String("Binary.png"), BinaryValue: []byte{0, 1, 255}}, "a.x": {DataType: aws.String("Number"), StringValue: aws.String("1.5")}, "a.y": {DataType: aws.String("String.custom"), StringValue: aws.String("é")},
	}, MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")}}})
	if err != nil { // the SDK compares the checksum of the body
		t.Fatal(err)
	}
	if *out.MD5OfMessageBody != "daf53b581afaeaa572d06af124c15aa5" || out.SequenceNumber != nil {
		t.Errorf("got %+v", out)
	}
	got := w.receive(url, 10)
	if len(got) != 1 || *got[0].Body != "hello \"wörld\"\n\t€ <&>" || *got[0].MessageId != *out.MessageId || *got[0].MD5OfMessageAttributes != *out.MD5OfMessageAttributes {
		t.Fatalf("got %+v", got)
	}
	m := got[0]
	if a := m.MessageAttributes; string(a["b"].BinaryValue) != "\x00\x01\xff" || *a["a.x"].StringValue != "1.5" || *a["a.y"].DataType != "String.custom" {
		t.Errorf("got %+v", a)
	}
	if a := m.Attributes; a["ApproximateReceiveCount"] != "1" || a["SenderId"] != "AIDAOPERATOR" || len(a["SentTimestamp"]) != 13 || len(a["ApproximateFirstReceiveTimestamp"]) != 13 || a["AWSTraceHeader"] != "Root=1-5759e988-bd862e3fe1be46a994272793" || len(a) != 5 {
		t.Errorf("got %v", a)
	}
	if _, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Errorf("the second delete: %v", err)
	}
}

// The example of the Developer Guide has no numbers of its own; these were worked out by hand from its algorithm.
func TestTheChecksumOfAttributesCoversWhatIsReturned(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", nil)
	if _, err := w.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{
		"foo.a": {DataType: aws.String("String"), StringValue: aws.String("1")}, "bar": {DataType: aws.String("String"), StringValue: aws.String("2")},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names []string
		want  []string
	}{{nil, nil}, {[]string{"foo.*"}, []string{"foo.a"}}, {[]string{"bar"}, []string{"bar"}}, {[]string{".*"}, []string{"bar", "foo.a"}}, {[]string{"nope"}, nil}, {[]string{"fo.*"}, []string{"foo.a"}}, {[]string{"*"}, []string{"bar", "foo.a"}}} {
		out, err := w.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MessageAttributeNames: c.names, VisibilityTimeout: 0})
		if err != nil || len(out.Messages) != 1 {
			t.Fatal(err, out)
		}
		m := out.Messages[0]
		if got := sorted(m.MessageAttributes); !slices.Equal(got, c.want) || (m.MD5OfMessageAttributes != nil) != (len(c.want) > 0) {
			t.Errorf("%v: got %v, %v, want %v", c.names, got, m.MD5OfMessageAttributes, c.want)
		}
		if _, err := w.sdk.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABatchAnswersEachOfItsEntries(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", nil)
	out, err := w.sdk.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("1")}, {Id: aws.String("b"), MessageBody: aws.String("\x00")}, {Id: aws.String("c"), MessageBody: aws.String("3"), DelaySeconds: 901}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 1 || *out.Successful[0].Id != "a" || len(out.Failed) != 2 || *out.Failed[0].Code != "InvalidMessageContents" || *out.Failed[1].Code != "InvalidParameterValue" || !out.Failed[0].SenderFault {
		t.Errorf("got %+v", out)
	}
	entry := func(id, body string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body}
	}
	for want, entries := range map[string][]types.SendMessageBatchRequestEntry{
		"AWS.SimpleQueueService.EmptyBatchRequest":                                                                                     {},
		"AWS.SimpleQueueService.BatchEntryIdsNotDistinct: Id a repeated.":                                                              {entry("a", "1"), entry("a", "2")},
		"AWS.SimpleQueueService.InvalidBatchEntryId: A batch entry id can only contain":                                                {entry("a b", "1")},
		"AWS.SimpleQueueService.BatchRequestTooLong: Batch requests cannot be longer than 1048576 bytes. You have sent 1048578 bytes.": {entry("a", strings.Repeat("x", 1<<19)), entry("b", strings.Repeat("x", 1<<19+2))},
		"AWS.SimpleQueueService.TooManyEntriesInBatchRequest: Maximum number of entries per request are 10. You have sent 11.":         slices.Repeat([]types.SendMessageBatchRequestEntry{entry("a", "1")}, 11),
	} {
		_, err := w.sdk.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
		w.refused(err, want)
	}
	fifo := w.create("q.fifo", map[string]string{"FifoQueue": "true"})
	complete := entry("a", "1")
	complete.MessageGroupId, complete.MessageDeduplicationId = aws.String("g"), aws.String("d")
	known := entry("b", "1")
	known.MessageDeduplicationId = aws.String("e")
	grouped := entry("b", "1")
	grouped.MessageGroupId = aws.String("g")
	for want, e := range map[string]types.SendMessageBatchRequestEntry{
		"InvalidParameterValue: The request must contain the parameter MessageGroupId.": known,
		"InvalidParameterValue: The queue should either have ContentBasedDeduplication": grouped,
	} {
		_, err := w.sdk.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: fifo, Entries: []types.SendMessageBatchRequestEntry{complete, e}})
		w.refused(err, want)
	}
	if got := w.receive(fifo, 10); len(got) > 0 {
		t.Errorf("of batches that were refused got %+v", got)
	}
	got := w.receive(url, 10)
	deleted, err := w.sdk.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("x"), ReceiptHandle: got[0].ReceiptHandle}, {Id: aws.String("y"), ReceiptHandle: aws.String("rubbish")}}})
	if err != nil || len(deleted.Successful) != 1 || len(deleted.Failed) != 1 || *deleted.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("got %+v, %v", deleted, err)
	}
}

func TestWhatIsWrongIsRefusedInTheWordsOfTheService(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", nil)
	fifo := w.create("q.fifo", map[string]string{"FifoQueue": "true"})
	gone := aws.String(strings.Replace(*url, "/q", "/gone", 1))
	send := func(in sqs.SendMessageInput) error {
		if in.QueueUrl == nil {
			in.QueueUrl = url
		}
		_, err := w.sdk.SendMessage(t.Context(), &in)
		return err
	}
	receive := func(in sqs.ReceiveMessageInput) error {
		in.QueueUrl = url
		_, err := w.sdk.ReceiveMessage(t.Context(), &in)
		return err
	}
	create := func(name string, attributes map[string]string) error {
		_, err := w.sdk.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		return err
	}
	attribute := func(name, typ, value string) error {
		return send(sqs.SendMessageInput{MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{name: {DataType: &typ, StringValue: &value}}})
	}
	set := func(url *string, name, value string) error {
		_, err := w.sdk.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{name: value}})
		return err
	}
	body := aws.String("x")
	for want, err := range map[string]error{
		"AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist.":                                                                                                   send(sqs.SendMessageInput{QueueUrl: gone, MessageBody: body}),
		"MissingParameter: The request must contain the parameter MessageBody.":                                                                                                          send(sqs.SendMessageInput{MessageBody: aws.String("")}),
		"InvalidMessageContents: Invalid characters found.":                                                                                                                              send(sqs.SendMessageInput{MessageBody: aws.String("\x01")}),
		"InvalidParameterValue: One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.":                                                                 send(sqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("x", 1<<20+1))}),
		"InvalidParameterValue: Value 901 for parameter DelaySeconds is invalid.":                                                                                                        send(sqs.SendMessageInput{MessageBody: body, DelaySeconds: 901}),
		"InvalidParameterValue: Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.":                                                   receive(sqs.ReceiveMessageInput{MaxNumberOfMessages: 11}),
		"InvalidParameterValue: Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.":                                                         receive(sqs.ReceiveMessageInput{WaitTimeSeconds: 21}),
		"InvalidParameterValue: Message (user) attribute 'X' must contain a non-empty value of type 'String'.":                                                                           attribute("X", "String", ""),
		"InvalidParameterValue: Can't cast the value of message (user) attribute 'n' to a number.":                                                                                       attribute("n", "Number", "one"),
		"InvalidParameterValue: The type of message (user) attribute 't' is invalid.":                                                                                                    attribute("t", "Text", "x"),
		"InvalidParameterValue: You cannot use message attribute names beginning with 'AWS.'":                                                                                            attribute("AWS.x", "String", "x"),
		"InvalidParameterValue: Invalid message attribute name beginning with character '.'":                                                                                             attribute("x.", "String", "x"),
		"MissingParameter: The request must contain the parameter MessageGroupId.":                                                                                                       send(sqs.SendMessageInput{QueueUrl: fifo, MessageBody: body}),
		"InvalidParameterValue: The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly":                                            send(sqs.SendMessageInput{QueueUrl: fifo, MessageBody: body, MessageGroupId: aws.String("g")}),
		"InvalidParameterValue: Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.": send(sqs.SendMessageInput{QueueUrl: fifo, MessageBody: body, MessageGroupId: aws.String("a b")}),
		"The request include parameter that is not valid for this queue type.":                                                                                                           send(sqs.SendMessageInput{QueueUrl: fifo, MessageBody: body, MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d"), DelaySeconds: 1}),
		"QueueAlreadyExists: A queue already exists with the same name and a different value for attribute DelaySeconds":                                                                 create("q", map[string]string{"DelaySeconds": "5"}),
		"InvalidParameterValue: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length":                                                                    create("a b", nil),
		"must end with .fifo suffix":                                                                                       create("nofifo", map[string]string{"FifoQueue": "true"}),
		"InvalidAttributeName: Unknown Attribute Foo.":                                                                     create("q2", map[string]string{"Foo": "1"}),
		"InvalidAttributeValue: Invalid value for the parameter VisibilityTimeout.":                                        create("q2", map[string]string{"VisibilityTimeout": "43201"}),
		"InvalidAttributeValue: Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.": set(fifo, "FifoQueue", "false"),
		"InvalidAttributeName: Unknown Attribute FifoQueue.":                                                               set(url, "FifoQueue", "true"),
		"InvalidAttributeName: Unknown Attribute ContentBasedDeduplication.":                                               set(url, "ContentBasedDeduplication", "true"),
		"InvalidAttributeName: You can specify the DeduplicationScope only when FifoQueue is set to true.":                 set(url, "DeduplicationScope", "queue"),
		"InvalidParameterValue: Value  for parameter MessageDeduplicationId is invalid.":                                   send(sqs.SendMessageInput{QueueUrl: fifo, MessageBody: body, MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("")}),
		"perMessageGroupId is allowed only when the value for DeduplicationScope is messageGroup":                          set(fifo, "FifoThroughputLimit", "perMessageGroupId"),
		"Dead letter target does not exist.":                                                                               set(url, "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:nope","maxReceiveCount":"5"}`),
		"Dead-letter queue must be same type of queue as the source.":                                                      set(url, "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q.fifo","maxReceiveCount":5}`),
		"Redrive policy does not contain mandatory attribute: maxReceiveCount.":                                            set(url, "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q.fifo"}`),
		"UnsupportedOperation: The attribute KmsMasterKeyId is not supported here":                                         set(url, "KmsMasterKeyId", "alias/x"),
	} {
		w.refused(err, want)
	}
	if _, ok := errors.AsType[*types.QueueDoesNotExist](send(sqs.SendMessageInput{QueueUrl: gone, MessageBody: body})); !ok {
		t.Error("the SDK does not know the error by its type")
	}
	for _, none := range []string{"NaN", "-inf", "Infinity", "0x1p-2", "1e400"} {
		w.refused(attribute("n", "Number", none), "InvalidParameterValue: Can't cast the value of message (user) attribute 'n' to a number.")
	}
	for _, number := range []string{"-1.5E3", "+7", "007", ".5"} {
		if err := attribute("n", "Number", number); err != nil {
			t.Errorf("%s: %v", number, err)
		}
	}
	_, err := w.sdk.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: aws.String("rubbish"), VisibilityTimeout: 1})
	w.refused(err, "ReceiptHandleIsInvalid: The input receipt handle \"rubbish\" is not a valid receipt handle.")
}

func TestAHandleServesItsQueueAndNoOther(t *testing.T) {
	w := newWorld(t)
	url, other := w.create("q", nil), w.create("other", nil)
	w.send(url, "x")
	h := *w.receive(url, 1)[0].ReceiptHandle
	flipped := []byte(h)
	flipped[20] ^= 1
	for _, c := range []struct {
		url    *string
		handle string
	}{{other, h}, {url, string(flipped)}, {url, h[:len(h)-4]}, {url, h + "AAAA"}, {url, ""}} {
		_, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: c.url, ReceiptHandle: &c.handle})
		if c.handle == "" {
			w.refused(err, "MissingParameter")
			continue
		}
		w.refused(err, "ReceiptHandleIsInvalid")
	}
}

func TestAnOldHandleDoesNotDeleteWhatSomebodyElseHasReceived(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", nil)
	w.send(url, "x")
	old := w.receive(url, 1)[0]
	w.clock.Advance(31 * time.Second)
	if again := w.receive(url, 1); len(again) != 1 || again[0].Attributes["ApproximateReceiveCount"] != "2" || *again[0].ReceiptHandle == *old.ReceiptHandle {
		t.Fatalf("got %+v", again)
	}
	if _, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: old.ReceiptHandle}); err != nil {
		t.Errorf("an old handle of a standard queue: %v", err)
	}
	_, err := w.sdk.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: old.ReceiptHandle, VisibilityTimeout: 1})
	w.refused(err, "AWS.SimpleQueueService.MessageNotInflight")
	w.clock.Advance(31 * time.Second)
	if again := w.receive(url, 1); len(again) != 1 {
		t.Error("it was deleted")
	}
}

func TestALongPollIsAnsweredWhenAMessageComes(t *testing.T) {
	w := newWorld(t)
	url := w.create("q", map[string]string{"ReceiveMessageWaitTimeSeconds": "20"})
	got := make(chan []types.Message)
	go func() {
		out, err := w.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
		if err != nil {
			t.Error(err)
			out = &sqs.ReceiveMessageOutput{}
		}
		got <- out.Messages
	}()
	w.send(url, "x")
	select {
	case m := <-got:
		if len(m) != 1 {
			t.Errorf("got %v", m)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the poll was not answered")
	}
	go func() {
		out, err := w.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
		if err != nil || len(out.Messages) > 0 {
			t.Errorf("when the node ends: got %v, %v", out, err)
		}
		got <- nil
	}()
	close(w.end)
	<-got
}

func TestFIFOKeepsTheOrderOfAGroupAndKnowsWhatWasSent(t *testing.T) {
	w := newWorld(t)
	url := w.create("q.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	send := func(group, body string, id *string) *sqs.SendMessageOutput {
		out, err := w.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body, MessageGroupId: &group, MessageDeduplicationId: id})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one := send("a", "1", nil)
	if two := send("a", "1", nil); *two.MessageId != *one.MessageId || *two.SequenceNumber != *one.SequenceNumber || len(*one.SequenceNumber) != 20 {
		t.Errorf("got %v %v, want what was answered before: %v %v", *two.MessageId, *two.SequenceNumber, *one.MessageId, *one.SequenceNumber)
	}
	if other := send("b", "1", nil); *other.MessageId != *one.MessageId {
		t.Error("what is known is known in the whole queue")
	}
	send("a", "2", nil)
	send("b", "3", nil)
	got := w.receive(url, 1)
	if *got[0].Body != "1" || got[0].Attributes["MessageGroupId"] != "a" || got[0].Attributes["SequenceNumber"] != *one.SequenceNumber || len(got[0].Attributes["MessageDeduplicationId"]) != 64 {
		t.Errorf("got %+v", got)
	}
	if rest := w.receive(url, 10); len(rest) != 1 || *rest[0].Body != "3" {
		t.Errorf("while the group a is in flight: got %+v", rest)
	}
	if _, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: got[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	if again := send("a", "1", nil); *again.MessageId != *one.MessageId {
		t.Error("what was deleted is not known any more")
	}
	next := w.receive(url, 10)
	if len(next) != 1 || *next[0].Body != "2" {
		t.Fatalf("got %+v", next)
	}
	w.clock.Advance(31 * time.Second)
	_, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: next[0].ReceiptHandle})
	w.refused(err, "Reason: The receipt handle has expired.")
	w.clock.Advance(5 * time.Minute)
	if again := send("a", "1", nil); *again.MessageId == *one.MessageId {
		t.Error("what was sent is known after five minutes")
	}
}

func TestAReceiveThatIsRepeatedAnswersTheSame(t *testing.T) {
	w := newWorld(t)
	url := w.create("q.fifo", map[string]string{"FifoQueue": "true"})
	for _, id := range []string{"1", "2", "3"} {
		if _, err := w.sdk.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: &id, MessageGroupId: aws.String("g"), MessageDeduplicationId: &id}); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() []types.Message {
		out, err := w.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 2, ReceiveRequestAttemptId: aws.String("try")})
		if err != nil {
			t.Fatal(err)
		}
		return out.Messages
	}
	one, two := receive(), receive()
	if len(one) != 2 || len(two) != 2 || *one[0].ReceiptHandle != *two[0].ReceiptHandle || *one[1].MessageId != *two[1].MessageId {
		t.Errorf("got %v, then %v", one, two)
	}
	if _, err := w.sdk.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: one[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	if three := receive(); len(three) != 0 {
		t.Errorf("after one was deleted: got %v", three)
	}
}

func TestAMessageReceivedTooOftenIsInTheDeadLetterQueueAndComesBack(t *testing.T) {
	w := newWorld(t)
	dead := w.create("dead", nil)
	url := w.create("q", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"2"}`})
	out := w.send(url, "x")
	for n := range 2 {
		if got := w.receive(url, 1); len(got) != 1 {
			t.Fatalf("receive %d: got %v", n+1, got)
		}
		w.clock.Advance(31 * time.Second)
		if n == 1 {
			if got := w.receive(dead, 1); len(got) != 0 {
				t.Fatal("it was moved when its time was over, and not by the next receive")
			}
		}
	}
	if got := w.receive(url, 1); len(got) != 0 {
		t.Fatalf("received more often than allowed: %v", got)
	}
	got := w.receive(dead, 1)
	if len(got) != 1 || *got[0].MessageId != *out.MessageId || got[0].Attributes["DeadLetterQueueSourceArn"] != "arn:aws:sqs:us-east-1:000000000000:q" || got[0].Attributes["ApproximateReceiveCount"] != "3" {
		t.Fatalf("got %+v", got)
	}
	if _, err := w.sdk.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: dead, ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 0}); err != nil {
		t.Fatal(err)
	}
	sources, err := w.sdk.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead})
	if err != nil || len(sources.QueueUrls) != 1 || sources.QueueUrls[0] != *url {
		t.Errorf("got %+v, %v", sources, err)
	}
	_, err = w.sdk.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:q")})
	w.refused(err, "Source queue must be configured as a Dead Letter Queue.")
	_, err = w.sdk.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:nope")})
	w.refused(err, "ResourceNotFoundException")
	task, err := w.sdk.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:dead")})
	if err != nil || task.TaskHandle == nil {
		t.Fatal(err)
	}
	back, err := w.sdk.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil || len(back.Messages) != 1 || *back.Messages[0].MessageId == *out.MessageId || back.Messages[0].Attributes["ApproximateReceiveCount"] != "1" {
		t.Fatalf("got %+v, %v", back, err)
	}
	list, err := w.sdk.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:dead")})
	if err != nil || len(list.Results) != 1 || *list.Results[0].Status != "COMPLETED" || list.Results[0].ApproximateNumberOfMessagesMoved != 1 || list.Results[0].TaskHandle != nil {
		t.Errorf("got %+v, %v", list.Results, err)
	}
	_, err = w.sdk.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: task.TaskHandle})
	w.refused(err, "ResourceNotFoundException: Task does not exist.")
	for handle, want := range map[string]string{
		"rubbish": "InvalidParameterValue: Value for parameter TaskHandle is invalid.",
		base64.StdEncoding.EncodeToString([]byte(`{"taskId":"10f57157-fc38-4da9-a113-4de7e12d05aa","sourceArn":"arn:aws:sqs:us-east-1:000000000000:dead"}`)): "ResourceNotFoundException: Task does not exist.",
		base64.StdEncoding.EncodeToString([]byte(`{"taskId":"1","sourceArn":"arn:aws:sqs:us-east-1:000000000000:nope"}`)):                                    "ResourceNotFoundException: The resource that you specified for the SourceArn parameter doesn't exist.",
	} {
		_, err := w.sdk.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
		w.refused(err, want)
	}
	for range 3 {
		w.send(dead, "x")
	}
	slowly := &sqs.StartMessageMoveTaskInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:dead"), DestinationArn: aws.String("arn:aws:sqs:us-east-1:000000000000:q"), MaxNumberOfMessagesPerSecond: aws.Int32(1)}
	if task, err = w.sdk.StartMessageMoveTask(t.Context(), slowly); err != nil {
		t.Fatal(err)
	}
	_, err = w.sdk.StartMessageMoveTask(t.Context(), slowly)
	w.refused(err, "InvalidParameterValue: There is already a task running.")
	if _, err := w.sdk.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: task.TaskHandle}); err != nil {
		t.Error(err)
	}
}

func TestQueuesAreListedTaggedChangedAndRemoved(t *testing.T) {
	w := newWorld(t)
	empty, err := w.sdk.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	if err != nil || empty.QueueUrls != nil {
		t.Errorf("got %+v, %v", empty, err)
	}
	for _, name := range []string{"b1", "a2", "a1"} {
		w.create(name, nil)
	}
	url := w.create("b1", nil)
	page, err := w.sdk.ListQueues(t.Context(), &sqs.ListQueuesInput{MaxResults: aws.Int32(2)})
	if err != nil || len(page.QueueUrls) != 2 || !strings.HasSuffix(page.QueueUrls[1], "/a2") || page.NextToken == nil {
		t.Fatalf("got %+v, %v", page, err)
	}
	page, err = w.sdk.ListQueues(t.Context(), &sqs.ListQueuesInput{MaxResults: aws.Int32(2), NextToken: page.NextToken})
	if err != nil || len(page.QueueUrls) != 1 || page.NextToken != nil {
		t.Errorf("got %+v, %v", page, err)
	}
	if page, err = w.sdk.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("a")}); err != nil || len(page.QueueUrls) != 2 {
		t.Errorf("got %+v, %v", page, err)
	}
	if _, err := w.sdk.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sdk.UntagQueue(t.Context(), &sqs.UntagQueueInput{QueueUrl: url, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if tags, err := w.sdk.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: url}); err != nil || len(tags.Tags) != 1 || tags.Tags["b"] != "2" {
		t.Errorf("got %+v, %v", tags, err)
	}
	if _, err := w.sdk.AddPermission(t.Context(), &sqs.AddPermissionInput{QueueUrl: url, Label: aws.String("l"), AWSAccountIds: []string{"111122223333"}, Actions: []string{"SendMessage"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sdk.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"DelaySeconds": "7"}}); err != nil {
		t.Fatal(err)
	}
	all, err := w.sdk.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	a := all.Attributes
	if a["DelaySeconds"] != "7" || a["VisibilityTimeout"] != "30" || a["MaximumMessageSize"] != "1048576" || a["MessageRetentionPeriod"] != "345600" || a["SqsManagedSseEnabled"] != "true" || a["ApproximateNumberOfMessages"] != "0" ||
		a["QueueArn"] != "arn:aws:sqs:us-east-1:000000000000:b1" || !strings.Contains(a["Policy"], `"Sid":"l"`) || a["RedrivePolicy"] != "" || a["FifoQueue"] != "" {
		t.Errorf("got %v", a)
	}
	permission := func(label string) error {
		_, err := w.sdk.RemovePermission(t.Context(), &sqs.RemovePermissionInput{QueueUrl: url, Label: &label})
		return err
	}
	w.refused(permission("odd"), "InvalidParameterValue: Value odd for parameter Label is invalid. Reason: can't find label on existing policy.")
	if err := permission("l"); err != nil {
		t.Fatal(err)
	}
	w.refused(permission("l"), "InvalidParameterValue: Value l for parameter Label is invalid. Reason: can't find label.")
	for _, same := range []map[string]string{{"FifoQueue": "True", "ContentBasedDeduplication": "True"}, {"FifoQueue": "true", "ContentBasedDeduplication": "TRUE"}} { // as str(True) has it in Python
		fifo, err := w.sdk.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("c.fifo"), Attributes: same})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.sdk.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: fifo.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil || got.Attributes["FifoQueue"] != "true" || got.Attributes["ContentBasedDeduplication"] != "true" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	some, err := w.sdk.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"DelaySeconds", "Policy"}})
	if err != nil || len(some.Attributes) != 1 {
		t.Errorf("got %+v, %v", some, err)
	}
	w.send(url, "x")
	if _, err := w.sdk.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: url}); err != nil {
		t.Fatal(err)
	}
	_, err = w.sdk.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: url})
	w.refused(err, "AWS.SimpleQueueService.PurgeQueueInProgress: Only one PurgeQueue operation on b1 is allowed every 60 seconds.")
	if _, err := w.sdk.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: url}); err != nil {
		t.Fatal(err)
	}
	_, err = w.sdk.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("b1")})
	w.refused(err, "AWS.SimpleQueueService.QueueDeletedRecently")
	_, err = w.sdk.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("b1")})
	w.refused(err, "AWS.SimpleQueueService.NonExistentQueue")
	w.clock.Advance(61 * time.Second)
	w.create("b1", nil)
}

func TestAttributesAreAnsweredAsTextsAndAnEmptyPolicyIsNone(t *testing.T) {
	w := newWorld(t)
	w.create("dead", nil)
	const policy = `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":5}`
	url := w.create("q", map[string]string{"RedrivePolicy": policy, "Policy": `{"Version":"2012-10-17","Statement":[]}`})
	fifo := w.create("q.fifo", map[string]string{"FifoQueue": "true"})
	all := func(url *string) map[string]string {
		out, err := w.sdk.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	if a := all(url); a["RedrivePolicy"] != policy || a["Policy"] == "" {
		t.Errorf("got %v", a)
	}
	if _, err := w.sdk.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"RedrivePolicy": "", "Policy": ""}}); err != nil {
		t.Fatal(err)
	}
	a := all(url)
	for _, name := range []string{"RedrivePolicy", "Policy", "RedriveAllowPolicy", "FifoQueue", "ContentBasedDeduplication"} {
		if value, ok := a[name]; ok {
			t.Errorf("%s is %q, want it left out", name, value)
		}
	}
	if a := all(fifo); a["FifoQueue"] != "true" || a["ContentBasedDeduplication"] != "false" || a["DeduplicationScope"] != "queue" || a["FifoThroughputLimit"] != "perQueue" {
		t.Errorf("of a FIFO queue: got %v", a)
	}
	for name, outside := range map[string][]string{"DelaySeconds": {"-1", "901"}, "MessageRetentionPeriod": {"59", "1209601"}, "VisibilityTimeout": {"-1", "43201"}, "ReceiveMessageWaitTimeSeconds": {"-1", "21"}, "MaximumMessageSize": {"1023", "1048577"}} {
		for _, value := range append(outside, "x") {
			_, err := w.sdk.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{name: value}})
			w.refused(err, "InvalidAttributeValue: Invalid value for the parameter "+name+".")
		}
	}
}
