package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a Watch on dir until the test ends or stop is called.
func start(t *testing.T, cfg Config) (w *Watch, stop func()) {
	t.Helper()
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return w, stop
}

func line(function, request, text string) daruma.Line {
	return daruma.Line{At: time.Unix(1700000000, 0).UTC(), Function: function, Request: request, Trace: rootFor(request), Stream: daruma.Stdout, Text: text}
}

// rootFor is the root of the trace of a request "r1" and the like.
func rootFor(request string) string {
	hex := fmt.Sprintf("%x", request[:min(len(request), 12)])
	return "1-6553f100-" + strings.Repeat("0", 24-len(hex)) + hex
}

func texts(t *testing.T, w *Watch, q Query) []string {
	t.Helper()
	var got []string
	for l, err := range w.Logs(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Text)
	}
	return got
}

func TestALineJustLoggedIsRead(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	for i := range 100 {
		w.Logged(line("f", "r", fmt.Sprint(i)))
		if got := texts(t, w, Query{Last: 1}); len(got) != 1 || got[0] != fmt.Sprint(i) {
			t.Fatalf("after line %d got %v", i, got)
		}
	}
}

func TestAQueryChoosesByFunctionRequestTraceTextAndTime(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	w.Logged(line("a", "r1", "one"))
	w.Logged(line("a", "r2", "two"))
	w.Logged(line("b", "r3", "three"))
	late := line("b", "r4", "four")
	late.At = late.At.Add(time.Hour)
	w.Logged(late)
	for _, tt := range []struct {
		q    Query
		want []string
	}{
		{Query{}, []string{"one", "two", "three", "four"}},
		{Query{Function: "a"}, []string{"one", "two"}},
		{Query{Request: "r2"}, []string{"two"}},
		{Query{Trace: rootFor("r3")}, []string{"three"}},
		{Query{Trace: "Root=" + rootFor("r3") + ";Parent=x;Sampled=1"}, []string{"three"}},
		{Query{Contains: "o"}, []string{"one", "two", "four"}},
		{Query{Last: 2}, []string{"three", "four"}},
		{Query{Last: 2, Function: "a"}, []string{"one", "two"}},
		{Query{Since: late.At}, []string{"four"}},
		{Query{Function: "none"}, nil},
	} {
		if diff := cmp.Diff(tt.want, texts(t, w, tt.q)); diff != "" {
			t.Errorf("%+v: (-want +got)\n%s", tt.q, diff)
		}
	}
}

func TestAFollowerSeesEveryLineOnceAndInOrder(t *testing.T) {
	w, stop := start(t, Config{Dir: t.TempDir(), Flush: time.Millisecond})
	const n = 2000
	half := make(chan struct{})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			w.Logged(line("f", "r", fmt.Sprint(i)))
			if i == n/2 {
				close(half)
			}
		}
	}()
	<-half
	next := 0
	for l, err := range w.Logs(context.Background(), Query{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Text != fmt.Sprint(next) {
			t.Fatalf("got line %q, want %d", l.Text, next)
		}
		if next++; next == n {
			break
		}
	}
	<-sent
	stop()
}

func TestAFollowerEndsWhenTheWatchStops(t *testing.T) {
	w, stop := start(t, Config{Dir: t.TempDir()})
	w.Logged(line("f", "r", "last words"))
	n := 0
	for l, err := range w.Logs(context.Background(), Query{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; l.Text == "last words" {
			go stop()
		}
	}
	if n != 1 {
		t.Errorf("got %d lines, want 1", n)
	}
	<-w.stopped
	if got := texts(t, w, Query{}); len(got) != 1 {
		t.Errorf("a stopped watch still reads its log: got %v", got)
	}
}

func TestTheLogIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	w, stop := start(t, Config{Dir: dir})
	w.Logged(line("f", "r", "before"))
	stop()
	w, _ = start(t, Config{Dir: dir})
	w.Logged(line("f", "r", "after"))
	if diff := cmp.Diff([]string{"before", "after"}, texts(t, w, Query{})); diff != "" {
		t.Error(diff)
	}
}

func TestTheLogStaysWithinItsBoundAndKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	w, stop := start(t, Config{Dir: dir, BytesMax: 2 << 20, Queue: 1})
	pad := strings.Repeat("x", 1000)
	const n = 5000
	for i := range n {
		w.lines <- line("f", "r", fmt.Sprint(i, pad)) // waiting, so that none is dropped
	}
	got := texts(t, w, Query{})
	if len(got) < 1000 || len(got) >= n {
		t.Errorf("got %d lines of %d, want the newest that fit", len(got), n)
	}
	if want := fmt.Sprint(n-1, pad); got[len(got)-1] != want {
		t.Error("the newest line is missing")
	}
	stop()
	var bytes int64
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if bytes > 2<<20 {
		t.Errorf("got %d bytes on disk, want at most %d", bytes, 2<<20)
	}
}

func TestATornLineHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	w, stop := start(t, Config{Dir: dir})
	w.Logged(line("f", "r", "one"))
	stop()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"time":"2023-11-`)
	f.Close()
	w, _ = start(t, Config{Dir: dir})
	w.Logged(line("f", "r", "two"))
	if diff := cmp.Diff([]string{"one", "two"}, texts(t, w, Query{})); diff != "" {
		t.Error(diff)
	}
}

func TestTooManyLinesAreDroppedAndCounted(t *testing.T) {
	w, err := New(Config{Dir: t.TempDir(), Queue: 10}) // nobody writes
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		w.Logged(line("f", "r", "x"))
	}
	if got := value(w.metrics.logDropped); got != 15 {
		t.Errorf("got %v lines dropped, want 15", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, w, Query{}); len(got) != 10 {
		t.Errorf("got %d lines, want the 10 that waited when it was stopped", len(got))
	}
}

func TestALineIsWrittenAsEncodingJSONReadsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := daruma.Line{
			At:       time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC(),
			Function: rapid.String().Draw(t, "function"), Request: rapid.String().Draw(t, "request"),
			Stream: daruma.Stderr, Text: rapid.String().Draw(t, "text"),
		}
		b := appendLine(nil, want)
		if strings.Count(string(b), "\n") != 1 {
			t.Fatalf("%q is more than one line", b)
		}
		var got daruma.Line
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRunsAreCountedByOutcome(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	for range 3 {
		w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "f", Version: "$LATEST", Outcome: daruma.Done, Duration: time.Millisecond})
	}
	w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "f", Version: "$LATEST", Outcome: daruma.TimedOut, Duration: time.Second, Cold: true, Init: time.Second})
	w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "f", Version: "$LATEST", Outcome: daruma.TimedOut, Duration: time.Second, Faults: []string{"FT-1 timeout"}})
	w.Spanned(daruma.Span{Kind: daruma.SpanRun, Function: "f", Version: "$LATEST", Outcome: daruma.Throttled})
	w.Changed(daruma.Environment{ID: "e1", Function: "f", State: daruma.Busy})
	want := Totals{Runs: 5, Failures: 2, Timeouts: 1, Refusals: 1}
	if got := w.Totals()["f"]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	rec := httptest.NewRecorder()
	w.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	for _, want := range []string{
		`daruma_runs_total{function="f",outcome="done",version="$LATEST"} 3`,
		`daruma_runs_total{function="f",outcome="timed_out",version="$LATEST"} 2`,
		`daruma_runs_met_by_faults_total{function="f",outcome="done",version="$LATEST"} 0`,
		`daruma_runs_met_by_faults_total{function="f",outcome="timed_out",version="$LATEST"} 1`,
		`daruma_run_duration_seconds_count{function="f"} 5`,
		`daruma_cold_start_seconds_count{function="f"} 1`,
		`daruma_environments{function="f",state="busy"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	w.Changed(daruma.Environment{ID: "e1", Function: "f", State: daruma.Gone, Cause: "idle"})
	if got := w.Environments(); len(got) != 0 {
		t.Errorf("got %v, want an environment that is gone to be forgotten", got)
	}
}

func BenchmarkLogged(b *testing.B) {
	w, err := New(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	l := line("function", "0f4c7ad9-6d0c-4b2e-8a34-0d7b0b0f1a11", "END RequestId: 0f4c7ad9-6d0c-4b2e-8a34-0d7b0b0f1a11")
	b.ReportAllocs()
	for b.Loop() {
		w.lines <- l
	}
	cancel()
	<-done
}
