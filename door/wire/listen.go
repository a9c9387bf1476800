package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/daruma-io/daruma"
)

// Serve answers requests from ln until ctx ends, then waits up to
// Config.Grace for those under way, cuts off the rest and returns nil. It
// closes ln. It returns an error when ln fails before.
func (f *Front) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           f,
		ReadHeaderTimeout: headerTimeMax,
		IdleTimeout:       idleTimeMax,
		MaxHeaderBytes:    headerBytesMax - 4096, // net/http reads 4 KiB more than it is told
		ErrorLog:          slog.NewLogLogger(f.cfg.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() {
		failed <- srv.Serve(&boundedListener{Listener: ln, total: f.cfg.Conns, perIP: f.cfg.ConnsPerIP, open: map[string]int{}})
	}()
	select {
	case err := <-failed:
		srv.Close()
		return &daruma.Error{Op: "serve AWS requests", Kind: daruma.KindUnavailable, Ref: ln.Addr().String(), Err: err}
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.Grace)
	defer cancel()
	if srv.Shutdown(end) != nil {
		srv.Close()
	}
	<-failed //nolint:errcheck // it ends because it was closed
	return nil
}

// CheckBind refuses an address that others on the network could reach, unless
// the listener speaks TLS. Every request is authenticated in any case; without
// TLS what it says and what is answered could be read on the way.
func CheckBind(addr string, tls bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return &daruma.Error{Op: "listen", Kind: daruma.KindInvalid, Ref: addr, Err: err, Hint: "give an address as host:port"}
	}
	ip := net.ParseIP(host)
	if tls || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return &daruma.Error{Op: "listen", Kind: daruma.KindDenied, Ref: addr, Err: errors.New("reachable from other machines, without TLS"), Hint: "listen on 127.0.0.1, or give a certificate"}
}

// boundedListener closes connections beyond its bounds as soon as they come.
type boundedListener struct {
	net.Listener
	total, perIP int

	mu   sync.Mutex // guards the rest
	all  int
	open map[string]int // by address
}

// Accept returns the next connection there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = "" // not an IP network: one bucket
		}
		if l.take(host) {
			return &boundedConn{Conn: c, give: sync.OnceFunc(func() { l.give(host) })}, nil
		}
		c.Close()
	}
}

func (l *boundedListener) take(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || l.open[host] >= l.perIP {
		return false
	}
	l.all++
	l.open[host]++
	return true
}

func (l *boundedListener) give(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[host]--; l.open[host] == 0 {
		delete(l.open, host)
	}
}

type boundedConn struct {
	net.Conn
	give func()
}

// Close closes the connection and gives its place back.
func (c *boundedConn) Close() error {
	c.give()
	return c.Conn.Close()
}
