package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A forbidden error refuses an address, whatever name led to it.
type forbidden struct {
	addr netip.Addr
	why  string
}

// Error says which address and why.
func (f *forbidden) Error() string { return fmt.Sprintf("%s is %s", f.addr, f.why) }

// ranges are the addresses no function reaches, with what they are. Those of
// instance metadata are named even where another range holds them.
var ranges = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address; functions reach this machine's own by the name " + HostName},
	{netip.MustParsePrefix("::1/128"), "a loopback address; functions reach this machine's own by the name " + HostName},
	{netip.MustParsePrefix("0.0.0.0/8"), "no host's address"},
	{netip.MustParsePrefix("::/128"), "no host's address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where instance metadata lives"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "an instance metadata address"},
	{netip.MustParsePrefix("100.100.100.200/32"), "an instance metadata address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "an instance metadata address"},
	{netip.MustParsePrefix("192.0.0.192/32"), "an instance metadata address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "no host's address"}, // broadcast included
	{synthetic, "an address of the platform's own making"},
}

// private are the networks DenyPrivate refuses.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

// embedding are IPv6 ranges that carry an IPv4 address, and where: a packet
// to one may end at the other.
var embedding = []struct {
	prefix netip.Prefix
	offset int // of the four bytes
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible (RFC 4291)
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64 (RFC 6052)
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64, local use (RFC 8215)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (RFC 2765)
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4 (RFC 3056)
}

// check refuses an address that no function may reach. It looks at the
// address itself and, where it carries one, at the IPv4 address inside.
func (e *Egress) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	for _, r := range ranges {
		if r.prefix.Contains(a) {
			return &forbidden{a, r.what}
		}
	}
	if e.cfg.DenyPrivate {
		for _, p := range private {
			if p.Contains(a) {
				return &forbidden{a, "in a private network, and those are denied"}
			}
		}
	}
	if a.Is6() {
		b := a.As16()
		for _, m := range embedding {
			if m.prefix.Contains(a) {
				if err := e.check(netip.AddrFrom4([4]byte(b[m.offset : m.offset+4]))); err != nil {
					return &forbidden{a, "another form of " + err.Error()}
				}
			}
		}
	}
	return nil
}

// checkOwn refuses the machine's own addresses: what listens there listens on
// its loopback too, and is reached by HostName or not at all.
func checkOwn(a netip.Addr) error {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("read this machine's addresses: %w", err)
	}
	for _, o := range own {
		if n, ok := o.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a.Unmap().WithZone("") {
				return &forbidden{a, "this machine's own address; functions reach it by the name " + HostName}
			}
		}
	}
	return nil
}

// control is the guard of each connection, called with the address that is
// about to be connected to: what a name resolved to a moment ago is no matter.
func (e *Egress) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	if err := e.check(to.Addr()); err != nil {
		return err
	}
	return checkOwn(to.Addr())
}

// connect opens a connection to host, a name or an address, in the outside
// world. Errors that are the guard's are *forbidden.
func (e *Egress) connect(ctx context.Context, host string, port uint16) (net.Conn, error) {
	d := net.Dialer{Timeout: e.cfg.Limits.Dial, Resolver: e.cfg.Resolver, ControlContext: e.control}
	if host == HostName {
		return e.connectHost(ctx, port)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		host += "." // a whole name: the machine's search list is not the function's
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if local.Addr() == remote.Addr() {
		// The kernel took it for one of its own, by a route we cannot see.
		abort(c)
		return nil, &forbidden{remote.Addr(), "this machine's own address; functions reach it by the name " + HostName}
	}
	return c, nil
}

// connectHost opens a connection to the machine's own loopback.
func (e *Egress) connectHost(ctx context.Context, port uint16) (net.Conn, error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if slices.Contains(e.cfg.Own(), port) {
		return nil, &forbidden{loopback, "this machine's loopback, and port " + strconv.Itoa(int(port)) + " the platform's own"}
	}
	if len(e.cfg.HostPorts) > 0 && !slices.Contains(e.cfg.HostPorts, port) {
		return nil, &forbidden{loopback, "this machine's loopback, and port " + strconv.Itoa(int(port)) + " is not among those opened to functions"}
	}
	d := net.Dialer{Timeout: e.cfg.Limits.Dial}
	c, err := d.DialContext(ctx, "tcp4", netip.AddrPortFrom(loopback, port).String())
	if err == nil {
		return c, nil
	}
	c, err6 := d.DialContext(ctx, "tcp6", netip.AddrPortFrom(netip.IPv6Loopback(), port).String())
	if err6 == nil {
		return c, nil
	}
	return nil, errors.Join(err, err6)
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

// abort closes a connection so that the other side sees a reset, which is
// what a refused, broken or forgotten connection looks like.
func abort(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0) // fails only on a connection that is gone already
	}
	c.Close()
}

// soon is a deadline d from now on the machine's clock: the kernel keeps it.
func soon(d time.Duration) time.Time { return time.Now().Add(d) }
