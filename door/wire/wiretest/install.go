package wiretest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// attempts is what came of installing each set of clients, in this process: a
// registry that is out of reach is waited for once. It guards itself.
type attempts struct{ sync.Map }

// tried is set by set: func() (string, error).
var tried attempts

// installed returns the directory of a set of clients, which install fills once
// on this machine. Tests of other packages, which are other processes, wait for
// each other. A set that cannot be installed skips its test, with the reason.
func installed(t *testing.T, set string, install func(dir string) error) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the clients of other languages need more than Go")
	}
	once, _ := tried.LoadOrStore(set, sync.OnceValues(func() (string, error) { return fill(set, install) }))
	dir, err := once.(func() (string, error))()
	if err != nil {
		t.Skipf("%s cannot be installed here: %v", set, err)
	}
	return dir
}

// Fetchable skips a test that needs registries, unless they have these packages.
func Fetchable(t *testing.T, npm, pip string) {
	t.Helper()
	if testing.Short() {
		t.Skip("libraries need more than Go")
	}
	if err := run(t.TempDir(), "npm", "view", "--fetch-retries=1", npm, "version"); err != nil {
		t.Skipf("%s cannot be had here: %v", npm, err)
	}
	if err := run(t.TempDir(), "python3", "-m", "pip", "download", "-q", "--no-deps", "--retries", "1", pip); err != nil {
		t.Skipf("%s cannot be had here: %v", pip, err)
	}
}

// fill returns the directory of a set, filled. Environments of Python cannot be
// moved, so it is filled where it stays, and whole once a mark says so.
func fill(set string, install func(dir string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "daruma-clients", strings.NewReplacer("/", "+", " ", "_").Replace(set))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for others who install %s: %w", set, err)
	}
	mark := filepath.Join(dir, "whole")
	if _, err := os.Stat(mark); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if err := install(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(mark, nil, 0o644)
}
