package topic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/topic"
)

// A box is the machine that stands for queues: it keeps letters under its
// queue's name. A queue named "gone" does not exist.
type box struct{}

func (box) Name() string { return "box" }

func (box) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if cmd.Name == "gone" {
		return nil, &daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("there is no such queue")}
	}
	n := 0
	for key := range tx.ScanBack(cell.Prefix([]byte(cmd.Name + "/"))) {
		fmt.Sscanf(string(key[len(cmd.Name)+1:]), "%d", &n)
		n++
		break
	}
	tx.Set(fmt.Appendf(nil, "%s/%08d", cmd.Name, n), cmd.Body)
	return nil, nil
}

// plain is a composer that shows what it was given.
type plain struct{ signed *atomic.Int64 }

func (p plain) Sign(t *topic.Topic, m *topic.Message, text []byte) string {
	p.signed.Add(1)
	return "sig:" + string(text)
}

func (plain) Letter(n topic.Notification) []byte {
	if n.Message.Replayed {
		return []byte("again " + string(n.Text))
	}
	return []byte("letter " + string(n.Text) + " " + n.Signature)
}

func (plain) Event(n topic.Notification) []byte {
	return []byte(`{"event":"` + string(n.Text) + ` ` + n.Signature + `"}`)
}

func (plain) Request(n topic.Notification) topic.Request {
	if n.Text == nil {
		return topic.Request{URL: n.Subscription.Endpoint.ARN, Body: []byte("confirm " + n.Subscription.Token)}
	}
	return topic.Request{URL: n.Subscription.Endpoint.ARN, Body: []byte("post " + string(n.Text))}
}

type world struct {
	testing.TB
	cell       *cell.Cell
	topics     *topic.Topics
	ledger     *ledger.Ledger
	deliveries *delivery.Deliveries
	place      memory.Medium
	now        *hand
	signed     atomic.Int64 // texts
}

// A hand is a clock that is moved by hand; timers of the cell go by it.
type hand struct {
	daruma.SystemClock
	ahead atomic.Int64
}

func (h *hand) Now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *hand) move(to time.Duration) { h.ahead.Store(int64(to)) }

func newWorld(t testing.TB) *world {
	w := &world{TB: t, now: &hand{}}
	w.open()
	return w
}

func (w *world) open() {
	w.Helper()
	m := topic.NewMachine(topic.Config{Composer: plain{&w.signed}, Send: send})
	d := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.String() }, Sinks: map[string]delivery.Sink{topic.Kind: delivery.PutTo("topic")}})
	c, err := cell.Open(context.Background(), cell.Config{Journal: &w.place, Machines: []cell.Machine{box{}, ledger.Machine{}, d, m}, Clock: w.now})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	w.cell, w.topics, w.ledger, w.deliveries = c, topic.New(c, m, w.now), ledger.New(c), delivery.New(c, d)
}

func send(queue string, l topic.Letter) (cell.Command, error) {
	b, err := json.Marshal(l)
	return cell.Command{Machine: "box", Name: queue, Body: b}, err
}

// letters returns what lies in a queue.
func (w *world) letters(queue string) []topic.Letter { return w.lettersFrom(queue, 0) }

// lettersFrom returns what lies in a queue behind its first n letters.
func (w *world) lettersFrom(queue string, n int) (all []topic.Letter) {
	w.Helper()
	err := w.cell.View(context.Background(), "box", func(r *cell.Reader) error {
		for _, v := range r.Scan(cell.Range{Lower: fmt.Appendf(nil, "%s/%08d", queue, n), Upper: cell.Prefix([]byte(queue + "/")).Upper}) {
			var l topic.Letter
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			all = append(all, l)
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) bodies(queue string) (all []string) {
	for _, l := range w.letters(queue) {
		all = append(all, string(l.Body))
	}
	return all
}

func (w *world) topic(t topic.Topic) {
	w.Helper()
	if _, err := w.topics.Create(context.Background(), t, t.Labels); err != nil {
		w.Fatal(err)
	}
}

func (w *world) subscribe(s topic.Subscription) *topic.Subscription {
	w.Helper()
	if s.ID == "" {
		s.ID = daruma.NewID()
	}
	got, err := w.topics.Subscribe(context.Background(), s, s.Labels)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func toQueue(t, queue string) topic.Subscription {
	return topic.Subscription{Topic: t, Protocol: "q", Endpoint: delivery.Destination{Kind: topic.Queue, Name: queue, ARN: "arn:q:" + queue}}
}

func toPost(t, url string) topic.Subscription {
	return topic.Subscription{Topic: t, Protocol: "http", Endpoint: delivery.Destination{Kind: topic.Post, ARN: url}}
}

func (w *world) publish(t string, messages ...topic.Message) []topic.Published {
	w.Helper()
	got, err := w.topics.Publish(context.Background(), t, messages...)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func text(s string) topic.Message { return topic.Message{Body: []byte(s)} }

func (w *world) account(t string) topic.Account {
	w.Helper()
	all, err := w.topics.Accounts(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	for _, a := range all {
		if !a.Closes() {
			w.Errorf("the account does not close: %+v", a)
		}
		if a.Topic == t {
			return a
		}
	}
	w.Fatalf("there is no account of %s", t)
	return topic.Account{}
}

func (w *world) failures() []*ledger.Failure {
	w.Helper()
	p, err := w.ledger.Find(context.Background(), ledger.Query{})
	if err != nil {
		w.Fatal(err)
	}
	return p.Failures
}

func (w *world) due() []topic.Posting {
	w.Helper()
	due, _, err := w.topics.Due(context.Background(), 100, func(string) (func(uint64) bool, int) { return func(uint64) bool { return false }, 100 })
	if err != nil {
		w.Fatal(err)
	}
	return due
}

func (w *world) settle(p topic.Posting, v topic.Verdict) {
	w.Helper()
	err := w.topics.Settle(context.Background(), topic.Report{Topic: p.Topic, Subscription: p.Subscription, Number: p.Number, Posts: p.Posts, Verdict: v, Outcome: "HTTP 500", Started: w.now.Now()})
	if err != nil {
		w.Fatal(err)
	}
}

func TestATextIsSignedOnceAndOnlyForWhoGetsItInAnEnvelope(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	for i := range 3 {
		raw, picky := toQueue("t", fmt.Sprint("raw", i)), toQueue("t", fmt.Sprint("picky", i))
		raw.Raw, picky.Filter = true, `{"k":["v"]}`
		w.subscribe(raw)
		w.subscribe(picky)
	}
	signed := func(m topic.Message) int64 {
		before := w.signed.Load()
		w.publish("t", m)
		return w.signed.Load() - before
	}
	if got := signed(text("for nobody but the raw")); got != 0 {
		t.Errorf("signed %d times, want 0", got)
	}
	wanted := text("wanted")
	wanted.Attributes = []topic.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}
	if got := signed(wanted); got != 1 {
		t.Errorf("signed %d times, want 1", got)
	}
	wanted.Texts = map[string]string{"http": "another text"}
	if got := signed(wanted); got != 1 {
		t.Errorf("with a text that nobody gets: signed %d times, want 1", got)
	}
	if got := w.bodies("picky2"); !slices.Equal(got, []string{"letter wanted sig:wanted", "letter wanted sig:wanted"}) {
		t.Errorf("got %q", got)
	}
}

func TestPublishingHandsAMessageToEverySubscription(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	w.subscribe(toQueue("t", "a"))
	raw := toQueue("t", "b")
	raw.Raw = true
	w.subscribe(raw)
	w.subscribe(topic.Subscription{Topic: "t", Protocol: "f", Endpoint: delivery.Destination{Kind: topic.Function, Name: "f", ARN: "arn:f"}})
	w.subscribe(toPost("t", "http://example.com/"))
	m := text("hello")
	m.Attributes = []topic.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}
	done := w.publish("t", m)

	handed := map[string]string{}
	for _, h := range done[0].Handed {
		handed[h.To] = h.ID
	}
	if len(handed) != 3 || handed["queue a"] == "" || handed["queue a"] == handed["queue b"] {
		t.Fatalf("it was handed to %+v", done[0].Handed)
	}
	if got, want := w.bodies("a"), []string{"letter hello sig:hello"}; !slices.Equal(got, want) {
		t.Errorf("the queue got %q, want %q", got, want)
	}
	if a := w.letters("a")[0].Attributes; a != nil {
		t.Errorf("attributes %v went along, and only raw ones do", a)
	}
	if got, want := w.letters("b"), []topic.Letter{{ID: handed["queue b"], Body: []byte("hello"), Attributes: m.Attributes, Sender: "t"}}; !cmp.Equal(got, want) {
		t.Errorf("raw: %s", cmp.Diff(want, got))
	}
	waiting, err := w.deliveries.Lease(context.Background(), delivery.Want{N: 10, For: time.Minute})
	if err != nil || len(waiting.Events) != 1 || string(waiting.Events[0].Payload) != `{"event":"hello sig:hello"}` || waiting.Events[0].Source != "topic" || waiting.Events[0].Request != handed["function f"] {
		t.Errorf("got deliveries %+v, %v", waiting.Events, err)
	}
	if due := w.due(); len(due) != 1 || string(due[0].Body) != "post hello" || due[0].URL != "http://example.com/" {
		t.Errorf("got posts %+v", due)
	}
	if got, want := w.account("t"), (topic.Account{Topic: "t", Published: 1, Matched: 4, Delivered: 3, Waiting: 1}); got != want {
		t.Errorf("got account %+v, want %+v", got, want)
	}
}

func TestATextOfAProtocolGoesToThoseWhoSpeakIt(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	w.subscribe(toQueue("t", "a"))
	w.subscribe(toPost("t", "http://example.com/"))
	m := text("for all")
	m.Texts = map[string]string{"q": "for queues"}
	w.publish("t", m)
	if got, want := w.bodies("a"), []string{"letter for queues sig:for queues"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if due := w.due(); len(due) != 1 || string(due[0].Body) != "post for all" {
		t.Errorf("got %+v", due)
	}
}

func TestAFilterPolicyChooses(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	for queue, filter := range map[string]string{"a": `{"price":[{"numeric":[">",10]}]}`, "b": `{"tags":["x"]}`, "c": `{"n":[{"exists":false}]}`} {
		s := toQueue("t", queue)
		s.Filter, s.Raw = filter, true
		w.subscribe(s)
	}
	body := toQueue("t", "d")
	body.Filter, body.Scope, body.Raw = `{"a":{"b":[1]}}`, pattern.Body, true
	w.subscribe(body)

	one := text(`{"a":{"b":1}}`)
	one.Attributes = []topic.Attribute{{Name: "price", Type: "Number", Value: []byte("11")}, {Name: "tags", Type: "String.Array", Value: []byte(`["y","x"]`)}, {Name: "n", Type: "String", Value: []byte("1")}, {Name: "bin", Type: "Binary", Value: []byte{1}}}
	two := text("no JSON")
	two.Attributes = []topic.Attribute{{Name: "price", Type: "String", Value: []byte("11")}}
	w.publish("t", one, two)
	got := map[string][]string{}
	for _, q := range []string{"a", "b", "c", "d"} {
		got[q] = w.bodies(q)
	}
	want := map[string][]string{"a": {`{"a":{"b":1}}`}, "b": {`{"a":{"b":1}}`}, "c": {"no JSON"}, "d": {`{"a":{"b":1}}`}}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if a := w.account("t"); a.Filtered != 4 || a.Matched != 4 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatAQueueCannotTakeIsADeadLetterAndInTheLedger(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	s := toQueue("t", "gone")
	s.DeadLetter = "dlq"
	sub := w.subscribe(s)
	w.subscribe(toQueue("t", "a"))
	w.publish("t", text("hello"))
	if got, want := w.bodies("dlq"), []string{"letter hello sig:hello"}; !slices.Equal(got, want) {
		t.Errorf("the dead-letter queue has %q, want %q", got, want)
	}
	if len(w.bodies("a")) != 1 {
		t.Error("another subscription was hindered")
	}
	all := w.failures()
	if len(all) != 1 || all[0].Hop != ledger.Published || all[0].Function != "t" || !strings.Contains(all[0].Did, "dlq") || !strings.Contains(all[0].Message, "no such queue") {
		t.Fatalf("got failures %+v", all)
	}
	if a := w.account("t"); a.Failed != 1 || a.DeadLetters != 1 || a.Delivered != 1 {
		t.Errorf("got %+v", a)
	}

	// Redriven while nothing has changed it fails anew, with a link.
	if _, err := w.topics.Redrive(context.Background(), all[0].Number, nil); err != nil {
		t.Fatal(err)
	}
	if all = w.failures(); len(all) != 2 {
		t.Fatalf("got %d failures, want 2", len(all))
	}
	if again, err := w.topics.Redrive(context.Background(), all[1].Number, nil); err != nil || !again.Already {
		t.Errorf("a second redrive: %+v, %v", again, err)
	}
	if err := w.topics.End(context.Background(), "t", sub.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.topics.Redrive(context.Background(), all[0].Number, nil); !errors.Is(err, topic.ErrNoSubscription) {
		t.Errorf("redriven without a subscription: %v", err)
	}
	w.account("t")
}

func TestMoreThanTenAttributesAreNotForQueuesRaw(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	s := toQueue("t", "a")
	s.Raw = true
	w.subscribe(s)
	m := text("hello")
	for i := range 11 {
		m.Attributes = append(m.Attributes, topic.Attribute{Name: fmt.Sprint("a", i), Type: "String", Value: []byte("v")})
	}
	w.publish("t", m)
	if got := w.failures(); len(w.bodies("a")) != 0 || len(got) != 1 {
		t.Errorf("got %d letters and %d failures", len(w.bodies("a")), len(got))
	}
}

func TestAFIFOTopicKnowsWhatItTook(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t", FIFO: true, OnceByBody: true})
	w.subscribe(toQueue("t", "a"))
	in := func(body, group, once string) topic.Message {
		return topic.Message{Body: []byte(body), Group: group, Once: once}
	}
	first := w.publish("t", in("1", "g", "x"), in("2", "g", ""), in("3", "h", "x"), in("2", "h", ""))
	if first[0].Number != 1 || first[1].Number != 2 || !first[2].Duplicate || first[2].ID != first[0].ID || first[2].Number != 1 || !first[3].Duplicate {
		t.Errorf("got %+v", first)
	}
	if got, want := w.bodies("a"), []string{"letter 1 ", "letter 2 "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: FIFO topics do not sign", got, want)
	}
	if l := w.letters("a")[1]; l.Group != "g" || len(l.Once) != 64 {
		t.Errorf("got %+v", l)
	}
	w.now.move(topic.OnceFor + time.Second)
	if again := w.publish("t", in("1", "g", "x")); again[0].Duplicate || again[0].Number != 3 {
		t.Errorf("after five minutes: %+v", again)
	}
	if _, err := w.topics.Publish(context.Background(), "t", text("x")); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("without a group: %v", err)
	}
	if a := w.account("t"); a.Published != 3 || a.Duplicates != 2 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatIsKnownMayBeKnownInAGroup(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t", FIFO: true, OncePerGroup: true})
	got := w.publish("t", topic.Message{Body: []byte("1"), Group: "g", Once: "x"}, topic.Message{Body: []byte("1"), Group: "h", Once: "x"})
	if got[1].Duplicate {
		t.Error("another group's message was taken for the same")
	}
}

func TestAPostIsTriedAsItsPolicySays(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	s := toPost("t", "http://example.com/")
	s.Retry = &topic.Retry{Retries: 2, AtOnce: 1, Least: 10 * time.Second, Most: 10 * time.Second}
	s.DeadLetter = "dlq"
	w.subscribe(s)
	w.publish("t", text("hello"))
	first := w.due()
	w.settle(first[0], topic.Again)
	w.settle(first[0], topic.Delivered) // late: somebody else reported on this try
	second := w.due()
	if len(second) != 1 || second[0].Posts != 1 {
		t.Fatalf("the retry at once: %+v", second)
	}
	w.settle(second[0], topic.Again)
	if got := w.due(); len(got) != 0 {
		t.Errorf("due before its pause: %+v", got)
	}
	w.now.move(11 * time.Second)
	w.settle(w.due()[0], topic.Again)
	if got := w.failures(); len(got) != 1 || got[0].Condition != "RetriesExhausted" || len(got[0].Attempts) != 3 {
		t.Fatalf("got %+v", got)
	}
	if got := w.bodies("dlq"); !slices.Equal(got, []string{"post hello"}) {
		t.Errorf("the dead-letter queue has %q", got)
	}
	if a := w.account("t"); a.Posts != 3 || a.Failed != 1 || a.Waiting != 0 || a.DeadLetters != 1 {
		t.Errorf("got %+v", a)
	}
	if _, err := w.topics.Redrive(context.Background(), w.failures()[0].Number, nil); err != nil {
		t.Fatal(err)
	}
	w.settle(w.due()[0], topic.Delivered)
	if f := w.failures()[0]; f.State != ledger.Resolved {
		t.Errorf("redriven and delivered, it is %s", f.State)
	}
	w.account("t")
}

func TestARefusedPostIsGivenUpAtOnce(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	w.subscribe(toPost("t", "http://example.com/"))
	w.publish("t", text("hello"))
	w.settle(w.due()[0], topic.Never)
	if got := w.failures(); len(got) != 1 || got[0].Condition != "EndpointRefused" {
		t.Errorf("got %+v", got)
	}
}

func TestNothingIsPostedBeforeASubscriptionIsConfirmed(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	s := toPost("t", "http://example.com/")
	s.Pending, s.Token = true, "secret"
	sub := w.subscribe(s)
	w.publish("t", text("too early"))
	due := w.due()
	if len(due) != 1 || string(due[0].Body) != "confirm secret" {
		t.Fatalf("got %+v", due)
	}
	w.settle(due[0], topic.Delivered)
	if _, err := w.topics.Confirm(context.Background(), "t", "wrong", false); !errors.Is(err, topic.ErrToken) {
		t.Errorf("a wrong token: %v", err)
	}
	got, err := w.topics.Confirm(context.Background(), "t", "secret", true)
	if err != nil || got.Pending || !got.Guarded || got.ID != sub.ID {
		t.Errorf("confirmed: %+v, %v", got, err)
	}
	w.publish("t", text("hello"))
	if due = w.due(); len(due) != 1 || string(due[0].Body) != "post hello" {
		t.Errorf("got %+v", due)
	}
	w.account("t")
}

func TestASubscriptionNobodyConfirmsEndsAfterThreeDays(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	s := toPost("t", "http://example.com/")
	s.Pending, s.Token = true, "secret"
	w.subscribe(s)
	w.cell.Close()
	w.now.move(topic.ConfirmFor + time.Minute)
	w.open()
	position := uint64(0)
	for len(w.topics.Subscriptions("t")) > 0 { // the timer is due at once
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		var err error
		if position, err = w.cell.Changed(ctx, "topic", position); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if a := w.account("t"); a.Dropped != 0 || a.Waiting != 0 || len(w.due()) != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestEndingASubscriptionDropsWhatWaits(t *testing.T) {
	w := newWorld(t)
	w.topic(topic.Topic{Name: "t"})
	sub := w.subscribe(toPost("t", "http://example.com/"))
	w.publish("t", text("1"), text("2"))
	if n := w.topics.Waiting(sub.ID); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	if err := w.topics.End(context.Background(), "t", sub.ID); err != nil {
		t.Fatal(err)
	}
	if a := w.account("t"); a.Dropped != 2 || a.Waiting != 0 || len(w.due()) != 0 || w.topics.Waiting(sub.ID) != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatExistsIsAnsweredWhenItIsTheSame(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.topic(topic.Topic{Name: "t", Labels: map[string]string{"DisplayName": "T"}, Tags: map[string]string{"a": "1"}})
	for _, c := range []struct {
		wish topic.Topic
		want error
	}{
		{topic.Topic{Name: "t"}, nil},
		{topic.Topic{Name: "t", Labels: map[string]string{"DisplayName": "T"}}, nil},
		{topic.Topic{Name: "t", Labels: map[string]string{"DisplayName": "U"}}, topic.ErrAttributes},
		{topic.Topic{Name: "t", FIFO: true}, topic.ErrAttributes},
		{topic.Topic{Name: "t", Tags: map[string]string{"a": "1", "b": "2"}}, topic.ErrTags},
	} {
		if _, err := w.topics.Create(ctx, c.wish, c.wish.Labels); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.wish, err, c.want)
		}
	}
	s := toQueue("t", "a")
	s.Labels = map[string]string{"Raw": "true"}
	first := w.subscribe(s)
	if again := w.subscribe(s); again.ID != first.ID {
		t.Error("the same subscription was made twice")
	}
	s.Labels = map[string]string{"Raw": "false"}
	s.ID = daruma.NewID()
	if _, err := w.topics.Subscribe(ctx, s, s.Labels); !errors.Is(err, topic.ErrAttributes) {
		t.Errorf("other attributes: %v", err)
	}
}

func TestADeploymentReplacesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.topic(topic.Topic{Name: "byHand"})
	declared := func(queue string) topic.Subscription {
		s := toQueue("t", queue)
		s.ID, s.LogicalID = daruma.NewID(), "S"+queue
		return s
	}
	deploy := func(d topic.Deployment) {
		t.Helper()
		if err := w.topics.Deploy(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	deploy(topic.Deployment{Topics: []topic.Topic{{Name: "t", LogicalID: "T"}, {Name: "u", LogicalID: "U"}}, Subscriptions: []topic.Subscription{declared("a"), declared("b")}})
	kept := w.topics.Subscriptions("t")
	w.publish("t", text("1"))
	raw := declared("a")
	raw.Raw = true
	deploy(topic.Deployment{Topics: []topic.Topic{{Name: "t", LogicalID: "T", Tags: map[string]string{"k": "v"}}}, Subscriptions: []topic.Subscription{raw}})
	w.publish("t", text("2"))
	if got, want := w.bodies("a"), []string{"letter 1 sig:1", "2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(w.bodies("b")) != 1 {
		t.Error("a subscription that is not declared any more still gets messages")
	}
	names := []string{}
	for _, is := range w.topics.All() {
		names = append(names, is.Name)
	}
	if !slices.Equal(names, []string{"byHand", "t"}) {
		t.Errorf("got topics %q", names)
	}
	now := w.topics.Subscriptions("t")
	if len(now) != 1 || !slices.ContainsFunc(kept, func(s *topic.Subscription) bool { return s.ID == now[0].ID }) {
		t.Errorf("the subscription has another ID: %+v", now)
	}
	if a := w.account("t"); a.Published != 2 {
		t.Errorf("what was counted is gone: %+v", a)
	}
	w.cell.Close()
	w.open()
	w.publish("t", text("3"))
	if got := w.bodies("a"); len(got) != 3 {
		t.Errorf("after a start: %q", got)
	}
}

func TestChangesDoNotOverwriteOneAnother(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.topic(topic.Topic{Name: "t"})
	done := make(chan error, 8)
	for i := range 8 {
		go func() {
			done <- w.topics.Change(ctx, "t", func(is *topic.Topic) error {
				if is.Tags == nil {
					is.Tags = map[string]string{}
				}
				is.Tags[fmt.Sprint(i)] = "x"
				return nil
			})
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if is, err := w.topics.Topic("t"); err != nil || len(is.Tags) != 8 {
		t.Errorf("got %+v, %v", is, err)
	}
}

func TestADestinationIsToldThroughATopic(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.topic(topic.Topic{Name: "t"})
	s := toQueue("t", "a")
	s.Raw = true
	w.subscribe(s)
	retries := 0
	to := &delivery.Destination{Kind: topic.Kind, Name: "t", ARN: "arn:t"}
	if _, err := w.deliveries.Accept(ctx, delivery.Event{Target: daruma.Target{Function: "f"}, Payload: []byte(`{"a":1}`), Policy: &delivery.Policy{Retries: &retries, DeadLetter: to, OnFailure: to}}); err != nil {
		t.Fatal(err)
	}
	leased, err := w.deliveries.Lease(ctx, delivery.Want{N: 1, For: time.Minute})
	if err != nil || len(leased.Events) != 1 {
		t.Fatalf("%+v, %v", leased, err)
	}
	if _, err := w.deliveries.Settle(ctx, delivery.Report{Held: leased.Events[0].Held(), Verdict: delivery.Failure, Status: 200, FunctionError: true}, nil); err != nil {
		t.Fatal(err)
	}
	got := w.letters("a")
	if len(got) != 2 || string(got[0].Body) != `{"a":1}` || len(got[0].Attributes) != 3 || !strings.Contains(string(got[1].Body), "RetriesExhausted") {
		t.Errorf("got %+v", got)
	}
}

func TestWhatIsNotValidIsRefused(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.topic(topic.Topic{Name: "t"})
	w.topic(topic.Topic{Name: "f", FIFO: true})
	big := text(strings.Repeat("x", topic.MessageBytesMax+1))
	for name, err := range map[string]error{
		"empty":         second(w.topics.Publish(ctx, "t", text(""))),
		"once":          second(w.topics.Publish(ctx, "t", topic.Message{Body: []byte("x"), Once: "y"})),
		"none":          second(w.topics.Publish(ctx, "t")),
		"name":          second(w.topics.Create(ctx, topic.Topic{}, nil)),
		"known":         second(w.topics.Create(ctx, topic.Topic{Name: "x", OnceByBody: true}, nil)),
		"signature":     second(w.topics.Create(ctx, topic.Topic{Name: "x", Signature: 3}, nil)),
		"retries":       second(w.topics.Create(ctx, topic.Topic{Name: "x", Retry: &topic.Retry{Retries: 101}}, nil)),
		"pauses":        second(w.topics.Create(ctx, topic.Topic{Name: "x", Retry: &topic.Retry{Retries: 100, Least: time.Minute, Most: time.Minute}}, nil)),
		"growth":        second(w.topics.Create(ctx, topic.Topic{Name: "x", Retry: &topic.Retry{Growth: "wild"}}, nil)),
		"post to FIFO":  second(w.topics.Subscribe(ctx, func() topic.Subscription { s := toPost("f", "http://x/"); s.ID = "1"; return s }(), nil)),
		"URL":           second(w.topics.Subscribe(ctx, func() topic.Subscription { s := toPost("t", "ftp://x/"); s.ID = "1"; return s }(), nil)),
		"filter":        second(w.topics.Subscribe(ctx, func() topic.Subscription { s := toQueue("t", "a"); s.ID, s.Filter = "1", `{"a":1}`; return s }(), nil)),
		"without an ID": second(w.topics.Subscribe(ctx, toQueue("t", "a"), nil)),
	} {
		if daruma.KindOf(err) != daruma.KindInvalid || err == nil {
			t.Errorf("%s: got %v, want KindInvalid", name, err)
		}
	}
	if _, err := w.topics.Publish(ctx, "t", big); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Errorf("too large: %v", err)
	}
	if _, err := w.topics.Publish(ctx, "nope", text("x")); !errors.Is(err, topic.ErrNoTopic) {
		t.Errorf("no topic: %v", err)
	}
}

func command(name string, body []byte) cell.Command {
	return cell.Command{Machine: "topic", Name: name, Body: body}
}

func second[T any](_ T, err error) error { return err }

// The developer guide's picture of a policy with all phases.
func TestPausesGrowAsThePolicySays(t *testing.T) {
	pauses := func(r topic.Retry) (all []string) {
		for n := 1; ; n++ {
			p, ok := r.Pause(n)
			if !ok {
				return all
			}
			all = append(all, p.Round(100*time.Millisecond).String())
		}
	}
	for _, c := range []struct {
		r    topic.Retry
		want []string
	}{
		{topic.RetryDefault(), []string{"20s", "20s", "20s"}},
		{topic.Retry{}, nil},
		{topic.Retry{Retries: 9, AtOnce: 2, AtLeast: 1, AtMost: 2, Least: time.Second, Most: 10 * time.Second}, []string{"0s", "0s", "1s", "1s", "4s", "7s", "10s", "10s", "10s"}},
		{topic.Retry{Retries: 4, Least: time.Second, Most: 10 * time.Second, Growth: topic.Arithmetic}, []string{"1s", "2.5s", "5.5s", "10s"}},
		{topic.Retry{Retries: 4, Least: time.Second, Most: 10 * time.Second, Growth: topic.Geometric}, []string{"1s", "2s", "5s", "10s"}},
		{topic.Retry{Retries: 4, Least: time.Second, Most: 8 * time.Second, Growth: topic.Exponential}, []string{"1s", "2s", "4s", "8s"}},
		{topic.Retry{Retries: 1, Least: time.Second, Most: 8 * time.Second}, []string{"8s"}},
	} {
		if got := pauses(c.r); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.r, got, c.want)
		}
	}
}
