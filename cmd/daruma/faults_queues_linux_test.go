package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
)

// delayedQueue has every other message be done later, and at once when the fault ends.
func (p *platform) delayedQueue(t *testing.T, h *hearing, function string, goes *quickest) {
	kind, name := function+"late", function+"-jobs"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"queue-delay","target":{"queue":%q},"dose":{"oneIn":2},"with":{"latency":"1s"},"seed":2}`, name))
	began := time.Now()
	p.sends(t, name, kind, 10)
	h.await(t, kind, 5)
	within(t, 10*time.Second, "five messages to be delayed", func() (bool, string) {
		a := p.queue(t, name)
		return a.Delayed == 5 || time.Since(began) > time.Second, fmt.Sprintf("%+v", a)
	})
	h.await(t, kind, 10)
	if took := time.Since(began); took < time.Second {
		t.Errorf("all were done after %s, want some a second later", took)
	}
	if s := p.mends(t, f.ID); s.Met != 5 || s.Seen != 10 {
		t.Errorf("got %d met of %d, want 5 of 10", s.Met, s.Seen)
	}
	f = p.breaks(t, fmt.Sprintf(`{"kind":"queue-delay","target":{"queue":%q},"with":{"latency":"100ms"}}`, name))
	p.marked(t, name, kind+"marked", f.ID.String()+" queue-delay")
	p.mends(t, f.ID)
	f = p.breaks(t, fmt.Sprintf(`{"kind":"queue-delay","target":{"queue":%q},"with":{"latency":"5m"}}`, name))
	kind += "still"
	p.sends(t, name, kind, 8)
	within(t, 10*time.Second, "eight messages to be delayed", func() (bool, string) {
		a := p.queue(t, name)
		return a.Delayed == 8, fmt.Sprintf("%+v", a)
	})
	if got := h.of(kind); len(got) > 0 {
		t.Errorf("%v were done, and are to be five minutes late", got)
	}
	p.mends(t, f.ID)
	ended := time.Now()
	h.await(t, kind, 1)
	goes.note("a queue to go on", time.Since(ended))
	h.await(t, kind, 8)
	if got := times(h.of(kind)); len(got) != 8 {
		t.Errorf("got %v, want each once", got)
	}
}

// marked waits until the run that is handed a message tells which faults met it.
func (p *platform) marked(t *testing.T, queue, kind, mark string) {
	t.Helper()
	client, root := p.sqs(), daruma.NewTrace(time.Now()).Root
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err == nil {
		_, err = client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String(`{"id":"` + kind + `-0"}`),
			MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=" + root)}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "a run that is marked", func() (bool, string) {
		var story console.Trace
		if err := get(t.Context(), p.address, "/api/trace?id="+root, &story); err != nil {
			return false, err.Error()
		}
		for _, s := range story.Spans {
			if s.Kind == daruma.SpanRun && slices.Contains(s.Faults, mark) {
				return true, ""
			}
		}
		return false, fmt.Sprint(story.Spans)
	})
}

// doubledQueue has every other message be done twice.
func (p *platform) doubledQueue(t *testing.T, h *hearing, function string) {
	kind, name := function+"twice", function+"-jobs"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"duplicate","target":{"queue":%q},"dose":{"oneIn":2}}`, name))
	p.sends(t, name, kind, 10)
	within(t, 10*time.Second, "15 runs", func() (bool, string) {
		got := h.of(kind)
		return len(got) == 15, fmt.Sprint(got)
	})
	twice := 0
	for _, n := range times(h.of(kind)) {
		if n == 2 {
			twice++
		}
	}
	if s := p.mends(t, f.ID); twice != 5 || s.Met != 5 || s.Seen != 10 {
		t.Errorf("%d messages were done twice, and %d met of %d, want 5, and 5 of 10", twice, s.Met, s.Seen)
	}
	within(t, 10*time.Second, "nothing to be left", func() (bool, string) {
		a := p.queue(t, name)
		return a.Messages() == 0, fmt.Sprintf("%+v", a)
	})
	p.sends(t, name, kind+"after", 10)
	if got := h.await(t, kind+"after", 10); len(got) != 10 {
		t.Errorf("after its end: got %v, want each once", got)
	}
}

// doubledEvents has every other event that nobody waits for be run twice.
func (p *platform) doubledEvents(t *testing.T, h *hearing, function string) {
	kind := function + "event"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"duplicate","target":{"function":%q},"dose":{"oneIn":2}}`, function))
	for i := range 10 {
		event := fmt.Appendf(nil, `{"Records":[{"body":"{\"id\":\"%s-%d\"}"}]}`, kind, i)
		if _, err := p.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, InvocationType: "Event", Payload: event}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 10*time.Second, "15 runs", func() (bool, string) {
		got := h.of(kind)
		return len(got) == 15, fmt.Sprint(got)
	})
	if got := times(h.of(kind)); len(got) != 10 {
		t.Errorf("got %v, want each", got)
	}
	if s := p.mends(t, f.ID); s.Met != 5 || s.Seen != 10 {
		t.Errorf("got %d met of %d, want 5 of 10", s.Met, s.Seen)
	}
}

// reorderedQueue has every other message be behind the one after it.
func (p *platform) reorderedQueue(t *testing.T, h *hearing, function string) {
	kind, name := function+"order", function+"-jobs"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"queue-reorder","target":{"queue":%q},"with":{"latency":"5s"}}`, name))
	p.sends(t, name, kind, 10)
	if got := h.await(t, kind, 10); len(got) != 10 || slices.IsSorted(got) {
		t.Errorf("got %v, want each once, and not in order", got)
	}
	if s := p.mends(t, f.ID); s.Met < 3 { // how many exactly depends on who comes first
		t.Errorf("got %d met of 10, want about half", s.Met)
	}
	p.sends(t, name, kind+"after", 3)
	h.await(t, kind+"after", 3)
}

// gets receives one message from a queue, and returns it; nil when there is none.
func (p *platform) gets(t *testing.T, queue string, wait int32) *types.Message {
	t.Helper()
	client := p.sqs()
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, WaitTimeSeconds: wait, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) == 0 {
		return nil
	}
	return &got.Messages[0]
}

// removes deletes a message.
func (p *platform) removes(t *testing.T, queue string, m *types.Message) {
	t.Helper()
	client := p.sqs()
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err == nil {
		_, err = client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url.QueueUrl, ReceiptHandle: m.ReceiptHandle})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFaultsOnAQueueMeetWhoeverReceivesFromIt(t *testing.T) {
	p := startPlatform(t, faultsApp(t, "http://localhost"))
	t.Run("delay", func(t *testing.T) {
		f := p.breaks(t, `{"kind":"queue-delay","target":{"queue":"sent"},"with":{"latency":"1500ms"}}`)
		p.sends(t, "sent", "late", 1)
		began := time.Now()
		if m := p.gets(t, "sent", 0); m != nil {
			t.Errorf("got %s at once", *m.Body)
		}
		m := p.gets(t, "sent", 20)
		if took := time.Since(began); m == nil || took < 1400*time.Millisecond {
			t.Fatalf("got %v after %s, want the message after a second and a half", m, took)
		}
		if n := m.Attributes["ApproximateReceiveCount"]; n != "1" {
			t.Errorf("it is received %s times, want 1: to be late counts nothing", n)
		}
		p.removes(t, "sent", m)
		p.mends(t, f.ID)
	})
	t.Run("reorder", func(t *testing.T) {
		f := p.breaks(t, `{"kind":"queue-reorder","target":{"queue":"sent"},"with":{"latency":"5s"}}`)
		p.sends(t, "sent", "o", 6)
		var got []string
		for range 6 {
			m := p.gets(t, "sent", 5)
			if m == nil {
				t.Fatalf("only %v came", got)
			}
			got = append(got, strings.Trim(*m.Body, `{"id:o-}`))
			p.removes(t, "sent", m)
		}
		for _, one := range []string{"0", "2", "4"} { // how far behind is the queue's to choose
			if next := string(one[0] + 1); slices.Index(got, one) < slices.Index(got, next) {
				t.Errorf("got %v, want %s overtaken by %s", got, one, next)
			}
		}
		if s := p.mends(t, f.ID); s.Met != 3 {
			t.Errorf("got %d met, want 3", s.Met)
		}
	})
	t.Run("duplicate", func(t *testing.T) {
		f := p.breaks(t, `{"kind":"duplicate","target":{"queue":"sent"}}`)
		p.sends(t, "sent", "d", 1)
		first, second := p.gets(t, "sent", 5), p.gets(t, "sent", 0)
		if first == nil || second == nil || *first.MessageId != *second.MessageId {
			t.Fatalf("got %v and %v, want the same message twice", first, second)
		}
		if third := p.gets(t, "sent", 0); third != nil {
			t.Errorf("got %v, want none the third time", third)
		}
		p.removes(t, "sent", second)
		p.removes(t, "sent", first) // it is no error that it is gone
		if a := p.queue(t, "sent"); a.Messages() != 0 {
			t.Errorf("got %+v, want nothing left", a)
		}
		p.mends(t, f.ID)
	})
	t.Run("delay in a FIFO queue", func(t *testing.T) {
		client := p.sqs()
		made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("order.fifo"), Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"}})
		if err != nil {
			t.Fatal(err)
		}
		f := p.breaks(t, `{"kind":"queue-delay","target":{"queue":"order.fifo"},"dose":{"max":1},"with":{"latency":"1s"}}`)
		for _, body := range []string{"a1", "a2", "b1", "a3"} {
			if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: &body, MessageGroupId: aws.String(body[:1])}); err != nil {
				t.Fatal(err)
			}
		}
		took := func(wait int32) (bodies []string) {
			got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: wait, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range got.Messages {
				if n := m.Attributes["ApproximateReceiveCount"]; n != "1" {
					t.Errorf("%s is received %s times, want 1", *m.Body, n)
				}
				bodies = append(bodies, *m.Body)
			}
			return bodies
		}
		if got := took(0); !slices.Equal(got, []string{"b1"}) {
			t.Errorf("got %v, want what is in another group than the one that is late", got)
		}
		if got := took(20); !slices.Equal(got, []string{"a1", "a2", "a3"}) {
			t.Errorf("got %v, want the group in its order", got)
		}
		p.mends(t, f.ID)
	})
	t.Run("refused for FIFO", func(t *testing.T) {
		if _, err := p.sqs().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("line.fifo"), Attributes: map[string]string{"FifoQueue": "true"}}); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"queue-reorder", "duplicate"} {
			_, err := post[struct{}](t.Context(), p.address, "/api/faults?lease=1m", fmt.Appendf(nil, `{"kind":%q,"target":{"queue":"line.fifo"}}`, kind))
			if err == nil || !strings.Contains(err.Error(), "target.queue: line.fifo is a FIFO queue") {
				t.Errorf("%s: got %v, want the field and why", kind, err)
			}
		}
	})
}
