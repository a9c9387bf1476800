package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/topic"
)

// queueKind is the kind of a destination that is a queue.
const queueKind = "queue"

// queueMachine is the machine of queues in the cell.
const queueMachine = "queue"

// openQueueDoor makes the way in to queues.
func (n *Node) openQueueDoor(place catalog.Place) error {
	door, err := sqs.New(sqs.Config{Queues: n.queues, Receive: n.handing.received, Place: place, End: n.ending, Spanned: n.spanned})
	if err != nil {
		return err
	}
	n.front.Register("sqs", door.Service())
	return nil
}

// deployQueues makes the queues of the template what there is, before anything that names them.
func (n *Node) deployQueues(ctx context.Context, wishes []queue.Wish) error {
	changes, err := n.queues.Deploy(ctx, wishes)
	if err != nil {
		return err
	}
	for _, r := range changes.Removed {
		if r.Messages > 0 {
			n.cfg.Progress(fmt.Sprintf("the queue %s is no longer in the template: it was removed with %d messages", r.Name, r.Messages))
		}
	}
	for _, name := range changes.Kept {
		n.cfg.Progress("the queue " + name + " is no longer in the template: it is retained, as its DeletionPolicy says")
	}
	return nil
}

// destination is where an ARN of a configuration leads.
func destination(place catalog.Place, arn string) (*delivery.Destination, error) {
	if t, ok := place.FunctionTarget(arn); ok {
		return &delivery.Destination{Kind: delivery.FunctionKind, Name: t.Function, Qualifier: t.Qualifier, ARN: arn}, nil
	}
	if name, ok := sqs.Name(place, arn); ok {
		return &delivery.Destination{Kind: queueKind, Name: name, ARN: arn}, nil
	}
	if to := topicDestination(place, arn); to != nil {
		return to, nil
	}
	return nil, &daruma.Error{Kind: daruma.KindUnsupported, Ref: arn, Err: errors.New("it is no function, queue or topic of this app")}
}

// takes says whether something takes what a destination is told: a standard queue or topic does.
func (n *Node) takes(arn string) error {
	place := n.catalog.View().Place
	d, err := destination(place, arn)
	if err != nil {
		return err
	}
	if t, err := n.topics.Topic(d.Name); d.Kind == topic.Kind && (err != nil || t.FIFO) {
		return &daruma.Error{Ref: arn, Kind: daruma.KindNotFound, Err: errors.New("there is no such standard topic")}
	}
	if q := n.queues.Queue(d.Name); d.Kind == queueKind && (q == nil || q.FIFO) {
		return &daruma.Error{Ref: arn, Kind: daruma.KindNotFound, Err: errors.New("there is no such standard queue")}
	}
	return nil
}

// toQueue puts what a destination is told, or a dead letter, into a queue, in the step that makes it due.
func toQueue(h delivery.Handover) cell.Command {
	m := queue.Message{Body: h.Body, Trace: h.Trace, Sender: h.FunctionARN}
	for _, a := range h.Attributes {
		m.Attributes = append(m.Attributes, queue.Attribute{Name: a.Name, Type: a.Type, Value: []byte(a.Value)})
	}
	cmd, err := queue.SendCommand(h.To.Name, m)
	if err != nil {
		return cell.Command{Machine: queueMachine, Name: "send"} // refused when it is applied, as a message cut short
	}
	return cmd
}
