package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// originalDestination asks the kernel where a connection was going before the
// redirect changed that (SO_ORIGINAL_DST of nf_conntrack; IPv4, as the
// environments' networks are).
func originalDestination(c net.Conn) (netip.AddrPort, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%T is not a connection of the kernel", c)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var to *unix.IPv6Mreq // sixteen bytes and a number: room for a sockaddr_in
	var oerr error
	if err := raw.Control(func(fd uintptr) { to, oerr = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST) }); err != nil {
		return netip.AddrPort{}, err
	}
	if oerr != nil {
		return netip.AddrPort{}, fmt.Errorf("SO_ORIGINAL_DST: %w", oerr)
	}
	b := to.Multiaddr // family (2, host order), port (2), address (4)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}
