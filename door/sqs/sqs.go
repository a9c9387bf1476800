// Package sqs is the door for the Amazon SQS API: SDKs, the CLI and functions
// send, receive and manage messages of queues through it, in both protocols the
// service speaks, JSON and query, with its checksums, limits, error names and,
// where they are known, texts (Amazon SQS API Reference).
//
// It also knows what else is SQS's: the attributes of a queue as a template
// writes them ([Settings]), the event in which messages are handed to a
// function ([Event]) and the report a function gives back ([Failures]).
//
// The door holds no state and starts nothing: a long poll waits in the noun.
// It may be used from any number of goroutines at once.
package sqs

import (
	"context"
	"net/http"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/queue"
)

// bodyBytesMax is of a request: a message of the largest size, its characters escaped.
const bodyBytesMax = 8 << 20

// Config says what the door needs. All of it but Receive and Spanned must be given.
type Config struct {
	Queues *queue.Queues
	// Receive is how messages are received, if not from Queues: what stands before them.
	Receive func(ctx context.Context, name string, w queue.Want) ([]queue.Received, error)
	Place   catalog.Place // region and account of all queues
	// End is closed when the node stops: long polls are answered then, empty.
	End <-chan struct{}
	// Spanned is told of messages that were sent, by the machine's clock; it may be nil.
	Spanned func(daruma.Span)
}

// A Door answers the SQS API.
type Door struct {
	queues  *queue.Queues
	receive func(ctx context.Context, name string, w queue.Want) ([]queue.Received, error)
	place   catalog.Place
	end     <-chan struct{}
	spanned func(daruma.Span)
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Queues == nil || cfg.Place.Account == "" || cfg.Place.Region == "" || cfg.End == nil {
		return nil, &daruma.Error{Op: "sqs door", Kind: daruma.KindInvalid, Hint: "Queues, Place and End must be given"}
	}
	if cfg.Receive == nil {
		cfg.Receive = cfg.Queues.Receive
	}
	return &Door{queues: cfg.Queues, receive: cfg.Receive, place: cfg.Place, end: cfg.End, spanned: cfg.Spanned}, nil
}

// Service is how the door is registered at a front, under "sqs".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax}
}

// operations are all there are.
var operations = map[string]func(*Door, *call) (any, *failure){
	"AddPermission": (*Door).addPermission, "RemovePermission": (*Door).removePermission,
	"CreateQueue": (*Door).createQueue, "DeleteQueue": (*Door).deleteQueue, "PurgeQueue": (*Door).purgeQueue,
	"GetQueueUrl": (*Door).getQueueURL, "ListQueues": (*Door).listQueues, "ListDeadLetterSourceQueues": (*Door).listDeadLetterSourceQueues,
	"GetQueueAttributes": (*Door).getQueueAttributes, "SetQueueAttributes": (*Door).setQueueAttributes,
	"TagQueue": (*Door).tagQueue, "UntagQueue": (*Door).untagQueue, "ListQueueTags": (*Door).listQueueTags,
	"SendMessage": (*Door).sendMessage, "SendMessageBatch": (*Door).sendMessageBatch, "ReceiveMessage": (*Door).receiveMessage,
	"DeleteMessage": (*Door).deleteMessage, "DeleteMessageBatch": (*Door).deleteMessageBatch,
	"ChangeMessageVisibility": (*Door).changeMessageVisibility, "ChangeMessageVisibilityBatch": (*Door).changeMessageVisibilityBatch,
	"StartMessageMoveTask": (*Door).startMessageMoveTask, "CancelMessageMoveTask": (*Door).cancelMessageMoveTask, "ListMessageMoveTasks": (*Door).listMessageMoveTasks,
}

// A call is one request on its way to its operation.
type call struct {
	*wire.Request
	ctx   context.Context
	op    string
	query bool // it came in the query protocol
	in    input
	tracing
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	c := &call{Request: r, ctx: r.HTTP.Context()}
	out, fail := d.answer(c)
	if fail != nil {
		d.tellRefused(c, fail)
		c.refuse(w, fail)
		return
	}
	c.reply(w, out)
}

func (d *Door) answer(c *call) (any, *failure) {
	if fail := c.read(); fail != nil {
		return nil, fail
	}
	serve := operations[c.op]
	if serve == nil {
		return nil, fault(invalidAction, "The action "+c.op+" is not valid for this endpoint.")
	}
	d.join(c)
	return serve(d, c)
}

// queue returns the queue a call is about.
func (d *Door) queue(c *call) (*queue.Queue, *failure) {
	url := c.in.QueueURL
	if url == "" && c.query {
		url = c.Path
	}
	if url == "" || url == "/" {
		return nil, missing("QueueUrl")
	}
	name, fail := d.name(url)
	if fail != nil {
		return nil, fail
	}
	is := d.queues.Queue(name)
	if is == nil {
		return nil, noQueue()
	}
	return is, nil
}

// name returns the name in a queue's URL, whatever its host: a client uses the
// one by which it reaches this endpoint. A bare name is taken, too, as AWS does.
func (d *Door) name(url string) (string, *failure) {
	rest := url
	if _, after, ok := strings.Cut(url, "://"); ok {
		_, rest, _ = strings.Cut(after, "/")
	}
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	switch name := parts[len(parts)-1]; {
	case len(parts) == 1 && rest == url && name != "":
		return name, nil
	case len(parts) < 2 || name == "":
		return "", fault(invalidAddress, "The address "+url+" is not valid for this endpoint.")
	case parts[len(parts)-2] != d.place.Account:
		return "", noQueue()
	default:
		return name, nil
	}
}

// url is the URL of a queue, at the host the client used.
func (d *Door) url(c *call, name string) string {
	scheme := "http://"
	if c.HTTP.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.HTTP.Host + "/" + d.place.Account + "/" + name
}

// ARN returns the ARN of a queue.
func ARN(p catalog.Place, name string) string {
	return "arn:aws:sqs:" + p.Region + ":" + p.Account + ":" + name
}

// Name returns the name of the queue that an ARN names, and false when it is
// not one of this place.
func Name(p catalog.Place, arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, ARN(p, ""))
	return name, ok && name != "" && !strings.Contains(name, ":")
}
