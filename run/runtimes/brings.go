package runtimes

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
)

// Bounds on reading a function's sources for what they import. Beyond them
// nothing is missed silently on AWS's terms: an import that is not found fails
// when the function starts, under its own name.
const (
	scanFilesMax     = 20_000
	scanFileBytesMax = 64 << 20
)

// runtimeFiles returns a directory for /var/runtime: our bootstrap and, when
// packages are named, what install puts beside it.
func (r *Runtimes) runtimeFiles(ctx context.Context, name string, files embed.FS, packages []string, install func(ctx context.Context, dir string) error) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(file)
		io.WriteString(h, file+"\x00"+string(b)+"\x00")
		return err
	})
	if err != nil {
		return "", err
	}
	io.WriteString(h, strings.Join(packages, "\x00"))
	key := "runtime-" + name + "-" + hex.EncodeToString(h.Sum(nil)[:8])
	return r.shelf.take(ctx, key, func(ctx context.Context, dir string) error {
		if len(packages) > 0 {
			if err := install(ctx, dir); err != nil {
				return err
			}
		}
		return fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := files.ReadFile(file)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, path.Base(file)), b, 0o644)
		})
	})
}

var (
	nodeImport   = regexp.MustCompile(`(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\(|\brequire\.resolve\s*\()\s*["'` + "`" + `]((?:@aws-sdk|@smithy)/[a-z0-9][a-z0-9._-]*|aws-sdk)(?:/[^"'` + "`" + `]*)?["'` + "`" + `]`)
	pythonImport = regexp.MustCompile(`(?m)^[ \t]*(?:import|from)[ \t]+(boto3|botocore|s3transfer|jmespath|dateutil|urllib3|six)\b`)
)

// nodeImports returns the packages of the AWS SDK for JavaScript that f's code
// imports and neither it nor a layer brings: version 3 from Node.js 18 on,
// version 2 before, as AWS has them. Sorted.
func (r *Runtimes) nodeImports(f *catalog.Function, id id) []string {
	v2 := id.version[0] < 18
	return r.imports(f, nodeImport, []string{".js", ".mjs", ".cjs"}, func(name string) bool {
		if (name == "aws-sdk") != v2 {
			return false
		}
		for i, root := range roots(f) {
			places := []string{"node_modules"}
			if i > 0 {
				places = []string{"nodejs/node_modules", "nodejs/node" + id.version.String() + "/node_modules"}
			}
			for _, place := range places {
				if exists(filepath.Join(root, place, name)) {
					return false
				}
			}
		}
		return true
	})
}

// pythonImports returns boto3 when f's code imports it, or one of the packages
// that come with it, and neither it nor a layer brings that.
func (r *Runtimes) pythonImports(f *catalog.Function) []string {
	missing := r.imports(f, pythonImport, []string{".py"}, func(name string) bool {
		for i, root := range roots(f) {
			if i > 0 {
				root = filepath.Join(root, "python")
			}
			if exists(filepath.Join(root, name)) || exists(filepath.Join(root, name+".py")) {
				return false
			}
			if deep, _ := filepath.Glob(filepath.Join(root, "lib/python3.*/site-packages", name)); len(deep) > 0 {
				return false
			}
		}
		return true
	})
	if len(missing) == 0 {
		return nil
	}
	return []string{"boto3"}
}

// imports returns the names that re finds in f's own sources and its layers'
// and that missing says are not there. Packages that were installed are not
// read. The answer is kept by content.
func (r *Runtimes) imports(f *catalog.Function, re *regexp.Regexp, suffixes []string, missing func(name string) bool) []string {
	key := f.Runtime
	for _, root := range roots(f) {
		key += "\x00" + root
	}
	r.mu.Lock()
	kept, ok := r.brought[key]
	r.mu.Unlock()
	if ok {
		return kept
	}
	found := map[string]bool{}
	for _, root := range roots(f) {
		scan(root, re, suffixes, found)
	}
	var names []string
	for name := range found {
		if missing(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	r.mu.Lock()
	r.brought[key] = names
	r.mu.Unlock()
	return names
}

func scan(root string, re *regexp.Regexp, suffixes []string, found map[string]bool) {
	files := 0
	// What cannot be read cannot be run either, and fails there by name.
	filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if d.Name() == "node_modules" || strings.HasSuffix(d.Name(), ".dist-info") || d.Name() == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !slices.Contains(suffixes, filepath.Ext(file)) {
			return nil
		}
		if files++; files > scanFilesMax {
			return fs.SkipAll
		}
		scanFile(file, re, found)
		return nil
	})
}

// scanFile reads file in overlapping pieces, so that one file's size costs no memory.
func scanFile(file string, re *regexp.Regexp, found map[string]bool) {
	const piece, overlap = 1 << 20, 512
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.LimitReader(f, scanFileBytesMax), piece)
	for {
		b, err := in.Peek(piece)
		for _, m := range re.FindAllSubmatch(b, -1) {
			found[string(m[1])] = true
		}
		if err != nil || len(b) <= overlap {
			return
		}
		in.Discard(len(b) - overlap)
	}
}
