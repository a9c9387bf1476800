package streams_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/door/dynamodb"
	"github.com/daruma-io/daruma/door/dynamodb/streams"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

var place = catalog.Place{Region: "us-east-1", Account: "000000000000"}

type keys struct{}

func (keys) Credential(id string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDAOPERATOR", Account: place.Account}}, id == "AKID"
}

type world struct {
	t      testing.TB
	clock  *clocktest.Ahead
	tables *table.Tables
	sdk    *sdk.Client
}

// newWorld is the door behind a front, with a table "orders" of key "pk" that has a stream.
func newWorld(t testing.TB, view schema.View) *world {
	t.Helper()
	w := &world{t: t, clock: &clocktest.Ahead{}}
	m := table.NewMachine()
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{m}, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.tables = table.New(c, m, w.clock)
	door, err := dynamodb.New(dynamodb.Config{Tables: w.tables, Region: place.Region, Account: place.Account, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: place.Region, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("dynamodb", door.Service())
	server := httptest.NewServer(front)
	// The SDK's own HTTP client now and then closes a connection while it reads a large answer, of any server.
	w.sdk = sdk.New(sdk.Options{Region: place.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), RetryMaxAttempts: 1, HTTPClient: server.Client()})
	t.Cleanup(func() { server.Close(); _ = c.Close() })
	if _, err := w.tables.Create(t.Context(), schema.Creation{Definition: schema.Definition{Name: "orders", OnDemand: true, Attributes: []schema.KeyAttribute{{Name: "pk", Kind: value.String}}, Key: schema.KeySchema{Hash: []string{"pk"}}}, View: view}); err != nil {
		t.Fatal(err)
	}
	return w
}

func item(pk string, v int64) value.Item {
	return value.Item{{Name: "pk", Value: value.OfString(pk)}, {Name: "v", Value: value.OfInt(v)}}
}

func (w *world) write(a write.Action) {
	w.t.Helper()
	a.Table = "orders"
	if _, err := w.tables.Write(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stream() *table.Stream { return w.tables.Streams("orders")[0] }

func (w *world) iterator(typ types.ShardIteratorType, sequence *string) (*string, error) {
	w.t.Helper()
	out, err := w.sdk.GetShardIterator(w.t.Context(), &sdk.GetShardIteratorInput{StreamArn: aws.String(streams.ARN(place, w.stream())), ShardId: aws.String(streams.Shard(w.stream())), ShardIteratorType: typ, SequenceNumber: sequence})
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

func (w *world) mustIterator(typ types.ShardIteratorType, sequence *string) *string {
	w.t.Helper()
	it, err := w.iterator(typ, sequence)
	if err != nil {
		w.t.Fatal(err)
	}
	return it
}

func (w *world) records(it *string, limit int32) *sdk.GetRecordsOutput {
	w.t.Helper()
	in := &sdk.GetRecordsInput{ShardIterator: it}
	if limit > 0 {
		in.Limit = &limit
	}
	out, err := w.sdk.GetRecords(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestTheSDKReadsAStreamFromItsBeginningToItsEnd(t *testing.T) {
	w := newWorld(t, schema.ViewBoth)
	w.write(write.Action{Kind: write.Put, Item: item("a", 1)})
	w.write(write.Action{Kind: write.Put, Item: item("a", 2)})
	w.write(write.Action{Kind: write.Put, Item: item("a", 2)}) // changes nothing
	w.write(write.Action{Kind: write.Delete, Item: item("a", 0)[:1]})
	list, err := w.sdk.ListStreams(t.Context(), &sdk.ListStreamsInput{TableName: aws.String("orders")})
	if err != nil || len(list.Streams) != 1 {
		t.Fatalf("got %+v, %v", list, err)
	}
	described, err := w.sdk.DescribeStream(t.Context(), &sdk.DescribeStreamInput{StreamArn: list.Streams[0].StreamArn})
	if err != nil {
		t.Fatal(err)
	}
	d := described.StreamDescription
	if d.StreamStatus != types.StreamStatusEnabled || d.StreamViewType != types.StreamViewTypeNewAndOldImages || *d.TableName != "orders" || len(d.Shards) != 1 || d.Shards[0].SequenceNumberRange.EndingSequenceNumber != nil || *d.KeySchema[0].AttributeName != "pk" {
		t.Errorf("got %+v", d)
	}
	got, it := "", w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil)
	for range 3 {
		out := w.records(it, 1)
		r := out.Records[0]
		got += fmt.Sprintf("%s %v→%v ", r.EventName, v(r.Dynamodb.OldImage), v(r.Dynamodb.NewImage))
		if len(*r.EventID) != 32 || *r.EventVersion != "1.1" || *r.EventSource != "aws:dynamodb" || r.UserIdentity != nil || r.Dynamodb.Keys["pk"].(*types.AttributeValueMemberS).Value != "a" || *r.Dynamodb.SizeBytes < 3 {
			t.Errorf("got %+v", r)
		}
		it = out.NextShardIterator
	}
	if want := "INSERT →1 MODIFY 1→2 REMOVE 2→ "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if out := w.records(it, 0); len(out.Records) != 0 || out.NextShardIterator == nil {
		t.Errorf("at the end of an open stream: got %+v", out)
	}
	off := schema.View("")
	if _, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "orders", View: &off}); err != nil {
		t.Fatal(err)
	}
	if out := w.records(it, 0); len(out.Records) != 0 || out.NextShardIterator != nil {
		t.Errorf("at the end of a closed stream: got %+v", out)
	}
	described, err = w.sdk.DescribeStream(t.Context(), &sdk.DescribeStreamInput{StreamArn: list.Streams[0].StreamArn})
	if err != nil || described.StreamDescription.StreamStatus != types.StreamStatusDisabled || described.StreamDescription.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("got %+v, %v", described, err)
	}
}

func v(image map[string]types.AttributeValue) string {
	if n, ok := image["v"].(*types.AttributeValueMemberN); ok {
		return n.Value
	}
	return ""
}

func TestAnIteratorBeginsWhereItsTypeSays(t *testing.T) {
	w := newWorld(t, schema.ViewNew)
	for i := range int64(5) {
		w.write(write.Action{Kind: write.Put, Item: item("a", i)})
	}
	latest := w.mustIterator(types.ShardIteratorTypeLatest, nil)
	all := w.records(w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil), 0).Records
	third := all[2].Dynamodb.SequenceNumber
	w.write(write.Action{Kind: write.Put, Item: item("a", 5)})
	for _, c := range []struct {
		it   *string
		want string
	}{
		{latest, "5"}, {w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil), "012345"},
		{w.mustIterator(types.ShardIteratorTypeAtSequenceNumber, third), "2345"}, {w.mustIterator(types.ShardIteratorTypeAfterSequenceNumber, third), "345"},
	} {
		got := ""
		for _, r := range w.records(c.it, 0).Records {
			got += v(r.Dynamodb.NewImage)
		}
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestIteratorsAndRecordsGrowOld(t *testing.T) {
	w := newWorld(t, schema.ViewKeys)
	w.write(write.Action{Kind: write.Put, Item: item("a", 1)})
	first := w.records(w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil), 0).Records[0].Dynamodb.SequenceNumber
	it := w.mustIterator(types.ShardIteratorTypeAtSequenceNumber, first)
	w.clock.Advance(14 * time.Minute)
	w.records(it, 0)
	w.clock.Advance(time.Minute)
	_, err := w.sdk.GetRecords(t.Context(), &sdk.GetRecordsInput{ShardIterator: it})
	if _, ok := errors.AsType[*types.ExpiredIteratorException](err); !ok {
		t.Errorf("got %v, want an ExpiredIteratorException", err)
	}
	w.clock.Advance(24 * time.Hour)
	w.write(write.Action{Kind: write.Put, Item: item("b", 1)})
	it, err = w.iterator(types.ShardIteratorTypeAtSequenceNumber, first)
	if err == nil {
		_, err = w.sdk.GetRecords(t.Context(), &sdk.GetRecordsInput{ShardIterator: it})
	}
	if _, ok := errors.AsType[*types.TrimmedDataAccessException](err); !ok {
		t.Errorf("got %v, want a TrimmedDataAccessException", err)
	}
	if got := len(w.records(w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil), 0).Records); got != 1 {
		t.Errorf("after a day: got %d records, want the young one", got)
	}
}

func TestAnAnswerHasAtMostAMegabyteAndLosesNothing(t *testing.T) {
	w := newWorld(t, schema.ViewNew)
	for i := range 10 {
		w.write(write.Action{Kind: write.Put, Item: append(value.Item{{Name: "blob", Value: value.OfString(strings.Repeat("x", 300<<10))}}, item("a", int64(i))...)})
	}
	got, answers := "", 0
	for it := w.mustIterator(types.ShardIteratorTypeTrimHorizon, nil); len(got) < 10; answers++ {
		out := w.records(it, 0)
		if len(out.Records) > 3 || len(out.Records) == 0 {
			t.Fatalf("got %d records of 300 KB at once", len(out.Records))
		}
		for _, r := range out.Records {
			got += v(r.Dynamodb.NewImage)
		}
		it = out.NextShardIterator
	}
	if got != "0123456789" || answers != 4 {
		t.Errorf("got %s in %d answers", got, answers)
	}
}

func TestWhatIsWrongWithARequestIsToldInTheServicesWords(t *testing.T) {
	w := newWorld(t, schema.ViewNew)
	arn, shard := streams.ARN(place, w.stream()), streams.Shard(w.stream())
	nowhere := strings.Replace(arn, "orders", "nowhere", 1)
	for _, c := range []struct {
		name       string
		call       func() error
		code, want string
	}{
		{"a limit that is too high", func() error {
			_, err := w.sdk.GetRecords(t.Context(), &sdk.GetRecordsInput{ShardIterator: aws.String("x"), Limit: aws.Int32(1001)})
			return err
		}, "ValidationException", "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{"no iterator of ours", func() error {
			_, err := w.sdk.GetRecords(t.Context(), &sdk.GetRecordsInput{ShardIterator: aws.String("x")})
			return err
		}, "ValidationException", "Invalid ShardIterator: it is none of this service"},
		{"a stream that is not there", func() error {
			_, err := w.sdk.DescribeStream(t.Context(), &sdk.DescribeStreamInput{StreamArn: &nowhere})
			return err
		}, "ResourceNotFoundException", "Requested resource not found: Stream: " + nowhere + " not found"},
		{"a shard that is not there", func() error {
			_, err := w.sdk.GetShardIterator(t.Context(), &sdk.GetShardIteratorInput{StreamArn: &arn, ShardId: aws.String(shard + "x"), ShardIteratorType: "LATEST"})
			return err
		}, "ResourceNotFoundException", "Requested resource not found: Shard does not exist"},
		{"a type that is none", func() error { _, err := w.iterator("SOON", nil); return err },
			"ValidationException", "1 validation error detected: Value 'SOON' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"},
		{"two mistakes", func() error {
			_, err := w.sdk.GetShardIterator(t.Context(), &sdk.GetShardIteratorInput{StreamArn: aws.String("x"), ShardId: aws.String("y"), ShardIteratorType: "LATEST"})
			return err
		}, "ValidationException", "2 validation errors detected: Value 'x' at 'streamArn' failed to satisfy constraint: Member must have length greater than or equal to 37; Value 'y' at 'shardId' failed to satisfy constraint: Member must have length greater than or equal to 28"},
		{"a sequence number of nowhere", func() error {
			_, err := w.iterator("AT_SEQUENCE_NUMBER", aws.String("100000000000000000099"))
			return err
		}, "ValidationException", "Invalid SequenceNumber: 100000000000000000099 is not of the shard " + shard},
	} {
		err, ok := errors.AsType[smithy.APIError](c.call())
		if !ok || err.ErrorCode() != c.code || err.ErrorMessage() != c.want {
			t.Errorf("%s:\n got %v\nwant %s: %s", c.name, err, c.code, c.want)
		}
	}
}

func TestAFunctionGetsARecordAsTheGuideShowsIt(t *testing.T) {
	at := time.Date(2016, 11, 18, 16, 49, 0, 0, time.UTC)
	s := &table.Stream{Number: 7, Table: "T", View: schema.ViewBoth, Created: at}
	c := &table.Change{Sequence: 42, At: at, Kind: table.Removed, System: true, Keys: item("a", 0)[:1], Old: item("a", 1), Bytes: 9}
	var got any
	if err := json.Unmarshal(streams.Record(place, s, c), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"eventID": got.(map[string]any)["eventID"], "eventName": "REMOVE", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
		"dynamodb": map[string]any{"ApproximateCreationDateTime": 1479487740.0, "Keys": map[string]any{"pk": map[string]any{"S": "a"}}, "OldImage": map[string]any{"pk": map[string]any{"S": "a"}, "v": map[string]any{"N": "1"}},
			"SequenceNumber": "100000000000000000042", "SizeBytes": 9.0, "StreamViewType": "NEW_AND_OLD_IMAGES"},
		"userIdentity":   map[string]any{"type": "Service", "principalId": "dynamodb.amazonaws.com"},
		"eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2016-11-18T16:49:00.000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(streams.Record(place, s, c), []byte(`"ApproximateCreationDateTime":1479487740.0,`)) {
		t.Error("the time is not a number with a point, as it comes from AWS")
	}
}

func TestAReportSaysFromWhichRecordOnABatchHasFailed(t *testing.T) {
	batch := []string{"1", "2", "3"}
	for _, c := range []struct {
		response string
		want     int
		bad      bool
	}{
		{``, -1, false}, {`null`, -1, false}, {`""`, -1, false}, {`{}`, -1, false}, {`{"batchItemFailures":null}`, -1, false}, {`{"batchItemFailures":[]}`, -1, false},
		{`{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}`, 1, false}, {`{"state":{"n":1}}`, -1, false},
		{`{"state":{},"batchItemFailures":[{"itemIdentifier":"1"}]}`, 0, false},
		{`{"foo":[]}`, 0, true}, {`{"batchItemFailures":[{"itemIdentifier":""}]}`, 0, true}, {`{"batchItemFailures":[{"itemIdentifier":null}]}`, 0, true},
		{`{"batchItemFailures":[{"itemIdentifier":"9"}]}`, 0, true}, {`{"batchItemFailures":[{}]}`, 0, true}, {`"no"`, 0, true}, {`{`, 0, true}, {`[]`, 0, true},
	} {
		got, err := streams.FirstFailure([]byte(c.response), batch)
		if (err != nil) != c.bad || err == nil && got != c.want {
			t.Errorf("%s: got %d, %v", c.response, got, err)
		}
	}
}

func FuzzFirstFailure(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"2"}]}`))
	f.Fuzz(func(t *testing.T, response []byte) {
		if got, err := streams.FirstFailure(response, []string{"1", "2"}); err == nil && (got < -1 || got > 1) {
			t.Errorf("got %d", got)
		}
	})
}

func TestADestinationIsToldWhichRecordsWereGivenUp(t *testing.T) {
	at := time.Date(2022, 7, 13, 13, 48, 1, 5e6, time.UTC)
	s := streams.Surrender{Request: "r", FunctionARN: "arn:f", Condition: "RetryAttemptsExhausted", Invokes: 2, Ran: true, Status: 200, Version: "$LATEST", FunctionError: true, At: at, ARN: "arn:s", Shard: "shardId-1", First: 1, Last: 3, Made: at, MadeTo: at, Records: 2}
	want := `{"requestContext":{"requestId":"r","functionArn":"arn:f","condition":"RetryAttemptsExhausted","approximateInvokeCount":2},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},` +
		`"version":"1.0","timestamp":"2022-07-13T13:48:01.005Z","DDBStreamBatchInfo":{"shardId":"shardId-1","startSequenceNumber":"100000000000000000001","endSequenceNumber":"100000000000000000003",` +
		`"approximateArrivalOfFirstRecord":"2022-07-13T13:48:01Z","approximateArrivalOfLastRecord":"2022-07-13T13:48:01Z","batchSize":2,"streamArn":"arn:s"}}`
	if got := string(s.Told()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	s.FunctionError = false
	if got := string(s.Told()); !strings.Contains(got, `"functionError":null`) {
		t.Errorf("of a record that was reported: got %s", got)
	}
	s.Ran, s.Condition = false, "RecordAgeExceeded"
	if got := string(s.Told()); strings.Contains(got, "responseContext") {
		t.Errorf("of records too old to be tried: got %s", got)
	}
}
