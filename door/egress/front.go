package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma/tape"
)

// Limits of a connection to the cloud.
const (
	helloMax       = 5 * time.Second        // waiting for a client to say which name it means
	handshakeMax   = 10 * time.Second       // a TLS handshake
	requestHeadMax = 30 * time.Second       // the head of a request, from its first byte
	heldLong       = 100 * time.Millisecond // a client whose connection was held for so long has given up for that reason
	headBytesMax   = 64 << 10               // AWS's own limits are lower and the door's to tell
)

// ServeCloud answers plain HTTP requests that come to ln with Config.Cloud,
// whatever their Host: it is what AWS_ENDPOINT_URL names inside an
// environment. It closes ln when ctx ends and returns when every request is over.
func (e *Egress) ServeCloud(ctx context.Context, ln net.Listener, who Ref) error {
	env, leave := e.enter(who)
	defer leave()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := e.newFront(ctx, env)
	wg.Go(f.run)
	at := addrPort(ln.Addr())
	d := Dial{Ref: who, Host: at.Addr().String(), Port: at.Port(), Cloud: true}
	origin := origin{"http", tape.Cloud, 0}
	return e.serve(ctx, ln, who, env.slots, func(ctx context.Context, c net.Conn) {
		stop := context.AfterFunc(ctx, func() { abort(c) })
		defer stop()
		p := e.peer(who, d.Host, d.Port)
		defer e.hold(d, c)() // as in handle
		decide, cancel := context.WithTimeout(ctx, policyMax)
		defer cancel()
		if _, ok := e.allowed(decide, d, p); !ok {
			refuse(c)
			return
		}
		p.connections.Add(1)
		f.serve(&counted{Conn: c, p: p, over: make(chan struct{}), origin: origin, next: e.cfg.Cloud})
	})
}

// A front hands the requests of one listener's connections to Config.Cloud, or
// to the host outside that the connection was going to.
type front struct {
	e   *Egress
	env *environment
	ctx context.Context // of the Serve call it belongs to
	srv *http.Server
	in  chan net.Conn // *counted, or *tls.Conn on one

	mu      sync.Mutex // guards closed, and orders it with requests
	closed  bool
	request sync.WaitGroup
}

func (e *Egress) newFront(ctx context.Context, env *environment) *front {
	f := &front{e: e, env: env, ctx: ctx, in: make(chan net.Conn)}
	base := context.WithValue(ctx, callerKey{}, env.ref)
	f.srv = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: requestHeadMax,
		IdleTimeout:       e.cfg.Limits.Idle,
		MaxHeaderBytes:    headBytesMax,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, countedOf(c))
		},
		ConnState: ended,
		ErrorLog:  log.New(frontLog{f}, "", 0),
	}
	return f
}

// run serves until the front's context ends, and returns when every request is over.
func (f *front) run() {
	stop := context.AfterFunc(f.ctx, func() { f.srv.Close() })
	defer stop()
	_ = f.srv.Serve(f) // always ends with http.ErrServerClosed: Accept fails only then
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.request.Wait()
}

// Accept, Close and Addr make the front the server's listener.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.in:
		return c, nil
	case <-f.ctx.Done():
		return nil, net.ErrClosed
	}
}
func (f *front) Close() error   { return nil }
func (f *front) Addr() net.Addr { return &net.TCPAddr{} }

// connKey is the context key of the connection a request came by.
type connKey struct{}

// ServeHTTP passes a request on, unless the front has ended: over HTTP/2 a
// request may start a moment after its connection was closed.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f.request.Add(1)
	f.mu.Unlock()
	defer f.request.Done()
	c := r.Context().Value(connKey{}).(*counted)
	f.env.tap.serve(f, w, r, c.origin, c.next)
}

// take serves one connection that was going to the cloud, and that the policy held so
// long, and returns when it is over.
func (f *front) take(c net.Conn, head []byte, d Dial, p *peer, held time.Duration) {
	if d.Port != portHTTP && d.Port != portHTTPS {
		f.e.deny(p, f.env.ref, fmt.Sprintf("the cloud's names are answered on ports %d and %d only", portHTTP, portHTTPS))
		abort(c)
		return
	}
	p.connections.Add(1)
	counts := &counted{Conn: c, head: head, p: p, over: make(chan struct{}), origin: origin{scheme(d.Port), d.Host, d.Port}, next: f.e.cfg.Cloud}
	if d.Port == portHTTP {
		f.serve(counts)
		return
	}
	var shown bool
	t := tls.Server(counts, f.e.tlsConfig(d.Host, &shown))
	ctx, cancel := context.WithTimeout(f.ctx, handshakeMax)
	err := t.HandshakeContext(ctx)
	cancel()
	if err != nil {
		if f.ctx.Err() == nil {
			f.e.fail(p, f.env.ref, handshakeError(err, shown && held < heldLong))
		}
		c.Close()
		return
	}
	f.serve(t)
}

// serve hands a connection to the server and returns when it is over.
func (f *front) serve(c net.Conn) {
	select {
	case f.in <- c:
		<-countedOf(c).over
	case <-f.ctx.Done():
		c.Close()
	}
}

// tlsConfig is for one connection to a host whose name was looked up: old
// clients do not repeat it in the handshake. shown becomes true once the
// client is being shown a certificate.
func (e *Egress) tlsConfig(host string, shown *bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (cert *tls.Certificate, err error) {
			if hello.ServerName == "" {
				cert, err = e.cfg.Authority.Leaf(host)
			} else {
				cert, err = e.cfg.Authority.GetCertificate(hello)
			}
			*shown = err == nil
			return cert, err
		},
		SessionTicketsDisabled: true, // a ticket would outlive the configuration that can read it
	}
}

// handshakeError says what a person can do. A client that does not trust a
// certificate says so in as many ways as there are TLS libraries, closing
// without a word among them; that it was shown one is the common mark.
func handshakeError(err error, shown bool) error {
	if !shown {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return fmt.Errorf("TLS handshake: %w (the client gave up when it saw the certificate: it probably brings its own list of roots and does not trust the platform's authority; give it the file that SSL_CERT_FILE names, or use the plain HTTP of AWS_ENDPOINT_URL)", err)
}

// counted counts a connection's bytes, reads head before the rest, and tells its end.
type counted struct {
	net.Conn
	head []byte
	p    *peer
	over chan struct{}

	origin origin       // where its requests were going
	next   http.Handler // who answers them
}

func (c *counted) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		c.p.out.Add(int64(n))
		return n, nil
	}
	n, err := c.Conn.Read(b)
	c.p.out.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.p.in.Add(int64(n))
	return n, err
}

// CloseWrite lets the server end its side first, so that a last answer is not lost to a reset.
func (c *counted) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// countedOf returns the counted connection below c.
func countedOf(c net.Conn) *counted {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*counted)
}

// ended is told each change of a connection; the server says StateClosed once, as the last.
func ended(c net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		close(countedOf(c).over)
	}
}

// frontLog passes the server's complaints on.
type frontLog struct{ f *front }

func (l frontLog) Write(b []byte) (int, error) {
	l.f.e.tell(l.f.env.ref, "egress: "+strings.TrimSpace(string(b)))
	return len(b), nil
}

var _ io.Writer = frontLog{}
