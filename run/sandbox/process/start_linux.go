package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// start starts a process with its limits. The limits can only be set from
// outside, so it is held at its first instruction, as a debugger would, until
// they are; where that is forbidden it may run an instant without them.
func start(f fork) (*os.Process, error) {
	f.attr.Sys.Ptrace = true
	p, err := os.StartProcess(f.path, f.argv, f.attr)
	if errors.Is(err, os.ErrPermission) {
		f.attr.Sys.Ptrace = false
		if p, err = os.StartProcess(f.path, f.argv, f.attr); err == nil {
			err = restrict(p.Pid, f.files)
		}
		return p, err
	}
	if err != nil {
		return nil, err
	}
	if err := release(p.Pid, f.files); err != nil {
		_ = p.Kill()
		_, _ = p.Wait()
		return nil, err
	}
	return p, nil
}

// release sets the limits of a process that is held, and lets it go.
func release(pid, files int) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("hold process: %w", err)
		}
		break
	}
	if !status.Stopped() {
		return fmt.Errorf("hold process: it ended before it began: %w", syscall.ESRCH)
	}
	if err := restrict(pid, files); err != nil {
		return err
	}
	if err := syscall.PtraceDetach(pid); err != nil {
		return fmt.Errorf("let process go: %w", err)
	}
	return nil
}

// restrict sets the limits of a process.
func restrict(pid, files int) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if files == 0 {
		return nil
	}
	limit := unix.Rlimit{Cur: uint64(files), Max: uint64(files)}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	return nil
}
