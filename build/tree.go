package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// debris is what is never part of finished code, by name, at any depth.
var debris = map[string]bool{".aws-sam": true, ".git": true, ".daruma": true, "__pycache__": true, ".DS_Store": true}

// withModules is debris where dependencies are installed afresh.
var withModules = map[string]bool{".aws-sam": true, ".git": true, ".daruma": true, "__pycache__": true, ".DS_Store": true, "node_modules": true}

// A copier copies a tree within the limits of finished code.
type copier struct {
	root    string // of the source, links resolved
	skip    map[string]bool
	leave   func(name string) bool // more names to leave out; may be nil
	link    bool                   // hard links instead of copies: only from what never changes
	entries int
	bytes   int64
	depth   int
}

// depthMax bounds how deep a tree is followed, and so what a link to a parent costs.
const depthMax = 64

// copyTree copies the files below from to to, which exists. Modes are kept;
// links within the tree stay links, and what others lead to is copied in their
// place. A file that is there already is replaced.
func copyTree(from, to string, skip map[string]bool) error {
	return (&copier{skip: skip}).copy(from, to)
}

// linkTree does the same with hard links where the file system has them. The
// source must never change.
func linkTree(from, to string) error { return (&copier{link: true}).copy(from, to) }

func (c *copier) copy(from, to string) error {
	root, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	c.root = root
	return c.directory(root, to)
}

func (c *copier) directory(from, to string) error {
	if c.depth++; c.depth > depthMax {
		return daruma.Invalidf("%s: more than %d directories deep", from, depthMax)
	}
	defer func() { c.depth-- }()
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if c.skip[e.Name()] || c.leave != nil && c.leave(e.Name()) {
			continue
		}
		if c.entries++; c.entries > entriesMax {
			return &tooManyError
		}
		if err := c.entry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) entry(from, to string, e fs.DirEntry) error {
	switch e.Type() {
	case fs.ModeDir:
		return c.makeDirectory(from, to)
	case 0:
		return c.file(from, to)
	case fs.ModeSymlink:
		return c.symlink(from, to)
	}
	return nil // sockets, pipes and devices are no code
}

func (c *copier) makeDirectory(from, to string) error {
	stat, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := c.directory(from, to); err != nil {
		return err
	}
	return os.Chmod(to, stat.Mode().Perm()|0o700)
}

func (c *copier) symlink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it leads nowhere, here as there
	}
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) && strings.HasPrefix(real, c.root+string(filepath.Separator)) && !c.skipped(real) {
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(target, to)
	}
	stat, err := os.Stat(real)
	if err != nil {
		return err
	}
	if stat.IsDir() {
		return c.makeDirectory(real, to)
	}
	if !stat.Mode().IsRegular() {
		return nil
	}
	return c.file(real, to)
}

// skipped says whether a path below the root passes through what is left out.
func (c *copier) skipped(real string) bool {
	for _, part := range strings.Split(strings.TrimPrefix(real, c.root), string(filepath.Separator)) {
		if c.skip[part] {
			return true
		}
	}
	return false
}

func (c *copier) file(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	stat, err := in.Stat()
	if err != nil {
		return err
	}
	if c.bytes += stat.Size(); c.bytes > BytesMax {
		return errTooLarge
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.link && os.Link(from, to) == nil {
		return nil
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, BytesMax+1)) // a file that grows meanwhile ends at the limit
	err = errors.Join(err, out.Chmod(stat.Mode().Perm()|0o444), out.Close())
	// Compiled Python names the time of its source.
	if err = errors.Join(err, os.Chtimes(to, time.Time{}, stat.ModTime())); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// openToAll lets everyone read what a tool installed below dir: functions may
// run as another user.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return err
		}
		want := stat.Mode().Perm() | 0o444
		if d.IsDir() {
			want |= 0o555
		}
		if want == stat.Mode().Perm() {
			return nil
		}
		return os.Chmod(file, want)
	})
}
