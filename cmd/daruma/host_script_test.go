package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// A host is a server on this machine that a script's functions reach as
// host.daruma.internal, on the port in $HOST_PORT.
type host struct {
	mu   sync.Mutex // guards gone
	gone map[string]*atomic.Bool
}

// mortal is a listener whose host may be gone: then it resets whoever writes. It
// keeps its port, which somebody else's server would be given otherwise.
type mortal struct {
	net.Listener
	gone *atomic.Bool
}

// Accept returns the next connection while the host is there, and resets those that come later.
func (m mortal) Accept() (net.Conn, error) {
	for {
		c, err := m.Listener.Accept()
		if err != nil || !m.gone.Load() {
			return c, err
		}
		go func() {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}()
	}
}

// script is the command "host": host start PATH=STATUS:BODY… answers so, and
// host stop makes it gone.
func (h *host) script(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: host start PATH=STATUS:BODY… | host stop")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	dir := ts.Getenv("WORK")
	if args[0] == "stop" {
		h.gone[dir].Store(true)
		return
	}
	mux := http.NewServeMux()
	for _, a := range args[1:] {
		var path, body string
		for i, c := range a {
			if c == '=' {
				path, body = a[:i], a[i+1:]
				break
			}
		}
		status, err := strconv.Atoi(body[:3])
		ts.Check(err)
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Set-Cookie", "session=hush-hush")
			w.WriteHeader(status)
			fmt.Fprint(w, body[4:])
		})
	}
	port := ts.Getenv("HOST_PORT")
	if port == "" {
		port = "0"
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	ts.Check(err)
	_, port, err = net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Setenv("HOST_PORT", port)
	s := &http.Server{Handler: mux}
	s.SetKeepAlivesEnabled(false)
	if h.gone == nil {
		h.gone = map[string]*atomic.Bool{}
	}
	h.gone[dir] = new(atomic.Bool)
	ts.Defer(func() { s.Close() })
	go s.Serve(mortal{ln, h.gone[dir]}) // ends when it is closed, after the script
}
