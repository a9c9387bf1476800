package story

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
)

func TestAStoryIsATree(t *testing.T) {
	at := func(ms int) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	told := console.Trace{Trace: "1-5759e988-bd862e3fe1be46a994272793", More: 2, Spans: []daruma.Span{
		{ID: "a", Kind: daruma.SpanCall, Name: "POST /orders", At: at(0), Duration: ms(420), Request: "r1", Outcome: daruma.Done, Status: 201},
		{ID: "b", Parent: "a", Kind: daruma.SpanRun, Function: "Orders", Version: "7", Environment: "e1", At: at(350), Wait: ms(50), Init: ms(300), Cold: true, Duration: ms(60), Request: "r1", Outcome: daruma.Done},
		{ID: "c", Parent: "b", Kind: daruma.SpanAccept, Name: "Send Charge", At: at(360), Duration: ms(2), Request: "r2", Outcome: daruma.Done, Status: 202},
		{ID: "d", Parent: "c", Kind: daruma.SpanRun, Function: "Charge", Version: "$LATEST", Environment: "e2", At: at(400), Duration: ms(5), Request: "r2", Attempt: 1, Outcome: daruma.FunctionError, ErrorType: "TypeError"},
		{ID: "e", Parent: "b", Kind: daruma.SpanCall, Name: "Invoke Price", At: at(405), Duration: ms(1), Request: "r3", Outcome: daruma.Throttled, ErrorType: "TooManyRequestsException", Status: 429},
		{ID: "f", Parent: "c", Kind: daruma.SpanRun, Function: "Charge", Environment: "e2", At: at(60_405), Wait: ms(60_300), Duration: ms(3), Request: "r2", Attempt: 2, Outcome: daruma.TimedOut},
		{ID: "h", Parent: "gone", Kind: daruma.SpanRun, Function: "Notify", At: at(60_500), Duration: ms(1), Request: "r4", Attempt: 1, Source: "destination", From: "F-9", Outcome: daruma.Crashed},
	}, Failures: []*ledger.Failure{
		{Number: 3, At: at(60_409), Request: "r2", State: ledger.Open, Hop: ledger.Async, Message: "no price"},
		{Number: 4, At: at(60_410), Request: "r2", State: ledger.Open, Hop: ledger.Destination, Message: "no sink"},
		{Number: 5, At: at(60_411), Request: "old", State: ledger.Discarded, Hop: ledger.Call, Function: "Old", ErrorType: "E", Message: "m"},
	}}
	s := New(told)
	for _, l := range []daruma.Line{
		{Request: "r2", Environment: "e2", Stream: daruma.Platform, Text: "START RequestId: r2"}, {Request: "r2", Environment: "e2", Stream: daruma.Stdout, Text: "first\ttry\n"},
		{Request: "r2", Environment: "e2", Stream: daruma.Platform, Text: "START RequestId: r2"}, {Request: "r2", Environment: "e2", Stream: daruma.Stdout, Text: "second try"},
		{Request: "r2", Environment: "e9", Stream: daruma.Stdout, Text: "nobody's"},
	} {
		s.Attach(l)
	}
	var out bytes.Buffer
	s.Show(&out, false)
	_, got, _ := bytes.Cut(out.Bytes(), []byte("\n\n"))
	want := `  0.00 ms  POST /orders → 201                                                                 420 ms
  0.00 ms  │  ⋯ waited                                                                       50.0 ms
  50.0 ms  │  ⋯ cold start of e1                                                              300 ms
   350 ms  └─ Orders:7: done                                                                 60.0 ms
   360 ms     ├─ Send Charge → 202 accepted                                                   2.0 ms
   400 ms     │  ├─ Charge, attempt 1: function error TypeError                               5.0 ms
              │  │     first try
   405 ms     │  │  ⋯ waited                                                                    1m0s
     1m0s     │  └─ Charge, attempt 2: timed out                                              3.0 ms
              │     → F-3 open: no price
              │     → F-4 open, destination: no sink
              │        second try
   405 ms     └─ Invoke Price → 429 TooManyRequestsException                                  1.0 ms
     1m1s  request r4, of which no more is kept yet
     1m1s  ├─ Notify, F-9 sent back, attempt 1: crashed                                       1.0 ms
           └─ ⋯ no end is known yet
F-5  call Old discarded: E: m
and 2 spans more
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAStoryFitsAHundredColumnsAndSurvivesNonsense(t *testing.T) {
	long := string(bytes.Repeat([]byte("ä"), 300))
	s := New(console.Trace{Trace: "1-5759e988-bd862e3fe1be46a994272793", Spans: []daruma.Span{
		{ID: "a", Parent: "a", Kind: daruma.SpanCall, Name: long, Status: 200, Outcome: daruma.Done},
		{ID: "b", Parent: "a", Kind: daruma.SpanRun, Function: long, Outcome: daruma.Refused, ErrorType: long},
	}, Failures: []*ledger.Failure{{Number: 1, Message: long}}})
	var out bytes.Buffer
	s.Show(&out, false)
	for line := range bytes.Lines(out.Bytes()) {
		if n := len([]rune(string(line))) - 1; n > width && !bytes.HasPrefix(line, []byte("F-1")) {
			t.Errorf("got %d columns: %s", n, line)
		}
	}
}

func TestAReproductionIsToldAndDecidesNothing(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := New(console.Trace{Trace: "1-5759e988-bd862e3fe1be46a994272793", Spans: []daruma.Span{
		{ID: "a", Kind: daruma.SpanAccept, Name: "Send Charge", At: at, Request: "r", Outcome: daruma.Done, Status: 202},
		{ID: "b", Parent: "a", Kind: daruma.SpanRun, Function: "Charge", At: at, Request: "r", Attempt: 1, Outcome: daruma.FunctionError},
		{ID: "c", Parent: "a", Kind: daruma.SpanRun, Function: "Charge", At: at.Add(time.Second), Request: "r", Source: daruma.Reproduction, From: "F-1", Outcome: daruma.Done},
	}, Failures: []*ledger.Failure{{Number: 1, At: at.Add(2 * time.Second), Request: "r", State: ledger.Open}}})
	var out bytes.Buffer
	s.Show(&out, false)
	_, got, _ := bytes.Cut(out.Bytes(), []byte("\n\n"))
	want := `  0.00 ms  Send Charge → 202 accepted                                                        0.00 ms
  0.00 ms  ├─ Charge, attempt 1: function error                                              0.00 ms
           │  → F-1 open
    1.0 s  └─ Charge, F-1 reproduced: done                                                   0.00 ms
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAStoryFollowsMessages(t *testing.T) {
	at := func(ms int) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	about := func(ids ...string) (links []daruma.Link) {
		for _, id := range ids {
			links = append(links, daruma.Link{Message: id})
		}
		return links
	}
	s := New(console.Trace{Trace: "1-5759e988-bd862e3fe1be46a994272793", Spans: []daruma.Span{
		{ID: "a", Kind: daruma.SpanSend, Name: "Send in", Source: "queue in", At: at(0), Duration: ms(1), Status: 200, Outcome: daruma.Done, Links: about("m1", "m2")},
		{ID: "b", Kind: daruma.SpanSend, Name: "Send in", Source: "queue in", At: at(1), Duration: ms(1), Status: 200, Outcome: daruma.Done, Links: about("m3")},
		{ID: "c", Parent: "a", Kind: daruma.SpanRun, Function: "W", Source: "queue in", At: at(100), Wait: ms(100), Duration: ms(10), Request: "r1", Outcome: daruma.FunctionError, Links: about("m1", "m3")},
		{ID: "d", Parent: "a", Kind: daruma.SpanRun, Function: "W", Source: "queue in", At: at(2000), Wait: ms(1900), Duration: ms(10), Request: "r2", Attempt: 2, Outcome: daruma.Done, Links: about("m1")},
		{ID: "e", Kind: daruma.SpanSend, Name: "Publish t", Source: "topic t", At: at(2100), Duration: ms(1), Status: 200, Outcome: daruma.Done, Links: []daruma.Link{{Message: "p1"}, {Message: "m4", To: "queue shelf"}, {Message: "r3", To: "function F"}}},
		{ID: "f", Parent: "e", Kind: daruma.SpanRun, Function: "F", Source: "topic", At: at(2200), Duration: ms(1), Request: "r3", Attempt: 1, Outcome: daruma.Done},
		{ID: "g", Parent: "e", Kind: daruma.SpanPost, Name: "POST http://x/", At: at(2300), Duration: ms(5), Attempt: 1, Status: 500, Outcome: daruma.FunctionError, Links: about("p1")},
		{ID: "h", Parent: "gone", Kind: daruma.SpanRun, Function: "W", Source: "queue in", At: at(2400), Duration: ms(1), Request: "r4", Attempt: 1, From: "F-1", Outcome: daruma.Done, Links: about("m9")},
	}, Failures: []*ledger.Failure{
		{Number: 1, At: at(2350), Request: "m3", State: ledger.Open, Hop: ledger.Queued, Message: "no price", Handover: []byte(`{"deadLetter":"dead"}`)},
		{Number: 2, At: at(2360), Request: "p1", State: ledger.Open, Hop: ledger.Published, Message: "HTTP 500"},
	}})
	var out bytes.Buffer
	s.Show(&out, false)
	_, got, _ := bytes.Cut(out.Bytes(), []byte("\n\n"))
	want := `  0.00 ms  Send in → 200, 2 messages                                                          1.0 ms
  0.00 ms  │  ⋯ waited in in                                                                  100 ms
   100 ms  ├─ W, batch of 2: function error                                                  10.0 ms
           │  → F-1 open, dead letter in dead: no price
   110 ms  │  ⋯ waited in in                                                                   1.9 s
    2.0 s  ├─ W, attempt 2: done                                                             10.0 ms
           └─ ⋯ no end is known yet
   1.0 ms  Send in → 200                                                                      1.0 ms
   100 ms  └─ W, in the batch that is told above
    2.1 s  Publish t → 200                                                                    1.0 ms
    2.1 s  ├─ → queue shelf
           │  └─ ⋯ no end is known yet
    2.1 s  ├─ → function F
    2.2 s  │  └─ F, attempt 1: done                                                           1.0 ms
    2.3 s  └─ POST http://x/, attempt 1 → 500                                                 5.0 ms
              → F-2 open: HTTP 500
    2.4 s  message m9, of which no more is kept
    2.4 s  └─ W, F-1 sent back, attempt 1: done                                               1.0 ms
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
