package dynamodb

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// sent is what came back for a request that was sent as it is.
func (w *world) sent(method, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.answer(r)
}

func (w *world) answer(r *http.Request) (*http.Response, string) {
	w.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, string(text)
}

func TestWhoDoesNotSignLearnsWhetherTheServiceIsWellAndWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	const (
		unknown, broken  = `{"__type":"com.amazon.coral.service#UnknownOperationException"}`, `{"__type":"com.amazon.coral.service#SerializationException"}`
		missing, nothing = `{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`, "<UnknownOperationException/>\n"
		plain, own       = "application/json", "application/x-amz-json-1.0"
	)
	for _, c := range []struct {
		method, body string
		header       []string
		status       int
		kind, want   string
	}{
		{"GET", "", nil, 200, "text/plain", "healthy: dynamodb.us-east-1.amazonaws.com "},
		{"PUT", "", nil, 404, "text/plain", nothing},
		{"DELETE", "", nil, 404, "text/plain", nothing},
		{"OPTIONS", "", nil, 404, "text/plain", nothing},
		{"POST", "hi", nil, 404, "text/plain", nothing},
		{"POST", "{}", []string{"Content-Type", "application/x-amz-json-1.1"}, 404, "text/plain", nothing},
		{"POST", "", nil, 400, plain, unknown},
		{"POST", "{}", []string{"Content-Type", own}, 400, own, unknown},
		{"POST", "{}", []string{"Content-Type", "application/json;charset=x"}, 400, plain, unknown},
		{"POST", "hi", []string{"Content-Type", own + ";x"}, 400, own, broken},
		{"POST", "{}", []string{"X-Amz-Target", "whatever"}, 404, "text/plain", nothing},
		{"POST", "", []string{"X-Amz-Target", "whatever"}, 400, plain, unknown},
		{"POST", "", []string{"X-Amz-Target", "DynamoDB_20120810.ListTable"}, 400, plain, unknown},
		{"POST", "", []string{"X-Amz-Target", "DynamoDB_20120810.ListTables"}, 400, plain, missing},
		{"POST", "", []string{"X-Amz-Target", "DynamoDB_20120810.CreateBackup"}, 400, plain, missing},
		{"POST", "", []string{"X-Amz-Target", "DynamoDBStreams_20120810.ListStreams"}, 400, plain, missing},
	} {
		answer, text := w.sent(c.method, c.body, c.header...)
		is := answer.Header
		if answer.StatusCode != c.status || text != c.want || is.Get("Content-Type") != c.kind || is.Get("X-Amz-Crc32") != fmt.Sprint(crc32.ChecksumIEEE([]byte(text))) || len(is.Get("X-Amzn-Requestid")) != requestIDLength {
			t.Errorf("%s %q %v: got %d %q %v, want %d %q", c.method, c.body, c.header, answer.StatusCode, text, is, c.status, c.want)
		}
	}
	if answer, _ := w.sent("POST", strings.Repeat("a", bodyBytesMax+1)); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: got %d, want 413", answer.StatusCode)
	}
}

// What is another service's is the gate's to refuse.
func TestWhatIsForAnotherServiceIsNotAnsweredHere(t *testing.T) {
	d := &Door{operations: operations()}
	for _, c := range []struct {
		method, url string
		header      []string
		want        bool
	}{
		{"GET", "http://127.0.0.1/", nil, true},
		{"GET", "http://dynamodb.us-east-1.amazonaws.com/", nil, true},
		{"GET", "http://000000000000.ddb.us-east-1.amazonaws.com:443/", nil, true},
		{"GET", "http://sqs.us-east-1.amazonaws.com/", nil, false},
		{"GET", "http://127.0.0.1/2015-03-31/functions", nil, false},
		{"GET", "http://127.0.0.1/?Action=ListQueues", nil, false},
		{"GET", "http://127.0.0.1/", []string{"Authorization", "AWS4-HMAC-SHA256 x"}, false},
		{"POST", "http://127.0.0.1/", []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}, false},
		{"POST", "http://127.0.0.1/", []string{"Smithy-Protocol", "rpc-v2-cbor"}, false},
		{"POST", "http://127.0.0.1/", []string{"X-Amz-Target", "AmazonSQS.ListQueues"}, false},
		{"OPTIONS", "http://sqs.us-east-1.amazonaws.com/", []string{"Origin", "x"}, false},
		{"OPTIONS", "http://127.0.0.1/2015-03-31/functions", []string{"Origin", "x"}, false},
		{"OPTIONS", "http://127.0.0.1/", []string{"Origin", "x", "Authorization", "x"}, true},
	} {
		r, err := http.NewRequest(c.method, c.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		if got := d.IsForAnybody(r); got != c.want {
			t.Errorf("%s %s %v: got %v, want %v", c.method, c.url, c.header, got, c.want)
		}
	}
}

func TestAPageOfAnotherOriginMayReadWhatItSigned(t *testing.T) {
	w := newWorld(t)
	answer, text := w.sent("OPTIONS", "", "Origin", "http://page.example", "Access-Control-Request-Headers", "a, b", "Access-Control-Request-Method", "POST")
	for name, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "a, b", "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "172800", "Content-Length": "0"} {
		if got := answer.Header.Get(name); got != want || answer.StatusCode != 200 || text != "" {
			t.Errorf("%d %s: got %q, want %q", answer.StatusCode, name, got, want)
		}
	}
	list := func(prepare func(*http.Request)) http.Header {
		r := w.signed("ListTables", "{}")
		prepare(r)
		answer, _ := w.answer(r)
		return answer.Header
	}
	fromPage := func(r *http.Request) { r.Header.Set("Origin", "http://page.example") }
	if got := list(fromPage); got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Expose-Headers") == "" || got.Get("Access-Control-Max-Age") != "" {
		t.Errorf("signed: got %v", got)
	}
	if got := list(func(*http.Request) {}); got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("from no page: got %v", got)
	}
	if refused, _ := w.sent("POST", "{}", "Origin", "x", "X-Amz-Target", "DynamoDB_20120810.ListTables"); refused.StatusCode != 400 || refused.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("refused: got %d %v", refused.StatusCode, refused.Header)
	}
}

// signed is a request for an operation that may yet be changed where nothing is signed.
func (w *world) signed(op, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target+op)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(w.t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestARequestMayComePacked(t *testing.T) {
	w := newWorld(t)
	w.plain()
	pack := func(to io.WriteCloser, out *bytes.Buffer, text string) string {
		out.Reset()
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	var out bytes.Buffer
	gzipped := func(s string) string { return pack(gzip.NewWriter(&out), &out, s) }
	item := func(key string) string { return `{"TableName":"plain","Item":{"a":{"S":"` + key + `"}}}` }
	for _, c := range []struct {
		encoding, body string
		status         int
	}{
		{"gzip", gzipped(item("1")), 200},
		{"gzip", gzipped(item("2")[:9]) + gzipped(item("2")[9:]), 200},
		{"deflate", pack(zlib.NewWriter(&out), &out, item("3")), 200},
		{"identity", item("4"), 200},
		{"gzip", item("no"), 500},
		{"gzip", gzipped(item("no"))[:30], 500},
		{"gzip", gzipped(item("no") + strings.Repeat(" ", bodyBytesMax)), 500},
		{"gzip", "", 500},
		{"deflate", item("no"), 500},
		{"br", item("no"), 500},
	} {
		r := w.signed("PutItem", c.body)
		r.Header.Set("Content-Encoding", c.encoding)
		if answer, text := w.answer(r); answer.StatusCode != c.status {
			t.Errorf("%s of %d bytes: got %d %s, want %d", c.encoding, len(c.body), answer.StatusCode, text, c.status)
		}
	}
	if text := w.ok("Scan", `{"TableName":"plain","Select":"COUNT"}`); !strings.Contains(text, `"Count":4`) {
		t.Errorf("got %s, want 4 items", text)
	}
}
