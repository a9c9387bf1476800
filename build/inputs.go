package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/daruma-io/daruma/catalog"
)

// Inputs returns the files and directories that src is made from, as absolute
// paths: what a watcher watches. Changes below names that are no part of code
// (.git, node_modules, .aws-sam, .daruma, __pycache__) do not matter.
func Inputs(src catalog.Source) []string {
	if src.Inline != "" || src.Path == "" {
		return nil
	}
	inputs := []string{src.Path}
	if src.Built || src.Layer && src.Method == "" {
		return inputs
	}
	// A Go program is made from its module, a TypeScript one by the settings above it.
	for _, name := range []string{"go.mod", "go.work", "tsconfig.json", "package.json", "package-lock.json"} {
		if file := above(src.Path, name); file != "" && filepath.Dir(file) != src.Path {
			if name == "go.mod" && holdsMain(src.Path) {
				inputs = append(inputs, filepath.Dir(file))
			} else if name != "go.mod" {
				inputs = append(inputs, file)
			}
		}
	}
	return inputs
}

// Extra returns what src was made from besides its Inputs when it was last
// built into o.Out: files that its bundle imports from elsewhere.
func Extra(src catalog.Source, o Options) []string {
	r, _ := store{dir: o.Out}.read(src, o)
	return r.Inputs
}

// Ignored says whether a change of file, a path below one of a source's
// inputs, cannot change what is built.
func Ignored(file string) bool {
	for _, part := range strings.Split(filepath.ToSlash(file), "/") {
		if withModules[part] {
			return true
		}
	}
	return false
}

// aboveMax bounds how many parents are looked at.
const aboveMax = 16

// above returns the nearest file of this name in dir or above it, up to a
// repository's root, or "".
func above(dir, name string) string {
	for range aboveMax {
		file := filepath.Join(dir, name)
		if isFile(file) {
			return file
		}
		parent := filepath.Dir(dir)
		if parent == dir || exists(filepath.Join(dir, ".git")) {
			return ""
		}
		dir = parent
	}
	return ""
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// fingerprint sums what a look at src's inputs, and at the extra ones, tells
// without reading them: names, sizes, times and modes.
func fingerprint(src catalog.Source, extra ...string) string {
	skip := debris
	if isFile(filepath.Join(src.Path, "package.json")) && !src.Built {
		skip = withModules
	}
	h := sha256.New()
	seen := map[string]bool{}
	for _, input := range append(Inputs(src), extra...) {
		if !seen[input] {
			seen[input] = true
			look(h, input, skip)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func look(w io.Writer, input string, skip map[string]bool) {
	entries := 0
	// What cannot be looked at is part of the fingerprint too, so it changes when that does.
	_ = filepath.WalkDir(input, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintf(w, "%q %q\n", file, err)
			return nil
		}
		if file != input && skip[d.Name()] {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entries++; entries > entriesMax {
			return fs.SkipAll
		}
		if d.IsDir() && file != input {
			fmt.Fprintf(w, "%q/\n", file)
			return nil
		}
		stat, err := os.Stat(file) // through links: what they lead to is what is built
		if err != nil {
			fmt.Fprintf(w, "%q %q\n", file, err)
			return nil
		}
		if !stat.IsDir() {
			fmt.Fprintf(w, "%q %d %d %o\n", file, stat.Size(), stat.ModTime().UnixNano(), stat.Mode())
		}
		return nil
	})
}
