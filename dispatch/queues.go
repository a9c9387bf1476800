package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
)

// QueueKind is the kind of a mapping's source that is a queue.
const QueueKind = "queue"

// Queues is package queue as an origin. A record's Body is a queue.Received.
type Queues struct {
	q       *queue.Queues
	clock   daruma.Clock
	ready   func(name string) bool
	receive func(ctx context.Context, m *mapping.Mapping, w queue.Want) ([]queue.Received, error)
}

// NewQueues returns the origin of q's messages.
func NewQueues(q *queue.Queues, clock daruma.Clock) *Queues {
	return &Queues{q, clock, q.Ready, func(ctx context.Context, m *mapping.Mapping, w queue.Want) ([]queue.Received, error) {
		return q.Receive(ctx, m.Source.Name, w)
	}}
}

// Through has messages received through something that stands before the
// queues, whose Ready and Receive they are.
func (o *Queues) Through(ready func(name string) bool, receive func(ctx context.Context, m *mapping.Mapping, w queue.Want) ([]queue.Received, error)) *Queues {
	return &Queues{o.q, o.clock, ready, receive}
}

// Waiting says how many messages are visible.
func (o *Queues) Waiting(_ context.Context, m *mapping.Mapping) (int, error) {
	if o.q.Queue(m.Source.Name) == nil {
		return 0, &daruma.Error{Op: "receive", Ref: m.Source.Name, Kind: daruma.KindNotFound, Err: queue.ErrNoQueue}
	}
	if !o.ready(m.Source.Name) {
		return 0, nil
	}
	if m.Window == 0 {
		return 1, nil
	}
	return max(1, o.q.Visible(m.Source.Name)), nil // what has become visible by itself is not counted yet
}

// Take receives messages.
func (o *Queues) Take(ctx context.Context, m *mapping.Mapping, n int, hold time.Duration) ([]Record, error) {
	is := o.q.Queue(m.Source.Name)
	if is == nil {
		return nil, &daruma.Error{Op: "receive", Ref: m.Source.Name, Kind: daruma.KindNotFound, Err: queue.ErrNoQueue}
	}
	hide := max(is.Hide, hold)
	now := o.clock.Now()
	got, err := o.receive(ctx, m, queue.Want{N: n, Hide: &hide, Internal: true})
	if err != nil {
		if errors.Is(err, queue.ErrInFlight) {
			return nil, nil // what is in flight ends some time
		}
		return nil, err
	}
	records := make([]Record, len(got))
	for i, r := range got {
		records[i] = Record{Event: fmt.Sprintf("%s/%d", is.Name, r.Number), Number: r.Number, Lease: r.Lease, Again: now.Add(is.Hide), Until: r.Until, Trace: r.TraceHeader(), Body: r,
			ID: r.ID.String(), Since: r.Sent, Receives: r.Count, Alone: r.Alone}
		if r.Before.After(r.Sent) {
			records[i].Since = r.Before
		}
		if r.Failure != 0 && r.From == "" {
			records[i].From = r.Failure.String()
		}
		if is.FIFO {
			records[i].Group = r.Group
		}
	}
	return records, nil
}

// partBytes is about how much one command says of messages, and one message more.
const partBytes = 1 << 20

// Settle settles the leases of messages. It takes several steps where much is to be
// said: what was said of a message before is left alone when it is said again.
func (o *Queues) Settle(ctx context.Context, m *mapping.Mapping, fates []Fate) error {
	each, size := make([]queue.Settlement, 0, len(fates)), 0
	for _, f := range fates {
		is := settlement(f)
		each = append(each, is)
		if size += sizeOf(f, is); size < partBytes {
			continue
		}
		if err := o.settle(ctx, m, each); err != nil {
			return err
		}
		each, size = each[:0], 0
	}
	if len(each) == 0 {
		return nil
	}
	return o.settle(ctx, m, each)
}

func (o *Queues) settle(ctx context.Context, m *mapping.Mapping, each []queue.Settlement) error {
	_, err := o.q.Settle(ctx, m.Source.Name, each...)
	if errors.Is(err, queue.ErrNoQueue) {
		return nil // its messages are gone with it
	}
	return err
}

// settlement is what is done with a message.
func settlement(f Fate) queue.Settlement {
	is := queue.Settlement{Held: queue.Held{Number: f.Number, Lease: f.Lease}, After: f.After, Once: f.Once}
	switch f.Do {
	case Finished:
		is.Do, is.After = queue.Done, 0
	case Failed:
		is.Do, is.Report = queue.Return, tried(f.Try)
	case Untried:
		is.Do = queue.Release
	case Aside:
		is.Do = queue.Delay
	case Kept:
		is.Do = queue.Extend
	case GivenUp:
		is.Do, is.Report = queue.Bury, tried(f.Try)
		is.Report.Condition = is.Report.ErrorType
	}
	return is
}

// sizeOf is about how many bytes are said of a message. A dead letter is written
// twice, and one command may write much more than it may say.
func sizeOf(f Fate, is queue.Settlement) int {
	size := 64
	if is.Once != nil {
		size += 256 + len(is.Once.Key)
	}
	if r := is.Report; r != nil {
		size += 512 + len(r.Message)
		for _, lines := range [...][]string{r.Stack, r.Log} {
			for _, line := range lines {
				size += len(line)
			}
		}
	}
	if r, ok := f.Body.(queue.Received); ok && f.Do == GivenUp {
		size += r.Size() / 4
	}
	return size
}

// tried is what the ledger is told of a try, should the message be given up.
func tried(t *Try) *queue.Report {
	r := &queue.Report{Function: t.Target.Function, Qualifier: t.Target.Qualifier, CodeSHA256: t.Facts.CodeSHA256, Revision: t.Facts.Revision,
		Owner: t.Facts.Declared.Owner, Tags: t.Facts.Declared.Tags, Sensitive: t.Facts.Declared.Sensitive, Correlate: t.Facts.Declared.Correlate}
	o := t.Outcome
	r.Recording = o.Recording
	r.Attempt = ledger.Attempt{At: t.Started, Duration: o.Duration, Environment: o.Environment, Version: o.Version, Outcome: o.Kind.String(), Faults: o.Faults}
	if f := o.Failure; f != nil {
		r.ErrorType, r.Message, r.Alone = f.Type, f.Message, f.Alone
	}
	r.Stack, r.Location, r.Log = route.Where(o)
	r.Message, r.Stack = ledger.Cut(r.Message, ledger.MessageBytesMax), ledger.Head(r.Stack, ledger.StackBytesMax) // no more is kept
	return r
}

// Reclaim takes messages back that were held before this process began. They
// may have been tried, so that counts.
func (o *Queues) Reclaim(ctx context.Context, m *mapping.Mapping) error {
	const some = 1000
	for more := true; more; {
		var err error
		if more, err = o.q.Reclaim(ctx, m.Source.Name, some, true); err != nil {
			return err
		}
	}
	return nil
}

// Wake holds a token when a message may have come.
func (o *Queues) Wake() <-chan struct{} { return o.q.Wake() }
