package runtimes

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// An installer puts packages into a directory.
type installer func(ctx context.Context, dir string, packages []string) error

// runtimeDirectory returns a directory for /var/runtime with what f must find
// there and, where it can be had, what it may.
func (r *Runtimes) runtimeDirectory(ctx context.Context, f *catalog.Function, name string, files embed.FS, i imports, install installer) (string, error) {
	if len(i.May) > 0 {
		all := slices.Concat(i.Must, i.May)
		slices.Sort(all)
		dir, err := r.runtimeFiles(ctx, name, files, all, install)
		if err == nil {
			return dir, nil
		}
		r.warn(f, fmt.Sprintf("packages it brings may need what the runtime has on AWS and is not here: %v", err))
		r.mu.Lock()
		r.brought[contentOf(f)] = imports{Must: i.Must} // until the next start: no start of a process waits for a registry again
		r.mu.Unlock()
	}
	return r.runtimeFiles(ctx, name, files, i.Must, install)
}

// runtimeFiles returns a directory for /var/runtime: our bootstrap and, when
// packages are named, what install puts beside it.
func (r *Runtimes) runtimeFiles(ctx context.Context, name string, files embed.FS, packages []string, install installer) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(file)
		h.Write([]byte(file + "\x00" + string(b) + "\x00"))
		return err
	})
	if err != nil {
		return "", err
	}
	h.Write([]byte(strings.Join(packages, "\x00")))
	key := "runtime-" + name + "-" + hex.EncodeToString(h.Sum(nil)[:8])
	return r.shelf.take(ctx, key, func(ctx context.Context, dir string) error {
		if len(packages) > 0 {
			if err := install(ctx, dir, packages); err != nil {
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
	pythonImport = regexp.MustCompile(`(?m)(?:^|;)[ \t]*(?:from[ \t]+|import[ \t]+(?:[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*)(boto3|botocore|s3transfer|jmespath|dateutil|urllib3|six)\b`)
	nodeSuffixes = []string{".js", ".mjs", ".cjs"}
	// theSDK are scopes that need no look: they bring what they import.
	theSDK = map[string]bool{"@aws-sdk": true, "@smithy": true, "@aws-crypto": true}
)

// Imports are packages that code imports and does not bring.
type imports struct {
	Must []string `json:"must,omitempty"` // the function's own code imports them
	May  []string `json:"may,omitempty"`  // packages it brings do, perhaps on ways it never takes
}

// nodeImports returns the packages of the AWS SDK for JavaScript that are
// imported and neither f nor a layer brings: version 3 from Node.js 18 on,
// version 2 before, as AWS has them.
func (r *Runtimes) nodeImports(f *catalog.Function, id id) imports {
	return r.imports(f, func() imports {
		must, may := map[string]bool{}, map[string]bool{}
		for i, root := range roots(f) {
			scan(root, nodeImport, nodeSuffixes, must)
			for _, modules := range nodeModules(root, i > 0, id) {
				scan(modules, nodeImport, nodeSuffixes, may)
			}
		}
		missing := func(name string) bool {
			if (name == "aws-sdk") != (id.version[0] < 18) {
				return false
			}
			for i, root := range roots(f) {
				if in(nodeModules(root, i > 0, id), name) != "" {
					return false
				}
			}
			return true
		}
		found := imports{Must: those(must, missing)}
		found.May = those(may, func(name string) bool { return missing(name) && !must[name] })
		return found
	})
}

// nodeModules returns where a function's code, or a layer, has its packages.
func nodeModules(root string, layer bool, id id) []string {
	if !layer {
		return []string{filepath.Join(root, "node_modules")}
	}
	return []string{filepath.Join(root, "nodejs/node_modules"), filepath.Join(root, "nodejs/node"+id.version.String()+"/node_modules")}
}

// pythonImports returns boto3 when f's code, packages it brings among it,
// imports it or one of the packages that come with it, and neither f nor a layer brings that.
func (r *Runtimes) pythonImports(f *catalog.Function) imports {
	return r.imports(f, func() imports {
		found := map[string]bool{}
		for _, root := range roots(f) {
			scan(root, pythonImport, []string{".py"}, found)
		}
		missing := those(found, func(name string) bool {
			for i, root := range roots(f) {
				if i > 0 {
					root = filepath.Join(root, "python")
				}
				dirs := []string{root}
				deep, _ := filepath.Glob(filepath.Join(root, "lib/python3.*/site-packages")) // the only error is a bad pattern
				dirs = append(dirs, deep...)
				if in(dirs, name) != "" || in(dirs, name+".py") != "" {
					return false
				}
			}
			return true
		})
		if len(missing) == 0 {
			return imports{}
		}
		return imports{Must: []string{"boto3"}}
	})
}

// those returns the names that is says yes to, sorted.
func those(names map[string]bool, is func(string) bool) []string {
	var yes []string
	for name := range names {
		if is(name) {
			yes = append(yes, name)
		}
	}
	slices.Sort(yes)
	return yes
}

// imports returns what look finds. Code never changes once it is finished, so
// the answer is kept, beyond this process too.
func (r *Runtimes) imports(f *catalog.Function, look func() imports) imports {
	key := contentOf(f)
	r.mu.Lock()
	kept, ok := r.brought[key]
	r.mu.Unlock()
	if ok {
		return kept
	}
	var found imports
	h := sha256.Sum256([]byte(importsVersion + key))
	file := filepath.Join(r.config.Cache, "imports", hex.EncodeToString(h[:16])+".json")
	if b, err := os.ReadFile(file); f.Code.SHA256 == "" || err != nil || json.Unmarshal(b, &found) != nil {
		found = look()
		if f.Code.SHA256 != "" {
			keep(file, found)
		}
	}
	r.mu.Lock()
	r.brought[key] = found
	r.mu.Unlock()
	return found
}

// contentOf names what decides f's imports.
func contentOf(f *catalog.Function) string {
	return strings.Join(append(roots(f), f.Runtime), "\x00")
}

// importsVersion changes when the same code would be read differently.
const importsVersion = "1"

// keep writes found down. It is only a saving of time: when that fails the next process looks again.
func keep(file string, found imports) {
	b, err := json.Marshal(found)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "keep-*")
	if err != nil {
		return
	}
	_, err = temp.Write(b)
	if errors.Join(err, temp.Close()) != nil || os.Rename(temp.Name(), file) != nil {
		_ = os.Remove(temp.Name()) // it is only a cache
	}
}

func scan(root string, re *regexp.Regexp, suffixes []string, found map[string]bool) {
	files := 0
	// What cannot be read cannot be run either, and fails there by name.
	_ = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if file != root && (d.Name() == "node_modules" || theSDK[d.Name()] || strings.HasSuffix(d.Name(), ".dist-info") || d.Name() == "__pycache__") {
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
		_, _ = in.Discard(len(b) - overlap) // it has been peeked at, so it is there
	}
}
