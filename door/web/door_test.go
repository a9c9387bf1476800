package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// testPlace is where the apps of these tests live.
var testPlace = catalog.Place{Region: "eu-central-1", Account: "123456789012"}

// A fakeRunner answers every event with the outcome its function says, and keeps what it saw.
type fakeRunner struct {
	run func(ctx context.Context, inv daruma.Invocation) daruma.Outcome

	mu   sync.Mutex
	seen []daruma.Invocation
}

func (r *fakeRunner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	r.mu.Lock()
	r.seen = append(r.seen, inv)
	r.mu.Unlock()
	return r.run(ctx, inv)
}

func (r *fakeRunner) last(t *testing.T) daruma.Invocation {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		t.Fatal("the function was not asked")
	}
	return r.seen[len(r.seen)-1]
}

func (r *fakeRunner) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// answering makes a runner whose functions all return result.
func answering(result string) *fakeRunner {
	return &fakeRunner{run: func(context.Context, daruma.Invocation) daruma.Outcome {
		return daruma.Outcome{Kind: daruma.Done, Payload: []byte(result)}
	}}
}

// ending makes a runner whose runs all end as out.
func ending(out daruma.Outcome) *fakeRunner {
	return &fakeRunner{run: func(context.Context, daruma.Invocation) daruma.Outcome { return out }}
}

// A world is a door over a real server with a catalog to set.
type world struct {
	t      *testing.T
	runner *fakeRunner
	door   *Door
	server *httptest.Server
}

type setup struct {
	apis      []*catalog.API
	functions []*catalog.Function
	clock     daruma.Clock
	verify    func(*http.Request, []byte) (Caller, bool)
	limits    Limits
}

func open(t *testing.T, runner *fakeRunner, s setup) *world {
	t.Helper()
	view := catalog.NewView(testPlace, s.functions, nil, s.apis, nil)
	d := New(Config{Runner: runner, View: func() *catalog.View { return view }, Clock: s.clock, Verify: s.verify, Limits: s.limits})
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	return &world{t: t, runner: runner, door: d, server: server}
}

// A reply is a response with its body read.
type reply struct {
	*http.Response
	body string
}

// do sends a request. header lines are "Name: value"; "Host: …" sets the host.
func (w *world) do(method, target, body string, header ...string) reply {
	w.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.server.URL+target, in)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header[name] = append(r.Header[name], value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

// event returns the last event as generic JSON.
func (w *world) event() map[string]any {
	w.t.Helper()
	return object(w.t, w.runner.last(w.t).Payload)
}

func object(t *testing.T, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("the event is not JSON: %v\n%s", err, b)
	}
	return m
}

// at follows keys into nested objects. Absent keys give missing.
func at(m any, keys ...string) any {
	for _, k := range keys {
		o, ok := m.(map[string]any)
		if !ok {
			return missing
		}
		if m, ok = o[k]; !ok {
			return missing
		}
	}
	return m
}

const missing = "(absent)"

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: got %v, want %v\n%s", what, got, want, d)
	}
}

func (r reply) is(t *testing.T, status int, body string) {
	t.Helper()
	if r.StatusCode != status || r.body != body {
		t.Errorf("%s %s: got %d %q, want %d %q", r.Request.Method, r.Request.URL, r.StatusCode, r.body, status, body)
	}
}

func (r reply) has(t *testing.T, name, want string) {
	t.Helper()
	if got := strings.Join(r.Header.Values(name), " | "); got != want {
		t.Errorf("header %s: got %q, want %q", name, got, want)
	}
}

// httpAPIOf makes an HTTP API with the stage $default; routes are "METHOD /path".
func httpAPIOf(id string, routes ...string) *catalog.API {
	a := &catalog.API{ID: strings.ToLower(id) + "0000", LogicalID: id, Name: id, Kind: catalog.HTTP, Stages: []catalog.Stage{{Name: catalog.DefaultStage}}}
	for _, r := range routes {
		a.Routes = append(a.Routes, routeOf(r, "2.0"))
	}
	return a
}

// restAPIOf makes a REST API with one stage.
func restAPIOf(id, stage string, routes ...string) *catalog.API {
	a := &catalog.API{ID: strings.ToLower(id) + "0000", LogicalID: id, Name: id, Kind: catalog.REST, Stages: []catalog.Stage{{Name: stage}}}
	for _, r := range routes {
		a.Routes = append(a.Routes, routeOf(r, "1.0"))
	}
	return a
}

func routeOf(r, payload string) catalog.Route {
	method, path, ok := strings.Cut(r, " ")
	if !ok { // "$default"
		method, path = catalog.AnyMethod, r
	}
	return catalog.Route{Method: method, Path: path, Payload: payload, Target: daruma.Target{Function: r}}
}

// urlOf makes a function with a URL.
func urlOf(id string, u catalog.URL) *catalog.Function {
	u.ID = strings.ToLower(id) + "url"
	if u.Auth == "" {
		u.Auth = catalog.AuthNone
	}
	return &catalog.Function{Name: id, LogicalID: id, Version: catalog.Latest, URL: &u}
}

// fixedClock stands still until it is told otherwise: fire ends every wait.
type fixedClock struct {
	at time.Time

	mu    sync.Mutex
	waits []time.Duration
	fs    []func()
	added chan struct{} // one token for each AfterFunc, when made
}

func (c *fixedClock) Now() time.Time { return c.at }

func (c *fixedClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	c.waits, c.fs = append(c.waits, d), append(c.fs, f)
	c.mu.Unlock()
	if c.added != nil {
		c.added <- struct{}{}
	}
	return func() bool { return true }
}

func (c *fixedClock) Sleep(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	return ctx.Err()
}

func (c *fixedClock) fire() {
	c.mu.Lock()
	fs := c.fs
	c.fs = nil
	c.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

const plain = `{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"ok"}`

func TestAnHTTPAPIRunsTheFunctionOfItsRoute(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "GET /hello")}})
	w.do("GET", "/hello", "").is(t, 200, "ok")
	same(t, "target", w.runner.last(t).Target, daruma.Target{Function: "GET /hello"})
}
