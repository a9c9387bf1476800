// Package wiringtest reads apps for tests of what looks at how they hang together.
package wiringtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/wiring"
)

// Read returns how the app of a template's text hangs together. The test fails
// when the template is wrong.
func Read(t *testing.T, text string) *wiring.Map {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := template.Load(t.Context(), template.Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := wiring.Read(a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
