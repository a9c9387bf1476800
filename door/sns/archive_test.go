package sns_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/replay"
)

// replaying has replays carried out until the test ends.
func (w *world) replaying() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = replay.New(replay.Config{Source: w.topics}).Run(ctx)
	}()
	w.Cleanup(func() { cancel(); <-done })
}

func (w *world) published(arn, group, text string, attributes map[string]types.MessageAttributeValue) *sdk.PublishOutput {
	w.Helper()
	out, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, Message: &text, MessageGroupId: &group, MessageAttributes: attributes})
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) setSubscription(arn, name, value string) error {
	_, err := w.client.SetSubscriptionAttributes(context.Background(), &sdk.SetSubscriptionAttributesInput{SubscriptionArn: &arn, AttributeName: &name, AttributeValue: &value})
	return err
}

func (w *world) setTopic(arn, name, value string) error {
	_, err := w.client.SetTopicAttributes(context.Background(), &sdk.SetTopicAttributesInput{TopicArn: &arn, AttributeName: &name, AttributeValue: &value})
	return err
}

func (w *world) topicAttributes(arn string) map[string]string {
	w.Helper()
	out, err := w.client.GetTopicAttributes(context.Background(), &sdk.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		w.Fatal(err)
	}
	return out.Attributes
}

func (w *world) subscriptionAttributes(arn string) map[string]string {
	w.Helper()
	out, err := w.client.GetSubscriptionAttributes(context.Background(), &sdk.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		w.Fatal(err)
	}
	return out.Attributes
}

// take waits for n messages of a queue, and takes them out, in their order.
func (w *world) take(name string, n int) (all []queue.Received) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	hide := time.Minute
	for len(all) < n {
		got, err := w.queues.Receive(ctx, name, queue.Want{N: 10, Wait: 10 * time.Second, Hide: &hide})
		if err != nil || len(got) == 0 {
			w.Fatalf("%d of %d messages of %s, %v", len(all), n, name, err)
		}
		for _, m := range got {
			if each, err := w.queues.Delete(ctx, name, m.Handle); err != nil || each[0] != nil {
				w.Fatal(each, err)
			}
		}
		all = append(all, got...)
	}
	return all
}

// await waits until a replay is over.
func (w *world) await(sub, status string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for at := uint64(0); w.subscriptionAttributes(sub)["ReplayStatus"] != status; {
		var err error
		if at, err = w.topics.Changed(ctx, at); err != nil {
			w.Fatalf("the replay's status is %q, want %q: %v", w.subscriptionAttributes(sub)["ReplayStatus"], status, err)
		}
	}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func fromPoint(at time.Time) string {
	return `{"PointType":"Timestamp","StartingPoint":"` + stamp(at) + `"}`
}

func TestANewQueueGetsWhatWasPublishedBefore(t *testing.T) {
	w := newWorld(t)
	w.replaying()
	arn := w.topic("t.fifo", map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"30"}`})
	if a := w.topicAttributes(arn); a["ArchivePolicy"] != `{"MessageRetentionPeriod":"30"}` || a["BeginningArchiveTime"] == "" {
		t.Fatalf("got %v", a)
	}
	begins := w.topicAttributes(arn)["BeginningArchiveTime"]
	color := map[string]types.MessageAttributeValue{"color": {DataType: aws.String("String"), StringValue: aws.String("red")}}
	live := w.subscribe(arn, "sqs", w.queue("live.fifo"), nil)
	var ids []string
	for i := range 12 {
		ids = append(ids, *w.published(arn, fmt.Sprint("g", i%2), fmt.Sprint(i), color).MessageId)
	}
	w.take("live.fifo", 12)

	// Envelopes, with the ID and the time of the first time; a FIFO queue.
	sub := w.subscribe(arn, "sqs", w.queue("new.fifo"), map[string]string{"ReplayPolicy": `{"PointType":"Timestamp","StartingPoint":"` + begins + `"}`})
	got := w.take("new.fifo", 12)
	last := map[string]int{}
	for _, m := range got {
		var e struct {
			envelope
			Replayed any
		}
		if err := json.Unmarshal(m.Body, &e); err != nil {
			t.Fatal(err)
		}
		var n int
		fmt.Sscan(e.Message, &n)
		if e.Replayed != true || e.MessageId != ids[n] || e.MessageAttributes["color"].Value != "red" || m.Group != fmt.Sprint("g", n%2) {
			t.Errorf("got %s in %s", m.Body, m.Group)
		}
		if at, ok := last[m.Group]; ok && at != n-2 {
			t.Errorf("in %s, %d comes after %d", m.Group, n, at)
		}
		last[m.Group] = n
	}
	w.await(sub, "Completed")
	w.published(arn, "g0", "new", color)
	if m := w.take("new.fifo", 1)[0]; fields(t, m.Body)["Replayed"] != nil {
		t.Errorf("a new message: %s", m.Body)
	}
	if a := w.subscriptionAttributes(sub); a["ReplayPolicy"] != `{"PointType":"Timestamp","StartingPoint":"`+begins+`"}` {
		t.Errorf("got %v", a)
	}

	// Raw, to a queue without order, as far as its filter policy wants them.
	w.subscribe(arn, "sqs", w.queue("plain"), map[string]string{"RawMessageDelivery": "true", "FilterPolicyScope": "MessageBody", "FilterPolicy": `{"a":[1]}`, "ReplayPolicy": fromPoint(time.Now())})
	w.published(arn, "g0", `{"a":1}`, color)
	w.published(arn, "g0", `{"a":2}`, color)
	if m := w.take("plain", 1)[0]; string(m.Body) != `{"a":1}` || len(m.Attributes) != 1 {
		t.Errorf("got %s, %v", m.Body, m.Attributes)
	}

	// Less than five minutes after the first time, to the same queue, again and again.
	w.take("live.fifo", 3)
	for range 2 {
		if err := w.setSubscription(live, "ReplayPolicy", `{"PointType":"Timestamp","StartingPoint":"`+begins+`"}`); err != nil {
			t.Fatal(err)
		}
		w.take("live.fifo", 15)
	}
	if a := w.subscriptionAttributes(live); a["ReplayStatus"] == "" {
		t.Errorf("got %v", a)
	}
	if err := w.setSubscription(live, "ReplayPolicy", `{}`); err != nil {
		t.Fatal(err)
	}
	if a := w.subscriptionAttributes(live); a["ReplayStatus"] != "" || a["ReplayPolicy"] != "" {
		t.Errorf("got %v", a)
	}
}

func fields(t *testing.T, body []byte) (all map[string]any) {
	t.Helper()
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestASubscriptionIsPausedAfterAReplayWithAnEnd(t *testing.T) {
	w := newWorld(t)
	w.replaying()
	arn := w.topic("t.fifo", map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true", "ArchivePolicy": `{"MessageRetentionPeriod":1}`})
	w.published(arn, "g", "1", nil)
	end := stamp(time.Now())
	sub := w.subscribe(arn, "sqs", w.queue("q.fifo"), nil)
	begins := w.topicAttributes(arn)["BeginningArchiveTime"]
	if err := w.setSubscription(sub, "ReplayPolicy", fmt.Sprintf(`{"PointType":"Timestamp","StartingPoint":%q,"EndingPoint":%q}`, begins, end)); err != nil {
		t.Fatal(err)
	}
	w.await(sub, "Completed")
	w.published(arn, "g", "2", nil)
	w.take("q.fifo", 1)
	if got := w.received("q.fifo"); len(got) != 0 {
		t.Errorf("got %s", got[0].Body)
	}
	if err := w.setTopic(arn, "ArchivePolicy", `{}`); err != nil {
		t.Fatal(err)
	}
	if a := w.topicAttributes(arn); a["ArchivePolicy"] != "" || a["BeginningArchiveTime"] != "" {
		t.Errorf("got %v", a)
	}
	if _, err := w.client.DeleteTopic(context.Background(), &sdk.DeleteTopicInput{TopicArn: &arn}); err != nil {
		t.Error(err)
	}
}

func TestArchivesAndReplaysAreRefusedInTheServicesWords(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	plain, none := w.topic("t", nil), w.topic("none.fifo", map[string]string{"FifoTopic": "true"})
	arn := w.topic("t.fifo", map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"30"}`})
	sub := w.subscribe(arn, "sqs", w.queue("q.fifo"), nil)
	onPlain, onNone := w.subscribe(plain, "sqs", w.queue("q"), nil), w.subscribe(none, "sqs", w.queue("r.fifo"), nil)
	begins := w.topicAttributes(arn)["BeginningArchiveTime"]
	policy := func(more string) error {
		return w.setSubscription(sub, "ReplayPolicy", `{"PointType":"Timestamp",`+more+`}`)
	}
	created := func(attributes map[string]string) error {
		_, err := w.client.CreateTopic(ctx, &sdk.CreateTopicInput{Name: aws.String("t.fifo"), Attributes: attributes})
		return err
	}
	subscribed := func(replay string) error {
		_, err := w.client.Subscribe(ctx, &sdk.SubscribeInput{TopicArn: &arn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:us-east-1:000000000000:q.fifo"), Attributes: map[string]string{"ReplayPolicy": replay}})
		return err
	}
	_, deleted := w.client.DeleteTopic(ctx, &sdk.DeleteTopicInput{TopicArn: &arn})
	bad := "400 InvalidParameter: Invalid parameter: "
	for _, r := range []refused{
		{is(deleted), "400 InvalidState: Invalid state: Cannot delete a topic with an ArchivePolicy"},
		{is(w.setTopic(plain, "ArchivePolicy", `{"MessageRetentionPeriod":"30"}`)), bad + "ArchivePolicy: only FIFO topics keep an archive"},
		{is(w.setTopic(arn, "ArchivePolicy", ``)), bad + "ArchivePolicy: failed to parse JSON. it is no object"},
		{is(w.setTopic(arn, "ArchivePolicy", `null`)), bad + "ArchivePolicy: failed to parse JSON. it is no object"},
		{is(w.setTopic(arn, "ArchivePolicy", `{"Days":"30"}`)), bad + `ArchivePolicy: failed to parse JSON. json: unknown field "Days"`},
		{is(w.setTopic(arn, "ArchivePolicy", `{"MessageRetentionPeriod":"0"}`)), bad + `ArchivePolicy: MessageRetentionPeriod: Invalid value "0". Must be a number of days from 1 to 365.`},
		{is(w.setTopic(arn, "ArchivePolicy", `{"MessageRetentionPeriod":366}`)), bad + `ArchivePolicy: MessageRetentionPeriod: Invalid value 366. Must be a number of days from 1 to 365.`},
		{is(w.setTopic(arn, "ArchivePolicy", `{"MessageRetentionPeriod":9223372036854775807}`)), bad + `ArchivePolicy: MessageRetentionPeriod: Invalid value 9223372036854775807. Must be a number of days from 1 to 365.`},
		{is(w.setTopic(arn, "BeginningArchiveTime", begins)), bad + "AttributeName"},
		{is(created(map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"31"}`})), bad + "Attributes Reason: Topic already exists with different attributes"},
		{is(created(map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"30"}`})), "<nil>"},
		{is(w.setSubscription(onPlain, "ReplayPolicy", fromPoint(time.Now()))), bad + "ReplayPolicy: only subscriptions to FIFO topics replay messages"},
		{is(w.setSubscription(onNone, "ReplayPolicy", fromPoint(time.Now()))), bad + "ReplayPolicy: the topic has no ArchivePolicy"},
		{is(w.setSubscription(sub, "ReplayStatus", "Completed")), bad + "AttributeName"},
		{is(w.setSubscription(sub, "ReplayPolicy", `[]`)), bad + "ReplayPolicy: failed to parse JSON. it is no object"},
		{is(w.setSubscription(sub, "ReplayPolicy", `{"PointType":"Offset","StartingPoint":"x"}`)), bad + "ReplayPolicy: PointType: Invalid value [Offset]. Must be Timestamp."},
		{is(policy(`"StartingPoint":"yesterday"`)), bad + "ReplayPolicy: StartingPoint: Invalid value [yesterday]. Must be a time like 2006-01-02T15:04:05.000Z."},
		{is(policy(`"EndingPoint":"` + begins + `"`)), bad + "ReplayPolicy: StartingPoint: Invalid value []. Must be a time like 2006-01-02T15:04:05.000Z."},
		{is(policy(`"StartingPoint":"` + begins + `","EndingPoint":"2020-01-01T00:00:00Z"`)), bad + "ReplayPolicy: EndingPoint: it is before the StartingPoint"},
		{is(policy(`"StartingPoint":"2020-01-01T00:00:00.000Z"`)), bad + "ReplayPolicy: StartingPoint: it is before the BeginningArchiveTime, " + begins},
		{is(policy(`"StartingPoint":"2999-01-01T00:00:00.000Z"`)), bad + "ReplayPolicy: StartingPoint: it is in the future"},
		{is(policy(`"StartingPoint":"` + begins + `","EndingPoint":"2999-01-01T00:00:00.000Z"`)), bad + "ReplayPolicy: EndingPoint: it is in the future"},
		{is(subscribed(`{"PointType":"Timestamp","StartingPoint":"2020-01-01T00:00:00.000Z"}`)), bad + "ReplayPolicy: StartingPoint: it is before the BeginningArchiveTime, " + begins},
		{is(subscribed(fromPoint(time.Now()))), bad + "Attributes Reason: Subscription already exists with different attributes"},
	} {
		if r.got != r.want {
			t.Errorf("got  %s\nwant %s", r.got, r.want)
		}
	}
}
