package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// wireHeaderBytesMax bounds a request's head before it is parsed; beyond it
// net/http answers 431 on its own and in plain text.
const wireHeaderBytesMax = 16 << 10

// Serve answers requests that come to ln until ctx ends, then lets those
// under way finish for Limits.DrainTime and breaks off the rest. It returns
// when no goroutine of it is left; nil when ctx ended it. It closes ln.
func (d *Door) Serve(ctx context.Context, ln net.Listener) error {
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler:                      d,
		ReadHeaderTimeout:            d.cfg.Limits.HeaderTime,
		IdleTimeout:                  d.cfg.Limits.IdleTime,
		MaxHeaderBytes:               wireHeaderBytesMax,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(d.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, witnessKey{}, conn)
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			}
		},
		Protocols: new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	ended := make(chan error, 1)
	go func() {
		ended <- srv.Serve(&limiter{Listener: ln, slots: make(chan struct{}, d.cfg.Limits.Connections), done: stopped.Done()})
	}()

	var err error
	over := false
	select {
	case <-ctx.Done():
	case err = <-ended:
		over = true
	}
	if ctx.Err() != nil {
		err = nil
		drain, cancel := context.WithTimeout(base, d.cfg.Limits.DrainTime)
		_ = srv.Shutdown(drain) // what is left after it is broken off below
		cancel()
	}
	abandon()
	srv.Close()
	if !over {
		<-ended //nolint:errcheck // it ends because it was closed
	}
	conns.Wait()
	if err != nil {
		return fmt.Errorf("serve web requests: %w", err)
	}
	return nil
}

// A limiter accepts no more connections than it has slots; the next one waits.
type limiter struct {
	net.Listener
	slots chan struct{}
	done  <-chan struct{} // ends the wait for a slot
}

// Accept waits for a slot, then for a connection, and puts a witness on it.
func (l *limiter) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &witness{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
}
