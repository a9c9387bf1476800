package egress

import (
	"io"
	"net"
	"testing"
)

// BenchmarkThrough carries bytes out of a network and counts them there; direct
// is the same between two sockets of one network, for comparison.
func BenchmarkThrough(b *testing.B) {
	needWorld(b)
	for _, way := range []string{"direct", "redirected"} {
		b.Run(way, func(b *testing.B) {
			s := newServer(b, "203.0.113.5:0", func(c *net.TCPConn) { io.Copy(io.Discard, c) })
			dial := func(a string) (*net.TCPConn, error) {
				c, err := net.Dial("tcp", a)
				if err != nil {
					return nil, err
				}
				return c.(*net.TCPConn), nil
			}
			if way == "redirected" {
				dial = newFixture(b, nil).newPlace(b).dial
			}
			c, err := dial(s.AddrPort.String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			chunk := make([]byte, 256<<10)
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := c.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkConnect opens a connection, sends a line, gets it back and closes.
func BenchmarkConnect(b *testing.B) {
	needWorld(b)
	for _, way := range []string{"direct", "redirected", "by name"} {
		b.Run(way, func(b *testing.B) {
			s := newServer(b, "203.0.113.5:0", echo)
			dial := func() (*net.TCPConn, error) {
				c, err := net.Dial("tcp", s.AddrPort.String())
				if err != nil {
					return nil, err
				}
				return c.(*net.TCPConn), nil
			}
			if way != "direct" {
				f := newFixture(b, nil)
				f.zone.set("api.example.", "A", "203.0.113.5")
				p := f.newPlace(b)
				dial = func() (*net.TCPConn, error) { return p.dial(s.AddrPort.String()) }
				if way == "by name" {
					dial = func() (*net.TCPConn, error) { return p.dialName("api.example", s.AddrPort.Port()) }
				}
			}
			for b.Loop() {
				c, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				if got, err := exchangeLine(c, "hello"); got != "hello" || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
