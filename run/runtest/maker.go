// Package runtest holds what tests of package run, and of what is built on it,
// share: a sandbox of plain processes without any isolation, and an observer
// that remembers. It never ships.
package runtest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

// A Maker makes places of plain processes below Dir. Its zero value needs Dir only.
type Maker struct {
	Dir string
	// Fail, when set, is what Make returns.
	Fail atomic.Pointer[error]

	Made, Resets, Freezes, Thaws atomic.Int64

	mu     sync.Mutex
	places map[*Place]struct{}
}

// Make makes a place.
func (m *Maker) Make(_ context.Context, spec sandbox.Spec) (sandbox.Place, error) {
	if err := m.Fail.Load(); err != nil {
		return nil, *err
	}
	p := &Place{maker: m, dir: filepath.Join(m.Dir, spec.ID), mounts: spec.Mounts, processes: map[*process]struct{}{}}
	if len(spec.Opt) > 0 {
		p.opt = spec.Opt[len(spec.Opt)-1]
	}
	if err := os.MkdirAll(filepath.Join(p.dir, "tmp"), 0o755); err != nil {
		return nil, err
	}
	m.Made.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.places == nil {
		m.places = map[*Place]struct{}{}
	}
	m.places[p] = struct{}{}
	return p, nil
}

// Kind is "processes".
func (m *Maker) Kind() string { return "processes" }

// Missing lists nothing: tests know.
func (m *Maker) Missing() []string { return nil }

// Open counts the places that were not closed.
func (m *Maker) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.places)
}

// Close closes every place.
func (m *Maker) Close() error {
	m.mu.Lock()
	all := make([]*Place, 0, len(m.places))
	for p := range m.places {
		all = append(all, p)
	}
	m.mu.Unlock()
	var err error
	for _, p := range all {
		err = errors.Join(err, p.Close())
	}
	return err
}

// A Place is a directory and the process groups that were started for it.
type Place struct {
	maker  *Maker
	dir    string
	opt    string
	mounts []sandbox.Mount

	mu        sync.Mutex
	processes map[*process]struct{}
}

// Path finds mounts, layers and /tmp.
func (p *Place) Path(target string) string {
	for _, m := range p.mounts {
		if rest, ok := strings.CutPrefix(target, m.Target); ok {
			return m.Source + rest
		}
	}
	if rest, ok := strings.CutPrefix(target, "/opt"); ok && p.opt != "" {
		return p.opt + rest
	}
	if rest, ok := strings.CutPrefix(target, "/tmp"); ok {
		return filepath.Join(p.dir, "tmp") + rest
	}
	return target
}

// Listen listens on a port of the machine's loopback.
func (p *Place) Listen(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// Dial connects to a port of the machine's loopback.
func (p *Place) Dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// ListenPacket listens on a port of the machine's loopback.
func (p *Place) ListenPacket(string) (net.PacketConn, error) {
	return net.ListenPacket("udp", "127.0.0.1:0")
}

// Start starts a process in a group of its own.
func (p *Place) Start(c sandbox.Command) (sandbox.Process, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, c.Stdout, c.Stderr
	cmd.Env = append(cmd.Env, "TMPDIR="+filepath.Join(p.dir, "tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pr := &process{cmd: cmd, done: make(chan struct{})}
	p.mu.Lock()
	p.processes[pr] = struct{}{}
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			if s := e.Sys().(syscall.WaitStatus); s.Signaled() {
				pr.exit.Signal = s.Signal()
			} else {
				pr.exit.Code = s.ExitStatus()
			}
		}
		p.mu.Lock()
		delete(p.processes, pr)
		p.mu.Unlock()
		close(pr.done)
	}()
	return pr, nil
}

// Reset kills every process group.
func (p *Place) Reset(ctx context.Context) error {
	p.maker.Resets.Add(1)
	for _, pr := range p.running() {
		_ = syscall.Kill(-pr.PID(), syscall.SIGKILL) // it may have ended
		select {
		case <-pr.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *Place) running() (all []*process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pr := range p.processes {
		all = append(all, pr)
	}
	return all
}

// Freeze stops every process group.
func (p *Place) Freeze() error {
	p.maker.Freezes.Add(1)
	return p.signal(syscall.SIGSTOP)
}

// Thaw continues them.
func (p *Place) Thaw() error {
	p.maker.Thaws.Add(1)
	return p.signal(syscall.SIGCONT)
}

func (p *Place) signal(sig syscall.Signal) error {
	for _, pr := range p.running() {
		if err := syscall.Kill(-pr.PID(), sig); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// Usage reads the peak resident memory of the processes.
func (p *Place) Usage() (u sandbox.Usage) {
	for _, pr := range p.running() {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(pr.PID()) + "/status") // gone: nothing used
		if _, rest, ok := strings.Cut(string(data), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			u.MemoryPeakBytes += kb << 10
		}
	}
	return u
}

// Close kills every process group and forgets the place.
func (p *Place) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.Reset(ctx)
	p.maker.mu.Lock()
	delete(p.maker.places, p)
	p.maker.mu.Unlock()
	return errors.Join(err, os.RemoveAll(p.dir))
}

// A process is a started process group.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	exit sandbox.Exit
}

func (p *process) PID() int                        { return p.cmd.Process.Pid }
func (p *process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }
func (p *process) Done() <-chan struct{}           { return p.done }
func (p *process) Exit() sandbox.Exit              { return p.exit }
