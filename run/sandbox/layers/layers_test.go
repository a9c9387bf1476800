package layers

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheLaterLayerWins(t *testing.T) {
	one, two, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, one+"/bin/tool", "one")
	write(t, one+"/only/one", "1")
	write(t, one+"/file", "a file that becomes a directory")
	write(t, one+"/dir/inner", "a directory that becomes a file")
	if err := os.Symlink(outside, one+"/lib"); err != nil {
		t.Fatal(err)
	}
	write(t, two+"/bin/tool", "two")
	write(t, two+"/file/inner", "inner")
	write(t, two+"/dir", "now a file")
	write(t, two+"/lib/x", "must not go through the link")

	target := t.TempDir()
	if err := Merge(target, []string{one, two}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"bin/tool": "two", "only/one": "1", "file/inner": "inner", "dir": "now a file", "lib/x": "must not go through the link",
	} {
		if got, err := os.ReadFile(filepath.Join(target, path)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("something was written through a layer's link: %v", left)
	}
	if got, _ := os.ReadFile(one + "/bin/tool"); string(got) != "one" {
		t.Errorf("the first layer itself changed: %q", got)
	}
}
