// Package layers lays directories over each other as one directory of files,
// for machines whose kernel cannot show them so. It links files where it can
// and copies them where it cannot; it runs no code of theirs and follows no
// link of theirs. It keeps nothing and may be called from any goroutine, for
// different targets at once.
package layers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Merge fills target, an empty directory, with what is in dirs; later wins. A
// directory joins a directory of the same name; everything else replaces what
// was there. Sockets, pipes and devices are left out.
func Merge(target string, dirs []string) error {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil || rel == "." {
				return err
			}
			return put(path, filepath.Join(target, rel), d)
		})
		if err != nil {
			return fmt.Errorf("lay %s over others: %w", dir, err)
		}
	}
	return nil
}

// put makes to what path is.
func put(path, to string, d fs.DirEntry) error {
	there, err := os.Lstat(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if there != nil && d.IsDir() && there.IsDir() {
		return nil
	}
	if there != nil {
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	switch {
	case d.IsDir():
		return os.Mkdir(to, 0o755)
	case d.Type()&fs.ModeSymlink != 0:
		link, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(link, to)
	case d.Type().IsRegular():
		if os.Link(path, to) == nil {
			return nil
		}
		return copyFile(path, to)
	}
	return nil
}

// copyFile copies a file with its permissions.
func copyFile(path, to string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fi.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
