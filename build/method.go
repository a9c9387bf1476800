package build

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

// A method fills the job's output directory.
type method func(ctx context.Context) error

var (
	nodeRuntime   = regexp.MustCompile(`^nodejs`)
	pythonRuntime = regexp.MustCompile(`^python3\.\d+$`)
	javaRuntime   = regexp.MustCompile(`^java\d+`)
	customRuntime = regexp.MustCompile(`^(provided(\.al2|\.al2023)?|go1\.x)$`)
)

// method chooses how the source is built: by its BuildMethod when it names
// one, else by the runtime and what lies in the directory.
func (j *job) method() (method, error) {
	if j.src.Layer && j.src.Method == "" {
		return func(context.Context) error { return copyTree(j.src.Path, j.out, debris) }, nil
	}
	switch m := j.src.Method; {
	case m == "":
		return j.natural(j.Runtime)
	case m == "makefile":
		return j.makefile, nil
	case m == "esbuild" && !j.src.Layer:
		return j.bundleAsToldBy, nil
	case m == "go1.x":
		return j.compileGo, nil
	case m == "python-uv":
		return j.uv, nil
	case m == "rust-cargolambda":
		return j.cargoLambda, nil
	case nodeRuntime.MatchString(m), pythonRuntime.MatchString(m), javaRuntime.MatchString(m):
		return j.natural(m)
	}
	return nil, refused("Supported: makefile, esbuild, go1.x, nodejs*, python3.*, java*, python-uv, rust-cargolambda. Any other build can be written in a Makefile.", "BuildMethod %s is not supported", j.src.Method)
}

// natural chooses by runtime and files.
func (j *job) natural(runtime string) (method, error) {
	if err := j.only("UseNpmCi"); err != nil { // a lock file decides
		return nil, err
	}
	switch {
	case nodeRuntime.MatchString(runtime):
		if !j.src.Layer && j.typeScript() != "" {
			return j.bundleTypeScript, nil
		}
		return j.node, nil
	case pythonRuntime.MatchString(runtime):
		return func(ctx context.Context) error { return j.python(ctx, runtime) }, nil
	case javaRuntime.MatchString(runtime):
		return j.java()
	case customRuntime.MatchString(runtime):
		if j.isGo() {
			return j.compileGo, nil
		}
	}
	return func(context.Context) error { return copyTree(j.src.Path, j.out, debris) }, nil
}

// isGo says whether the source is compiled by go build.
func (j *job) isGo() bool {
	return j.src.Method == "go1.x" || j.src.Method == "" && customRuntime.MatchString(j.Runtime) && !isFile(filepath.Join(j.src.Path, "bootstrap")) && holdsMain(j.src.Path)
}

// only refuses BuildProperties that are not among names.
func (j *job) only(names ...string) error {
	for name := range j.src.Properties {
		if !slices.Contains(names, name) {
			return refused("Supported here: "+strings.Join(names, ", ")+".", "BuildProperties.%s is not supported", name)
		}
	}
	return nil
}

var goMain = regexp.MustCompile(`(?m)^package main\b`)

// holdsMain says whether dir itself holds a Go program.
func holdsMain(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go")) // the only error is a bad pattern
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if b, err := os.ReadFile(file); err == nil && goMain.Match(b) {
			return true
		}
	}
	return false
}

// typeScript returns the TypeScript file the handler names, or "" when there
// is none or a JavaScript file goes before it.
func (j *job) typeScript() string {
	base := filepath.Base(j.Handler)
	dot := strings.IndexByte(base, '.')
	if dot < 0 || strings.Contains(j.Handler, "..") {
		return ""
	}
	stem := filepath.Join(j.src.Path, filepath.Dir(j.Handler), base[:dot])
	for _, ext := range []string{".js", ".mjs", ".cjs"} {
		if isFile(stem + ext) {
			return ""
		}
	}
	for _, ext := range []string{".ts", ".mts", ".cts", ".tsx"} {
		if isFile(stem + ext) {
			return stem + ext
		}
	}
	return ""
}

func isFile(file string) bool {
	stat, err := os.Stat(file)
	return err == nil && stat.Mode().IsRegular()
}

// inline writes code given in the template to the file the runtime looks for.
func (j *job) inline() error {
	var name string
	switch {
	case nodeRuntime.MatchString(j.Runtime):
		name = "index.js"
	case pythonRuntime.MatchString(j.Runtime):
		name = "index.py"
	default:
		return daruma.Invalidf("InlineCode is for Node.js and Python, not for %s", j.Runtime)
	}
	return os.WriteFile(filepath.Join(j.out, name), []byte(j.src.Inline), 0o644)
}
