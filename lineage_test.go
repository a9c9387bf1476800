package daruma_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
)

const header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"

func TestAChainCountsEachFunctionOnItsOwn(t *testing.T) {
	trace := header
	for i := range 20 {
		var n int
		if trace, n = daruma.Chained(trace, "a"); n != i+1 {
			t.Errorf("got %d invocations of a, want %d", n, i+1)
		}
		if i%2 == 0 {
			trace, _ = daruma.Chained(trace, "b")
		}
	}
	if a, b, c := daruma.Chain(trace, "a"), daruma.Chain(trace, "b"), daruma.Chain(trace, "c"); a != 20 || b != 10 || c != 0 {
		t.Errorf("got %d, %d and %d invocations in %s, want 20, 10 and 0", a, b, c, trace)
	}
	if !strings.HasPrefix(trace, header+";Lineage=") || strings.Count(trace, "Lineage=") != 1 {
		t.Errorf("got %s, want the header and one Lineage", trace)
	}
}

func TestALineageIsReadAsServicesWriteIt(t *testing.T) {
	own, _ := daruma.Chained("", "f")
	hash := strings.TrimSuffix(strings.TrimPrefix(own, "Lineage="), ":0")
	for sent, want := range map[string]string{
		header: header + ";Lineage=" + hash + ":0",
		header + ";Lineage=a87bd80c:1|68fd508a:5":                                                     header + ";Lineage=a87bd80c:1|68fd508a:5|" + hash + ":0",
		header + ";Lineage=1:" + hash + ":3|a87bd80c:1":                                               header + ";Lineage=a87bd80c:1|" + hash + ":4",
		header + ";Lineage=" + hash + ":3;Lineage=" + hash + ":7":                                     header + ";Lineage=" + hash + ":8",
		header + ";Lineage=a:0|x|87654321:|:1|A87BD80C:1|87654321:-1|1:2:87654321:0|87654321:1234567": header + ";Lineage=" + hash + ":0",
		"Lineage=" + hash + ":999999;" + header:                                                       header + ";Lineage=" + hash + ":999999",
	} {
		if got, _ := daruma.Chained(sent, "f"); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sent, got, want)
		}
	}
}

func TestALongChainForgetsWhoWasInvokedLongestAgo(t *testing.T) {
	trace := header
	for i := range 100 {
		trace, _ = daruma.Chained(trace, fmt.Sprint("f", i))
		trace, _ = daruma.Chained(trace, "often")
	}
	if n := daruma.Chain(trace, "often"); n != 100 {
		t.Errorf("got %d, want 100", n)
	}
	if daruma.Chain(trace, "f99") != 1 || daruma.Chain(trace, "f0") != 0 || len(trace) > 512 {
		t.Errorf("got %d bytes: %s", len(trace), trace)
	}
}

func FuzzChained(f *testing.F) {
	f.Add(header+";Lineage=a87bd80c:1|68fd508a:5|1:c512fbe3:2", "f")
	f.Add("Lineage=;;Lineage=|:|", "")
	f.Fuzz(func(t *testing.T, sent, function string) {
		once, n := daruma.Chained(sent, function)
		if got := daruma.Chain(once, function); got != n || n < 1 {
			t.Fatalf("%q became %q: counted %d, and then %d", sent, once, n, got)
		}
		twice, m := daruma.Chained(once, function)
		if m != min(n+1, 1000000) || daruma.Chain(twice, function) != m {
			t.Fatalf("%q became %q: counted %d after %d", sent, twice, m, n)
		}
		if len(twice) > len(sent)+512 {
			t.Errorf("%q grew to %q", sent, twice)
		}
	})
}
