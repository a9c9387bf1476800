package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daruma-io/daruma"
)

const (
	w3cID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	w3cParent = "00f067aa0ba902b7"
	w3cRoot   = "1-4bf92f35-77b34da6a3ce929d0e0e4736"
)

// spanned has the world's door tell its spans.
func (w *world) spanned() func() []daruma.Span {
	told := make(chan daruma.Span, 64)
	w.door.cfg.Spanned = func(s daruma.Span) { told <- s }
	return func() (spans []daruma.Span) {
		for len(told) > 0 {
			spans = append(spans, <-told)
		}
		return spans
	}
}

func TestATraceparentIsTakenOverAndAnswered(t *testing.T) {
	w := shop(t)
	spans := w.spanned()
	got := w.do("GET", "/web/a/b", "", "traceparent: 00-"+w3cID+"-"+w3cParent+"-01", "tracestate: vendor=1, other=2")
	same(t, "synthesized", at(w.event(), "headers", "x-amzn-trace-id"), any("Root="+w3cRoot+";Parent="+w3cParent+";Sampled=1"))
	same(t, "passed on", at(w.event(), "headers", "traceparent"), any("00-"+w3cID+"-"+w3cParent+"-01"))
	same(t, "passed on", at(w.event(), "headers", "tracestate"), any("vendor=1, other=2"))
	s := spans()[0]
	if s.Parent != w3cParent || s.Trace != w3cRoot || s.State != "vendor=1, other=2" {
		t.Errorf("got %+v", s)
	}
	if want := "Root=" + w3cRoot + ";Parent=" + s.ID + ";Sampled=1"; w.runner.last(t).Trace != want {
		t.Errorf("handed on: got %q, want %q", w.runner.last(t).Trace, want)
	}
	got.has(t, "Traceparent", "00-"+w3cID+"-"+s.ID+"-01")
	got.has(t, "X-Amzn-Trace-Id", "Root="+w3cRoot)

	if got := w.do("GET", "/web/a/b", ""); got.Header.Get("Traceparent") != "" {
		t.Errorf("got traceparent %q for a request without one", got.Header.Get("Traceparent"))
	}
	if got := w.do("GET", "/web/a/b", "", "traceparent: 00-"+w3cID+"-"+w3cParent); got.Header.Get("Traceparent") != "" || strings.Contains(got.Header.Get("X-Amzn-Trace-Id"), "4bf92f35") {
		t.Errorf("got %v for a traceparent that is cut", got.Header)
	}
}

func TestOfTwoTracesTheOneTheServicesKnowDecides(t *testing.T) {
	w := shop(t)
	spans := w.spanned()
	const given = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"
	w.do("GET", "/web/a/b", "", "X-Amzn-Trace-Id: "+given, "traceparent: 00-"+w3cID+"-"+w3cParent+"-01")
	s := spans()[0]
	if s.Trace != "1-5759e988-bd862e3fe1be46a994272793" || s.Parent != "" || !cmp.Equal(s.Keys, []string{w3cID}) {
		t.Errorf("got %+v, want the X-Amzn-Trace-Id's, found by the other ID, too", s)
	}
	w.do("GET", "/web/a/b", "", "X-Amzn-Trace-Id: Root="+w3cRoot, "traceparent: 00-"+w3cID+"-"+w3cParent+"-01")
	if s := spans()[0]; s.Trace != w3cRoot || s.Parent != w3cParent || !strings.HasSuffix(w.runner.last(t).Trace, ";Sampled=1") {
		t.Errorf("got %+v and %s, want what the header lacks from the traceparent", s, w.runner.last(t).Trace)
	}
}

func TestEveryRequestWithARunIsASpan(t *testing.T) {
	w := shop(t)
	spans := w.spanned()
	w.do("GET", "/web/a/b?secret=1", "")
	w.do("GET", "/none/here", "", "Host: nobody.execute-api.eu-west-1.amazonaws.com")
	inv := w.runner.last(t)
	want := []daruma.Span{{Trace: daruma.TraceRoot(inv.Trace), Kind: daruma.SpanCall, Name: "GET /web/a/b", At: inv.At, Function: inv.Target.Function, Request: inv.ID, Source: "http", Outcome: daruma.Done, Status: 200}}
	if diff := cmp.Diff(want, spans(), cmpopts.IgnoreFields(daruma.Span{}, "ID", "Version", "Duration")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEveryAnswerNamesItsTrace(t *testing.T) {
	w := shop(t)
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for path, whole := range map[string]bool{"/web/a/b": false, "/Prod/shop": false, "/_/Fn/x": true, "/Prod/none": false} {
		got := w.do("GET", path, "", "X-Amzn-Trace-Id: "+root+";Sampled=1").Header.Get("X-Amzn-Trace-Id")
		if !whole && got != root || whole && (!strings.HasPrefix(got, root+";Parent=") || !strings.HasSuffix(got, ";Sampled=1")) {
			t.Errorf("%s: got %q", path, got)
		}
	}
	own := open(t, answering(`{"statusCode":200,"headers":{"x-amzn-trace-id":"own","traceparent":"own"}}`), setup{apis: shopAPIs(), clock: &fixedClock{at: noon}})
	got := own.do("GET", "/web/a/b", "", "traceparent: 00-"+w3cID+"-"+w3cParent+"-01")
	got.has(t, "X-Amzn-Trace-Id", "own")
	got.has(t, "Traceparent", "own")
}
