package sqs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/door/wire/wiretest"
)

func TestBoto3GetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	wiretest.PythonScript(t, nil, "testdata/clients/client.py", w.url)
}

func TestTheJavaScriptSDKGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	wiretest.JavaScript(t, "@aws-sdk/client-sqs", "testdata/clients/client.mjs", w.url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	bin := wiretest.Python(t)
	w := newWorld(t)
	url := *w.create("q", nil)
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"send-message", "--queue-url", url, "--message-body", "hello"}, want: `"MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"`},
		{args: []string{"receive-message", "--queue-url", url, "--attribute-names", "All"}, want: `"Body": "hello"`},
		{args: []string{"receive-message", "--queue-url", url}},
		{args: []string{"get-queue-attributes", "--queue-url", url, "--attribute-names", "All"}, want: `"ApproximateNumberOfMessagesNotVisible": "1"`},
		{args: []string{"list-queues"}, want: url},
		{args: []string{"send-message-batch", "--queue-url", url, "--entries", "Id=1,MessageBody=a", "Id=2,MessageBody=b"}, want: `"Successful"`},
		{args: []string{"delete-message", "--queue-url", url, "--receipt-handle", "x"}, want: "(ReceiptHandleIsInvalid)", fail: true},
		{args: []string{"get-queue-url", "--queue-name", "nope"}, want: "(AWS.SimpleQueueService.NonExistentQueue)", fail: true},
		{args: []string{"delete-queue", "--queue-url", url}},
	} {
		out, err := wiretest.Command(dir, filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json", "sqs"}, c.args...)...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("aws sqs %s: got %v\n%s\nwant %s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
}
