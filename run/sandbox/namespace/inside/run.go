//go:build linux

package inside

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
)

// socketFD is where a builder and a room find their socket.
const socketFD = 3

// The names a process of this package is started under.
const (
	BuilderName = "daruma-builder"
	roomName    = "daruma-room"
)

// Role says whether this process was started to be the inside of a place, or
// to build such. Then Run is to be called before anything else.
func Role() bool { return os.Args[0] == BuilderName || os.Args[0] == roomName }

// Run is the life of such a process. It does not return.
func Run() {
	// What whoever started the platform left open is nothing for a place.
	err := unix.CloseRange(socketFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Args[0]+": close descriptors:", err)
		os.Exit(1)
	}
	if os.Args[0] == BuilderName {
		err = build(link{socketFD})
	} else {
		err = live(link{socketFD})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Args[0]+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// a life is the first process of one place.
type life struct {
	link    link
	root    root
	net     network
	starter *starter
	tmp     int // directory /tmp, for the platform to see what is used

	mu       sync.Mutex // guards what follows and that a start is told before its end
	children map[int]bool
	born     *sync.Cond
	watch    watch
}

// live serves requests until the platform is gone.
func live(l link) error {
	unix.Umask(0o022)
	a := &life{link: l, children: map[int]bool{}, tmp: -1}
	a.born = sync.NewCond(&a.mu)
	go a.reap()
	buf := make([]byte, MessageBytesMax)
	for {
		req, files, err := l.receive(buf)
		if err != nil {
			return err
		}
		if req == nil {
			return nil
		}
		if err := a.answer(req, files); err != nil {
			return err
		}
	}
}

// answer does what one request asks. Only a broken socket is an error.
func (a *life) answer(req *Request, files []int) error {
	r := &Reply{ID: req.ID}
	switch {
	case req.Prepare != nil:
		lacks, err := a.prepare(req.Prepare, files)
		r.Lacks = lacks
		r.fail(err)
		return a.link.send(r)
	case req.Furnish != nil:
		files, err := a.furnish(req.Furnish)
		r.fail(err)
		if err != nil {
			return a.link.send(r)
		}
		r.Tmp = true
		defer closeAll(files[1:])
		return a.link.send(r, files...)
	case req.Listen != nil:
		fd, err := a.net.open(req.Listen)
		if err != nil {
			r.fail(err)
			return a.link.send(r)
		}
		defer func() { _ = unix.Close(fd) }()
		return a.link.send(r, fd)
	case req.Start != nil:
		defer closeAll(files)
		return a.start(r, req.Start, files)
	case req.Signal != nil:
		r.fail(a.signal(req.Signal))
		return a.link.send(r)
	case req.Usage != nil:
		a.usage(r)
		return a.link.send(r)
	}
	closeAll(files)
	r.fail(unix.ENOSYS)
	return a.link.send(r)
}

// prepare makes the empty room. What it costs is paid before anybody waits.
func (a *life) prepare(p *Prepare, files []int) ([]string, error) {
	want := p.Tasks
	if p.Unified {
		want++
	}
	if len(files) != want && len(files) != p.Tasks {
		return nil, fmt.Errorf("prepare: %d descriptors came: %w", len(files), unix.EINVAL)
	}
	a.root = root{hide: p.Hide, uid: p.UID, gid: p.GID}
	if err := a.net.up(); err != nil {
		return nil, err
	}
	var lacks []string
	if err := a.net.lead(p.Redirect); err != nil {
		lacks = append(lacks, sandbox.NoRedirect+": "+err.Error())
	}
	for _, step := range []func() error{a.root.enter, a.root.system, a.root.processes, a.root.devicesAndShm, deaf, expendable} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := unix.Sethostname([]byte("localhost")); err != nil {
		return nil, fmt.Errorf("set the host name: %w", err)
	}
	starter, missing, err := newStarter(p, files)
	if err != nil {
		return nil, err
	}
	a.starter = starter
	closeAll(files[:p.Tasks])
	return append(lacks, missing...), nil
}

// furnish makes the room a place. It returns what the platform is to have: the
// directory /tmp, and what is asked for the time.
func (a *life) furnish(f *Furnish) ([]int, error) {
	if err := a.net.lead(f.Redirect); err != nil {
		return nil, err
	}
	if err := a.root.furnish(f); err != nil {
		return nil, err
	}
	tmp, err := unix.Open("/tmp", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	a.tmp = tmp
	if err := limit(f); err != nil {
		return nil, err
	}
	if f.Memory > 0 {
		a.watch.limit = f.Memory
		go a.sample()
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("keep others from looking in: %w", err)
	}
	files := []int{tmp}
	if f.Skew {
		fd, err := a.starter.skew()
		if err != nil {
			return nil, err
		}
		files = append(files, fd)
	}
	return files, nil
}

// limit sets the limits every process of the place inherits.
func limit(f *Furnish) error {
	set := func(resource int, value uint64) error {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limit resource %d to %d: %w", resource, value, err)
		}
		return nil
	}
	if err := set(unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if f.Files > 0 {
		if err := set(unix.RLIMIT_NOFILE, uint64(f.Files)); err != nil {
			return err
		}
	}
	if f.Processes > 0 {
		return set(unix.RLIMIT_NPROC, uint64(f.Processes+ownThreads))
	}
	return nil
}

// ownThreads is how many threads the first process may have; they count
// where the place has no cgroup and no user of its own.
const ownThreads = 16

// expendable has the kernel end the place's processes before the platform
// when the whole machine is out of memory.
func expendable() error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
}

// deaf keeps processes of the place from ending their first one.
func deaf() error { return ignore(deafTo...) }

// start starts a process and tells so before anything can tell that it ended.
func (a *life) start(r *Reply, s *Start, files []int) error {
	out, err := -1, -1
	if s.Stdout && len(files) > 0 {
		out, files = files[0], files[1:]
	}
	if s.Stderr && len(files) > 0 {
		err = files[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	pid, pidfd, e := a.starter.start(s, out, err)
	if e != nil {
		r.fail(e)
		return a.link.send(r)
	}
	if len(a.children) == 0 {
		a.watch.over = false
	}
	a.children[pid] = true
	a.born.Signal()
	defer func() { _ = unix.Close(pidfd) }()
	r.PID = pid
	return a.link.send(r, pidfd)
}

// reap waits for processes to end, those the platform started and orphans.
func (a *life) reap() {
	for {
		var status syscall.WaitStatus
		var used syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &used)
		if err == syscall.EINTR {
			continue
		}
		a.mu.Lock()
		if err != nil { // no child at all: wait for one
			for len(a.children) == 0 {
				a.born.Wait()
			}
			a.mu.Unlock()
			continue
		}
		if a.children[pid] {
			delete(a.children, pid)
			r := &Reply{PID: pid, Status: uint32(status), OOM: a.watch.over, Memory: a.watch.peak}
			if a.link.send(r) != nil {
				os.Exit(0)
			}
		}
		a.mu.Unlock()
	}
}

// signal signals every process but this one; the kernel does so at one
// instant, so that no fork escapes.
func (a *life) signal(s *Signal) error {
	for {
		err := unix.Kill(-1, s.Signal)
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("signal all: %w", err)
		}
		if !s.Gone {
			return nil
		}
		// They are dying; the reaper takes them one by one.
		time.Sleep(200 * time.Microsecond)
	}
}

// usage tells the processor time of all processes there were and are.
func (a *life) usage(r *Reply) {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &used) == nil {
		r.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	for _, p := range processes() {
		r.CPU += p.cpu()
	}
	a.mu.Lock()
	r.Memory = a.watch.peak
	a.mu.Unlock()
}
