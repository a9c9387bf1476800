//go:build linux

package inside

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// needed are the capabilities a room keeps over the exec where its user is
// not root. It has all of them over its own namespaces, and over nothing else.
var needed = []uintptr{
	unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP,
	unix.CAP_KILL, unix.CAP_SYS_RESOURCE, unix.CAP_SYS_PTRACE, unix.CAP_SYS_CHROOT, unix.CAP_DAC_OVERRIDE, unix.CAP_CHOWN,
}

// build makes rooms as long as the platform is there. It is a process of its
// own because a process in a new user namespace must be forked the slow way,
// with a copy of its parent's page tables: the platform's are large, and this
// one's small. It also is the parent whose death ends the rooms.
func build(l link) error {
	runtime.LockOSThread() // a room ends with the thread that made it
	// Nobody waits for rooms: the platform watches them itself.
	if err := ignore(syscall.SIGCHLD); err != nil {
		return err
	}
	buf := make([]byte, MessageBytesMax)
	for {
		req, files, err := l.receive(buf)
		if err != nil || req == nil {
			return err
		}
		r := &Reply{ID: req.ID}
		if req.Room == nil || len(files) != 1 {
			closeAll(files)
			r.fail(unix.EINVAL)
			if err := l.send(r); err != nil {
				return err
			}
			continue
		}
		pidfd, err := room(req.Room, files[0])
		closeAll(files)
		if err != nil {
			r.fail(err)
			err = l.send(r)
		} else {
			err = l.send(r, pidfd)
			_ = unix.Close(pidfd)
		}
		if errors.Is(err, unix.EPIPE) {
			return nil // the platform left while the room was made
		}
		if err != nil {
			return err
		}
	}
}

// room starts the first process of a new room.
func room(want *Room, socket int) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = null.Close() }()
	pidfd := -1
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
		PidFD:      &pidfd,
	}
	if want.Own {
		uid, gid := os.Geteuid(), os.Getegid()
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = needed
	} else {
		attr.GidMappingsEnableSetgroups = true
		for _, r := range want.UIDs {
			attr.UidMappings = append(attr.UidMappings, syscall.SysProcIDMap{ContainerID: r.First, HostID: r.First, Size: r.Size})
		}
		for _, r := range want.GIDs {
			attr.GidMappings = append(attr.GidMappings, syscall.SysProcIDMap{ContainerID: r.First, HostID: r.First, Size: r.Size})
		}
	}
	_, err = syscall.ForkExec("/proc/self/exe", []string{roomName}, &syscall.ProcAttr{
		Dir: "/", Env: Env, Sys: attr,
		Files: []uintptr{null.Fd(), null.Fd(), os.Stderr.Fd(), uintptr(socket)},
	})
	if err != nil {
		return -1, fmt.Errorf("make namespaces: %w", err)
	}
	if pidfd < 0 {
		return -1, fmt.Errorf("make namespaces: no pidfd: %w", unix.ENOSYS)
	}
	return pidfd, nil
}

// Env keeps the first process of a place small: one processor, little garbage.
var Env = []string{"GOMAXPROCS=1", "GOGC=20", "GOTRACEBACK=single"}
