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

	"github.com/daruma-io/daruma/outside"
)

// A forbidden error refuses an address, whatever name led to it.
type forbidden struct {
	addr netip.Addr
	why  string
}

// Error says which address and why.
func (f *forbidden) Error() string { return fmt.Sprintf("%s is %s", f.addr, f.why) }

// check refuses an address that no function may reach, in whatever form it is
// written. Those of the platform's own making are among what is no host's.
func (e *Egress) check(a netip.Addr) error {
	switch class := outside.ClassOf(a); class {
	case outside.Public:
		return nil
	case outside.Private:
		if e.cfg.DenyPrivate {
			return &forbidden{a, "in a private network, and those are denied"}
		}
		return nil
	case outside.Loopback:
		return &forbidden{a, "a loopback address; functions reach this machine's own by the name " + HostName}
	default:
		return &forbidden{a, class.String()}
	}
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

// refuseAfter is how long a connection that leads nowhere stays for its client to write.
const refuseAfter = 20 * time.Millisecond

// refuse resets a connection that leads nowhere. It has been taken already, and
// some clients never learn of a reset that comes before they have written (fetch of
// Node.js 20 waits for ever): it comes when they have, or soon.
func refuse(c net.Conn) {
	_ = c.SetReadDeadline(soon(refuseAfter)) // fails when it is closed, as the read will
	var one [1]byte
	_, _ = c.Read(one[:])
	abort(c)
}

// soon is a deadline d from now on the machine's clock: the kernel keeps it.
func soon(d time.Duration) time.Time { return time.Now().Add(d) }
