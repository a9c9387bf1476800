package build

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// flush waits until everything below dir is on disk: the file system as a
// whole, which for thousands of small files is much faster than one by one.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
