package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/tape"
)

// playedBodyBytesMax bounds the body of a request that is answered from a tape.
const playedBodyBytesMax = 64 << 20

// NotRecorded is the header of an answer that says: nobody was asked, and why.
const NotRecorded = "X-Daruma-Not-Recorded"

// forward hands the requests of a connection on to a host outside, to which up
// is the first connection. config is how further ones speak TLS; nil: not at all.
func (f *front) forward(c net.Conn, up net.Conn, config *tls.Config, at origin, d Dial) {
	first := make(chan net.Conn, 1)
	first <- up
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case c := <-first:
			return c, nil
		default:
		}
		c, err := f.e.connect(ctx, d.Host, d.Port)
		if err != nil || config == nil {
			return c, err
		}
		t := tls.Client(c, config)
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return t, nil
	}
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial, ForceAttemptHTTP2: true, DisableCompression: true, IdleConnTimeout: f.e.cfg.Limits.Idle}
	defer func() {
		transport.CloseIdleConnections()
		select {
		case c := <-first:
			c.Close()
		default:
		}
	}()
	host := net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port)))
	f.answer(c, countedBelow(c), at, &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // errors are told by the handler
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host, r.Out.URL.RawQuery = at.scheme, host, r.In.Host, r.In.URL.RawQuery
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = v
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if a, ok := w.(*answering); ok {
				a.err = err
			}
			panic(http.ErrAbortHandler) // the function sees the connection break, as it would have
		},
	})
}

// countedBelow returns the counted connection below c.
func countedBelow(c net.Conn) *counted {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*counted)
}

// answer serves the requests of a connection and returns when it is over.
func (f *front) answer(c net.Conn, counts *counted, at origin, next http.Handler) {
	counts.over, counts.origin, counts.next = make(chan struct{}), at, next
	f.serve(c)
}

// serve answers one request: from the tape, or by next, with a note of it.
func (t Tap) serve(f *front, w http.ResponseWriter, r *http.Request, at origin, next http.Handler) {
	switch {
	case t.Player != nil:
		t.play(f, w, r, at)
	case t.Recorder != nil:
		t.record(w, r, at, next)
	default:
		next.ServeHTTP(w, r)
	}
}

// record passes a request on and notes it and its answer.
func (t Tap) record(w http.ResponseWriter, r *http.Request, at origin, next http.Handler) {
	k := t.Recorder.Begin(at.scheme, at.host, int(at.port), r.Method, r.URL, r.Header)
	a := &answering{ResponseWriter: w, taking: k}
	r.Body = &sending{r.Body, k}
	defer func() {
		broken := recover()
		switch {
		case a.changed:
			k.Abandon("it changed its protocol, and what was said then is not recorded")
		case broken == nil:
			a.begin(http.StatusOK)
			k.End(a.trailer(), nil)
		case a.gone || r.Context().Err() != nil:
			k.Left()
		default:
			k.End(nil, orBroken(a.err))
		}
		if broken != nil {
			panic(broken)
		}
	}()
	next.ServeHTTP(a, r)
}

func orBroken(err error) error {
	if err == nil {
		return errors.New("the connection broke off")
	}
	return err
}

// sending notes a request's body on its way.
type sending struct {
	io.ReadCloser
	taking *tape.Taking
}

func (s *sending) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if n > 0 {
		s.taking.Sent(b[:n])
	}
	return n, err
}

// answering notes an answer on its way.
type answering struct {
	http.ResponseWriter
	taking  *tape.Taking
	begun   bool
	changed bool  // the connection speaks another protocol now
	gone    bool  // the function does not read any more
	err     error // why the host's answer is not whole
}

func (a *answering) begin(status int) {
	if !a.begun && status >= 200 {
		a.begun = true
		a.taking.Answered(status, a.Header())
	}
}

func (a *answering) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	a.taking.Received(b)
	n, err := a.ResponseWriter.Write(b)
	a.gone = a.gone || err != nil
	return n, err
}

// Flush passes on what there is.
func (a *answering) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() } // a client that is gone is noticed by the next write

// Hijack gives the connection away, as when it becomes a web socket.
func (a *answering) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.changed = a.changed || err == nil
	return c, rw, err
}

// Unwrap gives the rest of the writer.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// trailer returns what was set for after the body.
func (a *answering) trailer() http.Header {
	out := http.Header{}
	for name, values := range a.Header() {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			out[plain] = values
		}
	}
	for _, list := range a.Header().Values("Trailer") {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); len(a.Header()[name]) > 0 {
				out[name] = a.Header()[name]
			}
		}
	}
	return out
}

// perHop are the headers that belong to a connection, or that the server sets itself.
var perHop = map[string]bool{"Connection": true, "Keep-Alive": true, "Transfer-Encoding": true, "Upgrade": true, "Trailer": true, "Content-Length": true, "Proxy-Connection": true, "Te": true}

// play answers a request from the tape, after as long as it took then.
func (t Tap) play(f *front, w http.ResponseWriter, r *http.Request, at origin) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, playedBodyBytesMax))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	x, err := t.Player.Answer(tape.Ask{Scheme: at.scheme, Host: at.host, Port: int(at.port), Method: r.Method, URL: r.URL, Header: r.Header, Body: body})
	if err != nil {
		f.e.tell(f.env.ref, "egress: "+err.Error())
		w.Header().Set(NotRecorded, strings.Map(printable, err.Error()))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "daruma reproduce: " + err.Error()}) // the function may be gone
		return
	}
	if !x.Pending {
		wait := time.NewTimer(min(x.Took, policyMax))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if x.Pending && x.Status == 0 {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if x.Status == 0 {
		f.e.tell(f.env.ref, fmt.Sprintf("egress: %s failed as it was recorded: %s", x, x.Error))
		panic(http.ErrAbortHandler)
	}
	for name, values := range x.Header {
		if !perHop[name] || name == "Content-Length" && r.Method == http.MethodHead {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(x.Status)
	_, _ = w.Write(x.Body) // the function may be gone
	if x.Pending || x.Error != "" {
		_ = http.NewResponseController(w).Flush() // what came before it ended
		if x.Pending {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	for name, values := range x.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

func printable(c rune) rune {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}
