// Package buildtest is what tests of code share: files that a test lays out, and
// the registries where packages are fetched. It never ships.
package buildtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Write lays out files below a new directory; what begins with "#!" can be executed.
func Write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	Put(t, dir, files)
	return dir
}

// Put does the same below dir.
func Put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// NeedRegistry skips where no package registry is reachable.
func NeedRegistry(t testing.TB) {
	t.Helper()
	if err := reachable(); err != nil {
		t.Skipf("no package registry is reachable from here: %v", err)
	}
}

// reachable asks the npm registry once whether it is there.
var reachable = sync.OnceValue(func() error {
	out, err := exec.Command("npm", "view", "ms", "name").CombinedOutput()
	if err != nil {
		return fmt.Errorf("npm view: %w\n%s", err, out)
	}
	return nil
})
