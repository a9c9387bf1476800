//go:build linux

package namespace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/namespace/inside"
)

// A process is one process of a place, known by its pidfd: signalling it
// never reaches another that took its number.
type process struct {
	pid         int
	outOfMemory int64 // the place's count when it started
	done        chan struct{}
	exit        sandbox.Exit // set before done is closed

	mu    sync.Mutex // guards pidfd
	pidfd int        // -1 once it has ended
}

// Start starts a process in a session of its own, with nothing on standard
// input and no descriptor but the three. Errors: KindNotFound when there is
// no such file, KindDenied when it may not be executed, KindInvalid when it
// is no program, KindConflict when the place is frozen.
func (p *place) Start(cmd sandbox.Command) (sandbox.Process, error) {
	defer p.take()()
	if p.frozen {
		return nil, &daruma.Error{Op: "start", Kind: daruma.KindConflict, Ref: p.spec.ID, Err: errors.New("the place is frozen")}
	}
	start := &inside.Start{Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, Stdout: cmd.Stdout != nil, Stderr: cmd.Stderr != nil}
	var files []int
	for _, f := range []*os.File{cmd.Stdout, cmd.Stderr} {
		if f != nil {
			files = append(files, int(f.Fd()))
		}
	}
	pr := &process{pidfd: -1, done: make(chan struct{}), outOfMemory: p.outOfMemory()}
	answered := func(r *inside.Reply, files []int) {
		if r.PID == 0 || len(files) != 1 {
			return
		}
		pr.pidfd, pr.pid = files[0], pidOf(files[0])
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.processes != nil {
			p.processes[r.PID] = pr
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	_, got, err := p.room.link.do(ctx, &inside.Request{Start: start}, files, answered)
	if err == nil && len(got) != 1 {
		err = syscall.EBADMSG
	}
	if err != nil {
		closeAll(got)
		return nil, p.failed("start", err)
	}
	return pr, nil
}

// pidOf is the number of a process as the platform counts, or 0 when it ended already.
func pidOf(pidfd int) int {
	f, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(rest))
			return max(pid, 0)
		}
	}
	return 0
}

// PID is the process's number as the platform sees it; 0 when it ended before that could be seen.
func (pr *process) PID() int { return pr.pid }

// Signal sends a signal to the process alone; os.ErrProcessDone when it ended.
func (pr *process) Signal(sig syscall.Signal) error {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.pidfd < 0 {
		return os.ErrProcessDone
	}
	switch err := unix.PidfdSendSignal(pr.pidfd, sig, nil, 0); {
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	case err != nil:
		return fmt.Errorf("signal process %d: %w", pr.pid, err)
	}
	return nil
}

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

// end is called once, when the process has ended.
func (pr *process) end(exit sandbox.Exit) {
	pr.mu.Lock()
	if pr.pidfd >= 0 {
		_ = unix.Close(pr.pidfd)
		pr.pidfd = -1
	}
	pr.mu.Unlock()
	pr.exit = exit
	close(pr.done)
}
