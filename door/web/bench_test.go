package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

type cannedRunner struct{ out daruma.Outcome }

func (r cannedRunner) Run(context.Context, daruma.Invocation) daruma.Outcome { return r.out }

func benchDoor(api *catalog.API) *Door {
	view := catalog.NewView(testPlace, nil, nil, []*catalog.API{api}, nil)
	out := daruma.Outcome{Kind: daruma.Done, Payload: []byte(`{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"message\":\"hello\"}"}`)}
	return New(Config{Runner: cannedRunner{out}, View: func() *catalog.View { return view }})
}

// nowhere is a response writer that keeps nothing.
type nowhere struct{ h http.Header }

func (w *nowhere) Header() http.Header         { return w.h }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w *nowhere) WriteHeader(int)             {}

func benchRequest() *http.Request {
	r := httptest.NewRequest("GET", "/pets/7?color=red&size=m", nil)
	r.Header = http.Header{
		"User-Agent": {"curl/8.5.0"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate"},
		"Content-Type": {"application/json"}, "X-Request-Id": {"abc-123"},
	}
	r.RemoteAddr = "127.0.0.1:51234"
	return r
}

func benchHandler(b *testing.B, h http.Handler) {
	r := benchRequest()
	w := &nowhere{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkHTTPAPI is all that the door does for a warm echo, without the connection and the function.
func BenchmarkHTTPAPI(b *testing.B) {
	benchHandler(b, benchDoor(httpAPIOf("Api", "GET /pets/{id}", "$default")))
}

func BenchmarkRESTAPI(b *testing.B) {
	api := restAPIOf("Api", "Prod", "GET /pets/{id}")
	benchHandler(b, benchDoor(api))
}

var canned = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{"19"}
	w.WriteHeader(200)
	w.Write([]byte(`{"message":"hello"}`))
})

// BenchmarkCanned is the floor: a handler that does nothing but answer.
func BenchmarkCanned(b *testing.B) { benchHandler(b, canned) }

func overLoopback(b *testing.B, start func() (url string, stop func())) {
	url, stop := start()
	defer stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Get(url + "/pets/7?color=red")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

// BenchmarkHTTPAPIServed is the same over a connection, client included.
func BenchmarkHTTPAPIServed(b *testing.B) {
	overLoopback(b, func() (string, func()) {
		url, stop := serve(b, benchDoor(httpAPIOf("Api", "GET /pets/{id}")))
		return url, stop
	})
}

func BenchmarkCannedServed(b *testing.B) {
	overLoopback(b, func() (string, func()) {
		s := httptest.NewServer(canned)
		return s.URL, s.Close
	})
}
