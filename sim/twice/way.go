package twice

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
	"github.com/daruma-io/daruma/shard"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A way is one way of events to the function, in one life of the process.
type way interface {
	// create makes what the way needs.
	create(ctx context.Context) error
	// send has the n-th event accepted.
	send(ctx context.Context, n int, e Event) error
	// source is what hands its events out, and what runs beside it.
	source(g *dispatch.Guard) (dispatch.Source, func(context.Context) error)
	// standing says what became of its events.
	standing(ctx context.Context) (Standing, error)
}

// A Standing is what became of events: each is done, given up or left.
type Standing struct{ Accepted, Done, GivenUp, Left int64 }

func facts(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }

func arn(t daruma.Target) string { return t.String() }

// mapped is what the two ways of mappings share.
type mapped struct {
	Plan
	clock daruma.Clock
	m     *mapping.Mappings
}

// messages is the way through a queue. Events given up are in another.
type messages struct {
	mapped
	q *queue.Queues
}

func (w *messages) create(ctx context.Context) error {
	s := queue.Settings{FIFO: w.Way == FIFO, Hide: w.Hide, DeadLetter: &queue.DeadLetter{Queue: "dead", After: 1 + w.Retries}}
	if _, err := w.q.Create(ctx, "dead", queue.Settings{FIFO: s.FIFO, Hide: time.Minute}); err != nil {
		return err
	}
	if _, err := w.q.Create(ctx, "events", s); err != nil {
		return err
	}
	_, err := w.m.Create(ctx, mapping.Source{Kind: dispatch.QueueKind, Name: "events", ARN: "arn:events"},
		mapping.Settings{Function: function, Batch: w.Batch, Window: w.Window, Partial: w.Partial}, nil)
	return err
}

func (w *messages) send(ctx context.Context, n int, e Event) error {
	body, _ := json.Marshal(e) // texts always marshal
	m := queue.Message{Body: body}
	if w.Way == FIFO {
		m.Group, m.Once = e.Group, strconv.Itoa(n)
	}
	_, err := w.q.Send(ctx, "events", m)
	return err
}

func (w *messages) source(g *dispatch.Guard) (dispatch.Source, func(context.Context) error) {
	body := func(r dispatch.Record) []byte { return r.Body.(queue.Received).Body }
	s := dispatch.NewMappings(dispatch.MappingsConfig{Store: w.m, Strict: w.Strict, Clock: w.clock, Guard: g, Facts: facts, Kinds: map[string]dispatch.Kind{dispatch.QueueKind: {
		Origin: dispatch.NewQueues(w.q, w.clock),
		Encode: func(_ *mapping.Mapping, records []dispatch.Record) ([]byte, int, error) {
			lines := make([]string, len(records))
			for i, r := range records {
				lines[i] = string(body(r))
			}
			return fmt.Appendf(nil, `{"Records":[%s]}`, strings.Join(lines, ",")), len(records), nil
		},
		View: func(*mapping.Mapping, dispatch.Record) pattern.Value { return pattern.Value{} },
		JSON: func(_ *mapping.Mapping, r dispatch.Record) []byte { return body(r) },
		Report: func(answer []byte, _ []dispatch.Record) (failed []int, err error) {
			return failed, json.Unmarshal(answer, &failed)
		},
	}}})
	return s, s.Run
}

func (w *messages) standing(ctx context.Context) (Standing, error) {
	a, err := w.q.Account(ctx, "events")
	if err == nil && !a.Closes() {
		err = fmt.Errorf("the account does not close: %+v", a)
	}
	return Standing{a.Sent, a.Deleted, a.DeadLetters, a.Messages()}, err
}

// changes is the way through the stream of a table: each event is an item that
// is put.
type changes struct {
	mapped
	t *table.Tables
	s *shard.Shards
	l *ledger.Ledger
}

func (w *changes) create(ctx context.Context) error {
	if _, err := w.t.Create(ctx, schema.Creation{Definition: schema.Definition{Name: "events", OnDemand: true, Attributes: []schema.KeyAttribute{{Name: "pk", Kind: value.String}},
		Key: schema.KeySchema{Hash: []string{"pk"}}}, View: schema.ViewNew}); err != nil {
		return err
	}
	_, err := w.m.Create(ctx, mapping.Source{Kind: dispatch.ChangesKind, Name: "events", ARN: "arn:events"}, mapping.Settings{Function: function, Batch: w.Batch, Window: w.Window, Partial: w.Partial,
		Stream: &mapping.Stream{Start: mapping.TrimHorizon, Lanes: w.Lanes, Bisect: w.Bisect, Retries: w.Retries}}, nil)
	return err
}

func (w *changes) send(ctx context.Context, n int, e Event) error {
	it := value.Item{{Name: "body", Value: value.OfString(e.Body)}, {Name: "key", Value: value.OfString(e.Key)}, {Name: "pk", Value: value.OfString(strconv.Itoa(n))}}
	_, err := w.t.Write(ctx, write.Action{Kind: write.Put, Table: "events", Item: it})
	return err
}

func (w *changes) source(g *dispatch.Guard) (dispatch.Source, func(context.Context) error) {
	shards := dispatch.NewTableShards(w.t, dispatch.Naming{Find: func(*mapping.Mapping) []*table.Stream { return w.t.Streams("events") }, Shard: func(*table.Stream) string { return "S" },
		Record: func(_ *table.Stream, c *table.Change) []byte {
			key, _ := c.New.Get("key")
			body, _ := c.New.Get("body")
			line, _ := json.Marshal(Event{Key: key.Text(), Body: body.Text()}) // texts always marshal
			return line
		}})
	s := dispatch.NewStreams(dispatch.StreamsConfig{Store: w.m, Readers: w.s, Clock: w.clock, Guard: g, Facts: facts, ARN: arn, Kinds: map[string]dispatch.StreamKind{dispatch.ChangesKind: {
		Shards: shards, Keep: table.StreamAge, View: func([]byte) pattern.Value { return pattern.Value{} },
		Report: func(answer []byte, _ []dispatch.StreamRecord) (int, error) {
			var failed []int
			if err := json.Unmarshal(answer, &failed); err != nil || len(failed) == 0 {
				return -1, err
			}
			return failed[0], nil
		},
	}}})
	return s, s.Run
}

func (w *changes) standing(ctx context.Context) (s Standing, err error) {
	tail, err := w.t.Changes(ctx, w.t.Streams("events")[0].Number, 0, 1000)
	if err != nil {
		return s, err
	}
	readers, err := w.s.Readers(ctx, w.m.All()[0].UUID)
	if err != nil {
		return s, err
	}
	s.Accepted = int64(len(tail.Changes))
	for _, c := range tail.Changes {
		left := true
		for _, r := range readers {
			left = c.Sequence >= r.Lanes[shard.LaneOf(string(value.AppendItem(nil, c.Keys)), len(r.Lanes))].Next
		}
		if left {
			s.Left++
		}
	}
	given, err := givenUp(ctx, w.l)
	for _, g := range given {
		s.GivenUp += int64(len(g.events))
	}
	s.Done = s.Accepted - s.Left - s.GivenUp
	return s, err
}

// invocations is the way of asynchronous invocations.
type invocations struct {
	Plan
	d *delivery.Deliveries
	l *ledger.Ledger
}

func newInvocations() *delivery.Machine {
	return delivery.NewMachine(delivery.Config{ARN: arn, Sinks: map[string]delivery.Sink{"shelf": delivery.PutTo("shelf")}})
}

func (w *invocations) create(context.Context) error { return nil }

func (w *invocations) send(ctx context.Context, _ int, e Event) error {
	body, _ := json.Marshal(e) // texts always marshal
	_, err := w.d.Accept(ctx, delivery.Event{Target: daruma.Target{Function: function}, Payload: body, Source: "sim",
		Policy: &delivery.Policy{Retries: &w.Retries, OnSuccess: &delivery.Destination{Kind: "shelf", Name: "S"}}})
	return err
}

func (w *invocations) source(g *dispatch.Guard) (dispatch.Source, func(context.Context) error) {
	return dispatch.NewDeliveries(w.d, facts, w.l).Guarded(g), func(context.Context) error { return nil }
}

func (w *invocations) standing(ctx context.Context) (Standing, error) {
	a, _, err := w.d.Accounts(ctx)
	if err == nil && !a.Closes() {
		err = fmt.Errorf("the account does not close: %+v", a)
	}
	return Standing{a.Accepted, a.Done, a.Failed, a.InProgress()}, err
}

// A shelf is where what destinations are told is put.
type shelf struct{}

// Name is the machine's name.
func (shelf) Name() string { return "shelf" }

// Apply puts a handover on the shelf.
func (shelf) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set([]byte(tx.NewID()), cmd.Body)
	return nil, nil
}
