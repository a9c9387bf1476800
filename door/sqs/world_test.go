package sqs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

var place = catalog.Place{Region: "us-east-1", Account: "000000000000"}

type keys struct{}

func (keys) Credential(id string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDAOPERATOR", Account: place.Account}}, id == "AKID"
}

// A world is the door behind a front, with queues in memory.
type world struct {
	t     testing.TB
	url   string
	clock *clocktest.Ahead
	q     *queue.Queues
	sdk   *sqs.Client
	end   chan struct{}
	spans chan daruma.Span
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: &clocktest.Ahead{}, end: make(chan struct{}), spans: make(chan daruma.Span, 100)}
	m := queue.NewMachine()
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{ledger.Machine{}, m}, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.q, err = queue.Open(t.Context(), c, m, w.clock); err != nil {
		t.Fatal(err)
	}
	told := func(s daruma.Span) {
		select {
		case w.spans <- s:
		default: // nobody looks
		}
	}
	door, err := New(Config{Queues: w.q, Place: place, End: w.end, Spanned: told})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: place.Region, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("sqs", door.Service())
	server := httptest.NewServer(front)
	w.url = server.URL
	w.sdk = sqs.New(sqs.Options{Region: place.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), RetryMaxAttempts: 1})
	t.Cleanup(func() {
		server.Close()
		_ = c.Close()
	})
	return w
}

// create makes a queue by the SDK and returns its URL.
func (w *world) create(name string, attributes map[string]string) *string {
	w.t.Helper()
	out, err := w.sdk.CreateQueue(w.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.QueueUrl
}

// post sends a request as it is written, signed.
func (w *world) post(path, body string, headers ...string) (status int, header http.Header, text string) {
	w.t.Helper()
	return w.do(http.MethodPost, path, body, headers...)
}

func (w *world) do(method, path, body string, headers ...string) (status int, header http.Header, text string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "sqs", place.Region, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b.String()
}

// json calls an operation of the JSON protocol.
func (w *world) json(op, body string) (int, http.Header, string) {
	w.t.Helper()
	return w.post("/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS."+op)
}

// form calls an operation of the query protocol.
func (w *world) form(path, body string) (int, http.Header, string) {
	w.t.Helper()
	return w.post(path, body, "Content-Type", "application/x-www-form-urlencoded")
}
