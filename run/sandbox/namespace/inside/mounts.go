//go:build linux

package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// old is where the machine's own root is while the place's is being built.
const old = "/.old"

// systemDirs are the parts of the machine that hold its system and that
// processes of a place see, read-only. /etc is laid under files of the
// place's own; home directories, /run, /sys, /var and data are not shown.
var systemDirs = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"}

// devices are the device files of a place.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// a root is the file system of a place while it is being built.
type root struct {
	machine int // the machine's root directory
	hide    []string
	uid     int
	gid     int

	mountLimit *os.File // how many mount namespaces there may be
}

// enter makes an empty root, moves into it and leaves the machine's at old.
func (r *root) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts one-way: %w", err)
	}
	var stage string
	for _, dir := range []string{"/tmp", "/mnt", "/var", "/usr"} {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			stage = dir
			break
		}
	}
	if err := unix.Mount("root", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=2m,nr_inodes=4096"); err != nil {
		return fmt.Errorf("mount a root on %s: %w", stage, err)
	}
	if err := os.Mkdir(stage+old, 0o700); err != nil {
		return err
	}
	if err := unix.Chdir(stage); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."+old); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	fd, err := unix.Open(old, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the machine's root: %w", err)
	}
	r.machine = fd
	return nil
}

// system shows the machine's system directories, read-only.
func (r *root) system() error {
	for _, name := range systemDirs {
		fi, err := os.Lstat(filepath.Join(old, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case fi.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(filepath.Join(old, name))
			if err != nil {
				return err
			}
			if err := os.Symlink(to, "/"+name); err != nil {
				return err
			}
		case fi.IsDir():
			if err := r.show("/"+name, "/"+name); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{"/var/task", "/var/runtime", "/opt", "/tmp", "/run", "/etc"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/tmp", "/var/tmp"); err != nil {
		return err
	}
	return nil
}

// processes mounts a /proc that shows the place's own processes only.
func (r *root) processes() error {
	if err := os.Mkdir("/proc", 0o555); err != nil {
		return err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	err := unix.Mount("proc", "/proc", "proc", flags, "hidepid=invisible")
	if errors.Is(err, unix.EINVAL) { // before Linux 5.8
		err = unix.Mount("proc", "/proc", "proc", flags, "hidepid=2")
	}
	if err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// No process of the place makes namespaces of its own: they are the
	// larger part of the kernel that an unprivileged process can reach. Mount
	// namespaces are forbidden last, as the kernel moves mounts about in such.
	for _, kind := range []string{"user", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		err := os.WriteFile("/proc/sys/user/max_"+kind+"_namespaces", []byte("0"), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forbid new namespaces: %w", err)
		}
	}
	if r.mountLimit, err = os.OpenFile("/proc/sys/user/max_mnt_namespaces", os.O_WRONLY, 0); err != nil {
		return fmt.Errorf("forbid new namespaces: %w", err)
	}
	fd, err := unix.Open("/proc/sys", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return attach(fd, "/proc/sys", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

// devicesAndShm makes a minimal /dev.
func (r *root) devicesAndShm() error {
	if err := os.Mkdir("/dev", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("dev", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k,nr_inodes=64"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, name := range devices {
		if err := os.WriteFile("/dev/"+name, nil, 0o666); err != nil {
			return err
		}
		fd, err := r.find("/dev/" + name)
		if err != nil {
			return err
		}
		err = attach(fd, "/dev/"+name, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/dev/shm", 0o1777); err != nil {
		return err
	}
	shm := fmt.Sprintf("mode=700,size=%d,nr_inodes=4096,uid=%d,gid=%d", shmBytes, r.uid, r.gid)
	if err := unix.Mount("shm", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, shm); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	return readOnly("/dev")
}

// shmBytes is the size of /dev/shm, where runtimes keep semaphores and rings.
const shmBytes = 64 << 20

// tmp mounts the place's /tmp. It has an inode for each page, so that neither
// large nor many files outgrow it.
func (r *root) tmp(bytes int64) error {
	inodes := max(1024, min(bytes/int64(os.Getpagesize()), 1<<20))
	size := ""
	if bytes > 0 {
		size = fmt.Sprintf(",size=%d,nr_inodes=%d", bytes, inodes)
	}
	options := fmt.Sprintf("mode=700,uid=%d,gid=%d%s", r.uid, r.gid, size)
	if err := unix.Mount("tmp", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount /tmp: %w", err)
	}
	return nil
}

// leave forgets the machine's root and closes the place's to changes.
func (r *root) leave() error {
	_ = unix.Close(r.machine)
	if err := unix.Unmount(old, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("forget the machine's root: %w", err)
	}
	if err := os.Remove(old); err != nil {
		return err
	}
	if err := readOnly("/"); err != nil {
		return err
	}
	_, err := r.mountLimit.WriteString("0")
	if err := errors.Join(err, r.mountLimit.Close()); err != nil {
		return fmt.Errorf("forbid new namespaces: %w", err)
	}
	return nil
}

// show makes source, a path of the machine, visible at target, read-only.
func (r *root) show(source, target string) error {
	fd, err := r.find(source)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := place(target, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return fmt.Errorf("mount %s at %s: the target does not exist and cannot be made: %w", source, target, err)
	}
	if err := attach(fd, target, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		return fmt.Errorf("mount %s at %s: %w", source, target, err)
	}
	return r.cover(source, target)
}

// cover hides what must not be seen of source, which is mounted at target.
func (r *root) cover(source, target string) error {
	for _, path := range r.hide {
		rel, err := filepath.Rel(source, path)
		if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		at := filepath.Join(target, rel)
		fi, err := os.Lstat(at)
		switch {
		case err != nil:
			continue
		case fi.IsDir():
			err = unix.Mount("hidden", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "mode=0,size=4k,nr_inodes=2")
		case fi.Mode().IsRegular() || fi.Mode()&fs.ModeSocket != 0:
			err = unix.Mount(old+"/dev/null", at, "", unix.MS_BIND, "")
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("hide %s: %w", at, err)
		}
	}
	return nil
}

// find opens a path of the machine, following its symbolic links there.
func (r *root) find(path string) (int, error) {
	fd, err := unix.Openat2(r.machine, strings.TrimPrefix(filepath.Clean(path), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// attach puts a copy of the mounts at and below fd at target, with attributes.
func attach(fd int, target string, attributes uint64) error {
	tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("copy mounts: %w", err)
	}
	defer func() { _ = unix.Close(tree) }()
	set := unix.MountAttr{Attr_set: attributes, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &set); err != nil {
		return fmt.Errorf("restrict mounts: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach mounts: %w", err)
	}
	return nil
}

// readOnly closes one mount to changes, not those below it.
func readOnly(path string) error {
	set := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &set); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

// place makes sure that something can be mounted at target.
func place(target string, dir bool) error {
	if fi, err := os.Stat(target); err == nil {
		if fi.IsDir() != dir {
			return unix.ENOTDIR
		}
		return nil
	}
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
