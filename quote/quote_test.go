package quote_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/quote"
)

func TestTextsAreReadAsWhatWasWritten(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aB\"\\\x00\x01\x1f\n\r\t/é世😀\u2028<&>\u007f")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "s")
		var back string
		if err := json.Unmarshal(quote.Append([]byte(" "), s), &back); err != nil || back != s {
			t.Fatalf("%q: got %q, %v", s, back, err)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("\xff\xc3\x28\"\\\x00\xe2\x80"))
	f.Fuzz(func(t *testing.T, in []byte) {
		want, _ := json.Marshal(string(in)) // makes U+FFFD of what is not UTF-8
		var a, b string
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(quote.Append(nil, in), &b); err != nil || a != b {
			t.Fatalf("%q: got %q, want %q: %v", in, b, a, err)
		}
		if string(quote.Append(nil, in)) != string(quote.Append(nil, string(in))) {
			t.Fatal("bytes and strings differ")
		}
	})
}
