package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// inventory says which files of the store there should be. While the store is
// in use it lists those that do not change; when it was closed, all of them.
type inventory struct {
	Files []entry `json:"files"`
}

// An entry is one file. A table has no checksum here: it has one for each of
// its blocks, and may be too large to be read at every start.
type entry struct {
	Name string  `json:"name"`
	Size int64   `json:"size"`
	CRC  *uint32 `json:"crc32c,omitempty"`
}

// takeInventory lists the files of dir that fit.
func takeInventory(dir string, fits func(name string) bool) (inventory, error) {
	var inv inventory
	all, err := os.ReadDir(dir)
	if err != nil {
		return inv, err
	}
	for _, f := range all {
		if !fits(f.Name()) {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the store has tidied it up meanwhile
		}
		if err != nil {
			return inv, err
		}
		e := entry{Name: f.Name(), Size: info.Size()}
		if !isTable(e.Name) {
			sum, err := checksum(filepath.Join(dir, e.Name))
			if err != nil {
				return inv, err
			}
			e.CRC = &sum
		}
		inv.Files = append(inv.Files, e)
	}
	return inv, nil
}

// lasting lists the files that do not change while the store is in use: the
// newest options, and the marker of the format.
func lasting(dir string) (inventory, error) {
	options := ""
	all, err := os.ReadDir(dir)
	if err != nil {
		return inventory{}, err
	}
	for _, f := range all {
		if n := f.Name(); strings.HasPrefix(n, "OPTIONS-") && (len(n) > len(options) || len(n) == len(options) && n > options) {
			options = n
		}
	}
	return takeInventory(dir, func(name string) bool {
		return name == options || strings.HasPrefix(name, "marker.format-version.")
	})
}

func every(string) bool { return true }

func isTable(name string) bool { return filepath.Ext(name) == ".sst" }

// check compares what is in dir with the inventory, and names the first file
// that is missing or not as it was.
func (inv inventory) check(dir string) error {
	for _, e := range inv.Files {
		path := filepath.Join(dir, e.Name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return corrupt(path, errors.New("the file is missing"))
		case err != nil:
			return unreachable("check", path, err)
		case info.Size() != e.Size:
			return corrupt(path, fmt.Errorf("it has %d bytes, not %d", info.Size(), e.Size))
		case e.CRC == nil:
			continue
		}
		sum, err := checksum(path)
		if err != nil {
			return unreadable(path, err)
		}
		if sum != *e.CRC {
			return corrupt(path, errors.New("its checksum is wrong"))
		}
	}
	return nil
}

// unreadable says that a file is there and cannot be read.
func unreadable(path string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return unreachable("read", path, err)
	}
	return corrupt(path, err)
}

func checksum(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	h := crc32.New(castagnoli)
	_, err = io.Copy(h, f)
	return h.Sum32(), errors.Join(err, f.Close())
}
