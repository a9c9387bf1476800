// Package celltest is what tests of cells share. It breaks disks: it gives tests
// a file system of their own that can lose power, fail, and be full. That needs
// root and loop devices; where they are not permitted the test is skipped with
// the reason. And it drives what is to be measured, beside the barest machine.
package celltest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Disk is an ext4 file system in a file.
type Disk struct {
	Dir    string // where it is mounted
	image  string
	copies int
}

// NewDisk makes a file system of the given size and mounts it for the time of the test.
func NewDisk(t testing.TB, mebibytes int) *Disk {
	t.Helper()
	base := t.TempDir()
	d := &Disk{Dir: filepath.Join(base, "mnt"), image: filepath.Join(base, "image")}
	if os.Getuid() != 0 {
		t.Skip("a loop mount needs root")
	}
	if err := os.Mkdir(d.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, int64(mebibytes)<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", d.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4 does not work here: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("loop mounts are not permitted here: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.Dir).Run() })
	return d
}

func (d *Disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

// Fail has every later write fail with EIO, and loses what was written and not
// synced: the power is cut, or the disk has died.
func (d *Disk) Fail() error {
	const (
		ext4IocShutdown = 0x8004587d // _IOR('X', 125, __u32)
		noLogFlush      = 2
	)
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close() // a directory
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), ext4IocShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("shut down ext4: %w", errno)
	}
	return nil
}

// Restart mounts the file system again, as it is on the disk. Nobody may have
// a file on it open.
//
// What is mounted is a copy of the image: another process may have taken the
// old mount into a mount namespace of its own, which keeps the failed file
// system alive for as long as that namespace.
func (d *Disk) Restart() error {
	if out, err := exec.Command("umount", "-l", d.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	old := d.image
	d.copies++
	d.image = filepath.Join(filepath.Dir(old), fmt.Sprintf("image-%d", d.copies))
	if out, err := exec.Command("cp", "--sparse=always", old, d.image).CombinedOutput(); err != nil {
		return fmt.Errorf("copy image: %w: %s", err, out)
	}
	if err := os.Remove(old); err != nil {
		return err
	}
	return d.mount()
}

// Fill takes all the space but leave bytes, and returns what gives it back. It
// may be called again to take what has come up since.
func (d *Disk) Fill(leave uint64) (empty func() error, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(d.Dir, &s); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(d.Dir, "filler-")
	if err != nil {
		return nil, err
	}
	defer f.Close() // it holds nothing
	empty = func() error { return os.Remove(f.Name()) }
	free := s.Bavail * uint64(s.Bsize)
	if free > leave && leave > 0 {
		return empty, unix.Fallocate(int(f.Fd()), 0, 0, int64(free-leave))
	}
	for block := make([]byte, 64<<10); leave == 0; {
		if _, err := f.Write(block); err != nil {
			return empty, nil // to the last byte
		}
	}
	return empty, nil
}
