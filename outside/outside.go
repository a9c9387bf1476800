// Package outside guards connections to addresses that somebody else chose:
// webhooks, subscriptions, API destinations. They lead outside, to public
// addresses, and inside only where the operator has said so; never to where
// clouds tell machines their credentials.
//
// It promises that the address which is checked is the one connected to: the
// check is made by the dialer, on every dial, after names are resolved. So it
// holds for a name whose address changes between two look-ups, for every way
// to write an address, and behind a redirect as before it. Proxies of the
// environment are not used: they would connect on our behalf.
//
// It does not judge what is said over the connection, and holds no state. A
// Guard may be used from any goroutine.
package outside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
)

// Config is what a Guard allows.
type Config struct {
	// Allow are addresses inside that may be reached; see ParseAllow.
	Allow []Allow
	// Own returns the ports this platform listens on. On this machine's
	// addresses they are reached only when they are allowed by host and port.
	// Nil stands for none.
	Own func() []uint16
	// Resolver resolves names; the machine's own when nil.
	Resolver *net.Resolver
	// DialTime bounds one dial; 10 s when 0.
	DialTime time.Duration
}

// An Allow lets connections inside: to all addresses of a network, or to one
// port of one host, a name or an address. The zero value allows nothing.
type Allow struct {
	network netip.Prefix
	host    string
	port    uint16
}

// String returns what ParseAllow was given, in one form.
func (a Allow) String() string {
	if a.host != "" {
		return net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
	}
	return a.network.String()
}

// ParseAllow reads "10.1.0.0/16", "10.1.2.3", "mail.lan:25", "127.0.0.1:8025"
// or "[fd00::1]:25". What would allow instance metadata is refused, and so is
// a network that is everything.
func ParseAllow(s string) (Allow, error) {
	refuse := func(why string) (Allow, error) {
		return Allow{}, &daruma.Error{Op: "read what is allowed", Ref: s, Kind: daruma.KindInvalid, Err: errors.New(why), Hint: "a network (10.1.0.0/16), an address, or a host and a port (mail.lan:25)"}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		s = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()).String()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		switch {
		case p.Addr().Is4In6():
			return refuse("write it as an IPv4 network")
		case p.Bits() == 0:
			return refuse("that is everything")
		case p.IsSingleIP() && ClassOf(p.Addr()) == Metadata:
			return refuse("it is an instance metadata address, and those are never reached")
		}
		return Allow{network: p.Masked()}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return refuse("it is neither a network nor a host with a port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, "/@ *") {
		return refuse("it is no host with a port")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if ClassOf(a) == Metadata {
			return refuse("it is an instance metadata address, and those are never reached")
		}
		host = a.Unmap().WithZone("").String()
	}
	return Allow{host: strings.ToLower(strings.TrimSuffix(host, ".")), port: uint16(n)}, nil
}

// A Refused error says that an address is not outside.
type Refused struct {
	Host string // as it was asked for
	Addr netip.AddrPort
	Why  string
}

// Error names the host, the address it has and why it is refused.
func (r *Refused) Error() string {
	if r.Host == r.Addr.Addr().String() {
		return fmt.Sprintf("%s is %s", r.Addr, r.Why)
	}
	return fmt.Sprintf("%s is at %s, %s", r.Host, r.Addr, r.Why)
}

// A Guard opens connections to the outside.
type Guard struct{ cfg Config }

// New returns a guard. It starts nothing.
func New(cfg Config) *Guard {
	if cfg.DialTime == 0 {
		cfg.DialTime = 10 * time.Second
	}
	if cfg.Own == nil {
		cfg.Own = func() []uint16 { return nil }
	}
	return &Guard{cfg: cfg}
}

// DialContext connects to host:port over TCP. An address that is not allowed
// is a *Refused somewhere in the error.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, &daruma.Error{Op: "connect", Ref: address, Kind: daruma.KindUnsupported, Err: fmt.Errorf("%s is not TCP", network)}
	}
	d := net.Dialer{Timeout: g.cfg.DialTime, Resolver: g.cfg.Resolver, ControlContext: func(_ context.Context, _, at string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(at)
		if err != nil {
			return fmt.Errorf("parse address: %w", err)
		}
		return g.check(host, to)
	}}
	c, err := d.DialContext(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if local.Addr() == remote.Addr() && !g.allowed(host, remote) {
		// The kernel took it for one of its own, by a route nobody can see.
		c.Close()
		return nil, &Refused{host, remote, "this machine's own address"}
	}
	return c, nil
}

// check refuses a connection that is about to be made to an address.
func (g *Guard) check(host string, to netip.AddrPort) error {
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	class := ClassOf(to.Addr())
	if class == Metadata {
		return &Refused{host, to, class.String()}
	}
	mine := class == Loopback
	if !mine {
		var err error
		if mine, err = own(to.Addr()); err != nil {
			return err
		}
	}
	switch {
	case g.named(host, to):
		return nil
	case mine && slices.Contains(g.cfg.Own(), to.Port()):
		return &Refused{host, to, "where this platform listens"}
	case g.allowed(host, to):
		return nil
	case mine && class == Public:
		return &Refused{host, to, "this machine's own address"}
	case class != Public:
		return &Refused{host, to, class.String()}
	}
	return nil
}

// named says whether a host and a port are allowed together.
func (g *Guard) named(host string, to netip.AddrPort) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(g.cfg.Allow, func(a Allow) bool {
		return a.port == to.Port() && a.host != "" && (a.host == host || a.host == to.Addr().String())
	})
}

func (g *Guard) allowed(host string, to netip.AddrPort) bool {
	return g.named(host, to) || slices.ContainsFunc(g.cfg.Allow, func(a Allow) bool { return a.host == "" && a.network.Contains(to.Addr()) })
}

// own says whether an address is one of this machine's interfaces.
func own(a netip.Addr) (bool, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("read this machine's addresses: %w", err)
	}
	for _, one := range all {
		if n, ok := one.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return true, nil
			}
		}
	}
	return false, nil
}

// addrPort returns a TCP address in the form the guard compares.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
