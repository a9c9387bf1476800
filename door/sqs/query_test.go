package sqs

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestTheQueryProtocolSaysTheSameInXML(t *testing.T) {
	w := newWorld(t)
	status, _, got := w.form("/", "Action=CreateQueue&Version=2012-11-05&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=0&Tag.1.Key=k&Tag.1.Value=v")
	if want := "<CreateQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><CreateQueueResult><QueueUrl>" + w.url + "/000000000000/q</QueueUrl></CreateQueueResult><ResponseMetadata><RequestId>"; status != 200 || !strings.Contains(got, want) {
		t.Fatalf("got %d %s, want %s", status, got, want)
	}
	for _, c := range []struct {
		path, body string
		status     int
		want       []string
	}{
		{"/000000000000/q", "Action=SendMessage&MessageBody=a%26b&MessageAttribute.1.Name=k&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v&MessageAttribute.2.Name=b&MessageAttribute.2.Value.DataType=Binary&MessageAttribute.2.Value.BinaryValue=AP8%3D", 200,
			[]string{"<SendMessageResult><MD5OfMessageBody>b96e7bda9c9feee3259b177bd456b0a5</MD5OfMessageBody><MD5OfMessageAttributes>", "</MessageId></SendMessageResult>"}},
		{"/", "Action=ReceiveMessage&QueueUrl=" + url.QueryEscape("http://sqs.us-east-1.amazonaws.com/000000000000/q") + "&AttributeName.1=All&MessageAttributeName.1=All&VisibilityTimeout=0", 200,
			[]string{"<Body>a&amp;b</Body>", "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>", "<MessageAttribute><Name>b</Name><Value><DataType>Binary</DataType><BinaryValue>AP8=</BinaryValue></Value></MessageAttribute>", "<MessageAttribute><Name>k</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute>"}},
		{"/000000000000/q", "Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=1&SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=", 200,
			[]string{"<SendMessageBatchResult><SendMessageBatchResultEntry><Id>a</Id><MD5OfMessageBody>c4ca4238a0b923820dcc509a6f75849b</MD5OfMessageBody>", "<BatchResultErrorEntry><Id>b</Id><Code>MissingParameter</Code>", "<SenderFault>true</SenderFault>"}},
		{"/", "Action=GetQueueAttributes&QueueUrl=" + url.QueryEscape(w.url+"/000000000000/q") + "&AttributeName.1=VisibilityTimeout", 200, []string{"<GetQueueAttributesResult><Attribute><Name>VisibilityTimeout</Name><Value>30</Value></Attribute></GetQueueAttributesResult>"}},
		{"/000000000000/q", "Action=ListQueueTags", 200, []string{"<ListQueueTagsResult><Tag><Key>k</Key><Value>v</Value></Tag></ListQueueTagsResult>"}},
		{"/", "Action=ListQueues", 200, []string{"<ListQueuesResult><QueueUrl>" + w.url + "/000000000000/q</QueueUrl></ListQueuesResult>"}},
		{"/000000000000/q", "Action=ListDeadLetterSourceQueues", 200, []string{"<ListDeadLetterSourceQueuesResult></ListDeadLetterSourceQueuesResult>"}},
		{"/000000000000/gone", "Action=SendMessage&MessageBody=x", 400, []string{"<Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist for this wsdl version.</Message><Detail/></Error><RequestId>"}},
		{"/000000000000/q", "Action=ReceiveMessage&MaxNumberOfMessages=many", 400, []string{"<Code>InvalidParameterValue</Code>"}},
		{"/", "Action=Dance", 400, []string{"<Code>InvalidAction</Code><Message>The action Dance is not valid for this endpoint.</Message>"}},
		{"/", "Version=2012-11-05", 400, []string{"<Code>MissingAction</Code>"}},
		{"/000000000000/q", "Action=PurgeQueue", 200, []string{"<PurgeQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><ResponseMetadata>"}},
		{"/000000000000/q", "Action=PurgeQueue", 403, []string{"<Code>AWS.SimpleQueueService.PurgeQueueInProgress</Code>"}},
	} {
		status, header, got := w.form(c.path, c.body)
		for _, want := range c.want {
			if status != c.status || !strings.Contains(got, want) || header.Get("Content-Type") != "text/xml" {
				t.Errorf("%s: got %d %s, want %d %s", c.body, status, got, c.status, want)
			}
		}
	}
	if status, _, got := w.do("GET", "/?Action=GetQueueUrl&QueueName=q", ""); status != 200 || !strings.Contains(got, "<GetQueueUrlResult><QueueUrl>") {
		t.Errorf("by GET: got %d %s", status, got)
	}
}

func TestTheJSONProtocolNamesErrorsTwice(t *testing.T) {
	w := newWorld(t)
	status, header, got := w.json("SendMessage", `{"QueueUrl":"`+w.url+`/000000000000/gone","MessageBody":"x"}`)
	if want := `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`; status != 400 || got != want || header.Get("X-Amzn-Query-Error") != "AWS.SimpleQueueService.NonExistentQueue;Sender" || header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("got %d %v %s, want %s", status, header, got, want)
	}
	w.create("q", nil)
	for _, c := range []struct{ op, body, want string }{
		{"ReceiveMessage", `{"QueueUrl":"` + w.url + `/000000000000/q"}`, `{}`},
		{"ListQueues", `{"QueueNamePrefix":"nothing"}`, `{}`},
		{"ListDeadLetterSourceQueues", `{"QueueUrl":"q"}`, `{"queueUrls":[]}`},
		{"GetQueueAttributes", `{"QueueUrl":"q"}`, `{}`},
		{"ListMessageMoveTasks", `{"SourceArn":"arn:aws:sqs:us-east-1:000000000000:q"}`, `{"Results":[]}`},
		{"TagQueue", `{"QueueUrl":"q","Tags":{"a":"b"}}`, `{}`},
	} {
		if status, _, got := w.json(c.op, c.body); status != 200 || got != c.want {
			t.Errorf("%s: got %d %s, want %s", c.op, status, got, c.want)
		}
	}
	for _, c := range []struct{ op, body, want string }{
		{"Dance", `{}`, "UnknownOperationException"}, {"SendMessage", `{"QueueUrl":7}`, "SerializationException"}, {"SendMessage", `{`, "SerializationException"},
		{"SendMessage", `{}`, "MissingRequiredParameterException"}, {"SendMessage", `{"QueueUrl":"http://x/y","MessageBody":"x"}`, "InvalidAddress"},
	} {
		if status, _, got := w.json(c.op, c.body); status/100 != 4 || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: got %d %s, want %s", c.op, c.body, status, got, c.want)
		}
	}
}

// FuzzRequest has the door read anything in both protocols.
func FuzzRequest(f *testing.F) {
	f.Add("SendMessage", `{"QueueUrl":"q","MessageBody":"x","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AA=="}}}`)
	f.Add("", "Action=SendMessageBatch&QueueUrl=q&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=x")
	f.Add("ReceiveMessage", `{"QueueUrl":"q","MaxNumberOfMessages":3,"AttributeNames":["All"]}`)
	f.Add("CreateQueue", `{"QueueName":"a.fifo","Attributes":{"FifoQueue":"true","RedrivePolicy":"{}"}}`)
	w := newWorld(f)
	w.create("q", nil)
	f.Fuzz(func(t *testing.T, op, body string) {
		w.t = t
		if strings.ContainsAny(op, "\r\n\x00") || len(op) > 100 || op != url.QueryEscape(op) {
			return
		}
		var status int
		var got string
		if op != "" {
			status, _, got = w.json(op, body)
			if !json.Valid([]byte(got)) {
				t.Errorf("%s %s: got %s", op, body, got)
			}
		} else {
			status, _, got = w.form("/", body)
		}
		if status >= 500 {
			t.Errorf("%s %s: got %d %s", op, body, status, got)
		}
	})
}
