package pattern_test

import (
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/pattern"
)

// FuzzCompile holds that whatever comes as a pattern is compiled or refused as
// invalid, that what is compiled matches any event without a panic, and that
// an event is wanted or not, the same each time.
func FuzzCompile(f *testing.F) {
	for _, c := range matches {
		f.Add(c.pattern, c.event)
	}
	for _, c := range refusals {
		f.Add(c.pattern, `{"key":"x"}`)
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		v, err := pattern.Parse([]byte(event))
		if err != nil {
			v = pattern.Payload([]byte(event))
		}
		for _, compile := range []func() (*pattern.Pattern, error){
			func() (*pattern.Pattern, error) { return pattern.Compile(text) },
			func() (*pattern.Pattern, error) { return pattern.CompilePolicy(text, pattern.Body) },
		} {
			p, err := compile()
			if err != nil {
				if daruma.KindOf(err) != daruma.KindInvalid || pattern.Reason(err) == "" {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			if first, again := p.Matches(v), p.Matches(v); first != again {
				t.Fatalf("%q and %q: wanted once, and once not", text, event)
			}
		}
	})
}

// BenchmarkMatches is one event of a few hundred bytes and one pattern.
func BenchmarkMatches(b *testing.B) {
	p, err := pattern.Compile(`{"source":["shop"],"detail":{"state":[{"prefix":"re"},"open"],"size":[{"numeric":[">",9]}]}}`)
	if err != nil {
		b.Fatal(err)
	}
	v := parsed(b, `{"version":"0","id":"x","detail-type":"t","source":"shop","account":"1","time":"t","region":"r","resources":[],"detail":{"state":"reopened","size":12,"more":{"a":[1,2,3]}}}`)
	for b.Loop() {
		if !p.Matches(v) {
			b.Fatal("not matched")
		}
	}
}
