package sns_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/sns"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/post"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/topic"
)

var place = catalog.Place{Region: "us-east-1", Account: "000000000000"}

// keys is the tests' one credential.
type keys struct{}

func (keys) Credential(accessKey string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDA", Account: "000000000000"}}, accessKey == "AKID"
}

// A world is a door on a real listener, before topics and queues of one cell.
type world struct {
	testing.TB
	url        string
	client     *sdk.Client
	topics     *topic.Topics
	queues     *queue.Queues
	deliveries *delivery.Deliveries
	ledger     *ledger.Ledger
	medium     memory.Medium
	spans      chan daruma.Span
}

func send(name string, l topic.Letter) (cell.Command, error) {
	id, _ := queue.ParseID(l.ID)
	m := queue.Message{ID: id, Body: l.Body, Group: l.Group, Trace: l.Trace, Sender: l.Sender}
	if strings.HasSuffix(name, ".fifo") {
		m.Once = l.Once
	}
	for _, a := range l.Attributes {
		m.Attributes = append(m.Attributes, queue.Attribute(a))
	}
	return queue.SendCommand(name, m)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	text, err := sns.NewNotary(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	notary, err := sns.OpenNotary(text)
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Pointer[wire.Front] // clients in other processes ask without this one's memory being in step
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served.Load().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	w := &world{TB: t, url: server.URL, spans: make(chan daruma.Span, 100)}
	told := func(s daruma.Span) {
		select {
		case w.spans <- s:
		default: // nobody looks
		}
	}
	m := topic.NewMachine(topic.Config{Composer: sns.NewComposer(notary, place, server.URL), Send: send})
	q, d := queue.NewMachine(), delivery.NewMachine(delivery.Config{ARN: place.FunctionARN})
	c, err := cell.Open(ctx, cell.Config{Journal: &w.medium, Machines: []cell.Machine{ledger.Machine{}, d, q, m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w.topics, w.deliveries, w.ledger = topic.New(c, m, nil), delivery.New(c, d), ledger.New(c)
	if w.queues, err = queue.Open(ctx, c, q, nil); err != nil {
		t.Fatal(err)
	}
	door, err := sns.New(sns.Config{Topics: w.topics, Place: place, Notary: notary, Spanned: told})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("sns", door.Service())
	front.Public(door.IsPage, door)
	served.Store(front)
	w.client = sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &w.url, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		})})
	return w
}

func (w *world) queue(name string) string {
	w.Helper()
	if _, err := w.queues.Create(context.Background(), name, queue.Settings{FIFO: strings.HasSuffix(name, ".fifo")}); err != nil {
		w.Fatal(err)
	}
	return "arn:aws:sqs:us-east-1:000000000000:" + name
}

func (w *world) topic(name string, attributes map[string]string) string {
	w.Helper()
	out, err := w.client.CreateTopic(context.Background(), &sdk.CreateTopicInput{Name: &name, Attributes: attributes})
	if err != nil {
		w.Fatal(err)
	}
	return *out.TopicArn
}

func (w *world) subscribe(arn, protocol, endpoint string, attributes map[string]string) string {
	w.Helper()
	out, err := w.client.Subscribe(context.Background(), &sdk.SubscribeInput{TopicArn: &arn, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes, ReturnSubscriptionArn: true})
	if err != nil {
		w.Fatal(err)
	}
	return *out.SubscriptionArn
}

func (w *world) received(name string) []queue.Received {
	w.Helper()
	got, err := w.queues.Receive(context.Background(), name, queue.Want{N: 10})
	if err != nil {
		w.Fatal(err)
	}
	return got
}

// is says which code, status and message an error has.
func is(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Sprint(err)
	}
	status := 0
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		status = answered.HTTPStatusCode()
	}
	return fmt.Sprintf("%d %s: %s", status, api.ErrorCode(), api.ErrorMessage())
}

// envelope is what queues and URLs get, as a client reads it.
type envelope struct {
	Type, MessageId, SequenceNumber, Token, TopicArn, Subject, Message, SubscribeURL, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string
	MessageAttributes                                                                                                                                        map[string]struct{ Type, Value string }
}

func open(t testing.TB, body []byte) (e envelope) {
	t.Helper()
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return e
}

// verify checks a signature as the guide says one should, with the certificate at url.
func verify(t testing.TB, e envelope, url string) {
	t.Helper()
	a, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != 200 {
		t.Fatalf("the certificate: %d, %v", a.StatusCode, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("the certificate: %s", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	fields := [][2]string{{"Message", e.Message}, {"MessageId", e.MessageId}}
	if e.Type == "Notification" {
		if e.Subject != "" {
			fields = append(fields, [2]string{"Subject", e.Subject})
		}
		fields = append(fields, [2]string{"Timestamp", e.Timestamp})
	} else {
		fields = append(fields, [2]string{"SubscribeURL", e.SubscribeURL}, [2]string{"Timestamp", e.Timestamp}, [2]string{"Token", e.Token})
	}
	fields = append(fields, [2]string{"TopicArn", e.TopicArn}, [2]string{"Type", e.Type})
	signed := ""
	for _, f := range fields {
		signed += f[0] + "\n" + f[1] + "\n"
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		t.Fatal(err)
	}
	hash, sum := crypto.SHA1, sha1.Sum([]byte(signed))
	digest := sum[:]
	if e.SignatureVersion == "2" {
		s := sha256.Sum256([]byte(signed))
		hash, digest = crypto.SHA256, s[:]
	}
	if err := rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), hash, digest, signature); err != nil {
		t.Errorf("the signature of %+v: %v", e, err)
	}
}

func TestAQueueGetsTheEnvelope(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		w := newWorld(t)
		arn := w.topic("t", map[string]string{"SignatureVersion": version})
		sub := w.subscribe(arn, "sqs", w.queue("q"), nil)
		out, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello <&> \"you\"\n"), Subject: aws.String("A subject"),
			MessageAttributes: map[string]types.MessageAttributeValue{"k": {DataType: aws.String("String"), StringValue: aws.String("v")}, "b": {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}}}})
		if err != nil {
			t.Fatal(err)
		}
		got := w.received("q")
		if len(got) != 1 || len(got[0].Attributes) != 0 || got[0].ID.String() == *out.MessageId {
			t.Fatalf("got %+v", got)
		}
		e := open(t, got[0].Body)
		if e.Type != "Notification" || e.MessageId != *out.MessageId || e.TopicArn != arn || e.Subject != "A subject" || e.Message != "hello <&> \"you\"\n" || e.SignatureVersion != version ||
			e.MessageAttributes["k"] != struct{ Type, Value string }{"String", "v"} || e.MessageAttributes["b"].Value != "AQI=" || !strings.HasSuffix(e.UnsubscribeURL, "/?Action=Unsubscribe&SubscriptionArn="+sub) {
			t.Errorf("got %+v", e)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", e.Timestamp); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(e.SigningCertURL, "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-") || !strings.HasSuffix(e.SigningCertURL, ".pem") {
			t.Errorf("got %s, which validators refuse", e.SigningCertURL)
		}
		u, _ := url.Parse(e.SigningCertURL)
		verify(t, e, w.url+u.Path)
		if !strings.HasPrefix(string(got[0].Body), "{\n  \"Type\" : \"Notification\",\n  \"MessageId\" : ") {
			t.Errorf("it is laid out as %s", got[0].Body)
		}
	}
}

func TestAQueueGetsARawMessageWithItsAttributes(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	w.subscribe(arn, "sqs", w.queue("q"), map[string]string{"RawMessageDelivery": "true"})
	if _, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("raw"), MessageAttributes: map[string]types.MessageAttributeValue{"n": {DataType: aws.String("Number.int"), StringValue: aws.String("7")}}}); err != nil {
		t.Fatal(err)
	}
	got := w.received("q")
	if len(got) != 1 || string(got[0].Body) != "raw" || !cmp.Equal(got[0].Attributes, []queue.Attribute{{Name: "n", Type: "Number.int", Value: []byte("7")}}) {
		t.Errorf("got %+v", got)
	}
}

func TestANumberOfAMessageIsOne(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	for text, ok := range map[string]bool{"7": true, "+7": true, "-1.5E3": true, "null": false, "\t\"7\"": false, "[7]": false, "NaN": false, "one": false} {
		_, err := w.client.Publish(t.Context(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("m"), MessageAttributes: map[string]types.MessageAttributeValue{"n": {DataType: aws.String("Number"), StringValue: &text}}})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "Could not cast message attribute 'n' value to number.") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAFunctionGetsTheEvent(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	sub := w.subscribe(arn, "lambda", place.FunctionARN(daruma.Target{Function: "f", Qualifier: "live"}), nil)
	if _, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello"), MessageAttributes: map[string]types.MessageAttributeValue{"k": {DataType: aws.String("String"), StringValue: aws.String("v")}}}); err != nil {
		t.Fatal(err)
	}
	got, err := w.deliveries.Lease(context.Background(), delivery.Want{N: 10, For: time.Minute})
	if err != nil || len(got.Events) != 1 || got.Events[0].Target != (daruma.Target{Function: "f", Qualifier: "live"}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n := daruma.Chain(got.Events[0].Trace, "f"); n != 1 {
		t.Errorf("%d invocations of the function in the chain %s", n, got.Events[0].Trace)
	}
	var e events.SNSEvent
	if err := json.Unmarshal(got.Events[0].Payload, &e); err != nil {
		t.Fatal(err)
	}
	r := e.Records[0]
	if r.EventSource != "aws:sns" || r.EventVersion != "1.0" || r.EventSubscriptionArn != sub || r.SNS.Message != "hello" || r.SNS.TopicArn != arn || r.SNS.Type != "Notification" || r.SNS.SignatureVersion != "1" {
		t.Errorf("got %+v", r)
	}
	if !strings.Contains(string(got.Events[0].Payload), `"Subject":null`) || !strings.Contains(string(got.Events[0].Payload), `"SigningCertUrl":"https://`) || !strings.Contains(string(got.Events[0].Payload), `"MessageAttributes":{"k":{"Type":"String","Value":"v"}}`) {
		t.Errorf("got %s", got.Events[0].Payload)
	}
}

func TestAFIFOTopicNumbersAndDoesNotSign(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	arn := w.topic("t.fifo", map[string]string{"FifoTopic": "true", "ContentBasedDeduplication": "true"})
	w.subscribe(arn, "sqs", w.queue("q.fifo"), nil)
	w.subscribe(arn, "sqs", w.queue("plain"), nil)
	first, err := w.client.Publish(ctx, &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello"), MessageGroupId: aws.String("g")})
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.client.Publish(ctx, &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello"), MessageGroupId: aws.String("g")})
	if err != nil || *again.MessageId != *first.MessageId || *again.SequenceNumber != *first.SequenceNumber || len(*first.SequenceNumber) != 20 {
		t.Errorf("got %v and %v, %v", first, again, err)
	}
	got := w.received("q.fifo")
	if len(got) != 1 || got[0].Group != "g" || len(got[0].Once) != 64 {
		t.Fatalf("got %+v", got)
	}
	if plain := w.received("plain"); len(plain) != 1 || plain[0].Group != "g" || plain[0].Once != "" {
		t.Errorf("a queue that is not FIFO got %+v", plain)
	}
	if e := open(t, got[0].Body); e.SequenceNumber != *first.SequenceNumber || e.Signature != "" || e.SignatureVersion != "" || e.SigningCertURL != "" {
		t.Errorf("got %+v", e)
	}
}

// receiver is an endpoint outside.
type receiver struct {
	*httptest.Server
	got chan *http.Request
	b   chan []byte
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{got: make(chan *http.Request, 10), b: make(chan []byte, 10)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.got <- q
		r.b <- b
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) next(t testing.TB) (*http.Request, []byte) {
	t.Helper()
	select {
	case q := <-r.got:
		return q, <-r.b
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was posted")
		return nil, nil
	}
}

func TestAURLIsAskedAndThenPostedTo(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r := newReceiver(t)
	poster := post.New(post.Config{Source: w.topics, Client: r.Client()})
	go func() { done <- poster.Run(ctx) }()
	defer func() { cancel(); <-done }()
	arn := w.topic("t", nil)
	out, err := w.client.Subscribe(ctx, &sdk.SubscribeInput{TopicArn: &arn, Protocol: aws.String("http"), Endpoint: &r.URL})
	if err != nil || *out.SubscriptionArn != "pending confirmation" {
		t.Fatalf("got %v, %v", out, err)
	}
	q, body := r.next(t)
	e := open(t, body)
	if q.Header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" || q.Header.Get("Content-Type") != "text/plain; charset=UTF-8" || q.Header.Get("User-Agent") != "Amazon Simple Notification Service Agent" ||
		q.Header.Get("X-Amz-Sns-Topic-Arn") != arn || q.Header.Get("X-Amz-Sns-Message-Id") != e.MessageId || q.Header.Get("X-Amz-Sns-Subscription-Arn") != "" {
		t.Errorf("got %v", q.Header)
	}
	if e.Type != "SubscriptionConfirmation" || e.Token == "" || !strings.Contains(e.Message, "You have chosen to subscribe to the topic "+arn) {
		t.Errorf("got %+v", e)
	}
	verify(t, e, e.SigningCertURL)
	list, err := w.client.ListSubscriptionsByTopic(ctx, &sdk.ListSubscriptionsByTopicInput{TopicArn: &arn})
	if err != nil || len(list.Subscriptions) != 1 || *list.Subscriptions[0].SubscriptionArn != "PendingConfirmation" {
		t.Errorf("got %v, %v", list, err)
	}

	a, err := http.Get(e.SubscribeURL) // as its receiver does, who has no keys
	if err != nil || a.StatusCode != 200 {
		t.Fatalf("the confirmation: %v, %v", a, err)
	}
	a.Body.Close()
	if _, err := w.client.Publish(ctx, &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	q, body = r.next(t)
	e = open(t, body)
	sub := q.Header.Get("X-Amz-Sns-Subscription-Arn")
	if e.Type != "Notification" || e.Message != "hello" || !strings.HasPrefix(sub, arn+":") || !strings.HasPrefix(e.SigningCertURL, w.url) {
		t.Errorf("got %+v, %v", e, q.Header)
	}
	verify(t, e, e.SigningCertURL)

	if _, err := w.client.SetSubscriptionAttributes(ctx, &sdk.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: aws.String("RawMessageDelivery"), AttributeValue: aws.String("true")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.SetSubscriptionAttributes(ctx, &sdk.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: aws.String("DeliveryPolicy"), AttributeValue: aws.String(`{"requestPolicy":{"headerContentType":"application/json"}}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Publish(ctx, &sdk.PublishInput{TopicArn: &arn, Message: aws.String(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	if q, body = r.next(t); string(body) != `{"a":1}` || q.Header.Get("X-Amz-Sns-Rawdelivery") != "true" || q.Header.Get("Content-Type") != "application/json" {
		t.Errorf("raw: %s, %v", body, q.Header)
	}

	if a, err = http.Get(e.UnsubscribeURL); err != nil || a.StatusCode != 200 {
		t.Fatalf("the link that ends it: %v, %v", a, err)
	}
	a.Body.Close()
	if _, err := w.client.GetSubscriptionAttributes(ctx, &sdk.GetSubscriptionAttributesInput{SubscriptionArn: &sub}); is(err) != "404 NotFound: Subscription does not exist" {
		t.Errorf("after its end: %v", err)
	}
}

// A disk takes its time: what is not durable yet is not posted, and is as soon as it is.
func TestAPostIsMadeOnceItIsDurable(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r := newReceiver(t)
	poster := post.New(post.Config{Source: w.topics, Client: r.Client()})
	go func() { done <- poster.Run(ctx) }()
	defer func() { cancel(); <-done }()
	arn := w.topic("t", nil)
	sub := w.subscribe(arn, "http", r.URL, nil)
	_, body := r.next(t)
	token := open(t, body).Token
	if _, err := w.topics.Confirm(ctx, "t", token, false); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		w.medium.Hold()
		published := make(chan error, 1)
		go func() {
			_, err := w.topics.Publish(ctx, "t", topic.Message{Body: []byte("hello")})
			published <- err
		}()
		for w.topics.Waiting(sub[strings.LastIndexByte(sub, ':')+1:]) == 0 { // it is applied, and not durable
			runtime.Gosched()
		}
		select {
		case <-r.got:
			t.Fatalf("message %d was posted before it was durable", n)
		default:
		}
		w.medium.Release()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		r.next(t)
	}
}

func TestAGuardedSubscriptionIsEndedOnlyByWhoSigns(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	arn := w.topic("t", nil)
	sub := w.subscribe(arn, "https", "https://example.com/", nil)
	s := w.topics.Subscriptions("t")[0]
	if _, err := w.client.ConfirmSubscription(ctx, &sdk.ConfirmSubscriptionInput{TopicArn: &arn, Token: &s.Token, AuthenticateOnUnsubscribe: aws.String("true")}); err != nil {
		t.Fatal(err)
	}
	a, err := http.Get(w.url + "/?Action=Unsubscribe&SubscriptionArn=" + sub)
	if err != nil || a.StatusCode != http.StatusForbidden {
		t.Errorf("got %v, %v", a.Status, err)
	}
	a.Body.Close()
	if a, err = http.Get(w.url + "/?Action=Publish&Message=x&TopicArn=" + arn); err != nil || a.StatusCode != http.StatusForbidden {
		t.Errorf("publishing without a signature: %v, %v", a.Status, err)
	}
	a.Body.Close()
	if _, err := w.client.Unsubscribe(ctx, &sdk.UnsubscribeInput{SubscriptionArn: &sub}); err != nil || len(w.topics.Subscriptions("t")) != 0 {
		t.Errorf("signed: %v", err)
	}
}

func TestABatchPublishesWhatIsRight(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	arn := w.topic("t", nil)
	w.subscribe(arn, "sqs", w.queue("q"), map[string]string{"RawMessageDelivery": "true"})
	out, err := w.client.PublishBatch(ctx, &sdk.PublishBatchInput{TopicArn: &arn, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{
		{Id: aws.String("1"), Message: aws.String("one")}, {Id: aws.String("2"), Message: aws.String("two"), Subject: aws.String("")}, {Id: aws.String("3"), Message: aws.String("three")}}})
	if err != nil || len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "2" || *out.Failed[0].Code != "InvalidParameter" || !out.Failed[0].SenderFault {
		t.Fatalf("got %+v, %v", out, err)
	}
	var bodies []string
	for _, m := range w.received("q") {
		bodies = append(bodies, string(m.Body))
	}
	slices.Sort(bodies)
	if !slices.Equal(bodies, []string{"one", "three"}) {
		t.Errorf("got %q", bodies)
	}
}

func TestAMessageForEachProtocol(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	w.subscribe(arn, "sqs", w.queue("q"), map[string]string{"RawMessageDelivery": "true"})
	if _, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, MessageStructure: aws.String("json"), Message: aws.String(`{"default":"d","sqs":"for queues","email":7}`)}); err != nil {
		t.Fatal(err)
	}
	if got := w.received("q"); len(got) != 1 || string(got[0].Body) != "for queues" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatASubscriptionCannotTakeGoesToItsDeadLetterQueue(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	w.queue("dlq")
	w.subscribe(arn, "sqs", "arn:aws:sqs:us-east-1:000000000000:missing", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dlq"}`})
	if _, err := w.client.Publish(context.Background(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	if got := w.received("dlq"); len(got) != 1 || open(t, got[0].Body).Message != "hello" {
		t.Errorf("got %+v", got)
	}
	p, err := w.ledger.Find(context.Background(), ledger.Query{})
	if err != nil || len(p.Failures) != 1 || p.Failures[0].Hop != ledger.Published {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestTopicsAreKeptAndShown(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	tagged := func(tags ...string) string {
		t.Helper()
		in := &sdk.CreateTopicInput{Name: aws.String("tagged")}
		for _, k := range tags {
			in.Tags = append(in.Tags, types.Tag{Key: &k, Value: aws.String("1")})
		}
		got, err := w.client.CreateTopic(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return *got.TopicArn
	}
	if first := tagged("a", "b"); tagged("a") != first || tagged() != first {
		t.Error("a topic with some of its tags is another one")
	}
	arn := w.topic("t", map[string]string{"DisplayName": "T"})
	if arn != "arn:aws:sns:us-east-1:000000000000:t" || w.topic("t", nil) != arn || w.topic("t", map[string]string{"DisplayName": "T", "FifoTopic": "false"}) != arn {
		t.Errorf("got %s", arn)
	}
	if _, err := w.client.SetTopicAttributes(ctx, &sdk.SetTopicAttributesInput{TopicArn: &arn, AttributeName: aws.String("DeliveryPolicy"),
		AttributeValue: aws.String(`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1},"disableSubscriptionOverrides":false}}`)}); err != nil {
		t.Fatal(err)
	}
	got, err := w.client.GetTopicAttributes(ctx, &sdk.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"DisplayName": "T", "Owner": "000000000000", "TopicArn": arn, "SubscriptionsConfirmed": "0", "SubscriptionsPending": "0", "SubscriptionsDeleted": "0",
		"EffectiveDeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`} {
		if got.Attributes[k] != want {
			t.Errorf("%s: got %s, want %s", k, got.Attributes[k], want)
		}
	}
	if !json.Valid([]byte(got.Attributes["Policy"])) {
		t.Errorf("the policy is %s", got.Attributes["Policy"])
	}
	if _, err := w.client.AddPermission(ctx, &sdk.AddPermissionInput{TopicArn: &arn, Label: aws.String("l"), AWSAccountId: []string{"111111111111"}, ActionName: []string{"Publish"}}); err != nil {
		t.Fatal(err)
	}
	if got, _ = w.client.GetTopicAttributes(ctx, &sdk.GetTopicAttributesInput{TopicArn: &arn}); !strings.Contains(got.Attributes["Policy"], `"Sid":"l"`) {
		t.Errorf("the policy is %s", got.Attributes["Policy"])
	}
	if _, err := w.client.RemovePermission(ctx, &sdk.RemovePermissionInput{TopicArn: &arn, Label: aws.String("l")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := w.client.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "b" {
		t.Errorf("got %+v, %v", tags, err)
	}
	if _, err := w.client.DeleteTopic(ctx, &sdk.DeleteTopicInput{TopicArn: &arn}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.DeleteTopic(ctx, &sdk.DeleteTopicInput{TopicArn: &arn}); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestListsComeInPages(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for i := range 101 {
		w.topic(fmt.Sprintf("t%03d", i), nil)
	}
	first, err := w.client.ListTopics(ctx, &sdk.ListTopicsInput{})
	if err != nil || len(first.Topics) != 100 || first.NextToken == nil {
		t.Fatalf("got %d, %v", len(first.Topics), err)
	}
	second, err := w.client.ListTopics(ctx, &sdk.ListTopicsInput{NextToken: first.NextToken})
	if err != nil || len(second.Topics) != 1 || second.NextToken != nil || !strings.HasSuffix(*second.Topics[0].TopicArn, ":t100") {
		t.Errorf("got %+v, %v", second, err)
	}
	arn := *first.Topics[0].TopicArn
	for i := range 101 {
		w.subscribe(arn, "sqs", fmt.Sprintf("arn:aws:sqs:us-east-1:000000000000:q%03d", i), nil)
	}
	n := 0
	pages := sdk.NewListSubscriptionsPaginator(w.client, &sdk.ListSubscriptionsInput{})
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(p.Subscriptions)
	}
	if n != 101 {
		t.Errorf("got %d subscriptions, want 101", n)
	}
}

func TestSubscriptionsAreKeptAndShown(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	arn := w.topic("t", nil)
	sub := w.subscribe(arn, "sqs", w.queue("q"), map[string]string{"FilterPolicy": `{"a":{"b":[1]}}`, "FilterPolicyScope": "MessageBody"})
	if again := w.subscribe(arn, "sqs", "arn:aws:sqs:us-east-1:000000000000:q", nil); again != sub {
		t.Errorf("got %s, want %s", again, sub)
	}
	got, err := w.client.GetSubscriptionAttributes(ctx, &sdk.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	want := map[string]string{"ConfirmationWasAuthenticated": "true", "Endpoint": "arn:aws:sqs:us-east-1:000000000000:q", "FilterPolicy": `{"a":{"b":[1]}}`, "FilterPolicyScope": "MessageBody", "Owner": "000000000000",
		"PendingConfirmation": "false", "Protocol": "sqs", "RawMessageDelivery": "false", "SubscriptionArn": sub, "SubscriptionPrincipal": "arn:aws:iam::000000000000:user/operator", "TopicArn": arn}
	if err != nil || !cmp.Equal(got.Attributes, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got.Attributes))
	}
}

func TestASubscriptionIsGivenItsAttributesLater(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	arn := w.topic("t", nil)
	sub := w.subscribe(arn, "sqs", w.queue("q"), nil)
	shown := func() map[string]string {
		t.Helper()
		got, err := w.client.GetSubscriptionAttributes(ctx, &sdk.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
		if err != nil {
			t.Fatal(err)
		}
		return got.Attributes
	}
	set := func(name, value string) {
		t.Helper()
		if _, err := w.client.SetSubscriptionAttributes(ctx, &sdk.SetSubscriptionAttributesInput{SubscriptionArn: &sub, AttributeName: &name, AttributeValue: &value}); err != nil {
			t.Fatal(err)
		}
	}
	if scope, ok := shown()["FilterPolicyScope"]; ok {
		t.Errorf("without a policy the scope is shown as %s", scope)
	}
	set("FilterPolicy", `{"a":["x"]}`)
	if got := shown(); got["FilterPolicy"] != `{"a":["x"]}` || got["FilterPolicyScope"] != "MessageAttributes" {
		t.Errorf("with a policy got %v", got)
	}
	set("FilterPolicyScope", "MessageBody")
	if got := shown()["FilterPolicyScope"]; got != "MessageBody" {
		t.Errorf("got the scope %s", got)
	}
	set("FilterPolicy", "")
	if got := shown(); got["FilterPolicy"] != "" || got["FilterPolicyScope"] != "" {
		t.Errorf("without a policy again got %v", got)
	}
	set("RawMessageDelivery", "true")
	if got := shown()["RawMessageDelivery"]; got != "true" {
		t.Errorf("got raw %s", got)
	}
	for _, same := range []map[string]string{nil, {"RawMessageDelivery": "True"}, {"FilterPolicyScope": "MessageBody"}} {
		if again := w.subscribe(arn, "sqs", "arn:aws:sqs:us-east-1:000000000000:q", same); again != sub {
			t.Errorf("with %v got %s, want %s", same, again, sub)
		}
	}
	other := w.subscribe(arn, "sqs", w.queue("p"), nil)
	if again := w.subscribe(arn, "sqs", "arn:aws:sqs:us-east-1:000000000000:p", map[string]string{"RawMessageDelivery": "false", "FilterPolicyScope": "MessageAttributes"}); again != other {
		t.Errorf("with what nobody gave got %s, want %s", again, other)
	}
}

func FuzzRequests(f *testing.F) {
	w := newWorld(f)
	w.topic("t", nil)
	f.Add("Action=Publish&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Message=x&MessageAttributes.entry.1.Name=k&MessageAttributes.entry.1.Value.DataType=String.Array&MessageAttributes.entry.1.Value.StringValue=[1]")
	f.Add("Action=Subscribe&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Protocol=http&Endpoint=http://x/&Attributes.entry.1.key=DeliveryPolicy&Attributes.entry.1.value={}")
	f.Add("Action=CreateTopic&Name=u&Tags.member.1.Key=a&Tags.member.1.Value=b")
	f.Add("Action=PublishBatch&TopicArn=arn:aws:sns:us-east-1:000000000000:t&PublishBatchRequestEntries.member.1.Id=a&PublishBatchRequestEntries.member.1.Message=x")
	ask := w.asking()
	f.Fuzz(func(t *testing.T, body string) {
		if a := ask("", body); a.Code >= 500 {
			t.Errorf("%s: %d %s", body, a.Code, a.Body)
		}
	})
}

// asking asks a door of its own, with parameters in the URL and in the body.
func (w *world) asking() func(query, body string) *httptest.ResponseRecorder {
	w.Helper()
	text, err := sns.NewNotary(time.Now())
	if err != nil {
		w.Fatal(err)
	}
	notary, err := sns.OpenNotary(text)
	if err != nil {
		w.Fatal(err)
	}
	door, err := sns.New(sns.Config{Topics: w.topics, Place: place, Notary: notary})
	if err != nil {
		w.Fatal(err)
	}
	return func(query, body string) *httptest.ResponseRecorder {
		a := httptest.NewRecorder()
		door.ServeAWS(a, &wire.Request{HTTP: httptest.NewRequest("POST", "/"+query, nil), Path: "/", Body: []byte(body), ID: "id", Service: "sns"})
		return a
	}
}

func TestParametersAreInTheURLOrInTheBody(t *testing.T) {
	w := newWorld(t)
	w.topic("t", nil)
	ask := w.asking()
	for _, c := range [][2]string{
		{"", "Action=Publish&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Message=x"},
		{"?Action=Publish&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Message=x", ""},
		{"?Action=Publish", "TopicArn=arn:aws:sns:us-east-1:000000000000:t&Message=x"},
	} {
		if a := ask(c[0], c[1]); a.Code != 200 || !strings.Contains(a.Body.String(), "<PublishResult><MessageId>") {
			t.Errorf("%q and %q: got %d %s", c[0], c[1], a.Code, a.Body)
		}
	}
}

// BenchmarkPublish is many publishers of 1 KiB messages through the topics, with the signatures that queues' envelopes need.
func TestWhatIsPublishedIsOneSpanWithWhomItWasHandedTo(t *testing.T) {
	w := newWorld(t)
	arn := w.topic("t", nil)
	w.subscribe(arn, "sqs", w.queue("q"), nil)
	for _, given := range []string{"", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a:1"} {
		out, err := w.client.Publish(t.Context(), &sdk.PublishInput{TopicArn: &arn, Message: aws.String("m")}, func(o *sdk.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue(daruma.TraceHeader, given))
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.queues.Receive(t.Context(), "q", queue.Want{N: 1, Hide: new(time.Hour)})
		if err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		s := <-w.spans
		from, ok := daruma.ParseTrace(given)
		if ok && (s.Trace != from.Root || s.Parent != from.Parent) || s.Kind != daruma.SpanSend || s.Name != "Publish t" || s.Source != "topic t" || s.Status != 200 {
			t.Errorf("got %+v", s)
		}
		want := []daruma.Link{{Message: *out.MessageId}, {Message: got[0].ID.String(), To: "queue q"}}
		if !slices.Equal(s.Links, want) {
			t.Errorf("got links %+v, want %+v", s.Links, want)
		}
		if on, _ := daruma.ParseTrace(got[0].Trace); on.Root != s.Trace || on.Parent != s.ID || ok && !strings.HasSuffix(got[0].Trace, ";Sampled=0;Lineage=a:1") {
			t.Errorf("the queue has %q, the span is %s of %s", got[0].Trace, s.ID, s.Trace)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 10} {
		for _, raw := range []string{"true", "false"} {
			b.Run(fmt.Sprintf("subscriptions=%d/raw=%s", n, raw), func(b *testing.B) {
				w := newWorld(b)
				arn := w.topic("t", nil)
				for i := range n {
					w.subscribe(arn, "sqs", w.queue(fmt.Sprint("q", i)), map[string]string{"RawMessageDelivery": raw})
				}
				body := []byte(strings.Repeat("x", 1024))
				b.SetParallelism(32)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if _, err := w.topics.Publish(context.Background(), "t", topic.Message{Body: body}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
