//go:build !linux || (!amd64 && !arm64)

package skew

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// Lacks says why no clock can be moved on this machine.
func Lacks() string { return "not on this system and architecture" }

// Filter has no program for this system or architecture.
func Filter() (int, error) { return -1, unix.ENOSYS }

// A Clock is never opened here.
type Clock struct{}

// Open closes fd and answers ENOSYS.
func Open(fd int, _ time.Duration, _ *slog.Logger) (*Clock, error) {
	_ = unix.Close(fd)
	return nil, unix.ENOSYS
}

// Close does nothing.
func (c *Clock) Close() {}
