package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// A place is the network of a function environment, served by an Egress.
type place struct {
	*network
	f    *fixture
	stop func() // ends the serving of connections
}

const placeTCP = 9999 // where connections are redirected to

// newPlace prepares a network and serves it.
func (f *fixture) newPlace(t testing.TB) *place {
	t.Helper()
	n := newNetwork(t, placeTCP, 53)
	p := &place{network: n, f: f}
	tcp := n.listen("127.0.0.1:" + strconv.Itoa(placeTCP))
	names := n.listenPacket("127.0.0.1:53")
	endpoint := n.listen("127.0.0.1:4500")
	serving(t, func(ctx context.Context) error { return f.ServeDNS(ctx, names, who) })
	serving(t, func(ctx context.Context) error { return f.ServeCloud(ctx, endpoint, who) })
	p.stop = serving(t, func(ctx context.Context) error { return f.ServeTCP(ctx, tcp, who) })
	return p
}

// dial connects from inside to an address.
func (p *place) dial(address string) (*net.TCPConn, error) {
	var c net.Conn
	var err error
	p.do(func() { c, err = net.Dial("tcp", address) })
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// lookup asks a resolver of the function's own choice.
func (p *place) lookup(name string) *dns.Msg {
	p.t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	var got *dns.Msg
	var err error
	p.do(func() { got, _, err = (&dns.Client{Timeout: patience}).Exchange(m, "8.8.8.8:53") })
	if err != nil {
		p.t.Fatalf("look up %s: %v", name, err)
	}
	return got
}

// dialName looks a name up and connects to what it got.
func (p *place) dialName(name string, port uint16) (*net.TCPConn, error) {
	p.t.Helper()
	return p.dial(netip.AddrPortFrom(one(p.t, p.lookup(name)), port).String())
}

// exchange sends a line, ends sending, and returns all that comes back.
func exchangeLine(c *net.TCPConn, line string) (string, error) {
	defer c.Close()
	if _, err := io.WriteString(c, line); err != nil {
		return "", err
	}
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// isReset says whether an error is what a function sees of a refused connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// mustReset checks that a connection is reset and brings nothing.
func mustReset(t *testing.T, c *net.TCPConn, err error) {
	t.Helper()
	if err == nil {
		var got string
		got, err = exchangeLine(c, "hello")
		if got != "" {
			t.Errorf("got %q back, want nothing", got)
		}
	}
	if !isReset(err) && !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("got error %v, want a reset", err)
	}
}

// A server is a TCP server out in the world.
type server struct {
	AddrPort netip.AddrPort
	Accepted atomic.Int64
	close    func()
}

// newServer serves connections to address with handle until the test ends.
func newServer(t testing.TB, address string, handle func(*net.TCPConn)) *server {
	t.Helper()
	needWorld(t)
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{AddrPort: ln.Addr().(*net.TCPAddr).AddrPort()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.Accepted.Add(1)
			wg.Go(func() { defer c.Close(); handle(c.(*net.TCPConn)) })
		}
	})
	s.close = func() { ln.Close(); wg.Wait() }
	t.Cleanup(s.close)
	return s
}

// echo sends back what comes, and ends when the client does.
func echo(c *net.TCPConn) { io.Copy(c, c) }
