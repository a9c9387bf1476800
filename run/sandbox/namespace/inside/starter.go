//go:build linux

package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/skew"
)

// A starter is the one thread that starts processes. It gave up everything a
// process of the place must not have: its user, capabilities, system calls,
// and its old cgroups. What it starts inherits that, with nothing between the
// fork and the exec to go wrong. The first process's other threads keep theirs.
//
// The kernel keeps all of this per thread; Go's own functions change every
// thread of a process, which is why the calls here are raw.
type starter struct {
	jobs    chan func() // what its thread is to do, one after the other
	unified int         // directory of the cgroup that processes are born into, or -1
}

// newStarter starts the thread; it runs until the process ends.
func newStarter(p *Prepare, files []int) (*starter, []string, error) {
	s := &starter{jobs: make(chan func()), unified: -1}
	if p.Unified {
		s.unified = files[p.Tasks]
	}
	type outcome struct {
		lacks []string
		err   error
	}
	ready := make(chan outcome)
	var work func()
	work = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread stands for the process: its user is the process's.
			go work()
			select {}
		}
		lacks, err := s.become(p, files[:p.Tasks])
		ready <- outcome{lacks, err}
		if err != nil {
			return
		}
		for do := range s.jobs {
			do()
		}
	}
	go work()
	o := <-ready
	return s, o.lacks, o.err
}

// start runs one command and returns its process number and pidfd.
func (s *starter) start(c *Start, out, err int) (int, int, error) {
	path, e := look(c)
	if e != nil {
		return 0, -1, e
	}
	null, e := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if e != nil {
		return 0, -1, e
	}
	defer func() { _ = unix.Close(null) }()
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null)}
	if out >= 0 {
		files[1] = uintptr(out)
	}
	if err >= 0 {
		files[2] = uintptr(err)
	}
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	pid, pidfd := 0, -1
	s.do(func() { pid, pidfd, e = s.fork(path, c.Argv, &syscall.ProcAttr{Dir: dir, Env: c.Env, Files: files}) })
	if e != nil {
		return 0, -1, fmt.Errorf("start %s: %w", c.Argv[0], e)
	}
	return pid, pidfd, nil
}

// do has the starter's thread do something, and waits for it.
func (s *starter) do(what func()) {
	done := make(chan struct{})
	s.jobs <- func() {
		defer close(done)
		what()
	}
	<-done
}

func (s *starter) fork(path string, argv []string, attr *syscall.ProcAttr) (pid, pidfd int, err error) {
	pidfd = -1
	attr.Sys = &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	if s.unified >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, s.unified
	}
	if attr.Env == nil {
		attr.Env = []string{} // nil would mean: this process's
	}
	pid, err = syscall.ForkExec(path, argv, attr)
	return pid, pidfd, err
}

// skew leads what processes ask of the time of day, from now on, to whoever
// has the descriptor it returns. Who answers must be another process: this
// thread waits for the exec of what it has forked, and with it the garbage
// collector of this one.
func (s *starter) skew() (fd int, err error) {
	s.do(func() { fd, err = skew.Filter() })
	return fd, err
}

// look finds the file to execute.
func look(c *Start) (string, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "", fmt.Errorf("start: no command: %w", unix.EINVAL)
	}
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, v := range c.Env {
		if rest, ok := strings.CutPrefix(v, "PATH="); ok {
			path = rest
		}
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join("/", c.Dir, dir, name)
		if filepath.IsAbs(dir) {
			file = filepath.Join(dir, name)
		}
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("start %s: not in PATH %q: %w", name, path, unix.ENOENT)
}

// become makes this thread what processes of the place are.
func (s *starter) become(p *Prepare, tasks []int) ([]string, error) {
	for _, fd := range tasks {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return nil, fmt.Errorf("join cgroup: %w", err)
		}
	}
	if err := s.limitPrivilege(p); err != nil {
		return nil, err
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return nil, fmt.Errorf("forbid new privileges: %w", err)
	}
	switch err := filterCalls(p.Trace); {
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL):
		return []string{sandbox.NoCallFilter + ": there is none for this kernel or architecture"}, nil
	case err != nil:
		return nil, err
	}
	return nil, nil
}

// limitPrivilege takes the capabilities and the user of this thread away.
func (s *starter) limitPrivilege(p *Prepare) error {
	// Root is a user as any other from here on, and stays so.
	const noRoot, noRootLocked, noFixup, noFixupLocked = 1, 2, 4, 8
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if err := prctl(unix.PR_CAPBSET_DROP, uintptr(c)); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if p.Switch {
		if err := s.switchUser(p); err != nil {
			return err
		}
	}
	if err := prctl(unix.PR_SET_SECUREBITS, noRoot|noRootLocked|noFixup|noFixupLocked); err != nil && !p.Switch {
		return fmt.Errorf("take root's privileges: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// switchUser makes this thread another user. A process is born into a cgroup
// only by whom the cgroup's files belong to: the thread keeps the file-system
// side of its old user for that, which an exec takes away.
func (s *starter) switchUser(p *Prepare) error {
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return err
	}
	uid, gid := uintptr(p.UID), uintptr(p.GID)
	if err := call(unix.SYS_SETGROUPS, 0, 0, 0); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := call(unix.SYS_SETRESGID, gid, gid, gid); err != nil {
		return fmt.Errorf("become group %d: %w", p.GID, err)
	}
	if err := call(unix.SYS_SETRESUID, uid, uid, uid); err != nil {
		return fmt.Errorf("become user %d: %w", p.UID, err)
	}
	if s.unified < 0 {
		return nil
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	caps[0].Effective = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP
	caps[0].Permitted = caps[0].Effective
	if err := unix.Capset(&head, &caps[0]); err != nil {
		return fmt.Errorf("keep the cgroup's owner: %w", err)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0) // returns the previous one, never an error
	if was, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); was != 0 {
		return fmt.Errorf("keep the cgroup's owner: %w", fs.ErrPermission)
	}
	return nil
}

func call(number, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall(number, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func prctl(option int, arg uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// deafTo are the signals Go handles and a process of the same user could harm
// the first process with; the kernel itself keeps SIGKILL, and all that are
// not handled, from it.
var deafTo = []syscall.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS,
	syscall.SIGFPE, syscall.SIGUSR1, syscall.SIGSEGV, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGTERM, syscall.SIGSTKFLT,
	syscall.SIGVTALRM, syscall.SIGIO, syscall.SIGPWR, syscall.SIGSYS,
}

// ignore makes this process ignore signals, also those Go insists on
// handling. Go resets its own handlers between fork and exec, so nothing that
// is started inherits this.
func ignore(signals ...syscall.Signal) error {
	ignored := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: 1}
	for _, sig := range signals {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignored)), 0, 8, 0, 0)
		if errno != 0 {
			return fmt.Errorf("ignore %v: %w", sig, errno)
		}
	}
	return nil
}
