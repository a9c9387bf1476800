//go:build linux

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/layers"
	"github.com/daruma-io/daruma/run/sandbox/namespace/inside"
	"github.com/daruma-io/daruma/run/sandbox/skew"
)

// A place is a furnished room.
type place struct {
	maker *maker
	room  *room
	spec  sandbox.Spec
	opt   string      // layers merged on disk, or ""
	tmp   *os.File    // the directory /tmp
	guard *guard      // nil when no cgroup counts memory
	clock *skew.Clock // nil when the time of day is the machine's

	sockets sandbox.Sockets
	turn    chan struct{} // held by whoever starts, stops or resets: one at a time
	frozen  bool          // guarded by turn
	once    sync.Once
	closing error

	mu        sync.Mutex // guards what follows
	processes map[int]*process
	last      sandbox.Usage
}

// furnish makes a place of a room.
func (m *maker) furnish(ctx context.Context, spec sandbox.Spec) (*place, error) {
	p := &place{
		maker: m, spec: spec, turn: make(chan struct{}, 1),
		processes: map[int]*process{},
	}
	request, err := p.request()
	if err != nil {
		return nil, err
	}
	r, err := m.take(ctx, spec.Trace)
	if err != nil {
		return nil, errors.Join(err, p.removeLayers())
	}
	p.room = r
	r.place.Store(p)
	if err := p.limit(request); err != nil {
		return nil, errors.Join(err, m.closeRoom(r), p.removeLayers())
	}
	_, files, err := r.link.do(ctx, &inside.Request{Furnish: request}, nil, nil)
	want := 1
	if request.Skew {
		want++
	}
	if err == nil && len(files) != want {
		err = fmt.Errorf("make a place: %w", syscall.EBADMSG)
	}
	if err != nil {
		closeAll(files)
		return nil, errors.Join(err, m.closeRoom(r), p.removeLayers())
	}
	if request.Skew {
		if p.clock, err = skew.Open(files[1], spec.Skew, m.log.With("place", spec.ID)); err != nil {
			closeAll(files[:1])
			return nil, errors.Join(err, m.closeRoom(r), p.removeLayers())
		}
	}
	p.tmp = os.NewFile(uintptr(files[0]), "/tmp")
	if spec.MemoryBytes > 0 && r.group.CountsMemory() {
		p.guard = newGuard(p)
	}
	return p, nil
}

// request says what the room is to be furnished with.
func (p *place) request() (*inside.Furnish, error) {
	f := &inside.Furnish{
		Mounts: p.spec.Mounts, Opt: p.spec.Opt, TmpBytes: p.spec.TmpBytes, Files: p.spec.Files,
		Resolver: p.spec.Resolver, Trust: p.spec.Trust, Redirect: p.spec.Redirect, Skew: p.spec.Skew != 0,
	}
	if p.maker.lacking(sandbox.NoRedirect) {
		f.Redirect = sandbox.Redirect{} // and nothing leaves
	}
	if len(f.Opt) < 2 || p.maker.overlay {
		return f, nil
	}
	p.opt = filepath.Join(p.maker.config.Dir, optPrefix+p.spec.ID)
	if err := os.Mkdir(p.opt, 0o755); err != nil {
		return nil, err
	}
	if err := layers.Merge(p.opt, f.Opt); err != nil {
		return nil, errors.Join(err, p.removeLayers())
	}
	f.Opt = []string{p.opt}
	return f, nil
}

func (p *place) removeLayers() error {
	if p.opt == "" {
		return nil
	}
	return os.RemoveAll(p.opt)
}

// limit sets the limits the cgroup gives and leaves the rest to the request.
// What is in /tmp is memory too, though not the function's: the hard limit
// has room for it, and the guard sees to the rest.
func (p *place) limit(f *inside.Furnish) error {
	g := p.room.group
	if p.spec.MemoryBytes > 0 {
		if !g.CountsMemory() {
			f.Memory = p.spec.MemoryBytes
		} else if err := g.LimitMemory(p.spec.MemoryBytes + p.spec.TmpBytes); err != nil {
			return err
		}
	}
	if p.spec.Processes > 0 {
		if !g.CountsProcesses() {
			f.Processes = p.spec.Processes
		} else if err := g.LimitProcesses(p.spec.Processes); err != nil {
			return err
		}
	}
	return nil
}

// Path returns target: here, functions find things where they expect them.
func (p *place) Path(target string) string { return target }

// Listen opens a TCP listener in the place's network.
func (p *place) Listen(address string) (net.Listener, error) {
	f, err := p.socket(&inside.Listen{Address: address})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, p.failed("listen", err)
	}
	kept, err := p.sockets.Listener(l)
	if err != nil {
		return nil, p.failed("listen", err)
	}
	return kept, nil
}

// Dial connects to where a process of the place listens, by a socket that was
// made in the place's network.
func (p *place) Dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Is4() {
		return nil, p.failed("dial", &daruma.Error{Kind: daruma.KindInvalid, Ref: address, Err: errors.New("not an IPv4 address with a port")})
	}
	f, err := p.socket(&inside.Listen{Address: address, Dial: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := connect(ctx, f, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, p.failed("dial", err)
	}
	c, err := net.FileConn(f)
	return c, p.failed("dial", err)
}

// connect connects a socket within the time ctx gives, a second at most: what
// listens on a loopback answers at once.
func connect(ctx context.Context, f *os.File, to unix.Sockaddr) error {
	fd := int(f.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	err := unix.Connect(fd, to)
	for tries := 0; errors.Is(err, unix.EINPROGRESS) && tries < 100 && ctx.Err() == nil; tries++ {
		n, perr := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 10)
		if perr != nil && !errors.Is(perr, unix.EINTR) {
			return perr
		}
		if n > 0 {
			code, serr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if serr != nil {
				return serr
			}
			if err = nil; code != 0 {
				err = syscall.Errno(code)
			}
		}
	}
	return err
}

// ListenPacket opens a UDP socket in the place's network.
func (p *place) ListenPacket(address string) (net.PacketConn, error) {
	f, err := p.socket(&inside.Listen{Address: address, UDP: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, p.failed("listen", err)
	}
	kept, err := p.sockets.PacketConn(c.(*net.UDPConn))
	if err != nil {
		return nil, p.failed("listen", err)
	}
	return kept, nil
}

func (p *place) socket(l *inside.Listen) (*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	_, files, err := p.room.link.do(ctx, &inside.Request{Listen: l}, nil, nil)
	if err == nil && len(files) != 1 {
		err = syscall.EBADMSG
	}
	if err != nil {
		closeAll(files)
		return nil, p.failed("listen", err)
	}
	return os.NewFile(uintptr(files[0]), l.Address), nil
}

// Freeze stops all processes, and none can be started until Thaw.
func (p *place) Freeze() error {
	defer p.take()()
	if p.frozen {
		return nil
	}
	err := p.stop(true)
	p.frozen = err == nil
	return p.failed("freeze", err)
}

// Thaw lets them run again.
func (p *place) Thaw() error {
	defer p.take()()
	return p.failed("thaw", p.thaw())
}

func (p *place) thaw() error {
	if !p.frozen {
		return nil
	}
	if err := p.stop(false); err != nil {
		return err
	}
	p.frozen = false
	return nil
}

// stop has the kernel stop the group where it can, and else stops process by process.
func (p *place) stop(yes bool) error {
	if p.room.group.CanFreeze() {
		return p.room.group.Freeze(yes, stopWait)
	}
	sig := syscall.SIGCONT
	if yes {
		sig = syscall.SIGSTOP
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	_, _, err := p.room.link.do(ctx, &inside.Request{Signal: &inside.Signal{Signal: sig}}, nil, nil)
	return err
}

// Reset kills every process and waits until none is left.
func (p *place) Reset(ctx context.Context) error {
	defer p.take()()
	_, _, err := p.room.link.do(ctx, &inside.Request{Signal: &inside.Signal{Signal: syscall.SIGKILL, Gone: true}}, nil, nil)
	if err != nil {
		return p.failed("reset", err)
	}
	return p.failed("reset", p.thaw())
}

// killAll ends every process and does not wait.
func (p *place) killAll() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	_, _, _ = p.room.link.do(ctx, &inside.Request{Signal: &inside.Signal{Signal: syscall.SIGKILL}}, nil, nil)
}

// Usage tells what was used. Memory includes what the kernel kept of files.
func (p *place) Usage() sandbox.Usage {
	g := p.room.group
	u := sandbox.Usage{MemoryPeakBytes: g.Peak()}
	cpu, ok := g.CPU()
	if !ok || !g.CountsMemory() {
		ctx, cancel := context.WithTimeout(context.Background(), usageWait)
		defer cancel()
		if reply, _, err := p.room.link.do(ctx, &inside.Request{Usage: &inside.Usage{}}, nil, nil); err == nil {
			u.MemoryPeakBytes = max(u.MemoryPeakBytes, reply.Memory)
			if !ok {
				cpu = reply.CPU
			}
		}
	}
	u.CPU = cpu
	if p.spec.MemoryBytes > 0 { // more than that was /tmp
		u.MemoryPeakBytes = min(u.MemoryPeakBytes, p.spec.MemoryBytes)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.CPU = max(p.last.CPU, u.CPU)
	p.last.MemoryPeakBytes = max(p.last.MemoryPeakBytes, u.MemoryPeakBytes)
	return p.last
}

// Close kills every process and removes the place.
func (p *place) Close() error {
	p.once.Do(func() {
		p.Usage()
		p.closing = p.failed("close", p.remove())
	})
	return p.closing
}

func (p *place) remove() error {
	p.sockets.Close()
	p.guard.close()
	err := p.maker.closeRoom(p.room)
	p.clock.Close()
	_ = p.tmp.Close()
	p.maker.mu.Lock()
	delete(p.maker.places, p.spec.ID)
	p.maker.mu.Unlock()
	return errors.Join(err, p.removeLayers())
}

// take waits for the place's turn and returns what gives it back.
func (p *place) take() func() {
	p.turn <- struct{}{}
	return func() { <-p.turn }
}

func (p *place) failed(op string, err error) error { return sandbox.Failed(op, p.spec.ID, err) }

// outOfMemory counts what the place was ended for: each more is one more cause.
func (p *place) outOfMemory() int64 {
	n := p.room.group.OutOfMemory()
	if p.guard != nil {
		n += p.guard.kills.Load()
	}
	return n
}

// ended is told by the room that a process ended.
func (p *place) ended(r *inside.Reply) {
	p.mu.Lock()
	process := p.processes[r.PID]
	delete(p.processes, r.PID)
	p.last.MemoryPeakBytes = max(p.last.MemoryPeakBytes, r.Memory)
	p.mu.Unlock()
	if process == nil {
		return
	}
	exit := sandbox.Exit{OutOfMemory: r.OOM || p.outOfMemory() > process.outOfMemory}
	switch status := syscall.WaitStatus(r.Status); {
	case status.Signaled():
		exit.Signal = status.Signal()
	default:
		exit.Code = status.ExitStatus()
	}
	process.end(exit)
}

// lost is told that the room ended, by whatever cause: then everything in it did.
func (p *place) lost() {
	if err := gone(p.room.pidfd, closeWait); err != nil {
		p.maker.log.Warn("a place does not end", "place", p.spec.ID, "err", err)
	}
	p.mu.Lock()
	rest := p.processes
	p.processes = nil
	p.mu.Unlock()
	for _, process := range rest {
		process.end(sandbox.Exit{Signal: syscall.SIGKILL, OutOfMemory: p.outOfMemory() > process.outOfMemory})
	}
}

var _ sandbox.Place = (*place)(nil)
