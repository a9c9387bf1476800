package dynamodb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/table"
)

const account, region = "000000000000", "us-east-1"

type keys struct{}

func (keys) Credential(id string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDAOPERATOR", Account: account}}, id == "AKID"
}

// A world is the door behind a front, with tables in memory.
type world struct {
	t      testing.TB
	url    string
	clock  *clocktest.Ahead
	medium *memory.Medium
	cell   *cell.Cell
	tables *table.Tables
	server *httptest.Server
	front  atomic.Pointer[wire.Front]
	sdk    *dynamodb.Client
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: &clocktest.Ahead{}, medium: &memory.Medium{}}
	w.front.Store(w.open())
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.front.Load().ServeHTTP(rw, r) }))
	w.url = w.server.URL
	w.sdk = dynamodb.New(dynamodb.Options{Region: region, BaseEndpoint: &w.url, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), RetryMaxAttempts: 1})
	t.Cleanup(func() {
		w.server.Close()
		_ = w.cell.Close()
	})
	return w
}

// crash loses what is not durable and opens the cell anew.
func (w *world) crash() {
	w.t.Helper()
	w.medium.Crash()
	_ = w.cell.Close()
	w.front.Store(w.open())
}

func (w *world) open() *wire.Front {
	w.t.Helper()
	m := table.NewMachine()
	var err error
	if w.cell, err = cell.Open(context.Background(), cell.Config{Journal: w.medium, Machines: []cell.Machine{m}, Clock: w.clock}); err != nil {
		w.t.Fatal(err)
	}
	w.tables = table.New(w.cell, m, w.clock)
	door, err := New(Config{Tables: w.tables, Region: region, Account: account, Clock: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: region, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	front.Register("dynamodb", door.Service())
	front.Public(door.IsForAnybody, http.HandlerFunc(door.ServeAnybody))
	return front
}

// call sends a request as it is written, signed, and checks the checksum of the answer.
func (w *world) call(op, body string) (status int, text string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(op, ".") {
		op = "DynamoDB_20120810." + op
	}
	r.Header.Set("X-Amz-Target", op)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now()); err != nil {
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
	if got, want := resp.Header.Get("x-amz-crc32"), strconv.FormatUint(uint64(crc32.ChecksumIEEE(b.Bytes())), 10); got != want {
		w.t.Errorf("%s: the checksum is %q, want %q", op, got, want)
	}
	if id := resp.Header.Get("x-amzn-RequestId"); len(id) != 52 || strings.ToUpper(id) != id {
		w.t.Errorf("%s: the request's ID is %q, want 52 letters and digits", op, id)
	}
	return resp.StatusCode, b.String()
}

// ok calls an operation that must succeed, and returns its answer.
func (w *world) ok(op, body string) string {
	w.t.Helper()
	status, text := w.call(op, body)
	if status != http.StatusOK {
		w.t.Fatalf("%s %s: got %d %s", op, body, status, text)
	}
	return text
}

// refused calls an operation that must be refused.
func (w *world) refused(op, body, typ, message string) {
	w.t.Helper()
	status, text := w.call(op, body)
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil { // matches Message, too
		w.t.Fatalf("%s: %v in %s", op, err, text)
	}
	_, e.Type, _ = strings.Cut(e.Type, "#")
	if status != http.StatusBadRequest || e.Type != typ || e.Message != message {
		w.t.Errorf("%s %s:\n got %d %s: %s\nwant 400 %s: %s", op, body, status, e.Type, e.Message, typ, message)
	}
}

// plain makes a table with a key "a", and one with a sort key "b".
func (w *world) plain() {
	w.t.Helper()
	w.ok("CreateTable", `{"TableName":"plain","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}`)
	w.ok("CreateTable", `{"TableName":"range","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"N"},{"AttributeName":"c","AttributeType":"S"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}],
		"LocalSecondaryIndexes":[{"IndexName":"local","KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}],
		"GlobalSecondaryIndexes":[{"IndexName":"global","KeySchema":[{"AttributeName":"c","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["d"]}}]}`)
}
