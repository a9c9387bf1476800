package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/topic"
)

const replayedTemplate = `Resources:
  Orders: { Type: AWS::SNS::Topic, Properties: { TopicName: orders.fifo, FifoTopic: true, ContentBasedDeduplication: true, ArchivePolicy: { MessageRetentionPeriod: 1 } } }
  Late: { Type: AWS::SQS::Queue, Properties: { QueueName: late.fifo, FifoQueue: true } }
`

// sns returns an official client of the platform's topics.
func (p *platform) sns() *sns.Client {
	o := p.lambda.Options()
	return sns.New(sns.Options{Region: o.Region, BaseEndpoint: o.BaseEndpoint, HTTPClient: o.HTTPClient, RetryMaxAttempts: 1, Credentials: o.Credentials})
}

// publish publishes numbers from one up to another, each in one of seven groups.
func (p *platform) publish(t *testing.T, arn string, from, to int) {
	t.Helper()
	for from < to {
		in := &sns.PublishBatchInput{TopicArn: &arn}
		for ; from < to && len(in.PublishBatchRequestEntries) < 10; from++ {
			n := fmt.Sprint(from)
			in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, types.PublishBatchRequestEntry{Id: &n, Message: &n, MessageGroupId: aws.String(fmt.Sprint("g", from%7))})
		}
		if out, err := p.sns().PublishBatch(t.Context(), in); err != nil || len(out.Failed) > 0 {
			t.Fatal(out, err)
		}
	}
}

// topic returns the account of the one topic there is.
func (p *platform) topic(t *testing.T) topic.Account {
	t.Helper()
	var all []console.Topic
	if err := get(t.Context(), p.address, "/api/topics", &all); err != nil {
		t.Fatal(err)
	}
	return all[0].Account
}

// takeOrdered takes n numbers out of a FIFO queue. In each group they must come
// in their order, each once.
func (p *platform) takeOrdered(t *testing.T, name string, n int) {
	t.Helper()
	client, url, next := p.sqs(), aws.String(p.address.AWS+"/000000000000/"+name), map[int]int{}
	for taken := 0; taken < n; {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 20})
		if err != nil || len(got.Messages) == 0 {
			t.Fatalf("%d of %d messages came: %v", taken, n, err)
		}
		out := &sqs.DeleteMessageBatchInput{QueueUrl: url}
		for _, m := range got.Messages {
			var e struct{ Message string }
			var number int
			if err := json.Unmarshal([]byte(*m.Body), &e); err != nil {
				t.Fatal(err)
			}
			fmt.Sscan(e.Message, &number)
			group := number % 7
			if want := group + 7*next[group]; number != want {
				t.Fatalf("in group %d, %d came, want %d", group, number, want)
			}
			next[group]++
			taken++
			out.Entries = append(out.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(taken)), ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := client.DeleteMessageBatch(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAReplayGoesOnWhereTheProcessWasKilled has the process killed again and
// again in the midst of a replay, and messages published between.
func TestAReplayGoesOnWhereTheProcessWasKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	const archived, each = 3_000, 50
	dir := t.TempDir()
	put(t, dir+"/template.yaml", replayedTemplate)
	p := startPlatform(t, dir)
	arn := "arn:aws:sns:" + p.address.Region + ":000000000000:orders.fifo"
	is, err := p.sns().GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	p.publish(t, arn, 0, archived)
	sub, err := p.sns().Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:" + p.address.Region + ":000000000000:late.fifo"),
		Attributes: map[string]string{"ReplayPolicy": fmt.Sprintf(`{"PointType":"Timestamp","StartingPoint":%q}`, is.Attributes["BeginningArchiveTime"])}})
	if err != nil {
		t.Fatal(err)
	}
	published, kills := archived, 0
	deadline := time.Now().Add(2 * time.Minute)
	for _, until := range []int64{200, 900, 1600, 2300} {
		for p.topic(t).Replayed < until { // without a pause, so as to be there in the midst
			if time.Now().After(deadline) {
				t.Fatalf("%d messages were replayed, want %d", p.topic(t).Replayed, until)
			}
		}
		if p.topic(t).Replayed < archived {
			kills++
		}
		p.kill()
		p = startPlatform(t, dir)
		p.publish(t, arn, published, published+each)
		published += each
	}
	deadline = time.Now().Add(time.Minute)
	for status := ""; status != "Completed"; {
		if time.Now().After(deadline) {
			t.Fatalf("the replay is %s", status)
		}
		got, err := p.sns().GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: sub.SubscriptionArn})
		if err != nil {
			t.Fatal(err)
		}
		status = got.Attributes["ReplayStatus"]
	}
	p.publish(t, arn, published, published+each)
	published += each
	if a := p.queue(t, "late.fifo"); a.Sent != int64(published) || kills == 0 {
		t.Errorf("%d messages in the queue of %d, after %d kills in the midst", a.Sent, published, kills)
	}
	if a := p.topic(t); !a.Closes() || a.Replayed != archived || a.Failed != 0 {
		t.Errorf("got %+v", a)
	}
	p.takeOrdered(t, "late.fifo", published)
	t.Logf("killed %d times in the midst of a replay", kills)
}
