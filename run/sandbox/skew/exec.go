//go:build linux && (amd64 || arm64)

package skew

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadPoll is how often it is looked for the end of an exec by a thread that
// is not its process's first: the kernel gives it another number meanwhile.
const threadPoll = 100 * time.Microsecond

// exec lets a program be executed, and takes the page with the time from it
// before its first step. When that cannot be, the exec fails: a program that
// sees the machine's time would make the skew a lie.
func (c *Clock) exec(q *question) {
	runtime.LockOSThread() // which alone may trace what it has seized
	defer runtime.UnlockOSThread()
	tid := int(q.pid)
	leader := leaderOf(tid)
	a := answer{id: q.id}
	if err := ptrace(unix.PTRACE_SEIZE, tid, unix.PTRACE_O_TRACEEXEC); err != nil {
		if c.valid(q) {
			c.log.Error("a program is not executed", "err", fmt.Errorf("%w: %w", errRefused, err))
			a = a.fail(unix.EPERM)
			_ = ioctl(c.filter, send, unsafe.Pointer(&a))
		}
		return
	}
	ours := c.valid(q) // else it was killed, and another has its number
	// It stops once, whatever comes of the exec: at its end, or behind the call
	// when it failed. Nothing interrupts the call itself.
	_ = unix.PtraceInterrupt(tid)
	if ours {
		a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		_ = ioctl(c.filter, send, unsafe.Pointer(&a)) // it may have been killed meanwhile
	}
	pid, status, err := stopped(leader, tid)
	if err != nil || !status.Stopped() {
		return // it ended
	}
	event := int(status) >> 16
	if ours && event == unix.PTRACE_EVENT_EXEC {
		if err := strike(pid); err != nil {
			if _, gone := pointer(pid); !errors.Is(gone, unix.ESRCH) { // else it was killed, and nobody sees a time
				c.log.Error("a program is killed", "err", fmt.Errorf("%w: %w", errRefused, err))
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	signal := uintptr(0)
	if event == 0 {
		signal = uintptr(status.StopSignal()) // on its way to the process
	}
	if errors.Is(ptrace(unix.PTRACE_DETACH, pid, signal), unix.ESRCH) {
		buried(pid)
	}
}

// buried waits for the end of a process that was killed while it was traced: its
// parent, and with it the place, hears of that only when its tracer has.
func buried(pid int) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		if err != nil && !errors.Is(err, unix.EINTR) || err == nil && !status.Stopped() {
			return
		}
	}
}

// leaderOf is the number of a thread's process.
func leaderOf(tid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return tid
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(rest))); err == nil {
				return n
			}
		}
	}
	return tid
}

// stopped waits until a thread that was seized stops or ends. One that is not
// the first of its process has the first's number once its exec succeeds.
func stopped(leader, tid int) (pid int, status unix.WaitStatus, err error) {
	if leader == tid {
		for {
			pid, err = unix.Wait4(tid, &status, unix.WALL, nil)
			if !errors.Is(err, unix.EINTR) {
				return pid, status, err
			}
		}
	}
	for gone := 0; gone < 2; { // it may change its number between the two looks
		gone++
		for _, n := range []int{leader, tid} {
			pid, err = unix.Wait4(n, &status, unix.WALL|unix.WNOHANG, nil)
			if pid > 0 {
				return pid, status, nil
			}
			if err == nil || errors.Is(err, unix.EINTR) {
				gone = 0
			}
		}
		time.Sleep(threadPoll)
	}
	return 0, 0, err
}

// The entries of a start vector that matter here.
const (
	entryEnd    = 0
	entryIgnore = 1
	entryPage   = 33 // AT_SYSINFO_EHDR
)

// strike strikes the page out of the start vector of a program that has not
// made a step. On its stack are the number of arguments, the arguments, 0, the
// environment, 0, and then pairs of a kind and a value.
func strike(pid int) error {
	memory, err := openMemory(pid, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(memory) }()
	s := stack{memory: memory}
	if s.at, err = pointer(pid); err != nil {
		return err
	}
	for range s.next() + 1 { // the arguments and 0
		if s.next(); s.err != nil {
			return s.err
		}
	}
	for s.next() != 0 { // which it also is at an error
	}
	for {
		at := s.at
		kind := s.next()
		s.next()
		switch {
		case s.err != nil:
			return s.err
		case kind == entryEnd:
			return nil // there was no such page
		case kind == entryPage:
			return writeWords(memory, at, entryIgnore)
		}
	}
}

// pointer reads the stack pointer of a process that is stopped.
func pointer(pid int) (uint64, error) {
	var registers [64]uint64
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&registers))}
	v.SetLen(len(registers) * 8)
	const general = 1 // NT_PRSTATUS
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(pid), general, uintptr(unsafe.Pointer(&v)), 0, 0); errno != 0 {
		return 0, fmt.Errorf("read registers: %w", errno)
	}
	return registers[stackPointer], nil
}

// A stack reads the words of a process's stack, upwards.
type stack struct {
	memory int
	at     uint64 // of the next word
	have   []byte
	err    error // once there is one, words are 0
}

func (s *stack) next() uint64 {
	if s.err == nil && len(s.have) == 0 {
		b := make([]byte, 4096)
		n, err := unix.Pread(s.memory, b, int64(s.at))
		if s.have = b[:max(n, 0)&^7]; len(s.have) == 0 {
			s.err = fmt.Errorf("read the stack: %d bytes: %w", n, errors.Join(err, unix.EFAULT))
		}
	}
	if s.err != nil {
		return 0
	}
	word := binary.NativeEndian.Uint64(s.have)
	s.have, s.at = s.have[8:], s.at+8
	return word
}

func ptrace(request, pid int, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), 0, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
