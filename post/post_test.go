package post_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/post"
	"github.com/daruma-io/daruma/topic"
)

// A source holds posts; those with Again come back at once.
type source struct {
	mu      sync.Mutex
	due     []topic.Posting
	reports chan topic.Report
	refuse  int // how many reports it does not take
}

func newSource(due ...topic.Posting) *source {
	return &source{due: due, reports: make(chan topic.Report, 1000)}
}

func (s *source) Due(_ context.Context, n int, skip topic.Skip) (due []topic.Posting, _ time.Time, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := map[string]int{}
	for _, p := range s.due {
		busy, more := skip(p.Subscription)
		if len(due) < n && !busy(p.Number) && took[p.Subscription] < more {
			took[p.Subscription]++
			due = append(due, p)
		}
	}
	return due, time.Time{}, nil
}

func (s *source) Settle(_ context.Context, r topic.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 {
		s.refuse--
		return &daruma.Error{Kind: daruma.KindUnavailable}
	}
	s.due = slices.DeleteFunc(s.due, func(p topic.Posting) bool {
		return p.Subscription == r.Subscription && p.Number == r.Number && (r.Verdict != topic.Again || r.Posts > 0)
	})
	for i := range s.due {
		if s.due[i].Subscription == r.Subscription && s.due[i].Number == r.Number {
			s.due[i].Posts++
		}
	}
	s.reports <- r
	return nil
}

func (s *source) Changed(ctx context.Context, after uint64) (uint64, error) {
	if after == 0 {
		return 1, nil
	}
	<-ctx.Done()
	return after, ctx.Err()
}

func run(t *testing.T, s *source, client *http.Client) (stop func()) {
	t.Helper()
	p := post.New(post.Config{Source: s, Client: client})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func (s *source) report(t *testing.T) topic.Report {
	t.Helper()
	select {
	case r := <-s.reports:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("nobody reported")
		return topic.Report{}
	}
}

func to(url, subscription string, n uint64) topic.Posting {
	return topic.Posting{Request: topic.Request{URL: url, Header: map[string]string{"X-K": "v"}, Body: []byte("hello")}, Subscription: subscription, Number: n}
}

func TestAnAnswerDecidesWhatBecomesOfAPost(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("X-K") != "v" {
			t.Errorf("got %s %v", r.Method, r.Header)
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	for code, want := range map[int]topic.Verdict{200: topic.Delivered, 204: topic.Delivered, 301: topic.Never, 400: topic.Never, 403: topic.Never, 404: topic.Never, 429: topic.Again, 500: topic.Again, 503: topic.Again} {
		status.Store(int64(code))
		s := newSource(to(server.URL, "s", 1))
		stop := run(t, s, server.Client())
		if got := s.report(t); got.Verdict != want {
			t.Errorf("%d: got %s, want %s", code, got.Verdict, want)
		}
		stop()
	}
}

func TestNobodyIsPostedToInsideUnlessItIsAllowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	client := outside.New(outside.Config{}).Client(outside.Limits{Redirects: -1})
	defer client.CloseIdleConnections()
	s := newSource(to(server.URL, "s", 1))
	stop := run(t, s, client)
	defer stop()
	if got := s.report(t); got.Verdict != topic.Never || got.Outcome == "" {
		t.Errorf("got %+v", got)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	allowed, err := outside.ParseAllow(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := outside.New(outside.Config{Allow: []outside.Allow{allowed}}).Client(outside.Limits{Redirects: -1})
	defer client.CloseIdleConnections()
	s := newSource(to(server.URL, "s", 1))
	stop := run(t, s, client)
	defer stop()
	if got := s.report(t); got.Verdict != topic.Never || got.Outcome != "HTTP 307" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatDoesNotAnswerIsTriedAgain(t *testing.T) {
	server := httptest.NewServer(nil)
	url := server.URL
	server.Close()
	s := newSource(to(url, "s", 1))
	stop := run(t, s, http.DefaultClient)
	defer stop()
	if got := s.report(t); got.Verdict != topic.Again {
		t.Errorf("got %+v", got)
	}
}

func TestAnEndpointThatHangsDoesNotKeepOthersWaiting(t *testing.T) {
	release := make(chan struct{})
	var hanging atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			hanging.Add(1)
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	s := newSource()
	for n := range uint64(100) {
		s.due = append(s.due, to(server.URL+"/hangs", "hangs", n))
	}
	s.due = append(s.due, to(server.URL+"/", "quick", 1))
	stop := run(t, s, server.Client())
	defer stop()
	if got := s.report(t); got.Subscription != "quick" || got.Verdict != topic.Delivered {
		t.Errorf("got %+v", got)
	}
	if n := hanging.Load(); n > post.EachMax {
		t.Errorf("%d posts to one endpoint at once, at most %d are wanted", n, post.EachMax)
	}
}

// A transport answers posts without a network.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestWhatCameOfAPostIsToldAgainAndNotPostedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		client := &http.Client{Transport: transport(func(*http.Request) *http.Response {
			if posts++; posts > 100 {
				_ = (daruma.SystemClock{}).Sleep(t.Context(), time.Minute) // it would go on for ever
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody}
		})}
		s := newSource(to("http://example.com/", "s", 1))
		s.refuse = 3
		stop := run(t, s, client)
		_ = (daruma.SystemClock{}).Sleep(t.Context(), 30*time.Second)
		stop()
		if len(s.reports) != 1 || posts != 1 {
			t.Errorf("it was posted %d times and reported %d times, want once", posts, len(s.reports))
		}
	})
}

func TestARateIsKept(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	s := newSource()
	for n := range uint64(3) {
		p := to(server.URL, "s", n)
		p.PerSecond = 20
		s.due = append(s.due, p)
	}
	begin := time.Now()
	stop := run(t, s, server.Client())
	defer stop()
	for range 3 {
		s.report(t)
	}
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("three posts in %v at 20 a second", took)
	}
}

func TestATryToPostIsASpan(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }))
	defer server.Close()
	is := to(server.URL+"/hook?secret=1", "s", 1)
	is.Message, is.Posts, is.Trace = "m-1", 2, "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8"
	s := newSource(is)
	told := make(chan daruma.Span, 10)
	p := post.New(post.Config{Source: s, Client: server.Client(), Spanned: func(s daruma.Span) { told <- s }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	got := <-told
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got.Name != "POST "+server.URL+"/hook" || got.Kind != daruma.SpanPost || got.Trace != "1-5759e988-bd862e3fe1be46a994272793" || got.Parent != "53995c3f42cd8ad8" ||
		got.Attempt != 3 || got.Status != 503 || got.Outcome == daruma.Done || !got.About("m-1") || got.Duration <= 0 {
		t.Errorf("got %+v", got)
	}
}
