package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWhoAsksForItsOwnAddressIsToldWithoutASignature(t *testing.T) {
	f, _ := newFront(t)
	for _, c := range []struct{ method, host, from, want string }{
		{"GET", "checkip.amazonaws.com", "192.0.2.7:1234", "192.0.2.7\n"},
		{"GET", "checkip.amazonaws.com:443", "[2001:db8::1]:1234", "2001:db8::1\n"},
		{"GET", "checkip.amazonaws.com", "@", "127.0.0.1\n"},
		{"POST", "checkip.amazonaws.com", "192.0.2.7:1234", ""},
		{"GET", "checkip.us-east-1.amazonaws.com", "192.0.2.7:1234", ""},
	} {
		r, w := httptest.NewRequest(c.method, "http://"+c.host+"/", nil), httptest.NewRecorder()
		r.RemoteAddr = c.from
		f.ServeHTTP(w, r)
		switch got := w.Body.String(); {
		case c.want == "" && w.Code != http.StatusForbidden:
			t.Errorf("%s %s: got %d %q, want it refused as unsigned", c.method, c.host, w.Code, got)
		case c.want != "" && (w.Code != http.StatusOK || got != c.want):
			t.Errorf("%s %s from %s: got %d %q, want %q", c.method, c.host, c.from, w.Code, got, c.want)
		}
	}
}
