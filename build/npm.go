package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

// A manifest is what matters here of a package.json.
type manifest struct {
	Type         string            `json:"type"`
	Dependencies map[string]string `json:"dependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
	Workspaces   json.RawMessage   `json:"workspaces"`
}

func readManifest(dir string) (manifest, error) {
	var m manifest
	b, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return m, nil // there is none
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, daruma.Invalidf("package.json: %w", err)
	}
	return m, nil
}

// node copies JavaScript as it is and installs what its package.json depends
// on, production only. A layer's packages go where Lambda looks for them.
func (j *job) node(ctx context.Context) error {
	out := j.out
	if j.src.Layer {
		out = filepath.Join(out, "nodejs")
		if err := os.Mkdir(out, 0o755); err != nil {
			return err
		}
	}
	m, err := readManifest(j.src.Path)
	if err != nil {
		return err
	}
	if len(m.Dependencies)+len(m.Optional) == 0 {
		return copyTree(j.src.Path, out, debris)
	}
	if err := copyTree(j.src.Path, out, withModules); err != nil {
		return err
	}
	modules, err := j.modules(ctx, m)
	if err != nil || modules == "" {
		return err
	}
	to := filepath.Join(out, "node_modules")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	return linkTree(modules, to)
}

// installed is what npm reads to decide what to install.
var installed = []string{"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"}

// modules returns a node_modules directory with what the source's package.json
// depends on, which never changes; "" when that is nothing. It is installed
// once for each state of package.json and its lock file.
func (j *job) modules(ctx context.Context, m manifest) (string, error) {
	h := sha256.New()
	h.Write([]byte(runtime.GOOS + runtime.GOARCH))
	locked := false
	for _, name := range installed {
		b, err := os.ReadFile(filepath.Join(j.src.Path, name))
		if err != nil {
			continue
		}
		locked = locked || name == "package-lock.json" || name == "npm-shrinkwrap.json"
		fmt.Fprintf(h, "%s %d:%s", name, len(b), b)
	}
	if m.local() {
		// What lies beside the package may change without a word in package.json.
		fmt.Fprint(h, j.src.Path, fingerprint(j.src))
	}
	dir, err := take(ctx, j.Cache, "npm-"+hex.EncodeToString(h.Sum(nil)[:16]), func(ctx context.Context, dir string) error {
		return j.npmInstall(ctx, dir, m, locked)
	})
	if err != nil {
		return "", err
	}
	if modules := filepath.Join(dir, "node_modules"); isDir(modules) {
		return modules, nil
	}
	return "", nil
}

// local says whether a dependency is a directory beside the package.
func (m manifest) local() bool {
	for _, d := range []map[string]string{m.Dependencies, m.Optional} {
		for _, v := range d {
			if strings.HasPrefix(v, "file:") || strings.HasPrefix(v, "link:") || strings.HasPrefix(v, "workspace:") || strings.HasPrefix(v, ".") || strings.HasPrefix(v, "/") {
				return true
			}
		}
	}
	return len(m.Workspaces) > 0
}

func (j *job) npmInstall(ctx context.Context, dir string, m manifest, locked bool) error {
	work := dir
	if m.local() {
		// Relative paths in package.json lead on from where it lies.
		work = filepath.Join(dir, "source")
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
		if err := copyTree(j.src.Path, work, withModules); err != nil {
			return err
		}
		if err := absolute(work, j.src.Path); err != nil {
			return err
		}
		locked = false // its paths are relative too
		if err := os.Remove(filepath.Join(work, "package-lock.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else if err := copySome(j.src.Path, work, installed); err != nil {
		return err
	}
	command := "install"
	if locked {
		command = "ci"
	}
	args := []string{command, "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error", "--install-links"}
	if err := j.tool(ctx, work, nil, "npm", args...); err != nil {
		names := slices.Sorted(maps.Keys(m.Dependencies))
		return daruma.Wrap("install "+strings.Join(names, ", "), "", err)
	}
	if work == dir {
		return nil
	}
	if isDir(filepath.Join(work, "node_modules")) {
		if err := os.Rename(filepath.Join(work, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
			return err
		}
	}
	return os.RemoveAll(work)
}

// absolute rewrites the relative paths among a copied package.json's dependencies.
func absolute(copied, source string) error {
	file := filepath.Join(copied, "package.json")
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return daruma.Invalidf("package.json: %w", err)
	}
	for _, group := range []string{"dependencies", "optionalDependencies"} {
		names, _ := all[group].(map[string]any)
		for name, v := range names {
			text, _ := v.(string)
			for _, prefix := range []string{"file:", "link:", ""} {
				rest, ok := strings.CutPrefix(text, prefix)
				if ok && (prefix != "" || strings.HasPrefix(rest, ".")) && !filepath.IsAbs(rest) {
					names[name] = "file:" + filepath.Join(source, rest)
					break
				}
			}
		}
	}
	if b, err = json.Marshal(all); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

// copySome copies those of the named files that are there.
func copySome(from, to string, names []string) error {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
