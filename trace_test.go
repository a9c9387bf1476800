package daruma_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
)

const (
	xrayRoot  = "1-5759e988-bd862e3fe1be46a994272793"
	w3cID     = "5759e988bd862e3fe1be46a994272793"
	w3cParent = "00-" + w3cID + "-53995c3f42cd8ad8-01"
)

func TestATraceHeaderIsReadWhateverTheOrderOfItsFields(t *testing.T) {
	for sent, want := range map[string]string{
		header: header,
		"Self=1-0-a; Sampled=1 ;Lineage=a87bd80c:1;Parent=53995c3f42cd8ad8;Root=" + xrayRoot: "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1;Self=1-0-a;Lineage=a87bd80c:1",
		"Root=" + xrayRoot + ";Sampled=?":                                      "Root=" + xrayRoot + ";Sampled=?",
		"Root=" + strings.ToUpper(xrayRoot) + ";Parent=53995C3F42CD8AD8":       "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8",
		"Root=" + xrayRoot + ";Parent=short;Sampled=2;a=b c;e=\x01;;=;f":       "Root=" + xrayRoot,
		"Root=" + xrayRoot + ";Root=1-00000000-111111111111111111111111":       "Root=" + xrayRoot,
		"Root=" + xrayRoot + ";x=" + strings.Repeat("y", 300) + ";Lineage=a:0": "Root=" + xrayRoot + ";Lineage=a:0",
	} {
		got, ok := daruma.ParseTrace(sent)
		if !ok || got.String() != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sent, got, want)
		}
	}
	for _, sent := range []string{"", ";", "Root=", "Root=1-zz", "Parent=53995c3f42cd8ad8;Sampled=1", "Root=1-00000000-000000000000000000000000",
		"Root=2-5759e988-bd862e3fe1be46a994272793", "Root=" + xrayRoot + "0", header + strings.Repeat(";", 1024), strings.Repeat(";", 20) + "Root=" + xrayRoot} {
		if got, ok := daruma.ParseTrace(sent); ok || got != (daruma.Trace{}) {
			t.Errorf("%q: got %s, want nothing", sent, got)
		}
	}
}

func TestATraceparentIsReadAsTheW3CSays(t *testing.T) {
	for sent, want := range map[string]string{
		w3cParent:                                        "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1",
		"00-" + w3cID + "-53995c3f42cd8ad8-00":           "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=0",
		"00-" + w3cID + "-53995c3f42cd8ad8-0b":           "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1",
		"cc-" + w3cID + "-53995c3f42cd8ad8-01":           "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1",
		"cc-" + w3cID + "-53995c3f42cd8ad8-01-what-else": "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1",
	} {
		if got, ok := daruma.ParseTraceParent(sent); !ok || got.String() != want {
			t.Errorf("%s: got %s, want %s", sent, got, want)
		}
	}
	for _, sent := range []string{"", w3cParent[:54], w3cParent + "-x", w3cParent + "x", "ff" + w3cParent[2:], "cc" + w3cParent[2:] + ".x", strings.ToUpper(w3cParent), "0g" + w3cParent[2:],
		"00-00000000000000000000000000000000-53995c3f42cd8ad8-01", "00-" + w3cID + "-0000000000000000-01", strings.ReplaceAll(w3cParent, "-", "_"), "cc-" + w3cID + "-53995c3f42cd8ad8-01-" + strings.Repeat("x", 1024)} {
		if got, ok := daruma.ParseTraceParent(sent); ok {
			t.Errorf("%q: got %s, want nothing", sent, got)
		}
	}
}

func TestXAmznTraceIDDecidesAndATraceparentAddsToIt(t *testing.T) {
	now := time.Unix(0x5e6a879e, 0)
	const other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, tt := range []struct{ header, parent, want string }{
		{header, other, header},
		{"Root=" + xrayRoot, w3cParent, "Root=" + xrayRoot + ";Parent=53995c3f42cd8ad8;Sampled=1"},
		{"Root=" + xrayRoot + ";Parent=aaaaaaaaaaaaaaaa;Sampled=0", w3cParent, "Root=" + xrayRoot + ";Parent=aaaaaaaaaaaaaaaa;Sampled=0"},
		{"garbage", other, "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"},
		{"", "garbage", "Root=1-5e6a879e-"},
	} {
		if got := daruma.TraceOf(tt.header, tt.parent, now).String(); got != tt.want && (!strings.HasSuffix(tt.want, "-") || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s and %s: got %s, want %s", tt.header, tt.parent, got, tt.want)
		}
	}
}

func TestBothFormsOfATraceAreTheSameTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(1, 1<<32-1).Draw(t, "seconds"), 0)
		want := daruma.NewTrace(now)
		if !strings.HasPrefix(want.Root, fmt.Sprintf("1-%08x-", now.Unix())) {
			t.Fatalf("got root %s for second %08x", want.Root, now.Unix())
		}
		want.Parent, want.Sampled = daruma.NewSpanID(), rapid.SampledFrom([]string{"0", "1"}).Draw(t, "sampled")
		if got, ok := daruma.ParseTrace(want.String()); !ok || got != want {
			t.Fatalf("%s: got %+v, want %+v", want, got, want)
		}
		if got, ok := daruma.ParseTraceParent(want.TraceParent()); !ok || got != want {
			t.Fatalf("%s: got %+v, want %+v", want.TraceParent(), got, want)
		}
		for _, name := range []string{want.Root, want.ID(), want.String(), want.TraceParent(), strings.ToUpper(want.ID())} {
			if got := daruma.TraceRoot(name); got != want.Root {
				t.Fatalf("%s: got root %q, want %q", name, got, want.Root)
			}
		}
	})
	for _, name := range []string{"", "F-17", "0f4c7ad9-6d0c-4b2e-8a34-0d7b0b0f1a11", "order 4711", strings.Repeat("0", 32), w3cID[1:]} {
		if got := daruma.TraceRoot(name); got != "" {
			t.Errorf("%q: got root %q, want none", name, got)
		}
	}
}

func TestATracestateThatIsNoHeaderIsLeftOut(t *testing.T) {
	for sent, want := range map[string]string{"a=1, b=2": "a=1, b=2", "a=\n": "", strings.Repeat("a", 513): "", "": ""} {
		if got := daruma.TraceState(sent); got != want {
			t.Errorf("%q: got %q, want %q", sent, got, want)
		}
	}
}

func FuzzTraceOf(f *testing.F) {
	f.Add(header+";Lineage=a87bd80c:1;Self=x", w3cParent)
	f.Add(";;=;Root=", "00-")
	f.Fuzz(func(t *testing.T, sent, traceparent string) {
		got := daruma.TraceOf(sent, traceparent, time.Unix(1700000000, 0))
		text := got.String()
		again, ok := daruma.ParseTrace(text)
		if !ok || again != got || len(text) > daruma.TraceBytesMax || strings.ContainsAny(text, "\r\n\x00 ") {
			t.Fatalf("%q and %q became %q and then %q", sent, traceparent, text, again)
		}
		if root := daruma.TraceRoot(got.ID()); root != got.Root {
			t.Errorf("%q: got root %q of %q", text, root, got.ID())
		}
		if next, n := daruma.Chained(text, "f"); n < 1 || daruma.TraceRoot(next) != got.Root {
			t.Errorf("%q became %q in a chain", text, next)
		}
	})
}

func TestAnOutcomeIsWrittenInWordsAndReadBack(t *testing.T) {
	for k := daruma.Done; k <= daruma.Unknown; k++ {
		b, err := json.Marshal(k)
		var got daruma.OutcomeKind
		if err != nil || json.Unmarshal(b, &got) != nil || got != k {
			t.Errorf("%v: got %s and %v", k, b, got)
		}
	}
	var k daruma.OutcomeKind
	if err := json.Unmarshal([]byte(`"fine"`), &k); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want an error that says so", err)
	}
}
