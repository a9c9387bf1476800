package wire

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
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// vectorTime is the time of AWS's published signature test suite.
var vectorTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// keys is a fixed set of credentials.
type keys map[string]Credential

func (k keys) Credential(accessKey string) (Credential, bool) {
	c, ok := k[accessKey]
	return c, ok
}

var operator = Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDAOPERATOR", Account: "000000000000"}

// seen is a handler that answers with what it was given.
type seen struct{ last *Request }

func (s *seen) ServeAWS(w http.ResponseWriter, r *Request) {
	s.last = r
	io.WriteString(w, r.Caller.ARN+" "+string(r.Body))
}

// newFront returns a front whose clock stands at the vectors' time, with one
// handler behind every given service.
func newFront(t testing.TB, services ...string) (*Front, *seen) {
	t.Helper()
	f, err := New(Config{
		Region: "us-east-1",
		Log:    slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return vectorTime },
		Credentials: keys{
			testKey:       {Secret: testSecret, Identity: operator},
			"ASIASESSION": {Secret: "s3cret", Token: "the-token", Identity: Identity{ARN: "arn:aws:sts::000000000000:assumed-role/fn/env", UserID: "AROA:env", Account: "000000000000", Function: "fn"}},
			"ASIAEXPIRED": {Secret: "s3cret", Expires: vectorTime, Identity: operator},
			"AKIDNOBODY":  {Secret: "s3cret"},
			"AKIDNOKEY":   {Identity: operator},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &seen{}
	for _, s := range services {
		f.Register(s, Service{Handler: h, BodyBytesMax: 1 << 20})
	}
	return f, h
}

// request builds a request as it would arrive at a server.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "example.amazonaws.com"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// sign signs with the SDK's own signer, at the vectors' time.
func sign(t testing.TB, r *http.Request, body, service string, opts ...func(*signing)) *http.Request {
	t.Helper()
	s := signing{creds: aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, region: "us-east-1", at: vectorTime, hash: hexHash(body)}
	for _, o := range opts {
		o(&s)
	}
	err := v4.NewSigner().SignHTTP(context.Background(), s.creds, r, s.hash, service, s.region, s.at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = isS3(service) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type signing struct {
	creds  aws.Credentials
	region string
	at     time.Time
	hash   string
}

func hexHash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// do sends a request through the front.
func do(f *Front, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestARequestTheSDKSignedIsAdmittedWithItsIdentityAndWholeBody(t *testing.T) {
	f, h := newFront(t, "lambda")
	body := strings.Repeat("x", 200_000)
	r := sign(t, request("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=%24LATEST&b=2&a=%20x", body, "Content-Type", "application/json", "X-Amz-Log-Type", "Tail"), body, "lambda")
	w := do(f, r)
	if w.Code != 200 {
		t.Fatalf("got %d %s, want 200", w.Code, w.Body)
	}
	if h.last.Caller != operator || !bytes.Equal(h.last.Body, []byte(body)) || h.last.Service != "lambda" {
		t.Errorf("got caller %+v, %d bytes, service %q", h.last.Caller, len(h.last.Body), h.last.Service)
	}
	if got := w.Header().Get("x-amzn-RequestId"); got == "" || got != h.last.ID {
		t.Errorf("got request ID %q, want %q", got, h.last.ID)
	}
}
