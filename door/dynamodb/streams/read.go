package streams

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/table"
)

// Limits of the API (API Reference, "Amazon DynamoDB Streams").
const (
	recordsMax      = 1000
	recordBytesMax  = 1 << 20 // of one answer; a single larger record is answered alone
	pageMax         = 100
	iteratorAge     = 15 * time.Minute
	arnLeast        = 37
	arnMost         = 1024
	shardLeast      = 28
	shardMost       = 65
	sequenceLeast   = 21
	sequenceMost    = 40
	iteratorMost    = 2048
	iteratorVersion = 1
)

type summary struct {
	StreamArn, TableName, StreamLabel string
}

type listed struct {
	Streams                []summary
	LastEvaluatedStreamArn string `json:",omitempty"`
}

func (d *Door) listStreams(r *wire.Request) (any, error) {
	var in struct {
		TableName, ExclusiveStartStreamArn *string
		Limit                              *int64
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	var f faults
	name := ""
	if in.TableName != nil {
		f.text(in.TableName, "tableName", 3, 255)
		name = *in.TableName
	}
	if in.ExclusiveStartStreamArn != nil {
		f.text(in.ExclusiveStartStreamArn, "exclusiveStartStreamArn", arnLeast, arnMost)
	}
	limit := f.limit(in.Limit, pageMax)
	if err := f.err(); err != nil {
		return nil, err
	}
	all := d.cfg.Tables.Streams(name)
	if in.ExclusiveStartStreamArn != nil {
		at := slices.IndexFunc(all, func(s *table.Stream) bool { return ARN(d.cfg.Place, s) == *in.ExclusiveStartStreamArn })
		if at < 0 {
			return nil, noStream(*in.ExclusiveStartStreamArn)
		}
		all = all[at+1:]
	}
	out := listed{Streams: []summary{}}
	for _, s := range all[:min(limit, len(all))] {
		out.Streams = append(out.Streams, summary{ARN(d.cfg.Place, s), s.Table, Label(s)})
	}
	if len(all) > limit {
		out.LastEvaluatedStreamArn = out.Streams[limit-1].StreamArn
	}
	return out, nil
}

func noStream(arn string) error { return missing("Stream: " + arn + " not found") }

type keyElement struct{ AttributeName, KeyType string }

type shardAnswer struct {
	ShardId             string
	SequenceNumberRange struct {
		StartingSequenceNumber string
		EndingSequenceNumber   string `json:",omitempty"`
	}
}

type description struct {
	StreamArn, StreamLabel, StreamStatus, StreamViewType, TableName string
	CreationRequestDateTime                                         float64
	KeySchema                                                       []keyElement
	Shards                                                          []shardAnswer
}

func (d *Door) describeStream(r *wire.Request) (any, error) {
	var in struct {
		StreamArn, ExclusiveStartShardId *string
		Limit                            *int64
		ShardFilter                      *struct{ Type, ShardId *string }
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	var f faults
	f.text(in.StreamArn, "streamArn", arnLeast, arnMost)
	f.limit(in.Limit, pageMax)
	if in.ExclusiveStartShardId != nil {
		f.text(in.ExclusiveStartShardId, "exclusiveStartShardId", shardLeast, shardMost)
	}
	if filter := in.ShardFilter; filter != nil && filter.Type != nil && *filter.Type != "CHILD_SHARDS" {
		f.add("'"+*filter.Type+"'", "shardFilter.type", "satisfy enum value set: [CHILD_SHARDS]")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	s := Find(d.cfg.Tables, d.cfg.Place, *in.StreamArn)
	if s == nil {
		return nil, noStream(*in.StreamArn)
	}
	out := description{StreamArn: *in.StreamArn, StreamLabel: Label(s), StreamStatus: "ENABLED", StreamViewType: string(s.View), TableName: s.Table, CreationRequestDateTime: float64(s.Created.UnixMilli()) / 1000, Shards: []shardAnswer{}}
	for _, n := range s.Key.Hash {
		out.KeySchema = append(out.KeySchema, keyElement{n, "HASH"})
	}
	for _, n := range s.Key.Range {
		out.KeySchema = append(out.KeySchema, keyElement{n, "RANGE"})
	}
	shard := shardAnswer{ShardId: Shard(s)}
	shard.SequenceNumberRange.StartingSequenceNumber = Sequence(s.First + 1)
	if !s.Closed.IsZero() {
		out.StreamStatus = "DISABLED"
		shard.SequenceNumberRange.EndingSequenceNumber = Sequence(max(s.Last, s.First+1))
	}
	// There is one shard: it comes first, follows none, and is nobody's child.
	if in.ExclusiveStartShardId == nil && in.ShardFilter == nil {
		out.Shards = append(out.Shards, shard)
	}
	return struct{ StreamDescription description }{out}, nil
}

// iteratorTypes are where an iterator may begin.
var iteratorTypes = []string{"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"}

func (d *Door) getShardIterator(r *wire.Request) (any, error) {
	var in struct{ StreamArn, ShardId, ShardIteratorType, SequenceNumber *string }
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	var f faults
	f.text(in.StreamArn, "streamArn", arnLeast, arnMost)
	f.text(in.ShardId, "shardId", shardLeast, shardMost)
	switch {
	case in.ShardIteratorType == nil:
		f.add("null", "shardIteratorType", "not be null")
	case !slices.Contains(iteratorTypes, *in.ShardIteratorType):
		f.add("'"+*in.ShardIteratorType+"'", "shardIteratorType", "satisfy enum value set: ["+strings.Join(iteratorTypes, ", ")+"]")
	}
	if in.SequenceNumber != nil {
		f.text(in.SequenceNumber, "sequenceNumber", sequenceLeast, sequenceMost)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	s := Find(d.cfg.Tables, d.cfg.Place, *in.StreamArn)
	if s == nil {
		return nil, noStream(*in.StreamArn)
	}
	if *in.ShardId != Shard(s) {
		return nil, missing("Shard does not exist")
	}
	from, err := d.begin(r, s, *in.ShardIteratorType, in.SequenceNumber)
	if err != nil {
		return nil, err
	}
	return struct{ ShardIterator string }{d.iterator(s, from)}, nil
}

// begin is the sequence number an iterator begins at.
func (d *Door) begin(r *wire.Request, s *table.Stream, typ string, sequence *string) (uint64, error) {
	first, last, err := d.cfg.Tables.Bounds(r.HTTP.Context(), s.Number)
	if err != nil {
		return 0, err
	}
	switch typ {
	case "TRIM_HORIZON":
		return 0, nil
	case "LATEST":
		return last + 1, nil
	}
	if sequence == nil {
		return 0, validation("Invalid SequenceNumber: it must be provided for a ShardIteratorType of " + typ)
	}
	n, ok := ParseSequence(*sequence)
	if !ok || n <= s.First || n > max(last, s.First+1) {
		return 0, validation("Invalid SequenceNumber: " + *sequence + " is not of the shard " + Shard(s))
	}
	if typ == "AFTER_SEQUENCE_NUMBER" {
		n++
	}
	if n < first {
		return 0, &refusal{400, namespace + "TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard."}
	}
	return n, nil
}

// iterator writes where a reader stands: the stream's name, so that people see
// what it is of, and the position with the time it holds from.
func (d *Door) iterator(s *table.Stream, from uint64) string {
	b := binary.BigEndian.AppendUint32([]byte{iteratorVersion}, s.Number)
	b = binary.BigEndian.AppendUint64(b, from)
	b = binary.BigEndian.AppendUint64(b, uint64(d.cfg.Clock.Now().UnixMilli()))
	return ARN(d.cfg.Place, s) + "|" + strconv.Itoa(iteratorVersion) + "|" + base64.RawURLEncoding.EncodeToString(b)
}

// resume reads what iterator wrote.
func (d *Door) resume(iterator string) (*table.Stream, uint64, error) {
	arn, rest, _ := strings.Cut(iterator, "|")
	_, text, _ := strings.Cut(rest, "|")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 21 || b[0] != iteratorVersion {
		return nil, 0, validation("Invalid ShardIterator: it is none of this service")
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(b[13:])))
	if age := d.cfg.Clock.Now().Sub(made); age >= iteratorAge {
		return nil, 0, &refusal{400, namespace + "ExpiredIteratorException", "Iterator expired. The iterator was created at time " + made.UTC().Format(time.RFC3339) + " and is no longer valid: iterators hold for 15 minutes."}
	}
	s := Find(d.cfg.Tables, d.cfg.Place, arn)
	if s == nil || s.Number != binary.BigEndian.Uint32(b[1:]) {
		return nil, 0, missing("Shard does not exist")
	}
	return s, binary.BigEndian.Uint64(b[5:]), nil
}

func (d *Door) getRecords(r *wire.Request) (any, error) {
	var in struct {
		ShardIterator *string
		Limit         *int64
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	var f faults
	f.text(in.ShardIterator, "shardIterator", 1, iteratorMost)
	limit := f.limit(in.Limit, recordsMax)
	if err := f.err(); err != nil {
		return nil, err
	}
	s, from, err := d.resume(*in.ShardIterator)
	if err != nil {
		return nil, err
	}
	tail, err := d.cfg.Tables.Changes(r.HTTP.Context(), s.Number, from, limit)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, 4096), `{"Records":[`...)
	next, end := tail.Next, tail.End
	for i, c := range tail.Changes {
		size := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRead(b, d.cfg.Place, s, c)
		if i > 0 && len(b) > recordBytesMax {
			b, next, end = b[:size], c.Sequence, false
			break
		}
	}
	b = append(b, ']')
	if !end {
		b = append(append(append(b, `,"NextShardIterator":"`...), d.iterator(s, next)...), '"')
	}
	return append(b, '}'), nil
}

// appendRead is a change as readers of the API get it.
func appendRead(b []byte, place catalog.Place, s *table.Stream, c *table.Change) []byte {
	b = appendRecord(b, place, s, c)
	if c.System {
		b = append(b, `,"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}`...)
	}
	return append(b, '}')
}
