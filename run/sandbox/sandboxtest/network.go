//go:build linux

package sandboxtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

var networkChecks = []check{
	{"a listener of the place is reached from within", "", func(x *exam) error {
		p := x.make(nil)
		l, err := p.Listen("127.0.0.1:9001")
		if err != nil {
			return err
		}
		go answer(l, "ok")
		c, err := p.ListenPacket("127.0.0.1:53")
		if err != nil {
			return err
		}
		go answerPacket(c)
		return errors.Join(x.run(p, "dial", "tcp", l.Addr().String()), x.run(p, "dial", "udp", c.LocalAddr().String()))
	}},
	{"a listener of the place is reached from nowhere else", sandbox.NoNetwork, func(x *exam) error {
		one, two := x.make(nil), x.make(nil)
		l, err := one.Listen("127.0.0.1:9001")
		if err != nil {
			return err
		}
		go answer(l, "ok")
		if c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
			_ = c.Close()
			return errors.New("the machine reached it")
		}
		return x.run(two, "unreachable", "tcp", l.Addr().String())
	}},
	{"what listens within is reached by Dial, and from no other place", sandbox.NoNetwork, func(x *exam) error {
		one, two := x.make(nil), x.make(nil)
		r, err := x.start(one, "serve")
		if err != nil {
			return err
		}
		address, err := r.out.line()
		if err != nil {
			return err
		}
		c, err := one.Dial(x.t.Context(), address)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if got, err := io.ReadAll(c); string(got) != "ok" || err != nil {
			return fmt.Errorf("got %q, %v, want ok", got, err)
		}
		if c, err := two.Dial(x.t.Context(), address); err == nil {
			_ = c.Close()
			return errors.New("another place reached it")
		}
		if c, err := one.Dial(x.t.Context(), "127.0.0.1:1"); err == nil {
			_ = c.Close()
			return errors.New("a connection to where nobody listens")
		}
		return nil
	}},
	{"a debugger traces where it may", "", func(x *exam) error {
		return x.run(x.make(func(s *sandbox.Spec) { s.Trace = true }), "traced")
	}},
	{"a debugger traces nowhere else", sandbox.NoCallFilter, func(x *exam) error {
		if x.run(x.make(nil), "traced") == nil {
			return errors.New("a process was traced")
		}
		return nil
	}},
	{"the machine's network is not reached", sandbox.NoNetwork, func(x *exam) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		go answer(l, "ok")
		u, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = u.Close() }()
		go answerPacket(u)
		hidden, err := net.Listen("unix", "@exam-"+x.spec().ID)
		if err != nil {
			return err
		}
		defer func() { _ = hidden.Close() }()
		go answer(hidden, "ok")
		p := x.make(nil)
		return errors.Join(
			x.run(p, "unreachable", "tcp", l.Addr().String()), x.run(p, "unreachable", "udp", u.LocalAddr().String()),
			x.run(p, "unreachable", "unix", hidden.Addr().String()),
			x.run(p, "unreachable", "udp", "192.0.2.1:53"), x.run(p, "unreachable", "tcp", "192.0.2.1:80"),
		)
	}},
	{"what leaves is led to the place's own ports", sandbox.NoRedirect, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.Redirect = sandbox.Redirect{TCP: 15001, DNS: 15053} })
		for _, address := range []string{"127.0.0.1:15001", "[::1]:15001"} {
			l, err := p.Listen(address)
			if err != nil {
				return err
			}
			go answer(l, "ok")
		}
		names, err := p.Listen("127.0.0.1:15053")
		if err != nil {
			return err
		}
		go answer(names, "ok")
		c, err := p.ListenPacket("127.0.0.1:15053")
		if err != nil {
			return err
		}
		go answerPacket(c)
		other, err := p.Listen("127.0.0.1:9001")
		if err != nil {
			return err
		}
		go answer(other, "loopback")
		return x.first(p,
			[]string{"dial", "tcp", "127.0.0.1:9001", "loopback"}, []string{"dial", "tcp", "192.0.2.1:443"},
			[]string{"dial", "tcp", "198.51.100.7:5432"}, []string{"dial", "tcp", "[2001:db8::1]:443"},
			[]string{"dial", "udp", "192.0.2.53:53"}, []string{"dial", "tcp", "192.0.2.53:53"},
			[]string{"unreachable", "udp", "192.0.2.1:123"})
	}},
	{"a redirect tells where a connection was meant to go", sandbox.NoRedirect, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.Redirect = sandbox.Redirect{TCP: 15001} })
		l, err := p.Listen("127.0.0.1:15001")
		if err != nil {
			return err
		}
		meant := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				meant <- err.Error()
				return
			}
			meant <- originalDestination(c)
			_, _ = io.WriteString(c, "ok")
			_ = c.Close()
		}()
		if err := x.run(p, "dial", "tcp", "192.0.2.1:443"); err != nil {
			return err
		}
		if got := <-meant; got != "192.0.2.1:443" {
			return fmt.Errorf("got %q, want 192.0.2.1:443", got)
		}
		return nil
	}},
}

// answer writes text to every connection until the listener is closed.
func answer(l net.Listener, text string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
}

// answerPacket answers every datagram with "ok".
func answerPacket(c net.PacketConn) {
	buf := make([]byte, 512)
	for {
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte("ok"), from)
	}
}
