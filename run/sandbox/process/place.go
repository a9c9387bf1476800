//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// A place is a directory and the processes that carry its mark.
type place struct {
	maker   *maker
	spec    sandbox.Spec
	dir     string
	mark    string
	turn    chan struct{} // held by whoever starts, stops or resets: one at a time
	sockets sandbox.Sockets

	frozen  bool         // guarded by turn
	kills   atomic.Int64 // how often it was ended for its memory
	once    sync.Once
	closing error

	mu       sync.Mutex // guards what follows
	running  map[*process]bool
	sessions []int // of all processes ever started and not yet known to be gone
	closed   bool
	usage    sandbox.Usage
}

func (p *place) tmp() string { return filepath.Join(p.dir, "tmp") }
func (p *place) opt() string { return filepath.Join(p.dir, "opt") }

// Path returns the real path of target: in a mount, in /opt or /tmp; what is
// in none of these is the machine's.
func (p *place) Path(target string) string {
	within := func(root string) (string, bool) {
		rest, ok := strings.CutPrefix(target, root)
		return rest, ok && (rest == "" || rest[0] == '/')
	}
	for _, m := range slices.Backward(p.spec.Mounts) {
		if rest, ok := within(m.Target); ok {
			return m.Source + rest
		}
	}
	if rest, ok := within("/tmp"); ok {
		return p.tmp() + rest
	}
	if rest, ok := within("/opt"); ok {
		return p.opt() + rest
	}
	return target
}

// real is Path for who may have asked Path already: what is in the place's
// own directory or in a mount's source stays.
func (p *place) real(path string) string {
	if strings.HasPrefix(path, p.dir+"/") {
		return path
	}
	for _, m := range p.spec.Mounts {
		if path == m.Source || strings.HasPrefix(path, m.Source+"/") {
			return path
		}
	}
	return p.Path(path)
}

// Listen opens a TCP listener on another port of the machine's loopback.
func (p *place) Listen(string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, p.failed("listen", err)
	}
	kept, err := p.sockets.Listener(l)
	if err != nil {
		return nil, p.failed("listen", err)
	}
	return kept, nil
}

// Dial connects to a port of the machine's loopback: a place has none of its own.
func (p *place) Dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, p.failed("dial", err)
	}
	return c, nil
}

// ListenPacket opens a UDP socket on another port of the machine's loopback.
func (p *place) ListenPacket(string) (net.PacketConn, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, p.failed("listen", err)
	}
	kept, err := p.sockets.PacketConn(c)
	if err != nil {
		return nil, p.failed("listen", err)
	}
	return kept, nil
}

// A process is one process that was started here.
type process struct {
	os          *os.Process
	outOfMemory int64
	done        chan struct{}
	exit        sandbox.Exit // set before done is closed
}

// Start starts a process in a session of its own, with nothing on standard
// input. The place's mark is added to its environment, and TMPDIR unless it
// is there. Errors: KindNotFound, KindDenied, KindInvalid as the file is;
// KindConflict when the place is frozen.
func (p *place) Start(cmd sandbox.Command) (sandbox.Process, error) {
	defer p.take()()
	if p.frozen {
		return nil, p.failed("start", &daruma.Error{Kind: daruma.KindConflict, Err: errors.New("the place is frozen")})
	}
	path, err := p.find(&cmd)
	if err != nil {
		return nil, p.failed("start", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, p.failed("start", err)
	}
	defer func() { _ = null.Close() }()
	files := []*os.File{null, null, null}
	if cmd.Stdout != nil {
		files[1] = cmd.Stdout
	}
	if cmd.Stderr != nil {
		files[2] = cmd.Stderr
	}
	env := append(slices.Clone(cmd.Env), markName+"="+p.mark)
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") }) {
		env = append(env, "TMPDIR="+p.tmp())
	}
	result := make(chan forked, 1)
	f := fork{path, cmd.Argv, &os.ProcAttr{Dir: p.real(cmd.Dir), Env: env, Files: files, Sys: attributes()}, p.spec.Files, result}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, p.failed("start", os.ErrClosed)
	}
	p.maker.forks <- f
	started := <-result
	if started.err != nil {
		return nil, p.failed("start", started.err)
	}
	pr := &process{os: started.process, done: make(chan struct{}), outOfMemory: p.kills.Load()}
	p.running[pr] = true
	p.sessions = append(p.sessions, pr.os.Pid)
	go p.wait(pr)
	return pr, nil
}

// find finds the file to execute.
func (p *place) find(cmd *sandbox.Command) (string, error) {
	if len(cmd.Argv) == 0 || cmd.Argv[0] == "" {
		return "", fmt.Errorf("no command: %w", syscall.EINVAL)
	}
	name := cmd.Argv[0]
	if strings.Contains(name, "/") {
		return p.real(name), nil
	}
	path := ""
	for _, v := range cmd.Env {
		if rest, ok := strings.CutPrefix(v, "PATH="); ok {
			path = rest
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file := p.real(filepath.Join(dir, name))
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: not in PATH %q: %w", name, path, os.ErrNotExist)
}

// wait takes the process's end. It is one goroutine for each process, which
// ends with it; closing a place waits for them.
func (p *place) wait(pr *process) {
	state, err := pr.os.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	pr.exit = sandbox.Exit{OutOfMemory: p.kills.Load() > pr.outOfMemory}
	if status, ok := state.Sys().(syscall.WaitStatus); err == nil && ok {
		if status.Signaled() {
			pr.exit.Signal = status.Signal()
		} else {
			pr.exit.Code = status.ExitStatus()
		}
		p.usage.CPU += state.UserTime() + state.SystemTime()
		if used, ok := state.SysUsage().(*syscall.Rusage); ok {
			p.usage.MemoryPeakBytes = max(p.usage.MemoryPeakBytes, peakBytes(used))
		}
	}
	delete(p.running, pr)
	close(pr.done)
}

// PID is the process's number.
func (pr *process) PID() int { return pr.os.Pid }

// Signal sends a signal to the process alone; os.ErrProcessDone when it ended.
func (pr *process) Signal(sig syscall.Signal) error { return pr.os.Signal(sig) }

// Done is closed when the process has ended.
func (pr *process) Done() <-chan struct{} { return pr.done }

// Exit tells how it ended, once Done is closed.
func (pr *process) Exit() sandbox.Exit {
	select {
	case <-pr.done:
		return pr.exit
	default:
		return sandbox.Exit{}
	}
}

// members are the processes of the place now.
func (p *place) members(all processes) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A session is forgotten with its last process: its number may come again.
	p.sessions = slices.DeleteFunc(p.sessions, func(session int) bool {
		return !all.session(session) && !slices.ContainsFunc(slices.Collect(maps.Keys(p.running)), func(pr *process) bool { return pr.os.Pid == session })
	})
	return all.of(p.mark, p.sessions)
}

// look ends the place when it has too much.
func (p *place) look(all processes) {
	members := p.members(all)
	var memory int64
	for _, pid := range members {
		memory += residentBytes(pid)
	}
	p.mu.Lock()
	p.usage.MemoryPeakBytes = max(p.usage.MemoryPeakBytes, memory)
	p.mu.Unlock()
	switch {
	case p.spec.MemoryBytes > 0 && memory > p.spec.MemoryBytes:
		p.kills.Add(1)
		p.maker.log.Warn("a place has too much memory and is ended", "place", p.spec.ID, "bytes", memory)
	case p.spec.Processes > 0 && len(members) > p.spec.Processes:
		p.maker.log.Warn("a place has too many processes and is ended", "place", p.spec.ID, "processes", len(members))
	default:
		return
	}
	p.signal(members, syscall.SIGKILL)
}

// signal signals processes and the groups of what was started.
func (p *place) signal(members []int, sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pr := range p.running {
		_ = syscall.Kill(-pr.os.Pid, sig)
	}
	signalAll(members, sig)
}

// Freeze stops all processes, and none can be started until Thaw.
func (p *place) Freeze() error {
	defer p.take()()
	p.signal(p.members(table(nil)), syscall.SIGSTOP)
	p.frozen = true
	return nil
}

// Thaw lets them run again.
func (p *place) Thaw() error {
	defer p.take()()
	p.signal(p.members(table(nil)), syscall.SIGCONT)
	p.frozen = false
	return nil
}

// Reset kills every process and waits until none is left.
func (p *place) Reset(ctx context.Context) error {
	defer p.take()()
	if err := p.clear(ctx); err != nil {
		return p.failed("reset", err)
	}
	p.frozen = false
	return nil
}

// clear kills until nothing is left: what forks faster than it is looked for
// is met again in the next round.
func (p *place) clear(ctx context.Context) error {
	for {
		members := p.members(table(nil))
		p.signal(members, syscall.SIGKILL)
		p.mu.Lock()
		left := len(p.running)
		if left == 0 && len(members) == 0 {
			p.sessions = nil
		}
		p.mu.Unlock()
		if left == 0 && len(members) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// Usage tells the memory that was seen, and the processor time of processes that have ended.
func (p *place) Usage() sandbox.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage
}

// closeWait bounds how long the last processes may take to end.
const closeWait = 10 * time.Second

// Close kills every process and removes the place.
func (p *place) Close() error {
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.sockets.Close()
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		err := errors.Join(p.clear(ctx), os.RemoveAll(p.dir))
		p.maker.mu.Lock()
		delete(p.maker.places, p.spec.ID)
		p.maker.mu.Unlock()
		p.closing = p.failed("close", err)
	})
	return p.closing
}

func (p *place) take() func() {
	p.turn <- struct{}{}
	return func() { <-p.turn }
}

func (p *place) failed(op string, err error) error { return sandbox.Failed(op, p.spec.ID, err) }

var _ sandbox.Place = (*place)(nil)
