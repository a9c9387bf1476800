package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/daruma-io/daruma"
)

// python copies the source and puts what requirements.txt names beside it. A
// layer's packages go into python/.
func (j *job) python(ctx context.Context, id string) error {
	out := j.out
	if j.src.Layer {
		out = filepath.Join(out, "python")
		if err := os.Mkdir(out, 0o755); err != nil {
			return err
		}
	}
	requirements, err := os.ReadFile(filepath.Join(j.src.Path, "requirements.txt"))
	if err == nil && anyRequirement.Match(requirements) {
		packages, err := j.packages(ctx, id, requirements)
		if err != nil {
			return err
		}
		if err := linkTree(packages, out); err != nil {
			return err
		}
	}
	return copyTree(j.src.Path, out, debris) // the function's own files win
}

var (
	anyRequirement = regexp.MustCompile(`(?m)^[ \t]*[^#\s]`)
	// otherFiles are lines that name something whose change this file does not show.
	otherFiles = regexp.MustCompile(`(?m)^[ \t]*(-r|-c|-e|--requirement|--constraint|--editable|\.|/|file:)|@ *file:`)
)

// packages returns a directory with what requirements name, which never
// changes: installed once for each state of them and each interpreter.
func (j *job) packages(ctx context.Context, id string, requirements []byte) (string, error) {
	interpreter, err := j.interpreter(ctx, id)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, interpreter, "-c", "import sys,sysconfig;print(sys.version_info[:2],sysconfig.get_platform())").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", interpreter, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %d:%s", runtime.GOOS, runtime.GOARCH, version, len(requirements), requirements)
	if otherFiles.Match(requirements) {
		fmt.Fprint(h, j.src.Path, fingerprint(j.src))
	}
	return take(ctx, j.Cache, "pip-"+hex.EncodeToString(h.Sum(nil)[:16]), func(ctx context.Context, dir string) error {
		return j.pipInstall(ctx, interpreter, dir)
	})
}

// pipInstall prefers wheels; what has none is built from source, as sam does.
func (j *job) pipInstall(ctx context.Context, interpreter, dir string) error {
	args := []string{"-m", "pip", "install", "-r", "requirements.txt", "--target", dir, "--no-compile", "--disable-pip-version-check", "--no-input", "--quiet", "--root-user-action=ignore"}
	err := j.tool(ctx, j.src.Path, nil, interpreter, append(args, "--only-binary=:all:")...)
	if failed(err) {
		j.progress("not everything is there as a wheel; building from source")
		err = j.tool(ctx, j.src.Path, nil, interpreter, append(args, "--upgrade", "--prefer-binary")...)
	}
	if err != nil {
		return daruma.Wrap("install requirements.txt", "", err)
	}
	return j.compilePython(ctx, interpreter, dir)
}

// compilePython compiles packages so that starting them is quick and the
// result does not depend on file times.
func (j *job) compilePython(ctx context.Context, interpreter, dir string) error {
	err := j.tool(ctx, dir, nil, interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", dir)
	if failed(err) {
		return nil // some packages carry files for other versions of Python
	}
	return err
}

// interpreter returns the Python that id runs on.
func (j *job) interpreter(ctx context.Context, id string) (string, error) {
	if j.Python != nil {
		return j.Python(ctx, id)
	}
	for _, name := range []string{id, "python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(ctx, path, "-c", "").Run() == nil {
			return path, nil
		}
	}
	return "", refused("Install Python "+strings.TrimPrefix(id, "python")+" and start again.", "no Python interpreter was found for %s", id)
}

// uv installs what a project's lock file or requirements name, with uv.
func (j *job) uv(ctx context.Context) error {
	if _, err := exec.LookPath("uv"); err != nil {
		return refused("Install uv, or leave out BuildMethod to build with pip.", "BuildMethod python-uv needs uv, which was not found")
	}
	interpreter, err := j.interpreter(ctx, j.Runtime)
	if err != nil {
		return err
	}
	out := j.out
	if j.src.Layer {
		out = filepath.Join(out, "python")
		if err := os.Mkdir(out, 0o755); err != nil {
			return err
		}
	}
	requirements := "requirements.txt"
	if isFile(filepath.Join(j.src.Path, "pyproject.toml")) {
		work := filepath.Join(j.dir, "project")
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
		if err := copyTree(j.src.Path, work, debris); err != nil {
			return err
		}
		requirements = filepath.Join(j.dir, "requirements.txt")
		args := []string{"export", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet", "--python", interpreter, "--output-file", requirements}
		if isFile(filepath.Join(work, "uv.lock")) {
			args = append(args, "--frozen")
		}
		if err := j.tool(ctx, work, nil, "uv", args...); err != nil {
			return err
		}
	} else if !isFile(filepath.Join(j.src.Path, requirements)) {
		return daruma.Invalidf("BuildMethod python-uv needs a pyproject.toml or a requirements.txt")
	}
	if err := j.tool(ctx, j.src.Path, nil, "uv", "pip", "install", "--python", interpreter, "--target", out, "--quiet", "-r", requirements); err != nil {
		return err
	}
	if err := j.compilePython(ctx, interpreter, out); err != nil {
		return err
	}
	return copyTree(j.src.Path, out, debris)
}
