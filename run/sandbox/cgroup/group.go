//go:build linux

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Group is the processes of one place.
type Group struct {
	tree    *Tree
	name    string
	dir     *os.File // the version-2 directory, for processes to be born into; or nil
	unified string
	memory  string // where memory is limited, either version
	pids    string
	shares  bool // it was counted in
}

// New makes an empty group.
func (t *Tree) New(name string) (*Group, error) {
	g := &Group{tree: t, name: name}
	for _, dir := range t.dirs() {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			_ = g.Remove()
			return nil, fmt.Errorf("make cgroup: %w", err)
		}
	}
	if t.unified != "" {
		g.unified = filepath.Join(t.unified, name)
		dir, err := os.OpenFile(g.unified, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		if err != nil {
			_ = g.Remove()
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		g.dir = dir
	}
	switch {
	case t.memory != "":
		g.memory = filepath.Join(t.memory, name)
	case t.memoryIn2:
		g.memory = g.unified
	}
	switch {
	case t.pids != "":
		g.pids = filepath.Join(t.pids, name)
	case t.pidsIn2:
		g.pids = g.unified
	}
	g.shares = true
	t.share(+1)
	return g, nil
}

// Dir is the directory for CLONE_INTO_CGROUP, or nil.
func (g *Group) Dir() *os.File { return g.dir }

// Tasks opens the version-1 files by which a thread joins the group: it
// writes "0" to each. The caller closes them.
func (g *Group) Tasks() ([]*os.File, error) {
	var files []*os.File
	for _, dir := range []string{g.tree.memory, g.tree.pids, g.tree.cpu} {
		if dir == "" {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, g.name, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// CountsMemory says whether memory can be limited and told.
func (g *Group) CountsMemory() bool { return g.memory != "" }

// CountsProcesses says whether the number of processes can be limited.
func (g *Group) CountsProcesses() bool { return g.pids != "" }

// LimitMemory sets the memory above which the kernel ends processes of the
// group. There is no swap above it either.
func (g *Group) LimitMemory(bytes int64) error {
	if g.tree.memory == "" {
		if err := g.set("memory.max", bytes); err != nil {
			return err
		}
		if err := g.set("memory.swap.max", 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return g.set("memory.oom.group", 1)
	}
	if err := g.set("memory.limit_in_bytes", bytes); err != nil {
		return err
	}
	// Where swap is counted the sum is limited too; where it is not there is
	// no such file, or writing it is refused.
	if err := g.set("memory.memsw.limit_in_bytes", bytes); err != nil {
		return g.set("memory.swappiness", 0)
	}
	return nil
}

// LimitProcesses sets how many processes and threads there may be.
func (g *Group) LimitProcesses(n int) error {
	if g.tree.pids != "" {
		n++ // the thread that starts them is one of the group
	}
	return write(filepath.Join(g.pids, "pids.max"), int64(n))
}

// Watch opens a file that becomes readable whenever the group may have come
// to use more than soft bytes, or the kernel ended a process of it for want
// of memory. In version 2 processes above soft are slowed down as well; Soft
// moves that mark. The caller closes the file.
func (g *Group) Watch(soft int64) (*os.File, error) {
	if g.tree.memory == "" {
		if err := g.Soft(soft); err != nil {
			return nil, err
		}
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("watch memory: %w", err)
		}
		if _, err := unix.InotifyAddWatch(fd, filepath.Join(g.memory, "memory.events"), unix.IN_MODIFY); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("watch memory: %w", err)
		}
		return os.NewFile(uintptr(fd), "memory.events"), nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	for _, on := range []struct{ file, argument string }{
		{"memory.usage_in_bytes", strconv.FormatInt(soft, 10)},
		{"memory.oom_control", ""},
	} {
		if err := g.register(fd, on.file, on.argument); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("watch memory: %w", err)
		}
	}
	return os.NewFile(uintptr(fd), "memory events"), nil
}

// register has version 1 tell about a file through an eventfd.
func (g *Group) register(eventfd int, file, argument string) error {
	f, err := os.Open(filepath.Join(g.memory, file))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	line := fmt.Sprintf("%d %d %s", eventfd, f.Fd(), argument)
	return put(filepath.Join(g.memory, "cgroup.event_control"), line)
}

// Soft moves the mark above which version 2 slows down and Watch tells.
func (g *Group) Soft(bytes int64) error {
	if g.tree.memory != "" {
		return nil
	}
	return g.set("memory.high", bytes)
}

// Memory tells what is used now, and how much of it are copies of files that
// the kernel would give up. It may be called from any goroutine.
func (g *Group) Memory() (used, files int64, err error) {
	name, prefix := "memory.current", ""
	if g.tree.memory != "" {
		name, prefix = "memory.usage_in_bytes", "total_"
	}
	if used, err = read(filepath.Join(g.memory, name)); err != nil {
		return 0, 0, err
	}
	for _, key := range []string{"inactive_file", "active_file"} {
		n, err := field(filepath.Join(g.memory, "memory.stat"), prefix+key)
		if err != nil {
			return 0, 0, err
		}
		files += n
	}
	return used, files, nil
}

// Used tells what is used now; cheaper than Memory. It may be called from any goroutine.
func (g *Group) Used() (int64, error) {
	name := "memory.current"
	if g.tree.memory != "" {
		name = "memory.usage_in_bytes"
	}
	return read(filepath.Join(g.memory, name))
}

// OutOfMemory counts the processes that the kernel ended for want of memory.
// It may be called from any goroutine.
func (g *Group) OutOfMemory() int64 {
	if g.memory == "" {
		return 0
	}
	name := "memory.events"
	if g.tree.memory != "" {
		name = "memory.oom_control"
	}
	n, _ := field(filepath.Join(g.memory, name), "oom_kill")
	return n
}

// Peak is the most memory that was used at once, or 0 when nobody counted.
// It may be called from any goroutine.
func (g *Group) Peak() int64 {
	if g.memory == "" {
		return 0
	}
	name := "memory.peak"
	if g.tree.memory != "" {
		name = "memory.max_usage_in_bytes"
	}
	n, _ := read(filepath.Join(g.memory, name))
	return n
}

// CPU is the processor time used, and whether it is known. It may be called
// from any goroutine.
func (g *Group) CPU() (time.Duration, bool) {
	if g.unified == "" {
		return 0, false
	}
	n, err := field(filepath.Join(g.unified, "cpu.stat"), "usage_usec")
	return time.Duration(n) * time.Microsecond, err == nil
}

// CanFreeze says whether the group can be stopped as one.
func (g *Group) CanFreeze() bool {
	if g.unified == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(g.unified, "cgroup.freeze"))
	return err == nil
}

// Freeze stops every process of the group, or lets them run again. It
// returns when they stand, at the latest after the time given.
func (g *Group) Freeze(stop bool, wait time.Duration) error {
	value := int64(0)
	if stop {
		value = 1
	}
	if err := write(filepath.Join(g.unified, "cgroup.freeze"), value); err != nil {
		return err
	}
	for end := time.Now().Add(wait); ; time.Sleep(50 * time.Microsecond) {
		frozen, err := field(filepath.Join(g.unified, "cgroup.events"), "frozen")
		if err != nil || frozen == value || time.Now().After(end) {
			return err
		}
	}
}

// Remove removes the group, whose processes must be ending: the kernel counts
// one as gone a moment after its parent does.
func (g *Group) Remove() error {
	if g.dir != nil {
		_ = g.dir.Close()
	}
	if g.shares {
		g.shares = false
		g.tree.share(-1)
	}
	var all error
	for _, dir := range g.tree.dirs() {
		if err := removeSoon(filepath.Join(dir, g.name)); err != nil {
			all = errors.Join(all, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return all
}

// removeWait bounds how long ended processes may keep a group busy.
const removeWait = 5 * time.Second

func removeSoon(dir string) error {
	for end := time.Now().Add(removeWait); ; time.Sleep(time.Millisecond) {
		err := unix.Rmdir(dir)
		switch {
		case err == nil || err == unix.ENOENT:
			return nil
		case err != unix.EBUSY || time.Now().After(end):
			return err
		}
	}
}

func (g *Group) set(name string, value int64) error {
	return write(filepath.Join(g.memory, name), value)
}

func write(path string, value int64) error {
	if err := put(path, strconv.FormatInt(value, 10)); err != nil {
		return fmt.Errorf("set cgroup: %w", err)
	}
	return nil
}

func read(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read cgroup: %w", err)
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read cgroup %s: %w", filepath.Base(path), err)
	}
	return n, nil
}

// field reads one line "key value" of a file.
func field(path, key string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read cgroup: %w", err)
	}
	for line := range bytes.Lines(text) {
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if ok && string(name) == key {
			return strconv.ParseInt(string(value), 10, 64)
		}
	}
	return 0, nil
}
