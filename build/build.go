// Package build turns a function's or a layer's source into finished code: an
// unchanging directory named after its content, as "sam build" would lay it out.
//
// What needs no work is copied, archives are unpacked within bounds, and
// dependencies are installed or code is compiled by the machine's own tools
// (npm, pip, go, make, mvn), with their own configuration. JavaScript and
// TypeScript are bundled in-process. A build whose inputs have not changed
// costs a walk over them.
//
// It promises that a Code's directory appears whole or not at all and that the
// same content is kept once. It does not promise that a tool is harmless: a
// build runs what the source says, as the user who asked for it.
//
// All functions may be called from any goroutine and by several processes on
// one store.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// Limits of finished code (Lambda quotas) and of the work for it.
const (
	// BytesMax is how large code may be, unzipped.
	BytesMax = 262144000
	// entriesMax bounds the files and directories of one tree.
	entriesMax = 200_000
	// toolTimeout bounds one run of a tool.
	toolTimeout = 20 * time.Minute
)

// Options say what the code is for and where the work is done.
type Options struct {
	Name         string // the function's or layer's name, for people
	Runtime      string // a layer's compatible runtime, or ""
	Handler      string
	Architecture string // "x86_64", "arm64"; what is compiled is compiled for this machine

	// Debug makes code for a debugger: Go's, without optimisations and with
	// the paths of its source. KindUnsupported for anything else.
	Debug bool

	Out     string // the store of finished code: an absolute directory
	Scratch string // where work is done; a directory beside the store when ""
	Cache   string // installed dependencies, kept between builds: an absolute directory

	// Python returns the interpreter that a python3.* runtime will run on, so
	// that what is installed fits it. nil looks for pythonX.Y and python3 in PATH.
	Python func(ctx context.Context, runtime string) (string, error)
	// Progress is told about long work ("npm ci"), a line each. May be nil.
	Progress func(text string)
	// Log takes the tools' whole output. May be nil.
	Log io.Writer
}

// A job is one build under way.
type job struct {
	Options
	src    catalog.Source
	dir    string   // scratch
	out    string   // dir/out: what the code will be
	inputs []string // what was read outside src.Path
}

// Build returns the finished code of src. Errors are *daruma.Error: they name
// the function and the source's position, and a failed tool's last lines.
// KindInvalid is a source that cannot be built, KindUnsupported a method or a
// tool that is not here, KindTooLarge code beyond AWS's limit.
func Build(ctx context.Context, src catalog.Source, o Options) (catalog.Code, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Name == "" {
		o.Name = src.LogicalID
	}
	code, err := build(ctx, src, o)
	if err != nil {
		return catalog.Code{}, daruma.Wrap("build "+o.Name, src.Position, err)
	}
	return code, nil
}

func build(ctx context.Context, src catalog.Source, o Options) (catalog.Code, error) {
	if !filepath.IsAbs(o.Out) || !filepath.IsAbs(o.Cache) {
		return catalog.Code{}, daruma.Invalidf("the store and the cache need absolute paths")
	}
	if src.Inline == "" && !filepath.IsAbs(src.Path) {
		return catalog.Code{}, daruma.Invalidf("no absolute path to the source: %q", src.Path)
	}
	s := store{dir: o.Out, python: o.interpreter(ctx, src)}
	if code, ok := s.recall(src, o); ok {
		return code, nil
	}
	if o.Scratch == "" {
		o.Scratch = filepath.Join(o.Out, "scratch")
	}
	if err := os.MkdirAll(o.Scratch, 0o755); err != nil {
		return catalog.Code{}, err
	}
	dir, err := os.MkdirTemp(o.Scratch, "build-*")
	if err != nil {
		return catalog.Code{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there is in nobody's way
	j := &job{Options: o, src: src, dir: dir, out: filepath.Join(dir, "out")}
	if err := os.Mkdir(j.out, 0o755); err != nil {
		return catalog.Code{}, err
	}
	before := fingerprint(src)
	if err := j.run(ctx); err != nil {
		return catalog.Code{}, err
	}
	code, err := s.put(j.out)
	if err != nil {
		return catalog.Code{}, err
	}
	return code, s.remember(src, o, before, j.inputs, code)
}

// interpreter returns the Python that src's packages are for, "" when it needs none or none is there.
func (o Options) interpreter(ctx context.Context, src catalog.Source) string {
	id := o.Runtime
	if src.Method != "" && src.Method != "python-uv" {
		id = src.Method
	}
	if o.Python == nil || src.Built || !pythonRuntime.MatchString(id) {
		return ""
	}
	file, err := o.Python(ctx, id)
	if err != nil {
		return "" // whoever needs it says so
	}
	return file
}

// run fills j.out by the method that fits the source.
func (j *job) run(ctx context.Context) error {
	switch {
	case j.src.Inline != "":
		return j.inline()
	case j.src.Built:
		return j.asItIs()
	}
	stat, err := os.Stat(j.src.Path)
	if err != nil {
		return daruma.Invalidf("read source: %w", err)
	}
	if !stat.IsDir() {
		return j.file()
	}
	if j.Debug && !j.isGo() {
		return refused("", "only Go is built for a debugger, and this is not built by go build")
	}
	method, err := j.method()
	if err != nil {
		return err
	}
	return method(ctx)
}

// asItIs takes finished code: a directory, or an archive of one.
func (j *job) asItIs() error {
	stat, err := os.Stat(j.src.Path)
	if err != nil {
		return daruma.Invalidf("read finished code: %w", err)
	}
	if !stat.IsDir() {
		return j.file()
	}
	return copyTree(j.src.Path, j.out, nil)
}

func (j *job) progress(format string, args ...any) {
	j.Progress(fmt.Sprintf(format, args...))
}

func refused(hint, format string, args ...any) error {
	return &daruma.Error{Kind: daruma.KindUnsupported, Err: fmt.Errorf(format, args...), Hint: hint}
}

var errTooLarge = &daruma.Error{Kind: daruma.KindTooLarge, Err: errors.New("Unzipped size must be smaller than 262144000 bytes")} //nolint:staticcheck // in Lambda's own words
