package runtime_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a Guest that writes down what it is told.
type recorder struct {
	mu       sync.Mutex
	calls    []string
	told     chan string
	deliver  func(*daruma.Delivery) error
	delivers chan func(*daruma.Delivery) error
	event    *daruma.ExtensionEvent
	refuse   error
}

func newRecorder() *recorder {
	return &recorder{told: make(chan string, 100), delivers: make(chan func(*daruma.Delivery) error, 100)}
}

func (g *recorder) add(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	g.mu.Lock()
	g.calls = append(g.calls, text)
	refuse := g.refuse
	g.mu.Unlock()
	select {
	case g.told <- text:
	default:
	}
	return refuse
}

func (g *recorder) Attach(deliver func(*daruma.Delivery) error) uint64 {
	g.mu.Lock()
	g.deliver = deliver
	g.mu.Unlock()
	return 1
}

func (g *recorder) Detach(link uint64) { g.add("detach %d", link) }

func (g *recorder) Next(link uint64) error {
	err := g.add("next %d", link)
	if err == nil {
		g.mu.Lock()
		g.delivers <- g.deliver
		g.mu.Unlock()
	}
	return err
}

func brief(b []byte) string {
	if len(b) > 80 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return fmt.Sprintf("%q", b)
}

func (g *recorder) Respond(id, contentType string, body []byte) error {
	if len(body) > daruma.ResponseBytesMax {
		g.add("respond %s too long by %d", id, len(body)-daruma.ResponseBytesMax)
		return &daruma.StateError{Status: 413, Type: "RequestEntityTooLarge", Reason: "Exceeded maximum allowed payload size (6291556 bytes)."}
	}
	return g.add("respond %s %s %s", id, contentType, brief(body))
}

func (g *recorder) RespondStream(id, contentType string, body io.Reader, trailer func() (string, []byte)) error {
	data, err := io.ReadAll(body)
	kind, detail := trailer()
	return g.add("stream %s %s %s %v %s %s", id, contentType, brief(data), err, kind, detail)
}

func (g *recorder) Fail(id, errType string, body []byte) error {
	return g.add("fail %s %s %s %v", id, errType, brief(body), body == nil)
}

func (g *recorder) InitFail(errType string, body []byte) error {
	return g.add("init fail %s %s", errType, brief(body))
}

func (g *recorder) Register(name string, events []string) (daruma.Registration, error) {
	return daruma.Registration{Identifier: "11111111-2222-4333-8444-555555555555", FunctionName: "f", FunctionVersion: "1", Handler: "h", AccountID: "42"}, g.add("register %s %v", name, events)
}

func (g *recorder) ExtensionNext(id string, deliver func(daruma.ExtensionEvent) error) error {
	err := g.add("extension next %s", id)
	if err == nil && g.event != nil {
		deliver(*g.event)
	}
	return err
}

func (g *recorder) ExtensionFail(id, errType string, init bool, body []byte) error {
	return g.add("extension fail %s %s %v %s", id, errType, init, brief(body))
}

// await waits for a call that starts with prefix.
func (g *recorder) await(t *testing.T, prefix string) string {
	t.Helper()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	for {
		select {
		case text := <-g.told:
			if strings.HasPrefix(text, prefix) {
				return text
			}
		case <-timer.C:
			t.Fatalf("the guest was not told %q", prefix)
		}
	}
}

// serve serves g and returns the address.
func serve(t testing.TB, g runtime.Guest) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runtime.Serve(ctx, ln, g) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// A client is a raw connection.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(parts ...string) {
	c.t.Helper()
	for _, part := range parts {
		if _, err := io.WriteString(c, part); err != nil {
			c.t.Fatal(err)
		}
	}
}

// answer reads one answer.
func (c *client) answer() (int, http.Header, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("read an answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("read an answer's body: %v", err)
	}
	return res.StatusCode, res.Header, string(body)
}

// want reads one answer and compares it.
func (c *client) want(status int, body string) http.Header {
	c.t.Helper()
	gotStatus, header, gotBody := c.answer()
	if gotStatus != status || gotBody != body {
		c.t.Fatalf("got %d %s, want %d %s", gotStatus, gotBody, status, body)
	}
	return header
}

// closed checks that the server closes the connection.
func (c *client) closed() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c.r); err != nil && !strings.Contains(err.Error(), "reset") || n != 0 {
		c.t.Errorf("got %d bytes and %v, want the connection closed", n, err)
	}
}

const (
	getNext = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: r\r\n\r\n"
	ok      = `{"status":"OK"}`
)

func post(path, fields, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: r\r\n%sContent-Length: %d\r\n\r\n%s", path, fields, len(body), body)
}

func response(id, body string) string {
	return post("/2018-06-01/runtime/invocation/"+id+"/response", "Content-Type: application/json\r\n", body)
}

func delivery(payload string) *daruma.Delivery {
	return &daruma.Delivery{ID: "i", ARN: "arn", Deadline: time.UnixMilli(1700000000123), Payload: []byte(payload)}
}

func TestAnEventReachesTheConnectionThatWaits(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext)
	deliver := <-g.delivers
	if err := deliver(delivery(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	h := c.want(200, `{"a":1}`)
	if h.Get("Lambda-Runtime-Deadline-Ms") != "1700000000123" || h.Get("Content-Type") != "application/json" || len(h) != 5 {
		t.Errorf("got %v", h)
	}
	c.send(response("i", `{"b":2}`))
	c.want(202, ok)
	g.await(t, `respond i application/json "{\"b\":2}"`)
}

func TestAnAnswerAndTheNextRequestMayComeInOneWrite(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext)
	for i := range 5 {
		big := strings.Repeat("x", 10000*i)
		go (<-g.delivers)(delivery(big))
		c.want(200, big)
		c.send(response("i", big) + getNext)
		c.want(202, ok)
	}
}

func TestAnEventThatIsThereAlreadyComesWithTheAnswerBeforeIt(t *testing.T) {
	g := &eager{recorder: newRecorder()}
	c := dial(t, serve(t, g))
	c.send(response("i", "1") + getNext)
	c.want(202, ok)
	c.want(200, "eager")
}

// An eager guest delivers before Next returns.
type eager struct{ *recorder }

func (g *eager) Next(link uint64) error {
	g.recorder.Next(link)
	return (<-g.delivers)(delivery("eager"))
}

func TestRequestsBehindOneThatWaitsAreAnsweredInOrder(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext + "GET /2018-06-01/ping HTTP/1.1\r\n\r\n")
	deliver := <-g.delivers
	c.send("GET /ping HTTP/1.1\r\n\r\n")
	go deliver(delivery("first"))
	c.want(200, "first")
	c.want(200, "pong")
	c.want(200, "pong")
}

func TestALargeEventIsDeliveredWhole(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext)
	payload := strings.Repeat("payload ", 6<<20/8)
	go (<-g.delivers)(delivery(payload))
	c.want(200, payload)
}

func TestFieldsCannotBeSmuggledIntoAnAnswer(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext)
	d := delivery("{}")
	d.ClientContext, d.Tenant, d.Trace = []byte("{\r\n\"a\": 1\n}"), "x\r\nEvil: yes", "Root=1\nEvil: yes"
	go (<-g.delivers)(d)
	h := c.want(200, "{}")
	if h.Get("Evil") != "" || h.Get("Lambda-Runtime-Client-Context") != `{  "a": 1 }` {
		t.Errorf("got %v", h)
	}
}

func TestAWaitingConnectionThatEndsIsTold(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send(getNext)
	g.await(t, "next")
	c.Close()
	g.await(t, "detach 1")
}

func TestABodyMayBeChunkedAndComeInPieces(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	text := "POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n" +
		"3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"
	for _, b := range text {
		c.send(string(b))
	}
	c.want(202, ok)
	g.await(t, `respond i  "abcdefgh"`)
	c.send(strings.Replace(text, "0\r\n\r\n", "0\r\nlambda-runtime-function-error-type: Function.Bad\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n", 1))
	c.want(202, ok)
	g.await(t, `fail i Function.Bad "{\"a\":1}" false`)
}

func TestAStreamIsPassedOnWithItsTrailers(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	head := "POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nContent-Type: text/plain\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
	c.send(head, "4\r\nwiki\r\n", "0\r\n\r\n")
	c.want(202, ok)
	g.await(t, `stream i text/plain "wiki" <nil>  `)
	c.send(head, "4\r\nwiki\r\n0\r\nLambda-Runtime-Function-Error-Type: T.X\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n")
	c.want(202, ok)
	g.await(t, `stream i text/plain "wiki" <nil> T.X {"a":1}`)
	c.send(head, "4\r\nwi")
	c.Close()
	g.await(t, `stream i text/plain "wi" unexpected EOF`)
}

func TestAnIntegrationAnswerIsAStreamAndPassedOnAsItIs(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	body := `{"statusCode":201}` + "\x00\x00\x00\x00\x00\x00\x00\x00hi"
	c.send(fmt.Sprintf("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nContent-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	c.want(202, ok)
	g.await(t, fmt.Sprintf("stream i application/vnd.awslambda.http-integration-response %q <nil>", body))
}

func TestABodyThatIsCutOffIsATruncatedAnswer(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
	c.Close()
	g.await(t, "fail i Runtime.TruncatedResponse \"\" true")
	g.await(t, "detach")
}

func TestAnOversizedAnswerIsReadAndRefused(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	big := strings.Repeat("z", daruma.ResponseBytesMax+1000)
	c.send(response("i", big))
	c.want(413, `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`)
	g.await(t, "respond i too long by 1")
	c.send(response("i", big[:daruma.ResponseBytesMax]))
	c.want(202, ok)
	g.await(t, "respond i application/json 6291556 bytes")
	c.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 110 {
		c.send("10000\r\n", big[:1<<16], "\r\n")
	}
	c.send("0\r\n\r\n")
	c.want(413, `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`)
}

func TestTheClientIsToldToContinue(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	c.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	line, err := c.r.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	c.r.ReadString('\n')
	c.send("abc")
	c.want(202, ok)
}

func TestAnErrorPostIsPassedOnWithItsType(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	cause := "Lambda-Runtime-Function-XRay-Error-Cause: " + strings.Repeat("c", 1<<20-1) + "\r\n"
	c.send(post("/2018-06-01/runtime/invocation/i/error", "Lambda-Runtime-Function-Error-Type: Runtime.Bad\r\n"+cause, `{"x":1}`))
	c.want(202, ok)
	g.await(t, `fail i Runtime.Bad "{\"x\":1}" false`)
	c.send(post("/2018-06-01/runtime/init/error", "Lambda-Runtime-Function-Error-Type: Runtime.Init\r\n", ``))
	c.want(202, ok)
	g.await(t, `init fail Runtime.Init ""`)
	c.send(post("/2018-06-01/runtime/invocation/i/response", "Lambda-Runtime-Function-Response-Mode: slow\r\n", ``))
	c.want(400, `{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`)
	g.await(t, `fail i Runtime.InvalidResponseModeHeader "" true`)
}

func TestARefusalOfTheGuestIsAnsweredWithItsStatus(t *testing.T) {
	g := newRecorder()
	g.refuse = &daruma.StateError{Status: 403, Type: "InvalidStateTransition", Reason: "no"}
	c := dial(t, serve(t, g))
	refused := `{"errorMessage":"no","errorType":"InvalidStateTransition"}`
	c.send(getNext, response("i", "x"), getNext)
	c.want(403, refused)
	c.want(403, refused)
	c.want(403, refused)
}

func TestExtensionsAreServed(t *testing.T) {
	g := newRecorder()
	c := dial(t, serve(t, g))
	const base, id = "/2020-01-01/extension/", "11111111-2222-4333-8444-555555555555"
	field := "Lambda-Extension-Identifier: " + id + "\r\n"
	c.send(post(base+"register", "Lambda-Extension-Name: x\r\n", `{"events":["INVOKE","SHUTDOWN"]}`))
	if h := c.want(200, `{"functionName":"f","functionVersion":"1","handler":"h"}`); h.Get("Lambda-Extension-Identifier") != id {
		t.Errorf("got %v", h)
	}
	g.await(t, "register x [INVOKE SHUTDOWN]")
	c.send(post(base+"register", "Lambda-Extension-Name: x\r\nLambda-Extension-Accept-Feature: other, accountId\r\n", `{"events":[]}`))
	c.want(200, `{"functionName":"f","functionVersion":"1","handler":"h","accountId":"42"}`)
	g.event = &daruma.ExtensionEvent{ID: "e1", Deadline: 5, Invoke: &daruma.Delivery{ID: "r", ARN: "arn", Trace: "Root=1"}}
	c.send("GET " + base + "event/next HTTP/1.1\r\n" + field + "\r\n")
	if h := c.want(200, `{"eventType":"INVOKE","deadlineMs":5,"requestId":"r","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}`); h.Get("Lambda-Extension-Event-Identifier") != "e1" {
		t.Errorf("got %v", h)
	}
	g.event = &daruma.ExtensionEvent{Shutdown: "timeout", Deadline: 6}
	c.send("GET " + base + "event/next HTTP/1.1\r\n" + field + "\r\n")
	c.want(200, `{"eventType":"SHUTDOWN","deadlineMs":6,"shutdownReason":"timeout"}`)
	c.send(post(base+"init/error", field+"Lambda-Extension-Function-Error-Type: E.I\r\n", "{}"))
	c.want(202, ok)
	g.await(t, `extension fail `+id+` E.I true "{}"`)
	c.send(post(base+"exit/error", field+"Lambda-Extension-Function-Error-Type: E.X\r\n", "{}"))
	c.want(202, ok)
	g.await(t, `extension fail `+id+` E.X false "{}"`)
}

func TestWhatIsMalformedInAnExtensionsCallIsForbidden(t *testing.T) {
	c := dial(t, serve(t, newRecorder()))
	const base, id = "/2020-01-01/extension/", "Lambda-Extension-Identifier: 11111111-2222-4333-8444-555555555555\r\n"
	for _, test := range []struct{ request, kind, message string }{
		{post(base+"register", "", `{"events":[]}`), "Extension.InvalidExtensionName", "Empty extension name"},
		{post(base+"register", "Lambda-Extension-Name: x\r\n", `{"events":`), "InvalidRequestFormat", "unexpected end of JSON input"},
		{post(base+"register", "Lambda-Extension-Name: x\r\n", `{"events":[],"configurationKeys":["a"]}`), "InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead"},
		{"GET " + base + "event/next HTTP/1.1\r\n\r\n", "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"},
		{"GET " + base + "event/next HTTP/1.1\r\nLambda-Extension-Identifier: me\r\n\r\n", "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"},
		{post(base+"exit/error", id, ""), "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"},
	} {
		c.send(test.request)
		c.want(403, `{"errorMessage":"`+test.message+`","errorType":"`+test.kind+`"}`)
	}
}

func TestTelemetryIsSaidNotToBeSupported(t *testing.T) {
	c := dial(t, serve(t, newRecorder()))
	c.send("PUT /2022-07-01/telemetry HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
	c.want(202, `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`)
	c.send("PUT /2020-08-15/logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
	c.want(202, `{"errorMessage":"Logs API is not supported","errorType":"Logs.NotSupported"}`)
}

func TestUnknownPathsAndMethodsAreRefused(t *testing.T) {
	c := dial(t, serve(t, newRecorder()))
	for request, status := range map[string]int{
		"GET /2018-06-01/runtime/restore/next":               404,
		"POST /2018-06-01/runtime/restore/error":             404,
		"GET /":                                              404,
		"GET /2018-06-01/runtime/invocation/i":               404,
		"GET /2018-06-01/runtime/invocation/i/response":      405,
		"POST /2018-06-01/runtime/invocation/next":           405,
		"POST /2018-06-01/runtime/invocation//response":      404,
		"POST /2018-06-01/runtime/invocation/i/other":        404,
		"GET /2018-06-01/runtime/init/error":                 405,
		"POST /2020-01-01/extension/event/next":              405,
		"GET /2020-01-01/extension/nothing":                  404,
		"GET http://127.0.0.1:9001/2018-06-01/runtime/ping?": 404,
	} {
		c.send(request + " HTTP/1.1\r\nHost: r\r\n\r\n")
		if got, _, body := c.answer(); got != status || !strings.Contains(body, "errorType") {
			t.Errorf("%s: got %d %s, want %d", request, got, body, status)
		}
	}
}

func TestAMalformedHeadEndsTheConnection(t *testing.T) {
	address := serve(t, newRecorder())
	for head, status := range map[string]int{
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n":          400,
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n":                              400,
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n":                         501,
		"GET / HTTP/1.1\r\nNo colon\r\n\r\n":                                        400,
		"GET / HTTP/1.1\r\n folded: x\r\n\r\n":                                      400,
		"GET / HTTP/1.1\r\na: b\x00\r\n\r\n":                                        400,
		"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n":                                      400,
		"GET / HTTP/3.0\r\n\r\n":                                                    505,
		"GET /\r\n\r\n":                                                             400,
		"\r\n\r\n":                                                                  400,
		"GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 200) + "\r\n":             431,
		"GET / HTTP/1.1\r\na: " + strings.Repeat("b", 1200<<10):                     431,
	} {
		c := dial(t, address)
		go io.WriteString(c, head) // the server may close before it has read all
		got, _, _ := c.answer()
		if got != status {
			t.Errorf("%.60q: got %d, want %d", head, got, status)
		}
		c.closed()
	}
}

func TestAConnectionEndsWhenItsClientSaysSo(t *testing.T) {
	g := newRecorder()
	address := serve(t, g)
	c := dial(t, address)
	c.send("GET /ping HTTP/1.0\r\n\r\n")
	c.want(200, "pong")
	c.closed()
	c = dial(t, address)
	c.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nConnection: close\r\n\r\n")
	go (<-g.delivers)(delivery("last"))
	c.want(200, "last")
	c.closed()
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	address := serve(t, newRecorder())
	var held []*client
	for range 64 {
		c := dial(t, address)
		c.send("GET /ping HTTP/1.1\r\n\r\n")
		c.want(200, "pong")
		held = append(held, c)
	}
	dial(t, address).closed()
	held[0].Close()
	deadline := time.Now().Add(10 * time.Second)
	for { // there is room once the server has seen the end of the first
		c := dial(t, address)
		io.WriteString(c, "GET /ping HTTP/1.1\r\n\r\n")
		if res, err := http.ReadResponse(c.r, nil); err == nil && res.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("got no room after a connection ended")
		}
	}
}

func TestServeEndsEveryConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	g := newRecorder()
	go func() { done <- runtime.Serve(ctx, ln, g) }()
	waiting, half, behind := dial(t, ln.Addr().String()), dial(t, ln.Addr().String()), dial(t, ln.Addr().String())
	waiting.send(getNext)
	half.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
	behind.send(getNext + getNext)
	g.await(t, "next")
	g.await(t, "next")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil", err)
	}
	waiting.closed()
	half.closed()
	behind.closed()
}

func TestAPanicOfTheGuestIsServesError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- runtime.Serve(context.Background(), ln, broken{newRecorder()}) }()
	c := dial(t, ln.Addr().String())
	c.send(response("i", "x"))
	c.closed()
	ln.Close()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("got %v, want the panic", err)
	}
}

type broken struct{ *recorder }

func (broken) Respond(string, string, []byte) error { panic("a bug") }

func FuzzServe(f *testing.F) {
	for _, seed := range []string{
		getNext, response("i", "{}"), response("i", "{}") + getNext,
		"POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
		"POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nabc",
		post("/2020-01-01/extension/register", "Lambda-Extension-Name: x\r\n", `{"events":["INVOKE"]}`),
		"GET /2020-01-01/extension/event/next HTTP/1.1\r\nLambda-Extension-Identifier: 11111111-2222-4333-8444-555555555555\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		ours, theirs := net.Pipe()
		ln := &oneListener{conn: ours, closed: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- runtime.Serve(context.Background(), ln, &eager{newRecorder()}) }()
		read := make(chan struct{})
		go func() { io.Copy(io.Discard, theirs); close(read) }()
		theirs.SetWriteDeadline(time.Now().Add(5 * time.Second))
		for step := int(cut) + 1; len(data) > 0; {
			n, err := theirs.Write(data[:min(step, len(data))])
			if err != nil {
				break // the server closed
			}
			data = data[n:]
		}
		theirs.Close()
		<-read
		ln.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A oneListener accepts one connection.
type oneListener struct {
	mu     sync.Mutex
	conn   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }
