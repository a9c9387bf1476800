package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/mapping"
)

const queueARN = "arn:aws:sqs:us-east-1:000000000000:"

// mapped is a world with mappings and the queues "orders", "orders.fifo" and "hasty".
func mapped(t *testing.T) (*world, *mapping.Mappings) {
	t.Helper()
	m := mapping.NewMachine()
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	x := mapping.Open(c, m)
	w, k := deployed(t)
	w.serve(Config{View: k.View, Concurrency: k, Settings: k, Mappings: x, Tags: byHand{k, x}, EventSource: func(arn string) (EventSource, error) {
		name := arn[strings.LastIndex(arn, ":")+1:]
		s := EventSource{Source: mapping.Source{Kind: "queue", Name: name, ARN: arn}, Batch: 10, Hide: 15 * time.Minute,
			Limits: mapping.Limits{BatchMax: 10_000, BatchMaxAtOnce: 10, WindowMax: 300 * time.Second, AtOnceMin: 2, AtOnceMax: 1000}}
		switch name {
		case "orders":
		case "orders.fifo":
			s.Limits.BatchMax, s.Limits.WindowMax = 10, 0
		case "hasty":
			s.Hide = time.Second
		default:
			return s, &daruma.Error{Kind: daruma.KindNotFound}
		}
		return s, nil
	}})
	return w, x
}

// byHand is where the tests' tags are written.
type byHand struct {
	*catalog.Catalog
	mappings *mapping.Mappings
}

func (b byHand) TagFunction(ctx context.Context, function string, set map[string]string, drop []string) error {
	return b.Tag(ctx, function, set, drop)
}

func (b byHand) TagMapping(ctx context.Context, uuid string, set map[string]string, drop []string) error {
	return b.mappings.Tag(ctx, uuid, set, drop)
}

func (w *world) mapTo(in sdk.CreateEventSourceMappingInput) (*sdk.CreateEventSourceMappingOutput, error) {
	if in.FunctionName == nil {
		in.FunctionName = aws.String("f")
	}
	if in.EventSourceArn == nil {
		in.EventSourceArn = aws.String(queueARN + "orders")
	}
	return w.client.CreateEventSourceMapping(context.Background(), &in)
}

func TestAnEventSourceMappingIsMadeReadChangedListedAndDeleted(t *testing.T) {
	w, _ := mapped(t)
	ctx := context.Background()
	made, err := w.mapTo(sdk.CreateEventSourceMappingInput{FunctionName: aws.String("f:prod"), FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseTypeReportBatchItemFailures},
		ScalingConfig: &types.ScalingConfig{MaximumConcurrency: aws.Int32(7)}, FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"body":["x"]}`)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if *made.State != "Creating" || *made.BatchSize != 10 || *made.MaximumBatchingWindowInSeconds != 0 || *made.EventSourceArn != queueARN+"orders" || *made.FunctionArn != arnF+":prod" ||
		*made.StateTransitionReason != "USER_INITIATED" || made.LastModified.IsZero() || *made.EventSourceMappingArn != "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:"+*made.UUID ||
		len(made.FunctionResponseTypes) != 1 || *made.ScalingConfig.MaximumConcurrency != 7 || *made.FilterCriteria.Filters[0].Pattern != `{"body":["x"]}` {
		t.Fatalf("made %+v", made)
	}
	got, err := w.client.GetEventSourceMapping(ctx, &sdk.GetEventSourceMappingInput{UUID: made.UUID})
	if err != nil || *got.UUID != *made.UUID {
		t.Fatalf("got %+v, %v", got, err)
	}
	changed, err := w.client.UpdateEventSourceMapping(ctx, &sdk.UpdateEventSourceMappingInput{UUID: made.UUID, BatchSize: aws.Int32(100), MaximumBatchingWindowInSeconds: aws.Int32(5), Enabled: aws.Bool(false),
		FunctionResponseTypes: []types.FunctionResponseType{}, ScalingConfig: &types.ScalingConfig{}, FilterCriteria: &types.FilterCriteria{}})
	if err != nil || *changed.State != "Disabling" || *changed.BatchSize != 100 || len(changed.FunctionResponseTypes) != 0 || changed.ScalingConfig != nil || changed.FilterCriteria != nil {
		t.Fatalf("changed %+v, %v", changed, err)
	}
	if _, err := w.mapTo(sdk.CreateEventSourceMappingInput{EventSourceArn: aws.String(queueARN + "orders.fifo")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   sdk.ListEventSourceMappingsInput
		want int
	}{{sdk.ListEventSourceMappingsInput{}, 2}, {sdk.ListEventSourceMappingsInput{EventSourceArn: aws.String(queueARN + "orders")}, 1}, {sdk.ListEventSourceMappingsInput{FunctionName: aws.String("f")}, 1}, {sdk.ListEventSourceMappingsInput{FunctionName: aws.String("g")}, 0}, {sdk.ListEventSourceMappingsInput{MaxItems: aws.Int32(1)}, 1}} {
		if list, err := w.client.ListEventSourceMappings(ctx, &c.in); err != nil || len(list.EventSourceMappings) != c.want {
			t.Errorf("listed %+v, %v; want %d", list, err, c.want)
		}
	}
	gone, err := w.client.DeleteEventSourceMapping(ctx, &sdk.DeleteEventSourceMappingInput{UUID: made.UUID})
	if err != nil || *gone.State != "Deleting" {
		t.Fatalf("deleted %+v, %v", gone, err)
	}
}

func TestAMappingAnswersWithStatus202AndAllOfItsFields(t *testing.T) {
	w, _ := mapped(t)
	resp, body := w.send(http.MethodPost, "/2015-03-31/event-source-mappings/", `{"FunctionName":"f","EventSourceArn":"`+queueARN+`orders"}`)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &fields); resp.StatusCode != http.StatusAccepted || err != nil {
		t.Fatalf("%s %s", resp.Status, body)
	}
	for _, name := range []string{"UUID", "BatchSize", "MaximumBatchingWindowInSeconds", "EventSourceArn", "EventSourceMappingArn", "FunctionArn", "FunctionResponseTypes", "LastModified", "State", "StateTransitionReason"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("too much: %v", fields)
	}
}

func TestMappingsThatCannotBeAreRefusedInTheServicesWords(t *testing.T) {
	w, _ := mapped(t)
	if _, err := w.mapTo(sdk.CreateEventSourceMappingInput{}); err != nil {
		t.Fatal(err)
	}
	n := func(n int32) *int32 { return &n }
	arn := func(name string) *string { return aws.String(queueARN + name) }
	for name, c := range map[string]struct {
		in   sdk.CreateEventSourceMappingInput
		code string
		text string
	}{
		"twice":                  {sdk.CreateEventSourceMappingInput{}, "ResourceConflictException", `An event source mapping with SQS arn (" arn:aws:sqs:us-east-1:000000000000:orders ") and function (" f ") already exists. Please update or delete the existing mapping with UUID `},
		"no source":              {sdk.CreateEventSourceMappingInput{EventSourceArn: aws.String("arn:aws:nothing:us-east-1:000000000000:x")}, "InvalidParameterValueException", "Unrecognized event source."},
		"no queue":               {sdk.CreateEventSourceMappingInput{EventSourceArn: arn("none")}, "InvalidParameterValueException", "SQS Error Code: AWS.SimpleQueueService.NonExistentQueue."},
		"no function":            {sdk.CreateEventSourceMappingInput{FunctionName: aws.String("none"), EventSourceArn: arn("orders.fifo")}, "InvalidParameterValueException", "Function does not exist"},
		"a hasty queue":          {sdk.CreateEventSourceMappingInput{EventSourceArn: arn("hasty")}, "InvalidParameterValueException", "Queue visibility timeout: 1 seconds is less than Function timeout: "},
		"a starting position":    {sdk.CreateEventSourceMappingInput{StartingPosition: types.EventSourcePositionLatest, EventSourceArn: arn("orders.fifo")}, "InvalidParameterValueException", "StartingPosition"},
		"a destination":          {sdk.CreateEventSourceMappingInput{DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: arn("dead")}}}, "InvalidParameterValueException", "Unsupported DestinationConfig parameter for given event source mapping type."},
		"a batch without window": {sdk.CreateEventSourceMappingInput{FunctionName: aws.String("g"), BatchSize: n(11)}, "InvalidParameterValueException", "batch window"},
		"a window in order":      {sdk.CreateEventSourceMappingInput{EventSourceArn: arn("orders.fifo"), MaximumBatchingWindowInSeconds: n(1)}, "InvalidParameterValueException", "Batching window is not supported"},
		"one at once":            {sdk.CreateEventSourceMappingInput{FunctionName: aws.String("g"), ScalingConfig: &types.ScalingConfig{MaximumConcurrency: n(1)}}, "InvalidParameterValueException", "maximumConcurrency"},
		"a bad filter":           {sdk.CreateEventSourceMappingInput{FunctionName: aws.String("g"), FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"body":1}`)}}}}, "InvalidParameterValueException", "Invalid filter pattern definition."},
		"pollers":                {sdk.CreateEventSourceMappingInput{FunctionName: aws.String("g"), ProvisionedPollerConfig: &types.ProvisionedPollerConfig{MinimumPollers: n(2)}}, "", "ProvisionedPollerConfig"},
	} {
		_, err := w.mapTo(c.in)
		refused, ok := errors.AsType[smithy.APIError](err)
		if !ok || c.code != "" && refused.ErrorCode() != c.code || !strings.Contains(refused.ErrorMessage(), c.text) {
			t.Errorf("%s: got %v, want %s: %s", name, err, c.code, c.text)
		}
	}
	for _, uuid := range []string{"4f0c2c4e-7d4c-4b0a-9f0e-1d2f3a4b5c6d", "x"} {
		_, err := w.client.GetEventSourceMapping(context.Background(), &sdk.GetEventSourceMappingInput{UUID: &uuid})
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || !strings.Contains(err.Error(), "The resource you requested does not exist.") {
			t.Errorf("got %v", err)
		}
	}
}

func TestFunctionsAndMappingsAreTaggedAndUntaggedByARN(t *testing.T) {
	w, _ := mapped(t)
	ctx := t.Context()
	made, err := w.mapTo(sdk.CreateEventSourceMappingInput{Tags: map[string]string{"from": "creation"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{*made.EventSourceMappingArn, arnF} {
		before, err := w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: &arn})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.TagResource(ctx, &sdk.TagResourceInput{Resource: &arn, Tags: map[string]string{"a": "1", "b/c": "2 ü"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.UntagResource(ctx, &sdk.UntagResourceInput{Resource: &arn, TagKeys: []string{"a", "never"}}); err != nil {
			t.Fatal(err)
		}
		after, err := w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: &arn})
		if err != nil || len(after.Tags) != len(before.Tags)+1 || after.Tags["b/c"] != "2 ü" {
			t.Errorf("%s: got %v after %v, %v", arn, after, before.Tags, err)
		}
		_, err = w.client.TagResource(ctx, &sdk.TagResourceInput{Resource: &arn, Tags: map[string]string{"aws:x": "1"}})
		wantError(t, err, 400, "InvalidParameterValueException", "Tag keys that begin with aws: are the service's own: aws:x")
		_, err = w.client.UntagResource(ctx, &sdk.UntagResourceInput{Resource: &arn, TagKeys: []string{}})
		wantError(t, err, 400, "ValidationException", "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null")
	}
	got, err := w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: made.EventSourceMappingArn})
	if err != nil || got.Tags["from"] != "creation" {
		t.Errorf("got %v, %v", got, err)
	}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	if _, err := w.client.TagResource(ctx, &sdk.TagResourceInput{Resource: made.EventSourceMappingArn, Tags: many}); err == nil || !strings.Contains(err.Error(), "InvalidParameterValueException") || !strings.Contains(err.Error(), "up to 50") {
		t.Errorf("got %v", err)
	}
	_, err = w.client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:00000000-0000-4000-8000-000000000000")})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
	_, err = w.client.TagResource(ctx, &sdk.TagResourceInput{Resource: aws.String(arnF + ":prod"), Tags: many})
	wantError(t, err, 400, "InvalidParameterValueException", "Tags on function aliases and versions are not supported. Please specify a function ARN.")
}
