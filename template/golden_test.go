package template

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is an app as it is kept in testdata: as JSON, without the directory it lies in.
func golden(t *testing.T, app *App) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(app); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), app.Dir, "DIR")
}

func TestAppsAreReadAsTheirGoldenFilesSay(t *testing.T) {
	dirs, err := filepath.Glob("testdata/apps/*")
	if err != nil || len(dirs) < 9 {
		t.Fatalf("found %d apps (%v), want at least 9", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			app, err := Load(t.Context(), Options{Path: dir})
			if err != nil {
				t.Fatal(err)
			}
			got := golden(t, app)
			file := filepath.Join("testdata", filepath.Base(dir)+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}
