package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// serve runs d on a port of its own. stop ends it and waits.
func serve(t testing.TB, d *Door) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx, ln) }()
	return "http://" + ln.Addr().String(), func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func doorOf(runner daruma.Runner, limits Limits, apis ...*catalog.API) *Door {
	view := catalog.NewView(testPlace, nil, nil, apis, nil)
	return New(Config{Runner: runner, View: func() *catalog.View { return view }, Limits: limits})
}

// raw sends text on a new connection and returns all that comes back until
// the server has answered n times or closes.
func raw(t *testing.T, url, text string, n int) []reply {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(conn, text)
	var out []reply
	in := bufio.NewReader(conn)
	for len(out) < n {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return out
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return out
		}
		out = append(out, reply{resp, string(body)})
	}
	return out
}

func TestARequestWithTwoFramingsIsRefusedAndItsConnectionClosed(t *testing.T) {
	runner := answering(plain)
	url, stop := serve(t, doorOf(runner, Limits{}, httpAPIOf("Api", "ANY /{proxy+}")))
	defer stop()
	for name, text := range map[string]string{
		"length and chunks": "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
		"folded header":     "GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n X-B: 2\r\n\r\n",
		"bare line feed":    "GET /a HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n",
		"chunks in 1.0":     "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"second request":    "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := runner.count()
			got := raw(t, url, text, 3)
			if len(got) == 0 {
				return // net/http closed it by itself
			}
			last := got[len(got)-1]
			if last.StatusCode < 400 {
				t.Errorf("got %d, want a refusal", last.StatusCode)
			}
			if !last.Close {
				t.Error("the connection stays open")
			}
			if n := runner.count() - before; n > 1 || n == 1 && name != "second request" {
				t.Errorf("the function ran %d times", n)
			}
		})
	}
}

func TestSoundFramingIsNotTakenForAnAttack(t *testing.T) {
	runner := answering(plain)
	url, stop := serve(t, doorOf(runner, Limits{}, httpAPIOf("Api", "ANY /{proxy+}")))
	defer stop()
	text := "POST /a HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n" +
		"POST /b HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n\r\n" +
		"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
	got := raw(t, url, text, 3)
	if len(got) != 3 {
		t.Fatalf("got %d answers, want 3", len(got))
	}
	for i, r := range got {
		if r.StatusCode != 200 {
			t.Errorf("answer %d: got %d %s", i, r.StatusCode, r.body)
		}
	}
	same(t, "chunked body", at(object(t, runner.seen[0].Payload), "body"), any("abc0123456789"))
	same(t, "body of two line ends", at(object(t, runner.seen[1].Payload), "body"), any("\r\n"))
}

func TestABodyThatFailsToArriveIsABadRequest(t *testing.T) {
	runner := answering(plain)
	url, stop := serve(t, doorOf(runner, Limits{BodyTime: 50 * time.Millisecond}, httpAPIOf("Api", "ANY /{proxy+}"), restAPIOf("Rest", "Prod", "ANY /{proxy+}")))
	defer stop()
	for _, text := range []string{
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", // the rest never comes
		"POST /Prod/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
	} {
		got := raw(t, url, text, 1)
		if len(got) != 1 {
			t.Fatalf("%q: no answer", text)
		}
		got[0].Request = &http.Request{Method: "POST"}
		if got[0].StatusCode != 400 || got[0].body != `{"message":"Bad Request"}` {
			t.Errorf("%q: got %d %q", text, got[0].StatusCode, got[0].body)
		}
	}
	if runner.count() != 0 {
		t.Error("the function ran")
	}
}

func TestABodyThatNobodyReadsKeepsNoConnectionWhenItDoesNotCome(t *testing.T) {
	api := httpAPIOf("Api", "GET /a")
	api.CORS = &catalog.CORS{Origins: []string{"https://a.example"}}
	url, stop := serve(t, doorOf(answering(plain), Limits{BodyTime: 50 * time.Millisecond}, api))
	defer stop()
	for text, want := range map[string]int{
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc":                                                                 404,
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc":                                                    404,
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n":                                            404,
		"OPTIONS /a HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\nContent-Length: 10\r\n\r\nabc": 204,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(conn, text)
		got, err := io.ReadAll(conn) // to the connection's end
		conn.Close()
		if err != nil || !strings.HasPrefix(string(got), fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%q: got %q, %v, want %d and the connection closed", text, got, err, want)
		}
	}
}

func TestHeadersThatDoNotArriveInTimeEndTheConnection(t *testing.T) {
	url, stop := serve(t, doorOf(answering(plain), Limits{HeaderTime: 50 * time.Millisecond}, httpAPIOf("Api", "ANY /{proxy+}")))
	defer stop()
	if got := raw(t, url, "GET /a HTTP/1.1\r\nHost: x\r\nX-Slow", 1); len(got) > 0 && got[0].StatusCode < 400 {
		t.Errorf("got %d", got[0].StatusCode)
	}
}

func TestConnectionsBeyondTheLimitWaitForASlot(t *testing.T) {
	url, stop := serve(t, doorOf(answering(plain), Limits{Connections: 1}, httpAPIOf("Api", "ANY /{proxy+}")))
	defer stop()
	held, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(held, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(held), nil); err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	fmt.Fprintf(second, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Fatalf("the second connection was served: %v", err)
	}
	held.Close()
	second.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(second), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("after the first closed: %v %v", resp, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// A deadlined writer notes the deadlines it is given.
type deadlined struct {
	discard
	at []time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error { d.at = append(d.at, t); return nil }
func (d *deadlined) Flush()                             {}

func TestADeadlineForWritingEndsWithTheAnswer(t *testing.T) {
	big := `{"statusCode":200,"body":"` + strings.Repeat("x", smallBytes+1) + `"}`
	for path, door := range map[string]*Door{
		"/big": doorOf(answering(big), Limits{}, httpAPIOf("Api", "$default")),
		"/Prod/s": doorOf(streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, streamed+nuls+"x")
			return done
		}), Limits{}, streamSetup().apis...),
	} {
		w := &deadlined{discard: discard{http.Header{}}}
		door.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if n := len(w.at); n != 2 || w.at[0].IsZero() || !w.at[1].IsZero() {
			t.Errorf("%s: got %v, want a deadline and then none", path, w.at)
		}
	}
}

func TestServeLetsRequestsUnderWayFinish(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	runner := &fakeRunner{run: func(context.Context, daruma.Invocation) daruma.Outcome {
		close(started)
		<-release
		return daruma.Outcome{Kind: daruma.Done, Payload: []byte(plain)}
	}}
	url, stop := serve(t, doorOf(runner, Limits{DrainTime: 20 * time.Second}, httpAPIOf("Api", "ANY /{proxy+}")))
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/a")
		if err != nil {
			answered <- err.Error()
			return
		}
		resp.Body.Close()
		answered <- resp.Status
	}()
	<-started
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	stop()
	if got := <-answered; got != "200 OK" {
		t.Errorf("got %s, want 200 OK", got)
	}
}

func TestServeBreaksOffWhatOutlastsTheDrain(t *testing.T) {
	started := make(chan struct{})
	runner := &fakeRunner{run: func(ctx context.Context, _ daruma.Invocation) daruma.Outcome {
		close(started)
		<-ctx.Done()
		return daruma.Outcome{Kind: daruma.Unknown}
	}}
	url, stop := serve(t, doorOf(runner, Limits{DrainTime: 10 * time.Millisecond}, httpAPIOf("Api", "ANY /{proxy+}")))
	ended := make(chan error, 1)
	go func() {
		resp, err := http.Get(url + "/a")
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	<-started
	stop()
	<-ended
}
