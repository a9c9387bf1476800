package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/queue"
)

const queuedTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  Dead:
    Type: AWS::SQS::Queue
    Properties: { QueueName: dead, VisibilityTimeout: 43200 }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: jobs
      VisibilityTimeout: 3
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: worker/
      Timeout: 3
      Environment: { Variables: { TELL: 'http://host.daruma.internal:%d' } }
      Events:
        Jobs: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn, BatchSize: 10, FunctionResponseTypes: [ReportBatchItemFailures] } }
`

// poisonEvery is how many events there are to each that its function cannot do.
const poisonEvery = 500

// poison says whether the event of an ID is one that its function cannot do.
func poison(id string) bool {
	var n int
	_, err := fmt.Sscanf(id, "e%d", &n)
	return err == nil && n%poisonEvery == 7
}

// queue returns the account of a queue.
func (p *platform) queue(t *testing.T, name string) queue.Account {
	t.Helper()
	var all []console.Queue
	if err := get(t.Context(), p.address, "/api/queues", &all); err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if q.Name == name {
			return q.Account
		}
	}
	t.Fatalf("there is no queue %s", name)
	return queue.Account{}
}

// sqs returns an official client of the platform's queues.
func (p *platform) sqs() *sqs.Client {
	o := p.lambda.Options()
	return sqs.New(sqs.Options{Region: o.Region, BaseEndpoint: o.BaseEndpoint, HTTPClient: o.HTTPClient, RetryMaxAttempts: 1, Credentials: o.Credentials})
}

// take receives all that is in a queue, and says how often each ID was there.
func (p *platform) take(t *testing.T, name string) map[string]int {
	t.Helper()
	client, all := p.sqs(), map[string]int{}
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	for p.queue(t, name).Visible > 0 {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			var job struct{ ID string }
			if err := json.Unmarshal([]byte(*m.Body), &job); err != nil {
				t.Fatal(err)
			}
			all[job.ID]++
		}
	}
	return all
}

func TestNoMessageOfAQueueIsLostInACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	done := &effects{seen: map[string]int{}}
	outside := httptest.NewServer(done)
	defer outside.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), fmt.Appendf(nil, queuedTemplate, outside.Listener.Addr().(*net.TCPAddr).Port), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "worker", "bootstrap"), "./testdata/queued")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	c := &clients{accepted: map[string]bool{}}
	rounds := c.throughKills(t, dir, func(p *platform) func(context.Context, string) error {
		client, url := p.sqs(), aws.String(p.address.AWS+"/000000000000/jobs")
		return func(ctx context.Context, id string) error {
			_, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(fmt.Sprintf(`{"id":%q,"poison":%v}`, id, poison(id)))})
			return err
		}
	})
	p := startPlatform(t, dir)
	var jobs queue.Account
	within(t, 4*time.Minute, "every message to be done or a dead letter", func() (bool, string) {
		jobs = p.queue(t, "jobs")
		return jobs.Messages() == 0, fmt.Sprintf("%+v", jobs)
	})
	// Each that was taken in has left in one of two ways: none in both, none in another.
	if jobs.Sent != jobs.Deleted+jobs.DeadLetters || jobs.Expired+jobs.Purged+jobs.Moved != 0 {
		t.Errorf("the account does not close: %+v", jobs)
	}
	if jobs.Sent < int64(len(c.accepted)) || jobs.Sent > c.asked.Load() {
		t.Errorf("got %d taken in, want from %d (acknowledged) to %d (asked for)", jobs.Sent, len(c.accepted), c.asked.Load())
	}
	dead, kept := p.take(t, "dead"), p.keptEvents(t, int(jobs.DeadLetters))
	if int64(len(dead)) != jobs.DeadLetters || len(kept) != len(dead) {
		t.Errorf("got %d dead letters and %d of them in the ledger, want %d", len(dead), len(kept), jobs.DeadLetters)
	}
	var wrong []string
	poisoned := 0
	for id, n := range dead {
		if n != 1 || !kept[id] {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times, in the ledger: %v", id, n, kept[id]))
		}
		if poison(id) {
			poisoned++
		}
	}
	for id := range c.accepted {
		if poison(id) && dead[id] == 0 {
			wrong = append(wrong, id+" is poison and no dead letter")
		}
	}
	if len(wrong) > 0 {
		t.Errorf("of the dead letters %d are wrong:\n%s", len(wrong), strings.Join(wrong[:min(10, len(wrong))], "\n"))
	}
	if poisoned == 0 {
		t.Error("no poison was sent: too little to mean anything")
	}
	lost := c.lost(done, kept)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged messages were neither done nor kept", lost, len(c.accepted))
	}
	t.Logf("%d kills, %d messages acknowledged, %d taken in, %d deleted, %d dead letters, %d of them poison, %d lost", rounds, len(c.accepted), jobs.Sent, jobs.Deleted, jobs.DeadLetters, poisoned, lost)
}
