package runtime

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A server is one call of Serve.
type server struct {
	guest Guest
	large chan struct{} // places for requests that hold much memory
	stop  chan struct{} // closed when the server shuts
	wait  sync.WaitGroup

	mu     sync.Mutex // guards the rest
	conns  map[*conn]struct{}
	shutOn bool
	broken error // the first panic of a connection: a bug of ours
}

// accept opens connections until ln is closed.
func (s *server) accept(ln net.Listener) error {
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.open(nc)
		case errors.Is(err, net.ErrClosed):
			return nil
		case pause > time.Second:
			return fmt.Errorf("accept runtime connections: %w", err)
		default: // out of descriptors, most likely: let some close
			pause = max(2*pause, 5*time.Millisecond)
			select {
			case <-time.After(pause):
			case <-s.stop:
				return nil
			}
		}
	}
}

// open starts serving a connection, or closes it when there are too many.
func (s *server) open(nc net.Conn) {
	c := &conn{server: s, net: nc, unparked: make(chan struct{}, 1)}
	s.mu.Lock()
	refused := s.shutOn || len(s.conns) >= connectionsMax
	if !refused {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if refused {
		nc.Close()
		return
	}
	s.wait.Go(c.serve)
}

// close forgets a connection. crash is what it panicked with, if it did.
func (s *server) close(c *conn, crash any) {
	c.net.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if crash != nil && s.broken == nil {
		s.broken = fmt.Errorf("serve a runtime connection: panic: %v", crash)
	}
}

// shut closes the listener and every connection; it may be called twice.
func (s *server) shut(ln net.Listener) {
	ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutOn {
		return
	}
	s.shutOn = true
	close(s.stop)
	for c := range s.conns {
		c.net.Close()
	}
}
