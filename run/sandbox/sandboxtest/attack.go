//go:build linux

package sandboxtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alone says that no process is seen but this one.
func alone([]string) error {
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		if pid := filepath.Base(name); pid != fmt.Sprint(os.Getpid()) && pid != "1" {
			return fmt.Errorf("saw process %s", pid)
		}
	}
	return nil
}

// harm sends every signal to the first process and its threads. As a first
// process it need not exist: where all is shared it is the machine's, and is left alone.
func harm([]string) error {
	if os.Getppid() != 1 {
		return errors.New("the parent is not the place's first process")
	}
	for target := 1; target < 20; target++ {
		if target == os.Getpid() {
			continue
		}
		for sig := syscall.Signal(1); sig < 65; sig++ {
			if sig != syscall.SIGCHLD && isThreadOfOurs(target) {
				continue
			}
			_ = syscall.Kill(target, sig)
		}
	}
	return nil
}

func isThreadOfOurs(id int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", id))
	return err == nil
}

// powerless says that there are no capabilities and no way to get any.
func powerless([]string) error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	var wrong []string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch {
		case strings.HasPrefix(key, "Cap") && strings.Trim(value, "0") != "",
			key == "NoNewPrivs" && value != "1":
			wrong = append(wrong, key+"="+value)
		case key == "Uid" || key == "Gid":
			f := strings.Fields(value)
			for _, id := range f {
				if id == "0" || id != f[0] {
					wrong = append(wrong, key+"="+value)
					break
				}
			}
		}
	}
	if err := syscall.Setuid(0); err == nil {
		wrong = append(wrong, "became root")
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, ", "))
	}
	return nil
}

// calls makes system calls in ways that do nothing when they are allowed, and
// says which were not refused.
func calls([]string) error {
	path := uintptr(unsafe.Pointer(&[]byte("/tmp\x00")[0]))
	tries := []struct {
		name   string
		number uintptr
		args   [3]uintptr
		want   syscall.Errno
	}{
		{"mount", unix.SYS_MOUNT, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"umount2", unix.SYS_UMOUNT2, [3]uintptr{path, 0xffff, 0}, unix.EPERM},
		{"chroot", unix.SYS_CHROOT, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"fsopen", unix.SYS_FSOPEN, [3]uintptr{0, 0xffff, 0}, unix.EPERM},
		{"unshare", unix.SYS_UNSHARE, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"setns", unix.SYS_SETNS, [3]uintptr{^uintptr(0), 0, 0}, unix.EPERM},
		{"bpf", unix.SYS_BPF, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"keyctl", unix.SYS_KEYCTL, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"add_key", unix.SYS_ADD_KEY, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"userfaultfd", unix.SYS_USERFAULTFD, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"ptrace", unix.SYS_PTRACE, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [3]uintptr{1, 0, 0}, unix.EPERM},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [3]uintptr{0, 0xffff, 0}, unix.EPERM},
		{"init_module", unix.SYS_INIT_MODULE, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"clock_settime", unix.SYS_CLOCK_SETTIME, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [3]uintptr{0, 0, 0}, unix.EPERM},
		{"syslog", unix.SYS_SYSLOG, [3]uintptr{0xffff, 0, 0}, unix.EPERM},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [3]uintptr{0, 0, 0}, unix.ENOSYS},
	}
	var wrong []string
	for _, t := range tries {
		if _, _, errno := syscall.Syscall(t.number, t.args[0], t.args[1], t.args[2]); errno != t.want {
			wrong = append(wrong, fmt.Sprintf("%s: %v", t.name, error(errno)))
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, ", "))
	}
	return nil
}

// namespaces tries to make some by each call that can.
func namespaces([]string) error {
	for name, flag := range map[string]uintptr{"user": unix.CLONE_NEWUSER, "network": unix.CLONE_NEWNET, "mount": unix.CLONE_NEWNS, "both": unix.CLONE_NEWUSER | unix.CLONE_NEWNET} {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flag|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 {
			return made(pid, name+" by clone")
		}
		args := struct{ flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64 }{flags: uint64(flag), exitSignal: uint64(unix.SIGCHLD)}
		pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno == 0 {
			return made(pid, name+" by clone3")
		}
	}
	return nil
}

// made ends the child and reports it.
func made(pid uintptr, what string) error {
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return fmt.Errorf("made a namespace: %s", what)
}

// sockets tries kinds of sockets that are not bound to a network namespace.
func sockets([]string) error {
	for name, family := range map[string]int{"vsock": unix.AF_VSOCK, "alg": unix.AF_ALG, "packet": unix.AF_PACKET, "bluetooth": unix.AF_BLUETOOTH} {
		switch _, err := unix.Socket(family, unix.SOCK_SEQPACKET, 0); {
		case err == nil:
			return fmt.Errorf("%s: got a socket", name)
		case !errors.Is(err, unix.EAFNOSUPPORT):
			return fmt.Errorf("%s: got %w, want not supported", name, err)
		}
	}
	return nil
}
