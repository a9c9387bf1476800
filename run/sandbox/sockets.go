package sandbox

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// Sockets are what the platform listens on in one place, to be closed with it:
// a socket that stays open keeps a network. The zero value is ready; its
// methods may be called from any goroutine.
type Sockets struct {
	mu     sync.Mutex // guards what follows
	open   map[io.Closer]bool
	closed bool
}

// Listener keeps l until it is closed, or they all are. When they have been, l
// is closed at once and the error is net.ErrClosed.
func (s *Sockets) Listener(l net.Listener) (net.Listener, error) {
	kept := &keptListener{l, s}
	return kept, s.keep(kept)
}

// PacketConn does the same for a UDP socket.
func (s *Sockets) PacketConn(c *net.UDPConn) (net.PacketConn, error) {
	kept := &keptPacketConn{c, s}
	return kept, s.keep(kept)
}

// Close closes all of them; what comes later is closed at once.
func (s *Sockets) Close() {
	s.mu.Lock()
	open := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for socket := range open {
		_ = socket.Close() // whoever uses it hears of it there
	}
}

func (s *Sockets) keep(socket io.Closer) error {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		if s.open == nil {
			s.open = map[io.Closer]bool{}
		}
		s.open[socket] = true
	}
	s.mu.Unlock()
	if closed {
		_ = socket.Close() // nobody has it yet
		return net.ErrClosed
	}
	return nil
}

func (s *Sockets) drop(socket io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, socket)
}

type keptListener struct {
	net.Listener
	kept *Sockets
}

// Close closes it, and has it forgotten.
func (l *keptListener) Close() error {
	l.kept.drop(l)
	return l.Listener.Close()
}

// SyscallConn gives the socket itself, for its options.
func (l *keptListener) SyscallConn() (syscall.RawConn, error) {
	c, ok := l.Listener.(syscall.Conn)
	if !ok {
		return nil, syscall.ENOTSUP
	}
	return c.SyscallConn()
}

type keptPacketConn struct {
	*net.UDPConn
	kept *Sockets
}

// Close closes it, and has it forgotten.
func (c *keptPacketConn) Close() error {
	c.kept.drop(c)
	return c.UDPConn.Close()
}
