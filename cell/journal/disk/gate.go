package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A gate stands between the store and the file system, and decides what a
// fault means, so that the store, which would end the process or spin, never
// has to:
//
//   - No space: the operation waits. The ballast is given up for it, and it
//     goes on as soon as there is space. Nobody sees an error.
//   - A write, a sync or a rename that fails otherwise: nothing is known of
//     the file's content any more. The gate shuts for good: this and every
//     later change of a file fails. What is tried behind a shut gate is slowed
//     down, because the store tries again at once and for ever.
//   - A file that is read and missing: that is damage, reported with its name.
type gate struct {
	vfs.FS
	starving func(bool)                   // told when operations begin and cease to wait for space
	failed   func(error)                  // told once, when the gate shuts
	damaged  func(path string, err error) // told when a file cannot be read

	mu      sync.Mutex
	shut    error         // why; guarded by mu
	closed  chan struct{} // closed when shut is set
	waiting int           // operations waiting for space; guarded by mu
}

const (
	spaceLook = 25 * time.Millisecond  // between looks whether there is space again
	shutPause = 500 * time.Millisecond // what an operation behind a shut gate takes
)

var errShut = errors.New("the journal is being closed")

// pass has op done, now or when there is space, unless the gate is shut.
func (g *gate) pass(op func() error) error {
	if err := g.refusal(); err != nil {
		time.Sleep(shutPause)
		return err
	}
	err := op()
	if noSpace(err) {
		g.wait(1)
		defer g.wait(-1)
	}
	for noSpace(err) {
		select {
		case <-g.closed:
			return g.refusal()
		case <-time.After(spaceLook):
		}
		err = op()
	}
	return err
}

// change is pass for an operation after whose failure nothing can be trusted.
func (g *gate) change(op func() error) error {
	err := g.pass(op)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		g.close(err)
	}
	return err
}

// sync is change for a sync. One that found no space may have dropped what it
// should have written; it is not tried again.
func (g *gate) sync(op func() error) error {
	if err := g.refusal(); err != nil {
		time.Sleep(shutPause)
		return err
	}
	err := op()
	if err != nil {
		g.close(err)
	}
	return err
}

// close shuts the gate.
func (g *gate) close(why error) {
	g.mu.Lock()
	if g.shut != nil {
		g.mu.Unlock()
		return
	}
	g.shut = why
	close(g.closed)
	g.mu.Unlock()
	g.failed(why)
}

func (g *gate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func (g *gate) wait(n int) {
	g.mu.Lock()
	before := g.waiting
	g.waiting += n
	after := g.waiting
	g.mu.Unlock()
	if before == 0 || after == 0 {
		g.starving(after > 0)
	}
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// The file system the store sees.

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.Create(name, c); return err })
	return g.guard(f, name, err)
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.OpenReadWrite(name, c, opts...); return err })
	return g.guard(f, name, err)
}

func (g *gate) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.ReuseForWrite(from, to, c); return err })
	return g.guard(f, to, err)
}

func (g *gate) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if err != nil && filepath.Ext(name) == ".sst" {
		// The store ends the process when a table does not exist; the text is kept, not the error.
		err = errors.New(err.Error())
		g.damaged(name, err)
	}
	return g.guard(f, name, err)
}

func (g *gate) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.guard(f, name, err)
}

func (g *gate) Link(from, to string) error {
	return g.pass(func() error { return g.FS.Link(from, to) })
}

func (g *gate) Rename(from, to string) error {
	return g.change(func() error { return g.FS.Rename(from, to) })
}

func (g *gate) MkdirAll(dir string, perm os.FileMode) error {
	return g.pass(func() error { return g.FS.MkdirAll(dir, perm) })
}

func (g *gate) Remove(name string) error {
	if err := g.refusal(); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

func (g *gate) RemoveAll(name string) error {
	if err := g.refusal(); err != nil {
		return err
	}
	return g.FS.RemoveAll(name)
}

// Lock does nothing: the whole directory is locked already.
func (g *gate) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (g *gate) Unwrap() vfs.FS { return g.FS }

func (g *gate) guard(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guarded{File: f, gate: g, name: name}, nil
}

// guarded is a file behind a gate.
type guarded struct {
	vfs.File
	gate *gate
	name string
}

func (f *guarded) Write(p []byte) (written int, err error) {
	err = f.gate.change(func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return written, err
}

func (f *guarded) WriteAt(p []byte, at int64) (written int, err error) {
	err = f.gate.change(func() error {
		n, err := f.File.WriteAt(p[written:], at+int64(written))
		written += n
		return err
	})
	return written, err
}

func (f *guarded) Sync() error     { return f.gate.sync(f.File.Sync) }
func (f *guarded) SyncData() error { return f.gate.sync(f.File.SyncData) }

func (f *guarded) SyncTo(length int64) (full bool, err error) {
	err = f.gate.sync(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *guarded) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	if err != nil && err != io.EOF {
		f.gate.damaged(f.name, err)
	}
	return n, err
}
