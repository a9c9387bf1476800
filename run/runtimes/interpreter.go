package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

// probeTimeout bounds asking one candidate what it is.
const probeTimeout = 15 * time.Second

// candidatesMax bounds how many candidates are asked.
const candidatesMax = 64

// An interpreter is one found on this machine, with every shim and link resolved.
type interpreter struct {
	file    string // the binary
	prefix  string // the tree it needs
	version version
}

// A kin is how the interpreters of one family are named, found and asked.
type kin struct {
	name  string   // for people
	names []string // in PATH; %s is the version asked for
	homes []string // globs below the home directory, of binaries
	fixed []string // globs elsewhere
	probe []string // arguments that make it print {"file","prefix","version"}
	least version  // the oldest our bootstrap runs on
	hint  string   // how to get one; %s is the version asked for
	up    bool     // an older one does not do
}

var kins = map[family]kin{
	node: {
		name:  "Node.js",
		names: []string{"node%s", "node", "nodejs"},
		homes: []string{
			".nvm/versions/node/*/bin/node", ".local/share/fnm/node-versions/*/installation/bin/node", ".fnm/node-versions/*/installation/bin/node",
			".volta/tools/image/node/*/bin/node", ".local/share/mise/installs/node/*/bin/node", ".asdf/installs/nodejs/*/bin/node", ".nodenv/versions/*/bin/node",
		},
		fixed: []string{"/usr/local/n/versions/node/*/bin/node", "/opt/homebrew/opt/node*/bin/node", "/usr/local/opt/node*/bin/node", "/home/linuxbrew/.linuxbrew/opt/node*/bin/node"},
		probe: []string{"-p", `JSON.stringify({file:process.execPath,prefix:"",version:process.versions.node})`},
		least: version{14},
		hint:  "Install Node.js %s, for instance with a version manager (nvm install %[1]s), and start again.",
	},
	python: {
		name:  "Python",
		names: []string{"python%s", "python3", "python"},
		homes: []string{
			".pyenv/versions/*/bin/python3", ".local/share/uv/python/*/bin/python3", ".local/share/mise/installs/python/*/bin/python3", ".asdf/installs/python/*/bin/python3",
		},
		fixed: []string{"/opt/homebrew/opt/python@*/libexec/bin/python3", "/usr/local/opt/python@*/libexec/bin/python3", "/home/linuxbrew/.linuxbrew/opt/python@*/libexec/bin/python3", "/usr/bin/python3.*", "/usr/local/bin/python3.*"},
		probe: []string{"-S", "-c", `import json,os,sys;print(json.dumps({"file":os.path.realpath(getattr(sys,"_base_executable",None) or sys.executable),"prefix":sys.base_prefix,"version":sys.version.split()[0]}))`},
		least: version{3, 7},
		hint:  "Install Python %s, for instance with a version manager (pyenv install %[1]s, uv python install %[1]s), and start again.",
	},
	java: {
		name:  "Java",
		names: []string{"java"},
		homes: []string{".sdkman/candidates/java/*/bin/java", ".local/share/mise/installs/java/*/bin/java", ".asdf/installs/java/*/bin/java", ".jenv/versions/*/bin/java"},
		fixed: []string{"/usr/lib/jvm/*/bin/java", "/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java", "/opt/homebrew/opt/openjdk*/bin/java"},
		least: version{8},
		hint:  "Install a Java %s runtime and start again.",
		up:    true,
	},
}

// interpreter returns the interpreter for id: of the version it asks for, else
// the nearest. The answer is kept; a failure is not.
func (r *Runtimes) interpreter(ctx context.Context, id id) (interpreter, error) {
	r.mu.Lock()
	found, ok := r.interpreters[id.text]
	r.mu.Unlock()
	if ok {
		return found, nil
	}
	k := kins[id.family]
	var best interpreter
	asked := map[string]bool{}
	for _, file := range r.candidates(k, id.version) {
		if len(asked) == candidatesMax {
			break
		}
		if real, err := filepath.EvalSymlinks(file); err == nil {
			if asked[real] {
				continue
			}
			asked[real] = true
		}
		i, err := probe(ctx, k, file)
		if err != nil || i.version.compare(k.least) < 0 {
			continue
		}
		if best.file == "" || k.nearer(i.version, best.version, id.version) {
			best = i
		}
		if i.version.matches(id.version) {
			break
		}
	}
	if best.file == "" {
		return interpreter{}, &daruma.Error{Op: "start " + id.text, Kind: daruma.KindUnsupported, Err: fmt.Errorf("no %s interpreter was found on this machine", k.name), Hint: fmt.Sprintf(k.hint, id.version)}
	}
	r.mu.Lock()
	r.interpreters[id.text] = best
	r.mu.Unlock()
	return best, nil
}

func (k kin) nearer(a, b, asked version) bool {
	if k.up && (a[0] >= asked[0]) != (b[0] >= asked[0]) {
		return a[0] >= asked[0]
	}
	if da, db := a.distance(asked), b.distance(asked); da != db {
		return da < db
	}
	return false
}

// candidates lists binaries to ask, the likeliest first: those a version
// manager keeps under the version's name, then the exact name in PATH, then
// the general names, then everything else.
func (r *Runtimes) candidates(k kin, v version) []string {
	var exact, general, rest []string
	for i, name := range k.names {
		file := r.look(strings.Replace(name, "%s", v.String(), 1))
		switch {
		case file == "":
		case i == 0 && strings.Contains(name, "%s"):
			exact = append(exact, file)
		default:
			general = append(general, file)
		}
	}
	var globs []string
	if r.config.Home != "" {
		for _, g := range k.homes {
			globs = append(globs, filepath.Join(r.config.Home, g))
		}
	}
	if k.name == kins[node].name {
		globs = append(globs, filepath.Join(r.config.Cache, nodeShelf+v.String(), "node_modules", nodePackage(), "bin", "node"))
	}
	for _, g := range append(globs, k.fixed...) {
		files, _ := filepath.Glob(g) // the only error is a bad pattern, and these are ours
		for _, file := range files {
			if versioned(file, v) {
				exact = append(exact, file)
			} else {
				rest = append(rest, file)
			}
		}
	}
	slices.SortStableFunc(exact, func(a, b string) int { return shims(a) - shims(b) })
	return slices.Concat(exact, general, rest)
}

// versioned says whether one of the names in file's path reads as v.
func versioned(file string, v version) bool {
	for _, part := range strings.FieldsFunc(file, func(c rune) bool { return c == '/' || c == '-' || c == '@' }) {
		part = strings.TrimPrefix(part, "python")
		if got := parseVersion(part); len(got) > 0 && got.matches(v) {
			return true
		}
	}
	return false
}

// shims puts what only hands on to another binary last: asking it is slow and often in vain.
func shims(file string) int {
	if strings.Contains(file, "/shims/") {
		return 1
	}
	return 0
}

// look finds an executable in the configured PATH, or returns "".
func (r *Runtimes) look(name string) string {
	for _, dir := range filepath.SplitList(r.config.Path) {
		if dir == "" {
			continue
		}
		file := filepath.Join(dir, name)
		if stat, err := os.Stat(file); err == nil && !stat.IsDir() && stat.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// probe asks a candidate what it is.
func probe(ctx context.Context, k kin, file string) (interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if k.probe == nil {
		return probeJava(ctx, file)
	}
	out, err := exec.CommandContext(ctx, file, k.probe...).Output()
	if err != nil {
		return interpreter{}, err
	}
	var told struct{ File, Prefix, Version string }
	if err := json.Unmarshal(out, &told); err != nil {
		return interpreter{}, err
	}
	if told.File, err = filepath.EvalSymlinks(told.File); err != nil {
		return interpreter{}, err
	}
	if told.Prefix == "" {
		told.Prefix = filepath.Dir(told.File)
		if filepath.Base(told.Prefix) == "bin" {
			told.Prefix = filepath.Dir(told.Prefix)
		}
	}
	if told.Prefix, err = filepath.EvalSymlinks(told.Prefix); err != nil {
		return interpreter{}, err
	}
	v := parseVersion(told.Version)
	if len(v) < 2 {
		return interpreter{}, errors.New("it names no version")
	}
	return interpreter{file: told.File, prefix: told.Prefix, version: v}, nil
}

// visible are the trees every place sees as they are on the machine.
var visible = []string{"/usr", "/bin", "/lib", "/lib64", "/sbin"}

// whole are trees whose programs refer to each other by absolute paths: they are shown as a whole and where they are.
var whole = []string{"/nix/store", "/home/linuxbrew/.linuxbrew", "/opt/homebrew", "/gnu/store"}

// settle makes the interpreter visible in the place and returns the path its
// binary has there. A tree that is not visible anyway appears at /var/lang,
// where AWS has it.
func (i interpreter) settle(launch *run.Launch) string {
	for _, tree := range visible {
		if within(i.file, tree) && within(i.prefix, tree) {
			return i.file
		}
	}
	for _, tree := range whole {
		if within(i.file, tree) {
			launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: tree, Target: tree})
			return i.file
		}
	}
	if !within(i.file, i.prefix) {
		dir := filepath.Dir(i.file)
		launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: i.prefix, Target: i.prefix}, sandbox.Mount{Source: dir, Target: dir})
		return i.file
	}
	launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: i.prefix, Target: langDir})
	return langDir + strings.TrimPrefix(i.file, i.prefix)
}

func within(file, tree string) bool {
	return file == tree || strings.HasPrefix(file, strings.TrimSuffix(tree, "/")+"/")
}

// stateVersion warns when id does not run on the version it asks for.
func (r *Runtimes) stateVersion(f *catalog.Function, id id, i interpreter) {
	if !i.version.matches(id.version) {
		r.warn(f, fmt.Sprintf("%s is asked for, running on %s %s", id.text, kins[id.family].name, i.version))
	}
}
