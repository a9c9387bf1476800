//go:build linux

package inside

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
)

// redirectTable is the name of the place's one packet filter table.
const redirectTable = "redirect"

// a network is the place's network: a loopback, and where the rest leads.
type network struct{ leads sandbox.Redirect }

// up brings the loopback up.
func (n *network) up() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	return nil
}

// lead makes everything that leaves the loopback go where to says.
func (n *network) lead(to sandbox.Redirect) error {
	if to == n.leads {
		return nil
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("redirect: %w", err)
	}
	none := sandbox.Redirect{}
	if n.leads != none {
		conn.DelTable(&nftables.Table{Name: redirectTable, Family: nftables.TableFamilyINet})
	}
	if to != none {
		rules(conn, to)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("redirect: set packet filter rules: %w", err)
	}
	if (n.leads == none) != (to == none) {
		if err := everyAddressIsLocal(to != none); err != nil {
			return fmt.Errorf("redirect: %w", err)
		}
	}
	n.leads = to
	return nil
}

// rules queues the table: loopback is left alone, port 53 goes to the
// resolver, TCP to the listener.
func rules(conn *nftables.Conn, to sandbox.Redirect) {
	table := conn.AddTable(&nftables.Table{Name: redirectTable, Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	add := func(parts ...[]expr.Any) {
		rule := &nftables.Rule{Table: table, Chain: chain}
		for _, part := range parts {
			rule.Exprs = append(rule.Exprs, part...)
		}
		conn.AddRule(rule)
	}
	leave := []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
	add(meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV4), address(16, 4, []byte{255, 0, 0, 0}, []byte{127, 0, 0, 0}), leave)
	v6 := netip.IPv6Loopback().As16()
	add(meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV6), address(24, 16, nil, v6[:]), leave)
	if to.DNS != 0 {
		add(meta(expr.MetaKeyL4PROTO, unix.IPPROTO_UDP), port(53), redirectTo(to.DNS))
		add(meta(expr.MetaKeyL4PROTO, unix.IPPROTO_TCP), port(53), redirectTo(to.DNS))
	}
	if to.TCP != 0 {
		add(meta(expr.MetaKeyL4PROTO, unix.IPPROTO_TCP), redirectTo(to.TCP))
	}
}

// meta matches one byte of what the kernel knows about a packet.
func meta(key expr.MetaKey, value byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}},
	}
}

// address matches the destination address, at offset of the network header.
func address(offset, length uint32, mask, want []byte) []expr.Any {
	e := []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
	if mask != nil {
		e = append(e, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)})
	}
	return append(e, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want})
}

// port matches the destination port.
func port(number uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	}
}

// redirectTo sends a packet to a port of the loopback.
func redirectTo(number uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
		&expr.Redir{RegisterProtoMin: 1},
	}
}

// everyAddressIsLocal adds or removes the routes that make connecting to any
// address arrive at the loopback, where the rules find it. IPv6 is left out
// where the kernel has none.
func everyAddressIsLocal(yes bool) error {
	if err := localDefault(yes, unix.AF_INET); err != nil {
		return err
	}
	err := localDefault(yes, unix.AF_INET6)
	for _, absent := range []error{unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENODEV, unix.EACCES} {
		if errors.Is(err, absent) {
			return nil
		}
	}
	return err
}

// localDefault adds or removes "local default dev lo" of one address family,
// which is one message to the kernel and not worth a library.
func localDefault(add bool, family byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("set a route: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	kind, flags := uint16(unix.RTM_DELROUTE), uint16(unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	if add {
		kind, flags = unix.RTM_NEWROUTE, flags|unix.NLM_F_CREATE|unix.NLM_F_EXCL
	}
	const loopback = 1 // the first interface of every network namespace
	msg := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	rt := (*unix.RtMsg)(unsafe.Pointer(&msg[unix.SizeofNlMsghdr]))
	*rt = unix.RtMsg{Family: family, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_STATIC, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL}
	msg = attribute(msg, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, loopback))
	if family == unix.AF_INET {
		msg = attribute(msg, unix.RTA_PREFSRC, []byte{127, 0, 0, 1})
	}
	head := (*unix.NlMsghdr)(unsafe.Pointer(&msg[0]))
	*head = unix.NlMsghdr{Len: uint32(len(msg)), Type: kind, Flags: flags, Seq: 1}
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("set a route: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return fmt.Errorf("set a route: %w", err)
	}
	if n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("set a route: %w", unix.EBADMSG)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("set a route: %w", unix.Errno(-code))
	}
	return nil
}

// attribute appends one route attribute.
func attribute(msg []byte, kind uint16, value []byte) []byte {
	msg = binary.NativeEndian.AppendUint16(msg, uint16(4+len(value)))
	msg = binary.NativeEndian.AppendUint16(msg, kind)
	msg = append(msg, value...)
	for len(msg)%4 != 0 {
		msg = append(msg, 0)
	}
	return msg
}

// open opens a socket in the place's network.
func (n *network) open(l *Listen) (int, error) {
	ap, err := netip.ParseAddrPort(l.Address)
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", l.Address, unix.EINVAL)
	}
	kind, family := unix.SOCK_STREAM, unix.AF_INET
	if l.UDP {
		kind = unix.SOCK_DGRAM
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(ap.Port()), Addr: as4(ap.Addr())}
	if !ap.Addr().Unmap().Is4() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", l.Address, err)
	}
	if l.Dial {
		return fd, nil
	}
	if !l.UDP {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, to)
	}
	if err == nil && !l.UDP {
		err = unix.Listen(fd, 1024)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("listen on %s: %w", l.Address, err)
	}
	return fd, nil
}

func as4(a netip.Addr) [4]byte {
	if a = a.Unmap(); a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}
