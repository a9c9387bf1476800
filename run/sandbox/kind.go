package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"github.com/daruma-io/daruma"
)

// KindOf returns the kind of what the system or a place says, the same for
// every kind of place: what a caller asks for is not there, not permitted, not
// valid, taken, or gone.
func KindOf(err error) daruma.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return daruma.KindNotFound
	case errors.Is(err, fs.ErrPermission):
		return daruma.KindDenied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return daruma.KindExpired
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOEXEC):
		return daruma.KindInvalid
	case errors.Is(err, syscall.EADDRINUSE):
		return daruma.KindConflict
	case errors.Is(err, net.ErrClosed):
		return daruma.KindUnavailable
	}
	return daruma.KindOf(err)
}

// Failed says of an error what was being done to a place, which is known by id.
// Its kind is [KindOf]'s. Of nil it is nil.
func Failed(op, id string, err error) error {
	if err == nil {
		return nil
	}
	return &daruma.Error{Op: op, Kind: KindOf(err), Ref: id, Err: err}
}
