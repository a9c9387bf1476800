package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/node"
)

// topics are the subjects of topics: one publishes to so many queues.
func (w *workshop) topics() []subject {
	var all []subject
	for _, n := range []int{0, 1, 10} {
		all = append(all, subject{name: fmt.Sprintf("topics, daruma (synced), publish to %d", n), floor: cannedLibrary, measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
			r, drop, err := w.fresh(ctx)
			if err != nil {
				return nil, err
			}
			defer drop()
			publish, err := r.topic(ctx, n)
			if err != nil {
				return nil, err
			}
			return ladder(ctx, r.addr(), repeat(publish), d, r.pids())
		}})
	}
	return all
}

// topic makes a topic that so many queues subscribe to, and returns what publishes to it.
func (r *running) topic(ctx context.Context, subscriptions int) (publish []byte, err error) {
	s, err := r.signer("sns")
	if err != nil {
		return nil, err
	}
	ask := func(operation string, members url.Values) ([]byte, error) {
		members.Set("Action", operation)
		members.Set("Version", "2010-03-31")
		return s.post(ctx, "/", http.Header{"Content-Type": {typeForm}}, members.Encode())
	}
	c, err := dial(r.addr())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	do := func(request []byte, err error) error {
		if err == nil {
			_, err = c.ask(request)
		}
		return err
	}
	if err := do(ask("CreateTopic", url.Values{"Name": {"bench"}})); err != nil {
		return nil, err
	}
	arn := "arn:aws:sns:" + r.address.Region + ":" + node.Account + ":bench"
	q, err := r.signer("sqs")
	if err != nil {
		return nil, err
	}
	for i := range subscriptions {
		name := "s" + strconv.Itoa(i)
		if err := do(q.call(ctx, "AmazonSQS.CreateQueue", `{"QueueName":"`+name+`"}`)); err != nil {
			return nil, err
		}
		endpoint := "arn:aws:sqs:" + r.address.Region + ":" + node.Account + ":" + name
		if err := do(ask("Subscribe", url.Values{"TopicArn": {arn}, "Protocol": {"sqs"}, "Endpoint": {endpoint}})); err != nil {
			return nil, err
		}
	}
	return ask("Publish", url.Values{"TopicArn": {arn}, "Message": {message}})
}
