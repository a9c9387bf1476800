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
// fault means. The store itself has no good answer to one: it ends the process,
// panics with locks in a state that ends the process, or tries again at once
// for ever. So it never sees one:
//
//   - No space: the operation waits. The ballast is given up for it, and it
//     goes on as soon as there is space.
//   - A change of a file that fails otherwise: nothing is known of the file
//     any more. The gate shuts for good. Whoever tries to change a file, now or
//     later, stops there until the process ends, holding whatever it holds.
//     Whoever waits for the store therefore waits for the gate, too (see
//     [gate.run]), and leaves the store alone once it is shut.
//   - A file that is to be read and cannot be: that is damage, reported with
//     its name; the store gets an error that it passes on.
type gate struct {
	vfs.FS
	starving func(bool)                   // told when operations begin and cease to wait for space
	failed   func(error)                  // told once, when the gate shuts
	damaged  func(path string, err error) // told when a file cannot be read

	shut   chan struct{} // closed when the gate shuts
	mu     sync.Mutex
	why    error // it is shut; guarded by mu
	hungry int   // operations waiting for space; guarded by mu
}

// spaceLook is the time between looks whether there is space again.
const spaceLook = 25 * time.Millisecond

var errShut = errors.New("the journal is being closed")

// plainGate is a gate for looking at a store, or making one, before it is in use.
func plainGate(files vfs.FS) *gate {
	return &gate{FS: files, starving: func(bool) {}, failed: func(error) {}, damaged: func(string, error) {}, shut: make(chan struct{})}
}

// run has the store do f, and returns when it has, or when the gate shuts.
func (g *gate) run(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- caught(f) }()
	select {
	case err := <-done:
		return err
	case <-g.shut:
		return g.refusal()
	}
}

// pass has op done, now or when there is space. It does not return once the
// gate is shut.
func (g *gate) pass(op func() error) error {
	g.stopIfShut()
	err := op()
	if !noSpace(err) {
		return err
	}
	g.hunger(1)
	for noSpace(err) {
		select {
		case <-g.shut:
		case <-time.After(spaceLook):
		}
		g.stopIfShut()
		err = op()
	}
	g.hunger(-1)
	return err
}

// change is pass for an operation after whose failure nothing can be trusted.
func (g *gate) change(op func() error) error {
	err := g.pass(op)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		g.close(err)
		g.stopIfShut()
	}
	return err
}

// sync is change for a sync. One that found no space may have dropped what it
// should have written; it is not tried again.
func (g *gate) sync(op func() error) error {
	g.stopIfShut()
	if err := op(); err != nil {
		g.close(err)
		g.stopIfShut()
	}
	return nil
}

// stopIfShut does not return when the gate is shut.
func (g *gate) stopIfShut() {
	if g.refusal() != nil {
		select {}
	}
}

// close shuts the gate.
func (g *gate) close(why error) {
	g.mu.Lock()
	if g.why != nil {
		g.mu.Unlock()
		return
	}
	g.why = why
	close(g.shut)
	g.mu.Unlock()
	g.failed(why)
}

// refusal says why the gate is shut.
func (g *gate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

func (g *gate) hunger(n int) {
	g.mu.Lock()
	before := g.hungry
	g.hungry += n
	after := g.hungry
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
	return g.guard(f, err)
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.OpenReadWrite(name, c, opts...); return err })
	return g.guard(f, err)
}

func (g *gate) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.ReuseForWrite(from, to, c); return err })
	return g.guard(f, err)
}

func (g *gate) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if err != nil && filepath.Ext(name) == ".sst" {
		// The store ends the process when a table does not exist; the text is kept, not the error.
		err = errors.New(err.Error())
		g.damaged(name, err)
	}
	if err != nil {
		return nil, err
	}
	return &watched{File: f, gate: g, name: name}, nil
}

func (g *gate) OpenDir(name string) (f vfs.File, err error) {
	err = g.change(func() error { f, err = g.FS.OpenDir(name); return err })
	return g.guard(f, err)
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
	g.stopIfShut()
	return g.FS.Remove(name)
}

func (g *gate) RemoveAll(name string) error {
	g.stopIfShut()
	return g.FS.RemoveAll(name)
}

// Lock does nothing: the whole directory is locked already.
func (g *gate) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (g *gate) Unwrap() vfs.FS { return g.FS }

func (g *gate) guard(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guarded{File: f, gate: g}, nil
}

// guarded is a file that is changed behind a gate.
type guarded struct {
	vfs.File
	gate *gate
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

func (f *guarded) Close() error { return f.gate.change(f.File.Close) }

func (f *guarded) Stat() (info vfs.FileInfo, err error) {
	err = f.gate.change(func() error { info, err = f.File.Stat(); return err })
	return info, err
}

// watched is a file that is only read. It can be read and closed behind a shut gate.
type watched struct {
	vfs.File
	gate *gate
	name string
}

func (f *watched) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	if err != nil && !errors.Is(err, io.EOF) {
		f.gate.damaged(f.name, err)
	}
	return n, err
}
