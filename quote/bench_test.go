package quote_test

import (
	"strings"
	"testing"

	"github.com/daruma-io/daruma/quote"
)

func BenchmarkPlainText(b *testing.B) {
	s := strings.Repeat("d", 200)
	buf := make([]byte, 0, 512)
	for b.Loop() {
		buf = quote.Append(buf[:0], s)
	}
}
