package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/daruma-io/daruma"
)

// A shelf is a cache directory of things that are made once and never change.
// Processes may share it: a thing appears whole, by a rename, or not at all.
type shelf struct {
	dir string
	mu  sync.Map // name → *sync.Mutex: one maker at a time in this process
}

// take returns the directory name on the shelf, made by make when it is not
// there. make fills an empty directory; when it fails nothing is kept.
func (s *shelf) take(ctx context.Context, name string, make func(ctx context.Context, dir string) error) (string, error) {
	done := filepath.Join(s.dir, name)
	if exists(done) {
		return done, nil
	}
	m, _ := s.mu.LoadOrStore(name, new(sync.Mutex))
	m.(*sync.Mutex).Lock()
	defer m.(*sync.Mutex).Unlock()
	if exists(done) {
		return done, nil
	}
	if err := s.make(ctx, done, make); err != nil {
		return "", err
	}
	return done, nil
}

func (s *shelf) make(ctx context.Context, done string, fill func(ctx context.Context, dir string) error) error {
	if !filepath.IsAbs(s.dir) {
		return &daruma.Error{Op: "use cache", Ref: s.dir, Kind: daruma.KindInvalid, Err: errors.New("not an absolute path")}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	lock, err := os.OpenFile(done+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock cache: %w", err)
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock cache: %w", err)
	}
	if exists(done) { // another process was faster
		return nil
	}
	dir, err := os.MkdirTemp(s.dir, "making-*")
	if err != nil {
		return fmt.Errorf("make cache directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is not there when all went well
	if err := fill(ctx, dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(dir, done)
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}
