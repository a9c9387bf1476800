package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// witnessOf lets a witness see text in pieces of n bytes.
func witnessOf(text []byte, n int) *witness {
	t := &witness{}
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		t.see(piece)
		text = text[len(piece):]
	}
	return t
}

// FuzzWitness compares the witness with net/http's own parser: what a sound
// connection carries both must cut into the same requests, wherever the
// network cuts it.
func FuzzWitness(f *testing.F) {
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: x\r\ntEsT: 1\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabcPOST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: 1\r\n\r\nGET /d HTTP/1.1\r\nHost: x\r\n\r\n"), 1)
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 7)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		if n < 1 || len(text) > 16<<10 {
			return
		}
		w := witnessOf(text, n)
		if whole := witnessOf(text, len(text)+1); whole.bad != w.bad || !w.bad && len(whole.heads) != len(w.heads) {
			t.Fatalf("in pieces of %d: bad %v, %d heads; whole: bad %v, %d heads", n, w.bad, len(w.heads), whole.bad, len(whole.heads))
		}
		if w.bad {
			return
		}
		in := bufio.NewReader(bytes.NewReader(text))
		for i := 0; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if i >= len(w.heads) {
				t.Fatalf("net/http sees request %d, the witness saw %d", i+1, len(w.heads))
			}
			for _, name := range w.heads[i] {
				if _, ok := r.Header[http.CanonicalHeaderKey(name)]; !ok && !strings.EqualFold(name, "Host") && !strings.EqualFold(name, "Transfer-Encoding") && !strings.EqualFold(name, "Trailer") {
					t.Fatalf("request %d has no header %q", i+1, name)
				}
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
		}
	})
}

func TestAWitnessHoldsNoMoreThanALine(t *testing.T) {
	w := &witness{}
	piece := bytes.Repeat([]byte("x"), 1000)
	for range 1000 {
		w.see(piece)
	}
	if !w.bad || cap(w.line) > 0 {
		t.Errorf("after a megabyte without a line end: bad %v, holding %d bytes", w.bad, cap(w.line))
	}
}
