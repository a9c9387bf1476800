//go:build linux && (amd64 || arm64)

package skew

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execsMax is how many execs may wait for the one that is under way; then all
// questions wait with them.
const execsMax = 64

// A Clock answers the processes of one place.
type Clock struct {
	by     time.Duration
	filter int // where questions come from
	stop   int // readable when the Clock is to end
	execs  chan question
	log    *slog.Logger
	failed sync.Once // told that it cannot answer
	work   sync.WaitGroup
}

// A question is a call that waits for its answer: the kernel's seccomp_notif.
type question struct {
	id    uint64
	pid   uint32 // of the thread, as this process counts
	flags uint32
	call  int32
	arch  uint32
	at    uint64
	args  [6]uint64
}

// An answer is the kernel's seccomp_notif_resp.
type answer struct {
	id     uint64
	result int64
	errno  int32 // below 0
	flags  uint32
}

// The kernel's requests on a filter's descriptor, the same on each architecture here.
const (
	receive = 0xc0502100
	send    = 0xc0182101
	isValid = 0x40082102
)

// Open answers what fd, which [Filter] has made and which it takes over, is
// asked: by how much the time of day is ahead of the machine's, behind it when
// below 0. Close ends it.
func Open(fd int, by time.Duration, log *slog.Logger) (*Clock, error) {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	c := &Clock{by: by, filter: fd, stop: stop, execs: make(chan question, execsMax), log: log}
	c.work.Go(c.serve)
	c.work.Go(func() {
		for q := range c.execs {
			c.exec(&q)
		}
	})
	return c, nil
}

// Close ends the Clock when the processes have ended: one that asks later is
// answered ENOSYS by the kernel. Nil is closed.
func (c *Clock) Close() {
	if c == nil {
		return
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(c.stop, one)
	c.work.Wait()
	_ = unix.Close(c.stop)
	_ = unix.Close(c.filter)
}

// serve takes questions until the Clock is closed or nobody is left to ask.
func (c *Clock) serve() {
	defer close(c.execs)
	polls := []unix.PollFd{{Fd: int32(c.filter), Events: unix.POLLIN}, {Fd: int32(c.stop), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(polls, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			c.log.Error("a place's clock has stopped", "err", err)
			return
		}
		if polls[1].Revents != 0 || polls[0].Revents&^unix.POLLIN != 0 {
			return
		}
		var q question
		if err := ioctl(c.filter, receive, unsafe.Pointer(&q)); err != nil {
			continue // whoever asked was killed
		}
		if q.call == unix.SYS_EXECVE || q.call == unix.SYS_EXECVEAT {
			c.execs <- q
			continue
		}
		a := c.tell(&q)
		_ = ioctl(c.filter, send, unsafe.Pointer(&a)) // it may have been killed meanwhile
	}
}

// tell answers a question for the time of day.
func (c *Clock) tell(q *question) answer {
	a := answer{id: q.id}
	clock := int32(unix.CLOCK_REALTIME)
	switch q.call {
	case unix.SYS_CLOCK_GETTIME:
		clock = int32(q.args[0])
	case callTime:
		clock = unix.CLOCK_REALTIME_COARSE // which is the kernel's choice, too
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return a.fail(err)
	}
	now := time.Unix(ts.Unix()).Add(c.by)
	var err error
	switch q.call {
	case unix.SYS_CLOCK_GETTIME:
		err = c.write(q, q.args[1], uint64(now.Unix()), uint64(now.Nanosecond()))
	case unix.SYS_GETTIMEOFDAY:
		if q.args[0] != 0 {
			err = c.write(q, q.args[0], uint64(now.Unix()), uint64(now.Nanosecond()/1000))
		}
		if q.args[1] != 0 && err == nil {
			err = c.write(q, q.args[1], 0) // the time zone, which the kernel has not
		}
	case callTime:
		a.result = now.Unix()
		if q.args[0] != 0 {
			err = c.write(q, q.args[0], uint64(a.result))
		}
	}
	if err != nil {
		return a.fail(err)
	}
	return a
}

// write writes words into the memory of whoever asks.
func (c *Clock) write(q *question, at uint64, words ...uint64) error {
	memory, err := openMemory(int(q.pid), unix.O_WRONLY)
	if err != nil {
		if c.valid(q) {
			c.failed.Do(func() { c.log.Error("a place's clock cannot tell the time", "err", err) })
		}
		return err
	}
	defer func() { _ = unix.Close(memory) }()
	if !c.valid(q) {
		return unix.EFAULT // it was killed, and this may be another's memory
	}
	return writeWords(memory, at, words...)
}

// openMemory opens the memory of a process, or of a thread's.
func openMemory(pid, how int) (int, error) {
	return unix.Open("/proc/"+strconv.Itoa(pid)+"/mem", how|unix.O_CLOEXEC, 0)
}

func writeWords(memory int, at uint64, words ...uint64) error {
	b := make([]byte, 0, 16)
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	if n, err := unix.Pwrite(memory, b, int64(at)); err != nil || n < len(b) {
		return unix.EFAULT
	}
	return nil
}

// valid says whether a question still waits: then its pid is the asker's.
func (c *Clock) valid(q *question) bool {
	return ioctl(c.filter, isValid, unsafe.Pointer(&q.id)) == nil
}

// fail is the answer that a call has failed.
func (a answer) fail(err error) answer {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		errno = unix.EIO
	}
	a.result, a.errno = 0, -int32(errno)
	return a
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
