package egress

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestAConnectionToAnAddressIsRedirectedAndArrives(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	s := newServer(t, "203.0.113.5:0", echo)
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := exchangeLine(c, "hello"); got != "hello" || err != nil {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	eventually(t, "the count", func() bool {
		got := f.seen("203.0.113.5", s.AddrPort.Port())
		return got.Connections == 1 && got.BytesIn == 5 && got.BytesOut == 5 && got.Failures == 0 && got.Denied == 0 && got.Function == "orders" && !got.First.IsZero()
	})
}

func TestAConnectionByNameReachesTheHostTheNameStandsFor(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	s := newServer(t, "203.0.113.6:0", echo)
	f.zone.set("api.example.", "A", "203.0.113.6")
	c, err := p.dialName("API.example", s.AddrPort.Port())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := exchangeLine(c, "hello"); got != "hello" || err != nil {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	if got := f.seen("api.example", s.AddrPort.Port()); got.Connections != 1 {
		t.Errorf("got %+v, want it counted by its name", f.Seen())
	}
}

func TestEachSideMayEndWhileTheOtherGoesOn(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	s := newServer(t, "203.0.113.5:0", func(c *net.TCPConn) {
		io.WriteString(c, "greeting") // the server speaks first, and ends first
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		if string(b) != "answer" {
			t.Errorf("the server got %q, want answer", b)
		}
	})
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "greeting" || err != nil {
		t.Fatalf("got %q, %v, want greeting", b, err)
	}
	io.WriteString(c, "answer") // after the other side has ended
	c.Close()
	s.close()
}

func TestAHostThatRefusesLooksLikeAReset(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	c, err := p.dial("203.0.113.5:1")
	mustReset(t, c, err)
	if got := f.seen("203.0.113.5", 1); got.Failures != 1 || got.Connections != 0 {
		t.Errorf("got %+v, want one failure", got)
	}
	if !strings.Contains(f.log.text(), "connection refused") {
		t.Errorf("got log %q, want the reason", f.log.text())
	}
}

func TestAResetPassesThrough(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	s := newServer(t, "203.0.113.5:0", func(c *net.TCPConn) { io.ReadFull(c, make([]byte, 1)); abort(c) })
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "x")
	if _, err := io.ReadAll(c); !isReset(err) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestManyBytesArriveWholeBothWays(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	s := newServer(t, "203.0.113.5:0", echo)
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 32 << 20
	sent, got := sha256.New(), sha256.New()
	var wg sync.WaitGroup
	wg.Go(func() {
		r := io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
		if _, err := io.Copy(c, io.TeeReader(r, sent)); err != nil {
			t.Errorf("send: %v", err)
		}
		c.CloseWrite()
	})
	n, err := io.Copy(got, c)
	wg.Wait()
	if n != size || err != nil || string(sent.Sum(nil)) != string(got.Sum(nil)) {
		t.Errorf("got %d bytes, %v, want the %d sent", n, err, size)
	}
	if s := f.seen("203.0.113.5", s.AddrPort.Port()); s.BytesIn < size-chunkBytes || s.BytesOut < size-chunkBytes {
		t.Errorf("got %+v, want %d bytes each way", s, size)
	}
}

func TestADeniedHostIsResetAndSaid(t *testing.T) {
	s := newServer(t, "203.0.113.5:0", echo)
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	p := f.newPlace(t)
	c, err := p.dial(s.AddrPort.String())
	mustReset(t, c, err)
	if n := s.Accepted.Load(); n != 0 {
		t.Errorf("got %d connections outside, want none", n)
	}
	if got := f.seen("203.0.113.5", s.AddrPort.Port()); got.Denied != 1 || got.Connections != 0 {
		t.Errorf("got %+v, want it denied", got)
	}
	if !strings.Contains(f.log.text(), "env-1 orders platform: egress: "+s.AddrPort.String()+" denied (1 so far): the policy allows no host outside") {
		t.Errorf("got log %q", f.log.text())
	}
}

func TestDenyingAllLeavesTheCloud(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Policy = DenyAll })
	p := f.newPlace(t)
	c, err := p.dialName("sqs.eu-west-1.amazonaws.com", 80)
	if err != nil {
		t.Fatal(err)
	}
	got, err := exchangeLine(c, "GET / HTTP/1.0\r\nHost: sqs.eu-west-1.amazonaws.com\r\n\r\n")
	if err != nil || !strings.Contains(got, "cloud HTTP/1.0 GET sqs.eu-west-1.amazonaws.com/ tls=false from env-1") {
		t.Errorf("got %q, %v, want the cloud's answer", got, err)
	}
}

func TestForbiddenAddressesAreNeverReached(t *testing.T) {
	needWorld(t)
	for _, address := range []string{"169.254.169.254:80", "169.254.170.2:80", ownAddress + ":8080"} {
		t.Run(address, func(t *testing.T) {
			s := newServer(t, address, echo) // it does answer
			f := newFixture(t, nil)
			p := f.newPlace(t)
			f.zone.set("rebound.example.", "A", s.AddrPort.Addr().String())

			c, err := p.dial(address)
			mustReset(t, c, err)
			c, err = p.dialName("rebound.example", s.AddrPort.Port())
			mustReset(t, c, err)

			if n := s.Accepted.Load(); n != 0 {
				t.Errorf("got %d connections, want none", n)
			}
			if got := f.seen("rebound.example", s.AddrPort.Port()); got.Denied != 1 {
				t.Errorf("got %+v, want it denied", f.Seen())
			}
		})
	}
}

func TestANameThatTurnsToLoopbackIsRefusedWhenItIsConnected(t *testing.T) {
	s := newServer(t, "127.0.0.1:0", echo)
	f := newFixture(t, nil)
	p := f.newPlace(t)
	f.zone.set("rebind.example.", "A", "203.0.113.7")
	addr := one(t, p.lookup("rebind.example"))
	for _, turned := range []string{"127.0.0.1", "127.8.8.8", "0.0.0.0"} {
		f.zone.set("rebind.example.", "A", turned)
		c, err := p.dial(netip.AddrPortFrom(addr, s.AddrPort.Port()).String())
		mustReset(t, c, err)
	}
	f.zone.set("rebind.example.", "A")
	f.zone.set("rebind.example.", "AAAA", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
	c, err := p.dial(netip.AddrPortFrom(addr, s.AddrPort.Port()).String())
	mustReset(t, c, err)
	if n := s.Accepted.Load(); n != 0 {
		t.Errorf("got %d connections, want none", n)
	}
	if got := f.seen("rebind.example", s.AddrPort.Port()); got.Denied != 4 {
		t.Errorf("got %+v, want four denials", got)
	}
	if !strings.Contains(f.log.text(), HostName) {
		t.Errorf("got log %q, want the way that is open", f.log.text())
	}
}

func TestTheHostsLoopbackIsReachedByItsNameOnly(t *testing.T) {
	database := newServer(t, "127.0.0.1:0", echo)
	other := newServer(t, "127.0.0.1:0", echo)
	six := newServer(t, "[::1]:0", echo)
	platform := newServer(t, "127.0.0.1:0", echo)
	for _, listed := range []bool{false, true} {
		f := newFixture(t, func(c *Config) {
			c.Own = func() []uint16 { return []uint16{platform.AddrPort.Port()} }
			if listed {
				c.HostPorts = []uint16{database.AddrPort.Port(), six.AddrPort.Port(), platform.AddrPort.Port()}
			}
		})
		p := f.newPlace(t)
		for _, s := range []*server{database, other, six} {
			c, err := p.dialName(HostName, s.AddrPort.Port())
			if listed && s == other {
				mustReset(t, c, err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := exchangeLine(c, "select"); got != "select" || err != nil {
				t.Errorf("got %q, %v, want select", got, err)
			}
		}
		c, err := p.dialName(HostName, platform.AddrPort.Port())
		mustReset(t, c, err)
		if n := platform.Accepted.Load(); n != 0 {
			t.Errorf("got %d connections to the platform, want none", n)
		}
		p.stop()
	}
}

func TestPrivateNetworksAreReachedUnlessDenied(t *testing.T) {
	for _, denied := range []bool{false, true} {
		s := newServer(t, "10.9.1.1:0", echo)
		f := newFixture(t, func(c *Config) { c.DenyPrivate = denied })
		p := f.newPlace(t)
		c, err := p.dial(s.AddrPort.String())
		if denied {
			mustReset(t, c, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exchangeLine(c, "hello"); got != "hello" || err != nil {
			t.Errorf("got %q, %v, want hello", got, err)
		}
	}
}

func TestAnAddressThatStandsForNoNameIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	c, err := p.dial("198.18.77.77:443")
	mustReset(t, c, err)
	if got := f.seen("198.18.77.77", 443); got.Denied != 1 {
		t.Errorf("got %+v, want it denied", f.Seen())
	}
}

func TestTheListenerItselfLeadsNowhere(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	c, err := p.dial("127.0.0.1:9999")
	mustReset(t, c, err)
}

func TestConnectionsBeyondTheBoundAreReset(t *testing.T) {
	s := newServer(t, "203.0.113.5:0", echo)
	f := newFixture(t, func(c *Config) { c.Limits.Connections = 2 })
	p := f.newPlace(t)
	var open []*net.TCPConn
	for range 2 {
		c, err := p.dial(s.AddrPort.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	c, err := p.dial(s.AddrPort.String())
	mustReset(t, c, err)
	if got := f.seen("*", 0); got.Denied != 1 {
		t.Errorf("got %+v, want one denied", f.Seen())
	}
	open[0].Close()
	eventually(t, "room", func() bool {
		c, err := p.dial(s.AddrPort.String())
		if err != nil {
			return false
		}
		got, _ := exchangeLine(c, "again")
		return got == "again"
	})
}

func TestAnIdleConnectionIsResetAndABusyOneIsNot(t *testing.T) {
	const idle = 800 * time.Millisecond // well above what a busy machine stalls for
	s := newServer(t, "203.0.113.5:0", func(c *net.TCPConn) {
		// One direction only, a byte at a time, for two idle times.
		tick := time.NewTicker(idle / 4)
		defer tick.Stop()
		for range 8 {
			<-tick.C
			if _, err := c.Write([]byte{'.'}); err != nil {
				return
			}
		}
		io.Copy(io.Discard, c) // and then nothing
	})
	f := newFixture(t, func(c *Config) { c.Limits.Idle = idle })
	p := f.newPlace(t)
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if len(b) != 8 || !isReset(err) {
		t.Errorf("got %d bytes, %v, want 8 and then a reset", len(b), err)
	}
}

func TestAPeerThatTakesNothingIsIdle(t *testing.T) {
	stop := make(chan struct{})
	s := newServer(t, "203.0.113.5:0", func(c *net.TCPConn) { <-stop })
	defer close(stop)
	f := newFixture(t, func(c *Config) { c.Limits.Idle = 100 * time.Millisecond })
	p := f.newPlace(t)
	c, err := p.dial(s.AddrPort.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = io.Copy(c, rand.NewChaCha8([32]byte{})); !isReset(err) {
		t.Errorf("got %v, want a reset once no more is taken", err)
	}
}

func TestNothingButTCPAndDNSLeaves(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	var c net.Conn
	var err error
	p.do(func() { c, err = net.Dial("udp", "203.0.113.5:123") })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("time?")); err != nil {
		t.Fatalf("send: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := p.dial("[2001:db8::1]:80"); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("got %v over IPv6, want it unreachable", err)
	}
}

func TestAResolverOfTheFunctionsOwnChoiceIsOurs(t *testing.T) {
	f := newFixture(t, nil)
	p := f.newPlace(t)
	m := new(dns.Msg)
	m.SetQuestion("s3.us-east-1.amazonaws.com.", dns.TypeA)
	for _, network := range []string{"udp", "tcp"} {
		var got *dns.Msg
		var err error
		p.do(func() { got, _, err = (&dns.Client{Net: network, Timeout: patience}).Exchange(m, "1.1.1.1:53") })
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if a := one(t, got); !synthetic.Contains(a) {
			t.Errorf("%s: got %v, want an address of ours", network, a)
		}
	}
}

func TestAPolicyMayTakeItsTimeAndEndsWithTheEnvironment(t *testing.T) {
	entered := make(chan struct{}, 1)
	f := newFixture(t, func(c *Config) {
		c.Policy = func(ctx context.Context, d Dial) Decision {
			entered <- struct{}{}
			<-ctx.Done() // a black hole
			return Decision{}
		}
	})
	p := f.newPlace(t)
	c, err := p.dial("203.0.113.5:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-entered
	p.stop()
	if _, err := c.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestEndingTheServingEndsEveryConnection(t *testing.T) {
	s := newServer(t, "203.0.113.5:0", echo)
	f := newFixture(t, nil)
	p := f.newPlace(t)
	var conns []*net.TCPConn
	for range 20 {
		c, err := p.dial(s.AddrPort.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	keep, err := p.dialName("sqs.eu-west-1.amazonaws.com", 80)
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	io.WriteString(keep, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.ReadFull(keep, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, c := range append(conns, keep) {
		if _, err := io.ReadAll(c); err != nil && !isReset(err) {
			t.Errorf("got %v, want the connection ended", err)
		}
	}
	s.close() // every connection outside has ended too, or this does not return
}

func TestConnectingTakesNoLongerThanItsBound(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Limits.Dial = 100 * time.Millisecond
		c.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	})
	p := f.newPlace(t)
	env, leave := f.enter(who)
	defer leave()
	c, err := p.dial(netip.AddrPortFrom(env.names.address("silent.example", time.Time{}), 80).String())
	mustReset(t, c, err)
	if got := f.seen("silent.example", 80); got.Failures != 1 {
		t.Errorf("got %+v, want one failure", got)
	}
}
