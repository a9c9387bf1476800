package lambda

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/mapping"
)

const streamARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2024-11-18T14:36:44.149"

// streamed is a world with mappings and the stream of a table.
func streamed(t *testing.T) *world {
	t.Helper()
	m := mapping.NewMachine()
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	x := mapping.Open(c, m)
	w, k := deployed(t)
	w.serve(Config{View: k.View, Concurrency: k, Settings: k, Mappings: x, LastResult: x.Result,
		Takes: func(arn string) error {
			if strings.HasSuffix(arn, ":dead") {
				return nil
			}
			return &daruma.Error{Kind: daruma.KindNotFound, Ref: arn, Err: errors.New("there is no such queue")}
		},
		EventSource: func(arn string) (EventSource, error) {
			if arn != streamARN {
				return EventSource{}, &daruma.Error{Kind: daruma.KindNotFound}
			}
			return EventSource{Source: mapping.Source{Kind: "stream", Name: "orders", ARN: arn}, Batch: 100, Limits: mapping.Limits{BatchMax: 10_000, BatchMaxAtOnce: 10_000, WindowMax: 300 * time.Second, Stream: true}}, nil
		}})
	return w
}

func TestAMappingOfAStreamIsMadeAndChanged(t *testing.T) {
	w := streamed(t)
	dead := queueARN + "dead"
	made, err := w.mapTo(sdk.CreateEventSourceMappingInput{EventSourceArn: aws.String(streamARN), StartingPosition: types.EventSourcePositionTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.mapTo(sdk.CreateEventSourceMappingInput{EventSourceArn: aws.String(streamARN), StartingPosition: types.EventSourcePositionTrimHorizon})
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || !strings.Contains(refused.ErrorMessage(), `The event source arn (" `+streamARN+` ") and function (" f ") provided mapping already exists. Please update or delete the existing mapping with UUID `+*made.UUID) {
		t.Errorf("a second time: %v", err)
	}
	if *made.BatchSize != 100 || made.StartingPosition != "TRIM_HORIZON" || *made.MaximumRetryAttempts != -1 || *made.MaximumRecordAgeInSeconds != -1 || *made.ParallelizationFactor != 1 || *made.BisectBatchOnFunctionError ||
		*made.TumblingWindowInSeconds != 0 || *made.LastProcessingResult != "No records processed" || *made.StateTransitionReason != "User action" || made.DestinationConfig == nil || made.DestinationConfig.OnFailure == nil {
		t.Errorf("made %+v", made)
	}
	changed, err := w.client.UpdateEventSourceMapping(t.Context(), &sdk.UpdateEventSourceMappingInput{UUID: made.UUID, MaximumRetryAttempts: aws.Int32(3), MaximumRecordAgeInSeconds: aws.Int32(60), ParallelizationFactor: aws.Int32(4), BisectBatchOnFunctionError: aws.Bool(true),
		DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: &dead}}})
	if err != nil || *changed.MaximumRetryAttempts != 3 || *changed.MaximumRecordAgeInSeconds != 60 || *changed.ParallelizationFactor != 4 || !*changed.BisectBatchOnFunctionError || *changed.DestinationConfig.OnFailure.Destination != dead || changed.StartingPosition != "TRIM_HORIZON" {
		t.Errorf("changed %+v, %v", changed, err)
	}
}

func TestMappingsOfStreamsThatCannotBeAreRefusedInTheServicesWords(t *testing.T) {
	w := streamed(t)
	n := func(n int32) *int32 { return &n }
	for name, c := range map[string]struct {
		in   sdk.CreateEventSourceMappingInput
		text string
	}{
		"no position":         {sdk.CreateEventSourceMappingInput{StartingPosition: ""}, "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."},
		"a time":              {sdk.CreateEventSourceMappingInput{StartingPosition: "AT_TIMESTAMP", StartingPositionTimestamp: aws.Time(time.Unix(1, 0))}, "Unsupported starting position for arn type: " + streamARN},
		"no stream":           {sdk.CreateEventSourceMappingInput{EventSourceArn: aws.String(streamARN + "0"), StartingPosition: "LATEST"}, "Stream not found: " + streamARN + "0"},
		"too many lanes":      {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", ParallelizationFactor: n(11)}, "'parallelizationFactor'"},
		"too many retries":    {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", MaximumRetryAttempts: n(10_001)}, "'maximumRetryAttempts'"},
		"too young":           {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", MaximumRecordAgeInSeconds: n(59)}, "'maximumRecordAgeInSeconds'"},
		"no age":              {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", MaximumRecordAgeInSeconds: n(0)}, "'maximumRecordAgeInSeconds'"},
		"a long window":       {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", TumblingWindowInSeconds: n(901)}, "'tumblingWindowInSeconds'"},
		"windows in lanes":    {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", TumblingWindowInSeconds: n(9), ParallelizationFactor: n(2)}, "is not supported"},
		"scaling":             {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", ScalingConfig: &types.ScalingConfig{MaximumConcurrency: n(2)}}, "Unsupported ScalingConfig parameter"},
		"a bucket":            {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: aws.String("arn:aws:s3:::b")}}}, "not supported here"},
		"a missing queue":     {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: aws.String(queueARN + "none")}}}, "there is no such queue"},
		"telling of success":  {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: aws.String(queueARN + "dead")}}}, "Unsupported DestinationConfig parameter"},
		"a batch that is big": {sdk.CreateEventSourceMappingInput{StartingPosition: "LATEST", BatchSize: n(10_001)}, "'batchSize'"},
	} {
		if c.in.EventSourceArn == nil {
			c.in.EventSourceArn = aws.String(streamARN)
		}
		_, err := w.mapTo(c.in)
		if refused, ok := errors.AsType[smithy.APIError](err); !ok || !strings.Contains(refused.ErrorMessage(), c.text) {
			t.Errorf("%s: got %v, want %s", name, err, c.text)
		}
	}
}
