package sns_test

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
	wiretest.JavaScript(t, "@aws-sdk/client-sns", "testdata/clients/client.mjs", w.url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	bin := wiretest.Python(t)
	w := newWorld(t)
	const arn = "arn:aws:sns:us-east-1:000000000000:cli"
	for _, c := range []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"create-topic", "--name", "cli"}, want: `"TopicArn": "` + arn + `"`},
		{args: []string{"subscribe", "--topic-arn", arn, "--protocol", "https", "--notification-endpoint", "https://example.com/"}, want: `"SubscriptionArn": "pending confirmation"`},
		{args: []string{"list-subscriptions"}, want: `"SubscriptionArn": "PendingConfirmation"`},
		{args: []string{"publish", "--topic-arn", arn, "--message", "hello", "--message-attributes", `{"k":{"DataType":"String","StringValue":"v"}}`}, want: `"MessageId"`},
		{args: []string{"publish", "--topic-arn", arn + "x", "--message", "hello"}, want: "An error occurred (NotFound) when calling the Publish operation: Topic does not exist", fail: true},
		{args: []string{"set-sms-attributes", "--attributes", "MonthlySpendLimit=1"}, want: "(UnsupportedOperation)", fail: true},
		{args: []string{"delete-topic", "--topic-arn", arn}},
	} {
		out, err := wiretest.Command(t.TempDir(), filepath.Join(bin, "aws"), append([]string{"--endpoint-url", w.url, "--output", "json", "sns"}, c.args...)...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("aws sns %s: got %v\n%s\nwant %s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
}
