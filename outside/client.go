package outside

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// Limits bound one exchange. What is 0 has its default.
type Limits struct {
	Time      time.Duration // from the dial to the answer's last byte, redirects included; 10 s
	BodyBytes int64         // of an answer; reading on is an error; 64 KiB
	Redirects int           // that are followed, -1 for none; 3
	Idle      time.Duration // how long an unused connection stays open; 30 s
}

func (l Limits) withDefaults() Limits {
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	if l.BodyBytes == 0 {
		l.BodyBytes = 64 << 10
	}
	if l.Redirects == 0 {
		l.Redirects = 3
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	return l
}

// headerBytesMax bounds the headers of an answer.
const headerBytesMax = 32 << 10

// kept are the headers that follow a redirect to another host. All others stay:
// they may be credentials or signatures, which were meant for the first.
var kept = []string{"Accept", "Content-Type", "User-Agent"}

// Client returns an HTTP client whose connections the guard opens. It follows
// redirects a few times, never from HTTPS to HTTP, and takes no credentials to
// another host; every one is dialed, and so checked, anew. It uses no proxy,
// keeps no cookies and asks for no compression.
//
// The client's idle connections end by themselves; http.Client.CloseIdleConnections ends them at once.
func (g *Guard) Client(l Limits) *http.Client {
	l = l.withDefaults()
	return &http.Client{
		Timeout: l.Time,
		Transport: bounded{l.BodyBytes, &http.Transport{
			DialContext: g.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 4, MaxConnsPerHost: 16, IdleConnTimeout: l.Idle,
			TLSHandshakeTimeout: l.Time, ResponseHeaderTimeout: l.Time, MaxResponseHeaderBytes: headerBytesMax,
		}},
		CheckRedirect: func(to *http.Request, via []*http.Request) error { return redirect(to, via, l.Redirects) },
	}
}

func redirect(to *http.Request, via []*http.Request, most int) error {
	last := via[len(via)-1]
	switch {
	case len(via) > most:
		return &daruma.Error{Op: "follow redirect", Kind: daruma.KindDenied, Err: fmt.Errorf("more than %d redirects", max(most, 0))}
	case to.URL.Scheme != "https" && to.URL.Scheme != "http":
		return &daruma.Error{Op: "follow redirect", Kind: daruma.KindDenied, Err: errors.New("it leads to something that is not HTTP")}
	case last.URL.Scheme == "https" && to.URL.Scheme != "https":
		return &daruma.Error{Op: "follow redirect", Kind: daruma.KindDenied, Err: errors.New("it leads from HTTPS to HTTP")}
	}
	to.Header.Del("Referer") // the address may be a secret
	if !strings.EqualFold(to.URL.Host, via[0].URL.Host) {
		for name := range to.Header {
			if !slices.Contains(kept, name) {
				to.Header.Del(name)
			}
		}
		to.URL.User = nil
	}
	return nil
}

// bounded is a transport that bounds the answers' bodies.
type bounded struct {
	bytes int64
	*http.Transport
}

// RoundTrip sends a request and bounds what is read of its answer.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &bound{ReadCloser: resp.Body, left: b.bytes}
	return resp, nil
}

type bound struct {
	io.ReadCloser
	left int64
}

// ErrTooLarge ends the reading of an answer that is longer than it may be.
var ErrTooLarge = errors.New("the answer is larger than it may be")

// Read reads up to the bound.
func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
