//go:build !linux

package disk

import "os"

// allocate gives f size bytes of the disk.
func allocate(f *os.File, size int64) error { return fill(f, size) }
