package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma/node"
)

const (
	queueBatch = 10
	// fillRate is how many messages wait, for each second of a measurement that receives them.
	fillRate = 15_000
	fillers  = 32 // connections that fill
)

// message is what is sent: 256 bytes.
var message = strings.Repeat("x", 256)

// speech is how requests of a queue look, ready to be sent.
type speech interface {
	Send(n int) ([]byte, error)
	Receive(n int) ([]byte, error)
	Handles(answer []byte) []string // of what was received
	Delete(handles []string) ([]byte, error)
}

// A server is one that is measured: where it is, and the processes it is made of.
type server struct {
	addr string
	pids []int
	stop func()
}

// A box is a queue as one connection has it.
type box interface {
	// send sends n messages and returns when all of them are kept.
	send(c *conn, n int) error
	// take receives and deletes up to n messages, and returns how many.
	take(c *conn, n int) (int, error)
}

// A queueServer is a server with a queue. box is for one connection.
type queueServer struct {
	server
	box func() (box, error)
}

// spoken is a queue that is asked in requests over HTTP.
type spoken struct {
	speech
	sends, receives map[int][]byte // ready, by number of messages
}

// newSpoken has the requests ready that queueWorks send.
func newSpoken(says speech) (*spoken, error) {
	s := &spoken{says, map[int][]byte{}, map[int][]byte{}}
	for _, n := range []int{1, queueBatch} {
		var err error
		if s.sends[n], err = says.Send(n); err != nil {
			return nil, err
		}
		if s.receives[n], err = says.Receive(n); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// box is the same for every connection.
func (s *spoken) box() (box, error) { return s, nil }

func (s *spoken) send(c *conn, n int) error {
	_, err := c.ask(s.sends[n])
	return err
}

func (s *spoken) take(c *conn, n int) (int, error) {
	answer, err := c.ask(s.receives[n])
	if err != nil {
		return 0, err
	}
	handles := s.Handles(answer)
	if len(handles) == 0 {
		return 0, nil
	}
	request, err := s.Delete(handles)
	if err == nil {
		_, err = c.ask(request)
	}
	return len(handles), err
}

// queueWorks are what is measured of every queue. What is counted is messages.
var queueWorks = []struct {
	name    string
	measure func(context.Context, *queueServer, time.Duration) (map[int]measurement, error)
}{
	{"send", sends(1)},
	{"send tens", sends(queueBatch)},
	{"receive and delete", drains},
	{"whole cycle", cycles(1)},
	{"whole cycle in tens", cycles(queueBatch)},
}

// queues are the subjects of queues.
func (w *workshop) queues() []subject {
	all := []subject{{name: "queues, cell sends (synced)", floor: canned, measure: w.within("send")}}
	add := func(who string, start func(context.Context) (*queueServer, error)) {
		for _, work := range queueWorks {
			all = append(all, subject{name: "queues, " + who + ", " + work.name, floor: cannedLibrary, measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
				at, err := start(ctx)
				if err != nil {
					return nil, err
				}
				defer at.stop()
				return work.measure(ctx, at, d)
			}})
		}
	}
	add("daruma (synced)", w.startQueue)
	all = append(all, subject{name: "queues, daruma (synced), send to function to deleted", floor: "Go, bare loop", measure: w.toDeleted})
	add("goaws (in memory)", w.startGoaws)
	add("Redis streams (synced)", w.startRedis)
	add("RabbitMQ (synced, confirmed)", w.startRabbit)
	return all
}

// startQueue starts a node with an empty queue.
func (w *workshop) startQueue(ctx context.Context) (*queueServer, error) {
	r, drop, err := w.fresh(ctx)
	if err != nil {
		return nil, err
	}
	says, err := r.queue("q")
	if err != nil {
		drop()
		return nil, err
	}
	all, err := newSpoken(says)
	if err != nil {
		drop()
		return nil, err
	}
	return &queueServer{server{r.addr(), r.pids(), drop}, all.box}, nil
}

// queue says how one of the node's queues is spoken to.
func (r *running) queue(name string) (signed, error) {
	s, err := r.signer("sqs")
	return signed{s, "http://" + r.addr() + "/" + node.Account + "/" + name}, err
}

// signed is the speech of the service itself, JSON 1.0.
type signed struct {
	signer
	url string
}

func (s signed) ask(operation, members string) ([]byte, error) {
	return s.call(context.Background(), "AmazonSQS."+operation, fmt.Sprintf(`{"QueueUrl":%q%s}`, s.url, members))
}

// entries are those of a batch, each with an ID.
func entries(n int, of func(i int) string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"Id":"%d",%s}`, i, of(i)))
	}
	return `,"Entries":[` + strings.Join(all, ",") + `]`
}

// Send is of one message or of a batch of them.
func (s signed) Send(n int) ([]byte, error) {
	body := fmt.Sprintf(`"MessageBody":%q`, message)
	if n == 1 {
		return s.ask("SendMessage", ","+body)
	}
	return s.ask("SendMessageBatch", entries(n, func(int) string { return body }))
}

// Receive is of up to n messages.
func (s signed) Receive(n int) ([]byte, error) {
	return s.ask("ReceiveMessage", fmt.Sprintf(`,"MaxNumberOfMessages":%d`, n))
}

// Handles are found without parsing all of it.
func (s signed) Handles(answer []byte) []string { return between(answer, `"ReceiptHandle":"`, `"`) }

// Delete is of one message or of a batch of them.
func (s signed) Delete(handles []string) ([]byte, error) {
	of := func(i int) string { return fmt.Sprintf(`"ReceiptHandle":%q`, handles[i]) }
	if len(handles) == 1 {
		return s.ask("DeleteMessage", ","+of(0))
	}
	return s.ask("DeleteMessageBatch", entries(len(handles), of))
}

// between is what stands between two marks, wherever it does.
func between(text []byte, from, to string) (all []string) {
	for _, part := range bytes.Split(text, []byte(from))[1:] {
		one, _, _ := bytes.Cut(part, []byte(to))
		all = append(all, string(one))
	}
	return all
}

// turns are those of connections that each have a box of their own.
func (at *queueServer) turns(of func(b box, c *conn) (int, error)) func(int) turn {
	return func(int) turn {
		b, err := at.box()
		return func(c *conn) (int, error) {
			if err != nil {
				return 0, err
			}
			return of(b, c)
		}
	}
}

func sends(n int) func(context.Context, *queueServer, time.Duration) (map[int]measurement, error) {
	return func(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
		return ladder(ctx, at.addr, at.turns(func(b box, c *conn) (int, error) { return n, b.send(c, n) }), d, at.pids)
	}
}

// drains receives and deletes single messages of a queue that was filled, until it is empty.
func drains(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
	got := map[int]measurement{}
	for _, level := range levels {
		err := fill(ctx, at, int(d.Seconds()*fillRate))
		if err != nil {
			return nil, err
		}
		if got[level], err = load(ctx, at.addr, at.turns(func(b box, c *conn) (int, error) { return b.take(c, 1) }), level, d, at.pids); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// fill sends so many messages, in tens.
func fill(ctx context.Context, at *queueServer, n int) error {
	var sent atomic.Int64
	now := time.Now()
	_, err := drive(ctx, at.addr, at.turns(func(b box, c *conn) (int, error) {
		if sent.Add(queueBatch) > int64(n) {
			return 0, nil
		}
		return queueBatch, b.send(c, queueBatch)
	}), fillers, now, now.Add(time.Hour))
	return err
}

// until sends so many requests over several connections. Each is made from its number.
func until(ctx context.Context, addr string, n int, request func(i int64) ([]byte, error)) error {
	var next atomic.Int64
	now := time.Now()
	_, err := drive(ctx, addr, func(int) turn {
		return func(c *conn) (int, error) {
			i := next.Add(1) - 1
			if i >= int64(n) {
				return 0, nil
			}
			text, err := request(i)
			if err == nil {
				_, err = c.ask(text)
			}
			return 1, err
		}
	}, min(fillers, n), now, now.Add(time.Hour))
	return err
}

// cycles sends, receives and deletes from connections that do all three in turn.
func cycles(n int) func(context.Context, *queueServer, time.Duration) (map[int]measurement, error) {
	return func(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
		return ladder(ctx, at.addr, at.turns(func(b box, c *conn) (int, error) {
			if err := b.send(c, n); err != nil {
				return 0, err
			}
			for range 1000 { // another connection may have taken what was sent
				if got, err := b.take(c, n); got > 0 || err != nil {
					return got, err
				}
			}
			return 0, errors.New("nothing comes out of the queue")
		}), d, at.pids)
	}
}

// toDeleted sends messages to a queue that a function is fed from, and waits until all are deleted.
func (w *workshop) toDeleted(ctx context.Context, d time.Duration) (map[int]measurement, error) {
	says, err := w.queue("work")
	if err != nil {
		return nil, err
	}
	send, err := says.Send(1)
	if err != nil {
		return nil, err
	}
	count, err := says.ask("GetQueueAttributes", `,"AttributeNames":["All"]`)
	if err != nil {
		return nil, err
	}
	return w.floods(ctx, send, d, func(context.Context) (bool, error) {
		c, err := dial(w.addr())
		if err != nil {
			return false, err
		}
		defer c.Close()
		answer, err := c.ask(count)
		if err != nil {
			return false, err
		}
		var got struct{ Attributes map[string]string }
		if err := json.Unmarshal(answer, &got); err != nil {
			return false, err
		}
		return got.Attributes["ApproximateNumberOfMessages"] == "0" && got.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0", nil
	})
}
