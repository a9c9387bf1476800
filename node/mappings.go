package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/template"
)

// What mappings of queues may have (Lambda API, CreateEventSourceMapping).
const (
	mappingBatch     = 10
	mappingBatchMax  = 10_000
	mappingWindowMax = 300 * time.Second
	mappingAtOnceMin = 2
	mappingAtOnceMax = 1000
)

// openMappings makes the source of event source mappings.
func (n *Node) openMappings() dispatch.Source {
	queues := dispatch.Kind{Origin: dispatch.NewQueues(n.queues, n.clock).Through(n.handing.ready, n.handing.mapped), Encode: n.queueEvent, View: n.queueRecord, JSON: n.queueJSON, Report: func(answer []byte, records []dispatch.Record) ([]int, error) {
		return sqs.Failures(answer, messagesOf(records))
	}}
	n.mapped = dispatch.NewMappings(dispatch.MappingsConfig{Store: n.mappings, Kinds: map[string]dispatch.Kind{dispatch.QueueKind: queues}, Facts: n.facts, Guard: n.guard, Heal: n.governor,
		Refuse: n.refuse, Misread: n.misread, Strict: n.cfg.Semantics == SemanticsStrict, Clock: n.clock, Logger: n.cfg.Log})
	return n.mapped
}

func messagesOf(records []dispatch.Record) []queue.Received {
	all := make([]queue.Received, len(records))
	for i, r := range records {
		all[i] = r.Body.(queue.Received)
	}
	return all
}

// queueEvent is the event of the first messages of a batch, as many as a function takes.
func (n *Node) queueEvent(m *mapping.Mapping, records []dispatch.Record) ([]byte, int, error) {
	is := n.queues.Queue(m.Source.Name)
	if is == nil {
		return nil, 0, &daruma.Error{Kind: daruma.KindNotFound, Ref: m.Source.Name, Err: queue.ErrNoQueue}
	}
	messages := messagesOf(records)
	fit, size := 0, 0
	for ; fit < len(messages); fit++ {
		if size += sqs.RecordBytes(&messages[fit]); size > daruma.PayloadBytesMax && fit > 0 {
			break
		}
	}
	place := n.catalog.View().Place
	for ; fit > 0; fit /= 2 { // characters that are escaped make an event longer than was thought
		if payload := sqs.Event(place, is, messages[:fit]); len(payload) <= daruma.PayloadBytesMax {
			return payload, fit, nil
		}
	}
	return nil, 0, nil
}

// queueRecord is a message as filters look at it.
func (n *Node) queueRecord(m *mapping.Mapping, r dispatch.Record) pattern.Value {
	is := n.queues.Queue(m.Source.Name)
	if is == nil {
		return pattern.Value{}
	}
	message := r.Body.(queue.Received)
	event := sqs.Event(n.catalog.View().Place, is, []queue.Received{message})
	record := bytes.TrimSuffix(bytes.TrimPrefix(event, []byte(`{"Records":[`)), []byte(`]}`))
	v, err := pattern.Parse(record)
	if err != nil {
		return pattern.Value{}
	}
	return v.With("body", pattern.Payload(message.Body))
}

// eventSource finds the source that an ARN names.
func (n *Node) eventSource(arn string) (lambda.EventSource, error) {
	if stream, ok := n.streamSource(arn); ok {
		return stream, nil
	}
	name, ok := sqs.Name(n.catalog.View().Place, arn)
	if !ok {
		return lambda.EventSource{}, &daruma.Error{Ref: arn, Kind: daruma.KindNotFound, Err: errors.New("it is no queue and no stream of this app")}
	}
	q := n.queues.Queue(name)
	if q == nil {
		return lambda.EventSource{}, &daruma.Error{Ref: arn, Kind: daruma.KindNotFound, Err: queue.ErrNoQueue}
	}
	return queueSource(name, arn, q.FIFO, q.Hide), nil
}

// queueSource is a queue as a source.
func queueSource(name, arn string, fifo bool, hide time.Duration) lambda.EventSource {
	s := lambda.EventSource{Source: mapping.Source{Kind: dispatch.QueueKind, Name: name, ARN: arn}, Batch: mappingBatch, Hide: hide}
	s.Limits = mapping.Limits{BatchMax: mappingBatchMax, BatchMaxAtOnce: mappingBatch, WindowMax: mappingWindowMax, AtOnceMin: mappingAtOnceMin, AtOnceMax: mappingAtOnceMax}
	if fifo {
		s.Limits.BatchMax, s.Limits.WindowMax = mappingBatch, 0
	}
	return s
}

// deployMappings makes the mappings of the template what there is, once its queues and functions are there.
func (n *Node) deployMappings(ctx context.Context, t *template.App) error {
	wishes := make([]mapping.Wish, 0, len(t.Mappings))
	for _, m := range t.Mappings {
		w, err := n.mappingWish(m)
		if err != nil {
			return wrong("event source mapping", m.LogicalID, m.Position, err)
		}
		wishes = append(wishes, w)
	}
	return n.mappings.Deploy(ctx, wishes)
}

func (n *Node) mappingWish(m template.Mapping) (mapping.Wish, error) {
	source, err := n.eventSource(m.Source)
	if err != nil {
		return mapping.Wish{}, err
	}
	s, err := mappingSettings(m, source, func(name string) time.Duration {
		if f := n.catalog.View().Function(name, catalog.Latest); f != nil {
			return f.Timeout
		}
		return 0
	})
	return mapping.Wish{LogicalID: m.LogicalID, Source: source.Source, Settings: s, Tags: m.Tags}, err
}

// mappingSettings checks what a template says of a mapping of a source, whose
// messages must be hidden for as long as its function, by name, may take.
func mappingSettings(m template.Mapping, source lambda.EventSource, timeout func(function string) time.Duration) (mapping.Settings, error) {
	s := mapping.Settings{Function: m.Target.Function, Qualifier: m.Target.Qualifier, Batch: source.Batch, Partial: m.Partial, Filters: m.Filters, Disabled: m.Disabled}
	if t := m.Stream; t != nil {
		s.Stream = streamMapping(t)
	}
	if m.Batch != nil {
		s.Batch = *m.Batch
	}
	if m.Window != nil {
		s.Window = time.Duration(*m.Window) * time.Second
	}
	if m.AtOnce != nil {
		if s.AtOnce = *m.AtOnce; s.AtOnce == 0 {
			s.AtOnce = -1 // given, and out of bounds
		}
	}
	if err := source.Limits.Check(s); err != nil {
		return s, err
	}
	if most := timeout(s.Function); !source.Limits.Stream && source.Hide < most {
		return s, fmt.Errorf("the queue's visibility timeout of %d seconds is less than the function's timeout of %d seconds", source.Hide/time.Second, most/time.Second)
	}
	return s, nil
}

// heldFunctions is why functions are held, by name.
func (n *Node) heldFunctions() map[string]string {
	held := map[string]string{}
	for _, s := range n.governor.Statuses() {
		if s.Key == "" && s.Held() {
			held[s.Function] = s.Why
		}
	}
	return held
}

// queueHeld is why nothing is received from a queue: the functions it is
// handed to are held. "" when one of them is not.
func (n *Node) queueHeld(name string) string {
	held, first := n.heldFunctions(), ""
	for _, m := range n.mappings.All() {
		if m.Source.Kind != dispatch.QueueKind || m.Source.Name != name || m.Disabled {
			continue
		}
		why, ok := held[m.Function]
		if !ok {
			return ""
		}
		if first == "" {
			first = m.Function + ": " + why
		}
	}
	return first
}

// mappingRows is what the console shows of mappings.
func (n *Node) mappingRows() []console.Mapping {
	held := n.heldFunctions()
	rows := []console.Mapping{}
	for _, m := range n.mappings.All() {
		flow := n.mapped.Flow(m)
		row := console.Mapping{Mapping: m, Batches: flow.Batches, Records: flow.Records, AtOnceNow: flow.AtOnce, Paused: flow.Paused}
		if m.Stream != nil {
			way := n.streamed.Flow(m.UUID)
			row = console.Mapping{Mapping: m, Batches: way.Batches, Records: way.Records, AtOnceNow: len(way.Lanes), Paused: way.Paused}
			for _, l := range way.Lanes {
				row.Lanes = append(row.Lanes, console.Lane(l))
			}
		}
		if why, ok := held[m.Function]; ok {
			row.Held, row.Why = true, why
		}
		if r, ok := n.mappings.Result(m.UUID); ok {
			row.Result = &r
		}
		rows = append(rows, row)
	}
	return rows
}

// enableMapping enables or disables a mapping.
func (n *Node) enableMapping(ctx context.Context, uuid string, enabled bool) error {
	_, err := n.mappings.Change(ctx, uuid, func(s *mapping.Settings) error { s.Disabled = !enabled; return nil })
	return err
}
