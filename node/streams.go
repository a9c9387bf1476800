package node

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/door/dynamodb/streams"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/shard"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/template"
)

// What mappings of streams may have (Lambda API, CreateEventSourceMapping).
const (
	streamBatch    = 100
	streamBatchMax = 10_000
)

// openStreams makes the source of event source mappings of tables' streams.
func (n *Node) openStreams() dispatch.Source {
	changes := dispatch.StreamKind{Keep: table.StreamAge, Report: streamReport, Tell: streamTold,
		Shards: dispatch.NewTableShards(n.tables, dispatch.Naming{Shard: streams.Shard,
			Find: func(m *mapping.Mapping) []*table.Stream {
				return streams.FindAll(n.tables, n.catalog.View().Place, m.Source.ARN)
			},
			Record: func(s *table.Stream, c *table.Change) []byte { return streams.Record(n.catalog.View().Place, s, c) }}),
		View: func(body []byte) pattern.Value {
			v, _ := pattern.Parse(body) // what we have written is JSON
			return v
		},
	}
	n.streamed = dispatch.NewStreams(dispatch.StreamsConfig{Store: n.mappings, Misread: n.misread, Readers: shard.New(n.cell), Kinds: map[string]dispatch.StreamKind{dispatch.ChangesKind: changes},
		Facts: n.facts, Guard: n.guard, ARN: func(t daruma.Target) string { return n.catalog.View().Place.FunctionARN(t) },
		Destination: func(arn string) (*delivery.Destination, error) { return destination(n.catalog.View().Place, arn) }, Clock: n.clock, Logger: n.cfg.Log})
	return n.streamed
}

func streamReport(answer []byte, records []dispatch.StreamRecord) (int, error) {
	sequences := make([]string, len(records))
	for i, r := range records {
		sequences[i] = streams.Sequence(r.Sequence)
	}
	return streams.FirstFailure(answer, sequences)
}

func streamTold(s dispatch.Surrender) []byte {
	first, last := s.Records[0], s.Records[len(s.Records)-1]
	told := streams.Surrender{Request: s.Request, FunctionARN: s.FunctionARN, Condition: s.Condition, Invokes: s.Invokes, Ran: s.Ran, Status: s.Status, Version: s.Version, FunctionError: s.Failed,
		At: s.At, ARN: s.Mapping.Source.ARN, Shard: s.Shard, First: first.Sequence, Last: last.Sequence, Made: first.At, MadeTo: last.At, Records: len(s.Records)}
	return told.Told()
}

// streamSource is the stream that an ARN names, as a source of mappings.
func (n *Node) streamSource(arn string) (source lambda.EventSource, ok bool) {
	s := streams.Find(n.tables, n.catalog.View().Place, arn)
	if s == nil {
		return source, false
	}
	return streamSource(s.Table, arn), true
}

// streamSource is the stream of a table as a source.
func streamSource(table, arn string) lambda.EventSource {
	return lambda.EventSource{Source: mapping.Source{Kind: dispatch.ChangesKind, Name: table, ARN: arn}, Batch: streamBatch,
		Limits: mapping.Limits{BatchMax: streamBatchMax, BatchMaxAtOnce: streamBatchMax, WindowMax: mappingWindowMax, Stream: true}}
}

// streamMapping is what a template says of a mapping of a stream.
func streamMapping(t *template.StreamMapping) *mapping.Stream {
	s := &mapping.Stream{Start: mapping.Start(t.Start), Lanes: 1, Retries: -1, Bisect: t.Bisect, OnFailure: t.OnFailure}
	if t.Lanes != nil {
		s.Lanes = *t.Lanes
	}
	if t.Retries != nil {
		s.Retries = *t.Retries
	}
	if t.Age != nil && *t.Age != -1 {
		s.Age = time.Duration(*t.Age) * time.Second
	}
	if t.Tumble != nil {
		s.Tumble = time.Duration(*t.Tumble) * time.Second
	}
	return s
}
