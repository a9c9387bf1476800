package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
)

// began is when the spans of these tests begin.
func began() time.Time { return time.Now().Add(-time.Minute).UTC().Truncate(time.Second) }

func span(request string, n int) daruma.Span {
	return daruma.Span{ID: fmt.Sprintf("%016x", n+1), Trace: rootFor(request), Kind: daruma.SpanCall, Name: "Invoke f", At: began().Add(time.Duration(n) * time.Millisecond), Request: request, Outcome: daruma.Done}
}

// tell has a span kept, and waits for room rather than have it dropped.
func (w *Watch) tell(s daruma.Span) {
	for !w.told.add(s) {
		if _, err := w.join(context.Background(), nil); err != nil {
			return
		}
	}
}

// read returns the IDs of the spans of a request's trace.
func read(t *testing.T, w *Watch, request string) (ids []string, more int) {
	t.Helper()
	spans, more, err := w.Spans(context.Background(), rootFor(request))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spans {
		ids = append(ids, s.ID)
	}
	return ids, more
}

func TestASpanJustToldIsReadInTheOrderOfBeginnings(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	for _, n := range []int{2, 0, 1} { // children end before their parents
		w.Spanned(span("r1", n))
		w.Spanned(span("r2", n))
	}
	if got, more := read(t, w, "r1"); !cmp.Equal(got, []string{span("", 0).ID, span("", 1).ID, span("", 2).ID}) || more != 0 {
		t.Errorf("got %v and %d more", got, more)
	}
	if got, _ := read(t, w, "r3"); len(got) != 0 {
		t.Errorf("got %v of a trace there is not", got)
	}
}

func TestATraceIsFoundByRequestSpanAndKey(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	for n, request := range []string{"r1", "r2", "r3"} {
		w.Spanned(span(request, 10*n))
		s := span(request, 10*n+1)
		s.Keys = []string{`order "4711"`, "customer " + request}
		w.Spanned(s)
	}
	for id, want := range map[string][]string{
		"r2":            {rootFor("r2")},
		`order "4711"`:  {rootFor("r3"), rootFor("r2"), rootFor("r1")},
		"customer r1":   {rootFor("r1")},
		"customer":      nil,
		"f":             nil,
		span("", 20).ID: {rootFor("r3")},
	} {
		found, err := w.Traces(context.Background(), id)
		var got []string
		for _, s := range found {
			got = append(got, s.Trace)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v and %v, want %v", id, got, err, want)
		}
	}
}

func TestOfManyTracesWithOneKeyTheNewestAreFound(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	const n = 3*TracesMax + 7
	for i := range n {
		s := span(fmt.Sprint("r", i), i)
		s.Keys = []string{"all"}
		w.tell(s)
	}
	found, err := w.Traces(context.Background(), "all")
	if err != nil || len(found) != TracesMax || found[0].Request != fmt.Sprint("r", n-1) || found[TracesMax-1].Request != fmt.Sprint("r", n-TracesMax) {
		t.Errorf("got %d traces and %v", len(found), err)
	}
}

func TestSpansOutliveAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	w, _ := start(t, Config{Dir: dir, Flush: time.Millisecond})
	w.Spanned(span("r1", 0))
	deadline := time.Now().Add(10 * time.Second)
	for len(recorded(t, dir)) == 0 { // a flush later it is with the kernel
		if time.Now().After(deadline) {
			t.Fatal("it was never written")
		}
	}
	copied := t.TempDir() // what a killed process leaves behind, torn in its last record
	if err := os.MkdirAll(filepath.Join(copied, "spans"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "spans", segmentName(1, time.Now())), append(recorded(t, dir), `{"time":"20`...), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, Config{Dir: copied})
	again.Spanned(span("r1", 1))
	if got, _ := read(t, again, "r1"); len(got) != 2 {
		t.Errorf("got %v, want the one from before and the new one", got)
	}
}

// recorded is all that is on disk of spans.
func recorded(t *testing.T, dir string) (all []byte) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "spans", "*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func TestSpansStayWithinTheirBoundAndTheNewestAreKept(t *testing.T) {
	dir := t.TempDir()
	w, stop := start(t, Config{Dir: dir, SpanBytesMax: 1 << 20})
	const n = 10_000
	for i := range n {
		w.tell(span("r1", i))
	}
	got, _ := read(t, w, "r1")
	if len(got) < 1000 || len(got) >= n || got[len(got)-1] != span("r1", n-1).ID {
		t.Errorf("got %d spans of %d, want the newest that fit", len(got), n)
	}
	stop()
	if size := len(recorded(t, dir)); size > 1<<20 {
		t.Errorf("got %d bytes on disk, want at most %d", size, 1<<20)
	}
	if kept := value(w.metrics.spans); kept != n {
		t.Errorf("got %v spans counted, want %d", kept, n)
	}
}

func TestManyRestartsLoseNothing(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 * segmentCount {
		w, stop := start(t, Config{Dir: dir})
		w.Spanned(span("r1", i))
		w.Logged(line("f", "r", "x"))
		stop()
	}
	w, _ := start(t, Config{Dir: dir})
	if got, _ := read(t, w, "r1"); len(got) != 3*segmentCount {
		t.Errorf("got %d spans, want %d", len(got), 3*segmentCount)
	}
	if got := texts(t, w, Query{}); len(got) != 3*segmentCount {
		t.Errorf("got %d lines, want %d", len(got), 3*segmentCount)
	}
}

func TestOldSpansGo(t *testing.T) {
	const age = 16 * time.Hour
	began := time.Now()
	at := began
	dir, now := t.TempDir(), func() time.Time { return at }
	s, err := openSegments(dir, 1<<20, age, now)
	if err != nil {
		t.Fatal(err)
	}
	for hour := range 40 {
		at = began.Add(time.Duration(hour) * time.Hour)
		if err := errorsOf(s.expire(), s.append(fmt.Appendf(nil, "%d\n", hour)), s.flush(), os.Chtimes(s.names[len(s.names)-1], at, at)); err != nil {
			t.Fatal(err)
		}
	}
	count := func(s *segments) (n int, first string) {
		if err := s.read(nil, s.end(), func(record []byte) bool {
			if n++; n == 1 {
				first = string(record)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n, first
	}
	if n, first := count(s); n < 16 || n > 18 {
		t.Errorf("got %d hours from %s, want 16 and an hour or two", n, first)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	at = began.Add(1000 * time.Hour)
	if s, err = openSegments(dir, 1<<20, age, now); err != nil {
		t.Fatal(err)
	}
	if n, first := count(s); n != 0 {
		t.Errorf("got %d records from %s after weeks, want none", n, first)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestTooManySpansAreDroppedAndCounted(t *testing.T) {
	w, err := New(Config{Dir: t.TempDir(), SpanQueue: 10}) // nobody writes
	if err != nil {
		t.Fatal(err)
	}
	forwarded := 0
	w.cfg.Forward = func(daruma.Span) { forwarded++ }
	for i := range 25 {
		w.Spanned(span("r1", i))
	}
	if lost := value(w.metrics.spansLost); lost != 15 || forwarded != 25 {
		t.Errorf("got %v spans dropped and %d forwarded, want 15 and 25", lost, forwarded)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, w, "r1"); len(got) != 10 {
		t.Errorf("got %d spans, want the 10 that waited when it was stopped", len(got))
	}
}

func TestASpanIsWrittenAsEncodingJSONReadsIt(t *testing.T) {
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string) time.Duration { return time.Duration(rapid.Int64Range(0, 1e12).Draw(t, name)) }
		want := daruma.Span{
			ID: text.Draw(t, "id"), Parent: text.Draw(t, "parent"), Trace: text.Draw(t, "trace"), State: text.Draw(t, "state"), Kind: daruma.SpanRun, Name: text.Draw(t, "name"),
			At:   time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC(),
			Wait: duration("wait"), Init: duration("init"), Duration: duration("duration"),
			Function: text.Draw(t, "function"), Version: text.Draw(t, "version"), Environment: text.Draw(t, "environment"), Request: text.Draw(t, "request"), Source: text.Draw(t, "source"),
			Attempt: rapid.IntRange(0, 9).Draw(t, "attempt"), From: text.Draw(t, "from"), Outcome: daruma.OutcomeKind(rapid.IntRange(1, 9).Draw(t, "outcome")), ErrorType: text.Draw(t, "errorType"),
			Status: rapid.IntRange(0, 599).Draw(t, "status"), Cold: rapid.Bool().Draw(t, "cold"), MemoryBytes: rapid.Int64Range(0, 1<<40).Draw(t, "memory"),
		}
		if keys := rapid.SliceOfN(text, 0, 3).Draw(t, "keys"); len(keys) > 0 {
			want.Keys = keys
		}
		b := appendSpan(nil, &want)
		if bytes.Count(b, []byte("\n")) != 1 {
			t.Fatalf("%q is more than one line", b)
		}
		var got daruma.Span
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTextsFromOutsideAreCut(t *testing.T) {
	w, _ := start(t, Config{Dir: t.TempDir()})
	s := span("r1", 0)
	s.Name, s.ErrorType = strings.Repeat("ä", 5000), strings.Repeat("x", 5000)
	w.Spanned(s)
	got, _, err := w.Spans(context.Background(), s.Trace)
	if err != nil || len(got) != 1 || got[0].Name != strings.Repeat("ä", textBytesMax/2) || len(got[0].ErrorType) != textBytesMax {
		t.Errorf("got %v and %v", got, err)
	}
}

func TestASpanIsInTheStoryOfEveryMessageItIsAbout(t *testing.T) {
	w, stop := start(t, Config{Dir: t.TempDir()})
	defer stop()
	const one, other = "1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-000000000000000000000002"
	links := []daruma.Link{{Message: "m-1", Receives: 2}, {Message: "m-2", To: "queue \"q\"", Trace: other, Span: "00000000000000aa"}}
	run := daruma.Span{ID: "00000000000000bb", Trace: one, Kind: daruma.SpanRun, At: time.Unix(1, 0).UTC(), Outcome: daruma.Done, Links: links}
	w.Spanned(run)
	for _, root := range []string{one, other} {
		if got, _, err := w.Spans(t.Context(), root); err != nil || len(got) != 1 || !cmp.Equal(got[0], run) {
			t.Errorf("%s: got %+v, %v", root, got, err)
		}
	}
	for id, root := range map[string]string{"m-1": one, "m-2": other} {
		if got, err := w.Traces(t.Context(), id); err != nil || len(got) != 1 || got[0].Trace != root {
			t.Errorf("%s: got %+v, %v, want the trace %s", id, got, err, root)
		}
	}
	run.ID, run.Links = "00000000000000cc", make([]daruma.Link, 3*daruma.LinksMax)
	w.Spanned(run)
	if got, _, err := w.Spans(t.Context(), one); err != nil || len(got) != 2 || len(got[1].Links) != daruma.LinksMax {
		t.Errorf("got %d spans, %v: more links than %d are kept", len(got), err, daruma.LinksMax)
	}
}

func BenchmarkSpanned(b *testing.B) {
	w, err := New(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	s := span("0f4c7ad9", 1)
	s.Kind, s.Function, s.Version, s.Environment = daruma.SpanRun, "function", "$LATEST", "0f4c7ad9-6d0c-4b2e-8a34-0d7b0b0f1a11"
	b.ReportAllocs()
	for b.Loop() {
		w.tell(s)
	}
	cancel()
	<-done
}
