//go:build !linux

package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// flush waits until everything below dir is on disk.
func flush(dir string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
