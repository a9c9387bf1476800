package sns_test

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
	wiretest.NodeScript(t, []string{"@aws-sdk/client-sns"}, "testdata/clients/client.mjs", w.url)
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	const arn = "arn:aws:sns:us-east-1:000000000000:cli"
	wiretest.CLI(t, w.url, "sns", []wiretest.Step{
		{Args: []string{"create-topic", "--name", "cli"}, Want: `"TopicArn": "` + arn + `"`},
		{Args: []string{"subscribe", "--topic-arn", arn, "--protocol", "https", "--notification-endpoint", "https://example.com/"}, Want: `"SubscriptionArn": "pending confirmation"`},
		{Args: []string{"list-subscriptions"}, Want: `"SubscriptionArn": "PendingConfirmation"`},
		{Args: []string{"publish", "--topic-arn", arn, "--message", "hello", "--message-attributes", `{"k":{"DataType":"String","StringValue":"v"}}`}, Want: `"MessageId"`},
		{Args: []string{"publish", "--topic-arn", arn + "x", "--message", "hello"}, Want: "An error occurred (NotFound) when calling the Publish operation: Topic does not exist", Fail: true},
		{Args: []string{"set-sms-attributes", "--attributes", "MonthlySpendLimit=1"}, Want: "(UnsupportedOperation)", Fail: true},
		{Args: []string{"delete-topic", "--topic-arn", arn}},
	})
}
