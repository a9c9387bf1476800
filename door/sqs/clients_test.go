package sqs

import (
	"testing"

	"github.com/daruma-io/daruma/door/wire/wiretest"
)

func TestBoto3GetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	wiretest.PythonScript(t, nil, "testdata/clients/client.py", w.url)
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	wiretest.NodeScript(t, []string{"@aws-sdk/client-sqs"}, "testdata/clients/client.mjs", w.url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	url := *w.create("q", nil)
	wiretest.CLI(t, w.url, "sqs", []wiretest.Step{
		{Args: []string{"send-message", "--queue-url", url, "--message-body", "hello"}, Want: `"MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"`},
		{Args: []string{"receive-message", "--queue-url", url, "--attribute-names", "All"}, Want: `"Body": "hello"`},
		{Args: []string{"receive-message", "--queue-url", url}},
		{Args: []string{"get-queue-attributes", "--queue-url", url, "--attribute-names", "All"}, Want: `"ApproximateNumberOfMessagesNotVisible": "1"`},
		{Args: []string{"list-queues"}, Want: url},
		{Args: []string{"send-message-batch", "--queue-url", url, "--entries", "Id=1,MessageBody=a", "Id=2,MessageBody=b"}, Want: `"Successful"`},
		{Args: []string{"delete-message", "--queue-url", url, "--receipt-handle", "x"}, Want: "(ReceiptHandleIsInvalid)", Fail: true},
		{Args: []string{"get-queue-url", "--queue-name", "nope"}, Want: "(AWS.SimpleQueueService.NonExistentQueue)", Fail: true},
		{Args: []string{"delete-queue", "--queue-url", url}},
	})
}
