//go:build linux && (amd64 || arm64)

package skew

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// moved are the clocks that tell the time of day.
var moved = []uint32{unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_TAI}

// always are the calls that are led to a Clock whatever their arguments are.
var always = slices.Concat([]uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_GETTIMEOFDAY}, moreCalls)

// What is asked of the seccomp call. A caller that waits for its Clock is woken
// by nothing but its end: no program expects a signal to interrupt its asking
// for the time, and an exec must not be begun twice.
const (
	listening = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | waitKillable

	waitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	retNotify    = unix.SECCOMP_RET_USER_NOTIF
)

// Filter leads the calls of the calling thread, and of what it starts, that
// tell the time of day or execute a program to whoever holds the descriptor it
// returns: see [Open]. Until then they wait. It cannot be undone. The thread
// must have given up new privileges, and have no filter with a listener.
func Filter() (int, error) {
	p := program()
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	fd, err := seccomp(&prog)
	if err != nil {
		return -1, fmt.Errorf("lead the calls for the time away: %w", err)
	}
	return fd, nil
}

func seccomp(prog *unix.SockFprog) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, listening, uintptr(unsafe.Pointer(prog)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// program builds the filter. Calls of another architecture pass: whoever sets
// this filter refuses them with another.
func program() []unix.SockFilter {
	const (
		callNumber = 0 // in struct seccomp_data
		callArg0   = 16
	)
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	equal := func(k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

	p := []unix.SockFilter{load(callNumber)}
	for i, number := range always {
		p = append(p, equal(number, len(always)-i+len(moved)+3, 0)) // to the last
	}
	p = append(p, equal(unix.SYS_CLOCK_GETTIME, 1, 0), ret(unix.SECCOMP_RET_ALLOW), load(callArg0))
	for i, clock := range moved {
		p = append(p, equal(clock, len(moved)-i, 0))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW), ret(retNotify))
}

// Lacks says why no clock can be moved on this machine; "" when it can be.
func Lacks() string {
	// The kernel knows the flags before it looks for a program, which is nowhere.
	switch _, err := seccomp(nil); {
	case errors.Is(err, unix.EFAULT):
	case errors.Is(err, unix.EINVAL):
		return "it needs a kernel of 5.19 or later"
	default:
		return fmt.Sprintf("filters of system calls: %v", err)
	}
	if err := unix.PtraceInterrupt(0); !errors.Is(err, unix.ESRCH) { // there is no such process
		return fmt.Sprintf("tracing: %v", err)
	}
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && bytes.HasPrefix(scope, []byte("3")) {
		return "sysctl kernel.yama.ptrace_scope is 3, which forbids tracing"
	}
	return ""
}
