package wire

import (
	"bufio"
	"context"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/daruma-io/daruma"
)

func record() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// signatureOf computes the signature of a claim of the tests' key.
func signatureOf(c *claim, r *http.Request) string {
	b, _ := appendCanonical(nil, r, c, normalPath(wirePath(r)), hexHash(""))
	mac := newSigningKey(testSecret, c).macs.Get().(hash.Hash)
	io.WriteString(mac, algorithm+"\n"+c.stamp+"\n"+c.scope+"\n"+hexHash(string(b)))
	return hex.EncodeToString(mac.Sum(nil))
}

// serve runs a front on a listener and returns its address; it ends with the test.
func serve(t *testing.T, f *Front) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	return ln.Addr().String()
}

// live is a front at the present time with one handler for lambda.
func live(t *testing.T, h Handler, change func(*Config)) *Front {
	t.Helper()
	cfg := Config{Region: "us-east-1", Credentials: keys{testKey: {Secret: testSecret, Identity: operator}}, Grace: 2 * time.Second}
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Register("lambda", Service{Handler: h, BodyBytesMax: 1 << 20})
	return f
}

// signedNow signs a request to addr at the present time.
func signedNow(t testing.TB, addr, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "http://"+addr+"/2015-03-31/functions/f/invocations", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, r, hexHash(body), "lambda", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

// raw sends bytes and returns everything that is answered until the end.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	b, _ := io.ReadAll(c)
	return string(b)
}

// head writes a signed request's lines as they would go over the wire, with
// the framing left to the caller.
func head(t *testing.T, addr, body string) string {
	r := signedNow(t, addr, body)
	var b strings.Builder
	b.WriteString("POST " + r.URL.RequestURI() + " HTTP/1.1\r\nHost: " + addr + "\r\n")
	for name, v := range r.Header {
		b.WriteString(name + ": " + v[0] + "\r\n")
	}
	return b.String()
}

func TestARequestWithTwoLengthsIsRefusedAndItsConnectionClosed(t *testing.T) {
	h := &seen{}
	addr := serve(t, live(t, h, nil))
	got := raw(t, addr, head(t, addr, "abc")+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 411 ") || strings.Count(got, "HTTP/1.1 ") != 1 || h.last != nil {
		t.Errorf("got %q", got)
	}
}

func TestABodyThatEndsTooSoonIsA400AndNeverHandled(t *testing.T) {
	h := &seen{}
	addr := serve(t, live(t, h, nil))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, head(t, addr, "abcdef")+"Content-Length: 6\r\n\r\nabc")
	c.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 400 || resp.Header.Get("x-amzn-ErrorType") != "IncompleteBody" || h.last != nil {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestHeadersAboveSixteenKibibytesAreRefused(t *testing.T) {
	addr := serve(t, live(t, &seen{}, nil))
	if got := raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 16<<10)+"\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("got %q", got)
	}
}

func TestHeadersThatDoNotCloseTheConnection(t *testing.T) {
	t.Parallel()
	addr := serve(t, live(t, &seen{}, nil))
	began := time.Now()
	raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: a")
	if d := time.Since(began); d < headerTimeMax-time.Second || d > 2*headerTimeMax {
		t.Errorf("got %v until the connection was closed, want about %v", d, headerTimeMax)
	}
}

func TestConnectionsBeyondTheBoundAreClosedAndTheirPlacesComeBack(t *testing.T) {
	addr := serve(t, live(t, &seen{}, func(c *Config) { c.ConnsPerIP = 2 }))
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 403 {
			t.Fatalf("got %v, %v", resp, err)
		}
		open = append(open, c)
	}
	if got := raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
		t.Errorf("got %q on a third connection", got)
	}
	open[0].Close()
	for end := time.Now().Add(10 * time.Second); ; { // the server learns of the close when it does
		if got := raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.HasPrefix(got, "HTTP/1.1 403 ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place of a closed connection never came back")
		}
	}
}

func TestNoAnswerGivesAnotherOriginAnything(t *testing.T) {
	addr := serve(t, live(t, &seen{}, nil))
	for _, method := range []string{"OPTIONS", "GET", "POST"} {
		r, err := http.NewRequest(method, "http://"+addr+"/2015-03-31/functions", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://evil.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: got %s", method, name)
			}
		}
		if resp.StatusCode != 403 {
			t.Errorf("%s: got %d, want 403", method, resp.StatusCode)
		}
	}
}

func TestABodyAboveTheLimitIsRefusedWithAReasonTheClientGetsToSee(t *testing.T) {
	addr := serve(t, live(t, &seen{}, nil))
	resp, err := http.DefaultClient.Do(signedNow(t, addr, strings.Repeat("x", 8<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 || resp.Header.Get("x-amzn-ErrorType") != "RequestEntityTooLarge" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// pipes is a listener for connections within a bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestABodyThatNobodyReadsKeepsNoConnectionWhenItDoesNotCome(t *testing.T) {
	for name, text := range map[string]string{
		"unsigned":         "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		"chunks":           "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"waits to be told": "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
		"a public page":    "GET /page HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		"its own address":  "GET / HTTP/1.1\r\nHost: " + checkIPHost + "\r\nContent-Length: 10\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := live(t, &seen{}, nil)
				f.Public(func(r *http.Request) bool { return r.URL.Path == "/page" }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				ctx, cancel := context.WithCancel(t.Context())
				ln, done := make(pipes), make(chan error, 1)
				go func() { done <- f.Serve(ctx, ln) }()
				c, server := net.Pipe()
				ln <- server
				began := time.Now()
				c.SetDeadline(began.Add(time.Hour))
				go io.WriteString(c, text)
				got, err := io.ReadAll(c)
				if took := time.Since(began); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 ") || took > bodyTimeMax+idleTimeMax {
					t.Errorf("got %q, %v after %v", got, err, took)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAHandlerMayRunLongerThanABodyMayTake(t *testing.T) {
	// The deadline for reading the body must be gone when the handler runs:
	// net/http would cancel the request's context when it passed.
	f := live(t, &seen{}, nil)
	w := &deadlines{ResponseRecorder: record()}
	r := signedNow(t, "x", "{}")
	r.RequestURI = r.URL.RequestURI()
	r.Host = "x"
	f.ServeHTTP(w, r)
	if w.Code != 200 || !w.read.IsZero() || w.reads != 2 {
		t.Errorf("got %d, read deadline %v after %d changes", w.Code, w.read, w.reads)
	}
}

// deadlines keeps the deadlines that were set.
type deadlines struct {
	*httptest.ResponseRecorder
	read  time.Time
	reads int
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read, d.reads = t, d.reads+1; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { return nil }

func TestServeWaitsForRequestsUnderWay(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	f := live(t, handler(func(w http.ResponseWriter, _ *Request) {
		close(started)
		<-release
		io.WriteString(w, "done")
	}), func(c *Config) { c.Grace = time.Minute })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := f.Serve(ctx, ln); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	all.Go(func() {
		resp, err := http.DefaultClient.Do(signedNow(t, ln.Addr().String(), ""))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); string(b) != "done" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
	})
	<-started
	cancel()
	close(release)
	all.Wait()
}

func TestOnlyLoopbackIsListenedOnWithoutTLS(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:4566": true, "localhost:4566": true, "[::1]:4566": true, "127.8.8.8:0": true,
		"0.0.0.0:4566": false, ":4566": false, "[::]:4566": false, "192.168.1.5:4566": false, "example.com:4566": false, "4566": false,
	} {
		if err := CheckBind(addr, false); (err == nil) != want {
			t.Errorf("%s: got %v", addr, err)
		} else if err != nil && daruma.HintOf(err) == "" {
			t.Errorf("%s: got no hint", addr)
		}
	}
	if err := CheckBind("0.0.0.0:4566", true); err != nil {
		t.Errorf("with TLS: got %v", err)
	}
}
