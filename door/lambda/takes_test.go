package lambda

import (
	"errors"
	"testing"

	"github.com/daruma-io/daruma"
)

func TestAQueueIsADestinationWhenItIsThere(t *testing.T) {
	c := &call{takes: func(arn string) error {
		switch arn {
		case "arn:aws:sqs:us-east-1:000000000000:q":
			return nil
		case "arn:aws:sqs:us-east-1:000000000000:gone":
			return &daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("no such queue")}
		}
		return &daruma.Error{Kind: daruma.KindUnsupported, Err: errors.New("nothing takes it")}
	}}
	for arn, want := range map[string]string{
		"arn:aws:sqs:us-east-1:000000000000:q":    "",
		"arn:aws:sqs:us-east-1:000000000000:gone": "InvalidParameterValueException: The destination ARN arn:aws:sqs:us-east-1:000000000000:gone is invalid.",
		"arn:aws:sns:us-east-1:000000000000:t":    "UnsupportedOperationException: Destinations that are topics are not supported here: arn:aws:sns:us-east-1:000000000000:t. Use a function.",
	} {
		got := ""
		if err := c.destination(arn, "f", &destinationConfig{}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", arn, got, want)
		}
	}
}
