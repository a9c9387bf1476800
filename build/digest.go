package build

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daruma-io/daruma"
)

var tooManyError = daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("more than %d files", entriesMax)}

// A sum is the content of a tree: names, modes and bytes, in the order of names.
type sum struct {
	hash  hash.Hash
	bytes int64
	files int
}

// digest sums the tree at dir. It holds at most BytesMax bytes, or the error is errTooLarge.
func digest(dir string) (sum, error) {
	s := sum{hash: sha256.New()}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if s.files++; s.files > entriesMax {
			return &tooManyError
		}
		return s.add(file, filepath.ToSlash(name), d)
	})
	return s, err
}

func (s *sum) add(file, name string, d fs.DirEntry) error {
	stat, err := d.Info()
	if err != nil {
		return err
	}
	// Lengths go in front of what varies, so no two trees read the same.
	fmt.Fprintf(s.hash, "%d:%s %o ", len(name), name, stat.Mode()&(fs.ModeType|0o111))
	switch {
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(file)
		fmt.Fprintf(s.hash, "%d:%s", len(target), target)
		return err
	case !d.Type().IsRegular():
		return nil
	}
	if s.bytes += stat.Size(); s.bytes > BytesMax {
		return errTooLarge
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	fmt.Fprintf(s.hash, "%d:", stat.Size())
	_, err = io.Copy(s.hash, in)
	return err
}

func (s sum) base64() string { return base64.StdEncoding.EncodeToString(s.hash.Sum(nil)) }
func (s sum) hex() string    { return hex.EncodeToString(s.hash.Sum(nil)) }
