package reproduce

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/tape"
)

// Limits of a shelf.
const (
	ShelfBytesMax = 256 << 20 // of all recordings; the oldest go first
	shelfLow      = ShelfBytesMax / 10 * 9
	fileBytesMax  = 32 << 20
)

// A Shelf is a directory of recordings, each named by its content.
type Shelf struct {
	Dir string

	mu    sync.Mutex // guards bytes
	bytes int64      // of all recordings; -1 before they were counted
	known bool
}

var shelfName = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (s *Shelf) path(name string) string { return filepath.Join(s.Dir, name+".tape") }

// Keep writes a recording down, so that it outlives a crash, and returns its name.
func (s *Shelf) Keep(t *tape.Tape) (name string, err error) {
	b, err := tape.Encode(t)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	name = hex.EncodeToString(sum[:])
	if err := s.write(s.path(name), b); err != nil {
		return "", &daruma.Error{Op: "keep recording", Ref: s.Dir, Err: err}
	}
	return name, s.room(int64(len(b)))
}

func (s *Shelf) write(path string, b []byte) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, "new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what went wrong first is the error
		return err
	}
	d, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// room counts what was added, and removes the oldest when there is too much.
func (s *Shelf) room(added int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes += added; s.known && s.bytes <= ShelfBytesMax {
		return nil
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return &daruma.Error{Op: "keep recording", Ref: s.Dir, Err: err}
	}
	type file struct {
		path string
		size int64
		at   time.Time
	}
	var files []file
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, file{filepath.Join(s.Dir, e.Name()), info.Size(), info.ModTime()})
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.at.Compare(b.at) })
	for _, f := range files {
		if total <= shelfLow || !s.known && total <= ShelfBytesMax {
			break
		}
		if err := os.Remove(f.path); err == nil || errors.Is(err, fs.ErrNotExist) {
			total -= f.size
		}
	}
	s.bytes, s.known = total, true
	return nil
}

// Load reads a recording. KindNotFound when it is not kept any more.
func (s *Shelf) Load(name string) (*tape.Tape, error) {
	if !shelfName.MatchString(name) {
		return nil, &daruma.Error{Op: "read recording", Ref: name, Kind: daruma.KindInvalid, Err: errors.New("that is no recording's name")}
	}
	info, err := os.Stat(s.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &daruma.Error{Op: "read recording", Ref: name, Kind: daruma.KindNotFound, Err: fmt.Errorf("it is not kept any more: of all recordings %d MB are", ShelfBytesMax>>20)}
	case err == nil && info.Size() > fileBytesMax:
		err = fmt.Errorf("%d bytes", info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(s.path(name))
	}
	if err != nil {
		return nil, &daruma.Error{Op: "read recording", Ref: name, Kind: daruma.KindCorrupt, Err: err}
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != name {
		return nil, &daruma.Error{Op: "read recording", Ref: name, Kind: daruma.KindCorrupt, Err: errors.New("it is not what was written")}
	}
	return tape.Decode(b)
}
