package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

func open(t *testing.T, change func(*Config)) (*Door, *[]LogQuery, *int) {
	t.Helper()
	var asked []LogQuery
	stops := 0
	cfg := Config{
		Token:   "secret",
		Status:  func() Status { return Status{App: "shop"} },
		Health:  func() Health { return Health{OK: true} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("daruma_runs_total 1\n")) }),
		Logs: func(_ context.Context, q LogQuery) iter.Seq2[daruma.Line, error] {
			asked = append(asked, q)
			return func(yield func(daruma.Line, error) bool) {
				_ = yield(daruma.Line{Text: "one"}, nil) && yield(daruma.Line{}, errors.New("disk gone"))
			}
		},
		Stop: func() { stops++ },
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg), &asked, &stops
}

func ask(d *Door, method, target, token string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:4570"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestEveryRouteButTheOpenOnesNeedsTheToken(t *testing.T) {
	d, asked, stops := open(t, nil)
	openRoutes := map[string]bool{"GET /": true, "GET /health": true, "GET /metrics": true}
	for name, r := range d.routes {
		method, path, _ := strings.Cut(name, " ")
		if r.open != openRoutes[name] {
			t.Errorf("%s: open is %v", name, r.open)
		}
		for _, token := range []string{"", "wrong", "secre", "secrets", "Secret"} {
			got := ask(d, method, path, token, nil).Code
			if want := http.StatusUnauthorized; !r.open && got != want {
				t.Errorf("%s with token %q: got %d, want %d", name, token, got, want)
			}
			if r.open && got != http.StatusOK {
				t.Errorf("%s: got %d, want 200", name, got)
			}
		}
		basic := ask(d, method, path, "", func(r *http.Request) { r.SetBasicAuth("secret", "secret") }).Code
		if !r.open && basic != http.StatusUnauthorized {
			t.Errorf("%s with another kind of authorization: got %d", name, basic)
		}
	}
	if len(*asked) != 0 || *stops != 0 {
		t.Error("a request without the token reached something")
	}
	if got := ask(d, "POST", "/api/stop", "secret", nil).Code; got != http.StatusAccepted || *stops != 1 {
		t.Errorf("stop: got %d and %d stops", got, *stops)
	}
}

func TestOtherHostNamesAreRefused(t *testing.T) {
	d, _, _ := open(t, nil)
	for host, want := range map[string]int{
		"127.0.0.1:4570": 200, "localhost:4570": 200, "[::1]:4570": 200, "localhost": 200, "127.0.0.1": 200,
		"evil.example:4570": 403, "evil.example": 403, "localhost.evil.example": 403, "10.0.0.1:4570": 403, "": 403,
	} {
		if got := ask(d, "GET", "/health", "", func(r *http.Request) { r.Host = host }).Code; got != want {
			t.Errorf("Host %q: got %d, want %d", host, got, want)
		}
	}
}

func TestUnknownPagesAreNotFoundAndNothingSharesItselfWithOtherOrigins(t *testing.T) {
	d, _, _ := open(t, nil)
	for _, target := range []string{"/nothing", "/api", "/api/", "/api/ps/", "/debug/pprof/", "//health"} {
		w := ask(d, "GET", target, "secret", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", target, w.Code)
		}
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: got CORS header %q", target, got)
		}
	}
	if got := ask(d, "DELETE", "/api/ps", "secret", nil).Code; got != http.StatusNotFound {
		t.Errorf("another method: got %d, want 404", got)
	}
}

func TestHealthIsAStatusCodeToo(t *testing.T) {
	d, _, _ := open(t, func(c *Config) { c.Health = func() Health { return Health{Reason: "disk full"} } })
	w := ask(d, "GET", "/health", "", nil)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "disk full") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestLogsAreJSONLinesAndAnErrorIsTheLastOfThem(t *testing.T) {
	d, asked, _ := open(t, nil)
	w := ask(d, "GET", "/api/logs?function=f&request=r&trace=t&contains=c&last=5&since=2026-01-02T15:04:05Z&follow=true", "secret", nil)
	want := LogQuery{Function: "f", Request: "r", Trace: "t", Contains: "c", Last: 5, Since: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Follow: true}
	if len(*asked) != 1 || (*asked)[0] != want {
		t.Errorf("asked %+v, want %+v", *asked, want)
	}
	var got []string
	in := bufio.NewScanner(w.Body)
	for in.Scan() {
		var l daruma.Line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Text)
	}
	if strings.Join(got, ",") != "one,disk gone" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"last=0", "last=x", "last=99999999", "since=yesterday"} {
		if got := ask(d, "GET", "/api/logs?"+bad, "secret", nil).Code; got != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", bad, got)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	d, _, _ := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestAPageOfTheHealingLogThatIsAskedForWrongIsRefused(t *testing.T) {
	d, _, _ := open(t, nil)
	for _, target := range []string{"/api/repairs?max=0", "/api/repairs?max=x", "/api/repairs?before=F-1", "/api/repair", "/api/repair?id=4"} {
		if got := ask(d, "GET", target, "secret", nil).Code; got != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", target, got)
		}
	}
}
