package egress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// inWorld runs the whole test binary in a network of its own, where it may
// lay out an outside world: addresses that are not the machine's, link-local
// ones, own ones. It returns false when this process is that run.
func inWorld() (code int, elsewhere bool) {
	if os.Getenv(worldVariable) != "" {
		return 0, false
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), worldVariable+"=made")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		noWorld = fmt.Sprintf("this machine makes no network namespace: %v", err)
		return 0, false
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), true
}

// makeWorld lays out the world: the machine has the addresses of loopback and
// ownAddress, everything in outside answers, and so does what must never be reached.
func makeWorld() error {
	if err := loopbackUp(); err != nil {
		return err
	}
	own := netip.MustParseAddr(ownAddress)
	if err := addAddress(own); err != nil {
		return err
	}
	for _, p := range []string{abroad, "169.254.0.0/16", "10.9.0.0/16"} {
		if err := addLocalRoute(netip.MustParsePrefix(p), own); err != nil {
			return err
		}
	}
	return nil
}

// A network is the network of one function environment, as the platform
// prepares it.
type network struct {
	t    testing.TB
	jobs chan func()
}

// newNetwork makes one: an empty namespace with a loopback, a route that
// keeps every packet inside, and the redirects. It lives until the test ends.
func newNetwork(t testing.TB, tcp, dns uint16) *network {
	t.Helper()
	needWorld(t)
	n := &network{t: t, jobs: make(chan func())}
	ready := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if err := loopbackUp(); err != nil {
				return err
			}
			if err := addLocalRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("127.0.0.1")); err != nil {
				return err
			}
			return redirect(tcp, dns)
		}()
		ready <- err
		for j := range n.jobs {
			j()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make network: %v", err)
	}
	t.Cleanup(func() { close(n.jobs); <-done })
	return n
}

// do runs f on the thread that is in the network.
func (n *network) do(f func()) {
	done := make(chan struct{})
	n.jobs <- func() { defer close(done); f() }
	<-done
}

// listen opens a listener in the network; it is served from outside of it.
func (n *network) listen(address string) net.Listener {
	n.t.Helper()
	var ln net.Listener
	var err error
	n.do(func() { ln, err = net.Listen("tcp4", address) })
	if err != nil {
		n.t.Fatalf("listen in the network: %v", err)
	}
	return ln
}

func (n *network) listenPacket(address string) net.PacketConn {
	n.t.Helper()
	var pc net.PacketConn
	var err error
	n.do(func() { pc, err = net.ListenPacket("udp4", address) })
	if err != nil {
		n.t.Fatalf("listen in the network: %v", err)
	}
	return pc
}

// run runs a program in the network and returns what it printed.
func (n *network) run(env []string, argv ...string) (string, error) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), argv[0], argv[1:]...)
	cmd.Env = env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	n.do(func() { err = cmd.Start() })
	if err != nil {
		n.t.Fatalf("start %s: %v", argv[0], err)
	}
	err = cmd.Wait()
	return out.String(), err
}

// redirect sends every TCP connection to an address other than loopback to
// port tcp, and every DNS packet to port dns: one table, one nat chain on the
// output hook. What else is sent finds no socket, and is refused.
func redirect(tcp, dns uint16) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "redirect"})
	chain := c.AddChain(&nftables.Chain{Name: "out", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest})
	// ip daddr != 127.0.0.0/8 meta l4proto PROTOCOL [th dport PORT] redirect to :TO
	rule := func(protocol byte, port, to uint16) {
		e := []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 0, 0, 0}, Xor: []byte{0, 0, 0, 0}},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{127, 0, 0, 0}},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		}
		if port != 0 {
			e = append(e,
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)})
		}
		e = append(e, &expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, to)}, &expr.Redir{RegisterProtoMin: 1})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: e})
	}
	rule(unix.IPPROTO_UDP, 53, dns)
	rule(unix.IPPROTO_TCP, 0, tcp)
	return c.Flush()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

const loopbackIndex = 1 // of "lo", in every namespace

func addAddress(a netip.Addr) error {
	msg := []byte{unix.AF_INET, 32, 0, unix.RT_SCOPE_UNIVERSE, loopbackIndex, 0, 0, 0} // struct ifaddrmsg
	return route(unix.RTM_NEWADDR, msg, netlink.Attribute{Type: unix.IFA_LOCAL, Data: a.AsSlice()}, netlink.Attribute{Type: unix.IFA_ADDRESS, Data: a.AsSlice()})
}

// addLocalRoute is "ip route add local PREFIX dev lo src SRC": all of the
// prefix is this network's own.
func addLocalRoute(p netip.Prefix, src netip.Addr) error {
	msg := []byte{unix.AF_INET, byte(p.Bits()), 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0} // struct rtmsg
	attrs := []netlink.Attribute{
		{Type: unix.RTA_OIF, Data: binary.NativeEndian.AppendUint32(nil, loopbackIndex)},
		{Type: unix.RTA_PREFSRC, Data: src.AsSlice()},
	}
	if p.Bits() > 0 {
		attrs = append(attrs, netlink.Attribute{Type: unix.RTA_DST, Data: p.Addr().AsSlice()})
	}
	return route(unix.RTM_NEWROUTE, msg, attrs...)
}

func route(kind uint16, head []byte, attrs ...netlink.Attribute) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data:   append(head, b...),
	})
	return err
}
