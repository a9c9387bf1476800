package sample

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
)

// types are what a Go function would decode each kind into.
var types = map[string]any{
	"http-api":        events.APIGatewayV2HTTPRequest{},
	"rest-api":        events.APIGatewayProxyRequest{},
	"function-url":    events.LambdaFunctionURLRequest{},
	"load-balancer":   events.ALBTargetGroupRequest{},
	"sqs":             events.SQSEvent{},
	"sns":             events.SNSEvent{},
	"kinesis":         events.KinesisEvent{},
	"dynamodb":        events.DynamoDBEvent{},
	"eventbridge":     events.EventBridgeEvent{},
	"schedule":        events.EventBridgeEvent{},
	"s3-put":          events.S3Event{},
	"cloudwatch-logs": events.CloudwatchLogsEvent{},
}

// looser are kinds with documented fields that the library's types lack.
var looser = map[string]bool{"function-url": true, "rest-api": true}

func TestEverySampleDecodesIntoTheTypeFunctionsUse(t *testing.T) {
	kinds := Kinds()
	if len(kinds) != len(types) {
		t.Errorf("got %d kinds, want %d", len(kinds), len(types))
	}
	for _, kind := range kinds {
		want, ok := types[kind]
		if !ok {
			t.Errorf("%s: no type to decode it into", kind)
			continue
		}
		raw, err := Event(kind, "")
		if err != nil {
			t.Fatal(err)
		}
		into := reflect.New(reflect.TypeOf(want))
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		if !looser[kind] {
			dec.DisallowUnknownFields()
		}
		if err := dec.Decode(into.Interface()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if into.Elem().IsZero() {
			t.Errorf("%s: nothing was decoded", kind)
		}
	}
}

func TestASampleCarriesTheBodyItIsGiven(t *testing.T) {
	for _, kind := range []string{"http-api", "rest-api", "function-url", "load-balancer", "sqs", "sns", "eventbridge"} {
		raw, err := Event(kind, `{"my":"body"}`)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(raw); !strings.Contains(got, `{\"my\":\"body\"}`) && !strings.Contains(got, `"detail":{"my":"body"}`) {
			t.Errorf("%s does not carry the body: %s", kind, got)
		}
	}
	raw, err := Event("kinesis", "hello")
	if err != nil || !strings.Contains(string(raw), `"data":"aGVsbG8="`) {
		t.Errorf("kinesis: got %s, %v", raw, err)
	}
}

func TestABadRequestForASampleSaysWhatThereIs(t *testing.T) {
	if _, err := Event("nonsense", ""); err == nil {
		t.Error("an unknown kind was made")
	}
	if _, err := Event("eventbridge", "not json"); err == nil {
		t.Error("a detail that is not JSON was taken")
	}
	if _, err := Event("schedule", "x"); err == nil {
		t.Error("a body was dropped silently")
	}
	if !slices.IsSorted(Kinds()) {
		t.Error("kinds are not sorted")
	}
}
