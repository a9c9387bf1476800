package egress

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"
)

// errHelloRead ends a handshake once it has told the name.
var errHelloRead = errors.New("the client's hello was read")

// peekServerName returns the host a TLS client names in its hello, and all
// that was read to find out (at most a hello: 64 KiB and its framing). The
// name is "" when the client speaks something else, names none, or says
// nothing for helloMax.
func peekServerName(c net.Conn) (head []byte, name string) {
	head, name, _ = peekHello(c)
	return head, name
}

// peekHello returns, besides, the protocols the client offers to speak inside.
func peekHello(c net.Conn) (head []byte, name string, protocols []string) {
	r := &recorder{Conn: c}
	c.SetReadDeadline(soon(helloMax))
	_ = tls.Server(r, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, protocols = h.ServerName, h.SupportedProtos
		return nil, errHelloRead
	}}).Handshake() // always fails; what counts is what it saw
	c.SetReadDeadline(time.Time{})
	return r.read, strings.TrimSuffix(strings.ToLower(name), "."), protocols
}

// A recorder keeps what is read and writes nothing.
type recorder struct {
	net.Conn
	read []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read = append(r.read, b[:n]...)
	return n, err
}

func (r *recorder) Write(b []byte) (int, error)      { return len(b), nil }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
