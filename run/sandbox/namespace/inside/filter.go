//go:build linux && (amd64 || arm64)

package inside

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The places of what a filter looks at, in struct seccomp_data.
const (
	callNumber = 0
	callArch   = 4
	callArg0   = 16 // its low half, on a little-endian machine
)

// namespaceFlags are the flags of clone that make namespaces. clone3 hides
// its flags behind a pointer; what makes it harmless is that the place's
// limits of namespaces are zero.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// denied are the calls no function needs: they change the machine, look into
// other processes, or open large parts of the kernel. They answer EPERM.
var denied = []uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETTIMEOFDAY,
	unix.SYS_SYSLOG, unix.SYS_VHANGUP, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
}

// tracing are the calls by which debuggers look into other processes. They are
// denied likewise, but where a place is for them.
var tracing = []uint32{unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV}

// absent are calls that programs try and do without: they answer ENOSYS.
var absent = []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// families are the kinds of sockets there are; others answer EAFNOSUPPORT.
// What is left out is not bound to a network namespace, or nobody's need.
var families = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// filterCalls makes the calling thread, and what it starts, unable to make
// the denied calls. It cannot be undone. trace leaves the calls of debuggers.
func filterCalls(trace bool) error {
	program := filter(trace)
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}

// filter builds the program. The order is: another architecture's calls are
// absent; each denied number is a pair of "equal?" and "answer".
func filter(trace bool) []unix.SockFilter {
	forbidden := slices.Concat(denied, deniedHere)
	if !trace {
		forbidden = append(forbidden, tracing...)
	}
	answer := func(errno unix.Errno) unix.SockFilter {
		return statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(errno))
	}
	allow := statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW)
	load := func(at uint32) unix.SockFilter { return statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, at) }
	const equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K

	p := []unix.SockFilter{
		load(callArch),
		jump(equal, auditArch, 1, 0),
		answer(unix.ENOSYS),
		load(callNumber),
		jump(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, callNumberEnd, 0, 1), // the other number space of amd64
		answer(unix.ENOSYS),
	}
	for _, number := range forbidden {
		p = append(p, jump(equal, number, 0, 1), answer(unix.EPERM))
	}
	for _, number := range absent {
		p = append(p, jump(equal, number, 0, 1), answer(unix.ENOSYS))
	}
	p = append(p,
		jump(equal, unix.SYS_CLONE, 0, 4),
		load(callArg0),
		jump(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, namespaceFlags, 0, 1),
		answer(unix.EPERM),
		allow,
		jump(equal, unix.SYS_SOCKET, 0, uint8(len(families)+2)),
		load(callArg0),
	)
	for i, family := range families {
		p = append(p, jump(equal, family, uint8(len(families)-i), 0))
	}
	return append(p, answer(unix.EAFNOSUPPORT), allow)
}

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
}
