package build

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// Bounds of archives, beside BytesMax and entriesMax.
const (
	// archiveBytesMax is Lambda's limit for a zipped package that is not uploaded directly.
	archiveBytesMax = BytesMax
	// ratioMax bounds how far content may expand on the whole; DEFLATE reaches 1032.
	ratioMax = 200
	// ratioFree is how much may expand at any ratio: small packages of zeros are no attack.
	ratioFree = 16 << 20
	nameMax   = 1024 // bytes of a path
)

// The systems whose archives carry modes (APPNOTE.TXT 4.4.2).
const (
	creatorUnix  = 3
	creatorMacOS = 19
)

// file takes code that is not a directory: an archive, or one file of code,
// which is all there is then, as the SAM CLI packs it.
func (j *job) file() error {
	if ext := strings.ToLower(filepath.Ext(j.src.Path)); ext != ".zip" && ext != ".jar" && !isArchive(j.src.Path) {
		return (&copier{}).file(j.src.Path, filepath.Join(j.out, filepath.Base(j.src.Path)))
	}
	return daruma.Wrap("unpack "+j.src.Path, "", unpack(j.src.Path, j.out))
}

// isArchive says whether a file begins as zip archives do (APPNOTE.TXT 4.3.7).
func isArchive(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [4]byte
	_, err = io.ReadFull(f, b[:])
	return err == nil && string(b[:]) == "PK\x03\x04"
}

// unpack writes the regular files of an archive below dir, which exists. It
// trusts nothing the archive says: names stay below dir, bytes are counted as
// they come, links and devices are refused, no file is written twice.
func unpack(file, dir string) error {
	stat, err := os.Stat(file)
	if err != nil {
		return err
	}
	if stat.Size() > archiveBytesMax {
		return errTooLarge
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return daruma.Invalidf("not a zip archive: %w", err)
	}
	defer z.Close()
	if len(z.File) > entriesMax {
		return &tooManyError
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(BytesMax)
	if most := max(stat.Size()*ratioMax, ratioFree); most < left {
		left = most
	}
	for _, f := range z.File {
		n, err := unpackEntry(root, f, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// unpackEntry writes one entry of at most left bytes and returns how many there were.
func unpackEntry(root *os.Root, f *zip.File, left int64) (int64, error) {
	name, err := safeName(f.Name)
	if err != nil {
		return 0, err
	}
	if f.Mode().IsDir() || strings.HasSuffix(f.Name, "/") {
		return 0, makeAll(root, name)
	}
	if !f.Mode().IsRegular() {
		return 0, daruma.Invalidf("%q is a link or a device: only regular files are unpacked", f.Name)
	}
	if f.Flags&1 != 0 {
		return 0, daruma.Invalidf("%q is encrypted", f.Name)
	}
	if err := makeAll(root, path.Dir(name)); err != nil {
		return 0, err
	}
	in, err := f.Open()
	if err != nil {
		return 0, daruma.Invalidf("%q: %w", f.Name, err)
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, daruma.Invalidf("%q is there twice", f.Name)
	}
	if err != nil {
		return 0, daruma.Invalidf("%q: %w", f.Name, err)
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	mode := f.Mode().Perm()
	if system := f.CreatorVersion >> 8; system != creatorUnix && system != creatorMacOS { // made where files have no modes
		mode = 0o644
	}
	closed := errors.Join(out.Chmod(mode|0o444), out.Close())
	if !f.Modified.IsZero() {
		closed = errors.Join(closed, root.Chtimes(name, time.Time{}, f.Modified))
	}
	switch {
	case n > left:
		return n, tooFar(left)
	case err != nil:
		return n, daruma.Invalidf("%q: %w", f.Name, err)
	}
	return n, closed
}

// tooFar is the error of an archive that expands beyond what it may.
func tooFar(left int64) error {
	if left < BytesMax && left <= ratioFree {
		return &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("it expands to more than %d times its size", ratioMax)}
	}
	return errTooLarge
}

// safeName returns an entry's name as a clean path below the root, or refuses it.
func safeName(name string) (string, error) {
	if len(name) > nameMax || strings.ContainsAny(name, "\x00\\") {
		return "", daruma.Invalidf("%q is no name for a file", name)
	}
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", daruma.Invalidf("%q leads outside", name)
		}
	}
	if path.IsAbs(name) || clean == "." && name != "./" || clean == ".." {
		return "", daruma.Invalidf("%q is no relative path", name)
	}
	return clean, nil
}

// makeAll makes dir and its parents below root.
func makeAll(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return daruma.Invalidf("%q: %w", dir, err)
	}
	return nil
}
