package runtime

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: r\r\n\r\n"))
	f.Add([]byte("POST /a?b HTTP/1.0\r\nContent-Length: 3\r\nConnection: x, close\r\nExpect: 100-continue\r\n\r\nabc"))
	f.Add([]byte("POST http://h/a HTTP/1.1\r\nTransfer-Encoding:chunked\r\nLambda-Extension-Name: \t n \r\n\r\n"))
	f.Add([]byte("\r\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r request
		n, err := parse(data, &r)
		if n < 0 || n > len(data) {
			t.Fatalf("got a length of %d of %d", n, len(data))
		}
		if err != nil || n == 0 {
			return
		}
		if !bytes.HasSuffix(data[:n], []byte("\r\n\r\n")) {
			t.Fatalf("got a head that ends in %q", data[max(0, n-4):n])
		}
		if len(r.method) == 0 || len(r.path) == 0 || r.length < 0 || r.chunked && r.length > 0 || bytes.ContainsAny(r.path, "\r\n ?") {
			t.Fatalf("got %+v", r)
		}
		var again request // what was parsed once is parsed alike when more follows
		if m, err := parse(append(append([]byte(nil), data...), "more"...), &again); m != n || err != nil {
			t.Fatalf("got %d, %v the second time, want %d", m, err, n)
		}
	})
}
