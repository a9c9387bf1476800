// Package runtimes knows how a function of each Lambda runtime is started on
// this machine: which interpreter, which bootstrap, which variables, and what
// the runtime brings along (the AWS SDK). It answers with a [run.Launch].
//
// The bootstraps for Node.js and Python are ours and embedded. Interpreters
// are the machine's own: the exact version when there is one, else the nearest
// with a warning. What has to be fetched (an SDK the code imports and does not
// bring, the Java client) is fetched once into a cache directory by the
// machine's own package tools, and only for the functions that need it.
//
// It starts no function process and keeps no state but its cache. All methods
// may be called from any goroutine.
package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

// Where functions find things, as AWS lays them out.
const (
	taskRoot   = "/var/task"
	runtimeDir = "/var/runtime"
	langDir    = "/var/lang"
	optDir     = "/opt"
)

// Config says where to look and what to tell.
type Config struct {
	// Cache is an absolute directory for what is fetched or unpacked. It is
	// made when needed and may be shared by processes and deleted at any time
	// when none of them runs. Required.
	Cache string
	// Path is the list of directories searched for interpreters and tools, as in $PATH.
	Path string
	// Home is where version managers keep interpreters, as in $HOME; "" for none.
	Home string
	// Progress is told about long work ("fetching boto3 …"). May be nil; may
	// be called from several goroutines at once.
	Progress func(text string)
	// Warn is told, once for each function and text, what is not as asked
	// ("python3.12 is asked for, running on 3.11.7"). May be nil.
	Warn func(function, text string)
}

// Runtimes starts functions of every supported runtime.
type Runtimes struct {
	config Config
	shelf  shelf

	mu           sync.Mutex
	interpreters map[string]interpreter // by runtime id
	warned       map[string]bool        // function and text
	brought      map[string]imports     // by runtime and content
}

// New returns runtimes that look where c says. It touches nothing.
func New(c Config) *Runtimes {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Warn == nil {
		c.Warn = func(string, string) {}
	}
	return &Runtimes{
		config:       c,
		shelf:        shelf{dir: c.Cache},
		interpreters: map[string]interpreter{},
		warned:       map[string]bool{},
		brought:      map[string]imports{},
	}
}

// A family is one way of starting functions.
type family uint8

const (
	custom family = iota + 1 // the function brings its own bootstrap
	node
	python
	java
)

// An id is a runtime's id, taken apart.
type id struct {
	text    string
	family  family
	version version // what is asked for; only as many parts as the id names
}

var (
	nodeID   = regexp.MustCompile(`^nodejs(\d+)(?:\.x|\.\d+)?$`)
	pythonID = regexp.MustCompile(`^python3\.(\d+)$`)
	javaID   = regexp.MustCompile(`^java(\d+)(?:\.al2)?$`)
)

// parse takes a runtime's id apart. An id that is not supported is a
// KindUnsupported error that says why.
func parse(text string) (id, error) {
	switch text {
	case "provided", "provided.al2", "provided.al2023", "go1.x":
		return id{text: text, family: custom}, nil
	}
	for _, f := range []struct {
		family family
		re     *regexp.Regexp
	}{{node, nodeID}, {python, pythonID}, {java, javaID}} {
		if m := f.re.FindStringSubmatch(text); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				break
			}
			v := version{n}
			if f.family == python {
				v = version{3, n}
			}
			return id{text: text, family: f.family, version: v}, nil
		}
	}
	return id{}, unsupported(text)
}

func unsupported(text string) error {
	hint := "Supported: provided.al2023, provided.al2, go1.x, nodejs*, python3.*, java*."
	switch {
	case text == "":
		return &daruma.Error{Op: "start runtime", Kind: daruma.KindInvalid, Err: fmt.Errorf("no runtime is named"), Hint: hint}
	case regexp.MustCompile(`^(ruby|dotnet)`).MatchString(text):
		hint += " Functions in Ruby and .NET run when they bring their own bootstrap with provided.al2023."
	case text == "python2.7":
		hint += " Python 2 is not among them."
	}
	return &daruma.Error{Op: "start runtime", Ref: text, Kind: daruma.KindUnsupported, Err: fmt.Errorf("runtime %s is not supported", text), Hint: hint}
}

// Launch says how f's processes are started. The first call for a runtime
// looks for its interpreter, and the first for a function may fetch what its
// runtime brings along; later calls return at once.
//
// A missing interpreter is a KindUnsupported error, an unreachable package
// registry a KindUnavailable one; both name what is missing and what to do.
func (r *Runtimes) Launch(ctx context.Context, f *catalog.Function) (run.Launch, error) {
	id, err := parse(f.Runtime)
	if err != nil {
		return run.Launch{}, named(err, f)
	}
	if a := machine(); f.Architecture != "" && f.Architecture != a && id.family != custom {
		r.warn(f, fmt.Sprintf("%s is asked for, running on %s", f.Architecture, a))
	}
	launch := run.Launch{Mounts: []sandbox.Mount{{Source: f.Code.Dir, Target: taskRoot}}}
	for _, l := range f.Layers {
		launch.Opt = append(launch.Opt, l.Code.Dir)
	}
	switch id.family {
	case custom:
		r.launchCustom(f, &launch)
	case node:
		err = r.launchNode(ctx, f, id, &launch)
	case python:
		err = r.launchPython(ctx, f, id, &launch)
	case java:
		err = r.launchJava(ctx, f, id, &launch)
	}
	return launch, named(err, f)
}

// Interpreter returns the program that functions of a runtime run on, and
// what installs packages for them must run on too.
func (r *Runtimes) Interpreter(ctx context.Context, runtime string) (string, error) {
	id, err := parse(runtime)
	if err != nil {
		return "", err
	}
	if id.family == custom {
		return "", &daruma.Error{Op: "find interpreter", Ref: runtime, Kind: daruma.KindInvalid, Err: fmt.Errorf("functions of %s bring their own", runtime)}
	}
	i, err := r.interpreter(ctx, id)
	return i.file, err
}

// Install fetches the newest Node.js of the version a nodejs* runtime names,
// from the npm registry, into the cache, where Launch finds it. Runtimes of
// other languages are KindUnsupported.
func (r *Runtimes) Install(ctx context.Context, runtime string) error {
	id, err := parse(runtime)
	if err != nil {
		return err
	}
	if id.family != node {
		return &daruma.Error{Op: "install", Ref: runtime, Kind: daruma.KindUnsupported, Err: fmt.Errorf("only Node.js can be fetched"), Hint: fmt.Sprintf(kins[id.family].hint, id.version)}
	}
	_, err = r.shelf.take(ctx, nodeShelf+id.version.String(), func(ctx context.Context, dir string) error {
		return r.npmInstall(ctx, dir, []string{nodePackage() + "@" + id.version.String()})
	})
	r.mu.Lock()
	delete(r.interpreters, id.text)
	r.mu.Unlock()
	return err
}

// nodeShelf begins the names of fetched interpreters in the cache.
const nodeShelf = "node-"

// nodePackage is the npm package that holds Node.js for this machine.
func nodePackage() string {
	arch := "x64"
	if runtime.GOARCH == "arm64" {
		arch = "arm64"
	}
	return "node-" + runtime.GOOS + "-" + arch
}

// named puts the function's name in front of an error of ours.
func named(err error, f *catalog.Function) error { return daruma.Wrap("", f.Name, err) }

// warn tells text once for each function.
func (r *Runtimes) warn(f *catalog.Function, text string) {
	r.mu.Lock()
	key := f.Name + "\x00" + text
	seen := r.warned[key]
	r.warned[key] = true
	r.mu.Unlock()
	if !seen {
		r.config.Warn(f.Name, text)
	}
}

// machine names this machine's architecture as Lambda does.
func machine() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// command returns what every managed runtime's command has: the defaults of
// its environment and the wrapper in front of argv, when f asks for one.
func (r *Runtimes) command(f *catalog.Function, path func(string) string, bin string, argv ...string) run.Command {
	c := run.Command{Argv: argv, Dir: path(taskRoot), Env: environment(path, bin)}
	if w := f.Env["AWS_LAMBDA_EXEC_WRAPPER"]; w != "" {
		// Through a shell, so that a wrapper that is not there ends the
		// process with status 127 as it does on AWS.
		c.Argv = append([]string{"/bin/sh", "-c", `exec "$0" "$@"`, path(w)}, argv...)
	}
	return c
}

// environment returns the variables AWS gives every runtime; bin is the
// interpreter's directory, or "".
func environment(path func(string) string, bin string) []string {
	search := path(langDir) + "/bin:/usr/local/bin:/usr/bin/:/bin:" + path(optDir) + "/bin"
	if bin != "" && bin != path(langDir)+"/bin" {
		search = bin + ":" + search
	}
	libraries := path(langDir) + "/lib:/lib64:/usr/lib64:" + path(runtimeDir) + ":" + path(runtimeDir) + "/lib:" + path(taskRoot) + ":" + path(taskRoot) + "/lib:" + path(optDir) + "/lib"
	return []string{"PATH=" + search, "LD_LIBRARY_PATH=" + libraries, "TZ=:UTC", "LANG=en_US.UTF-8"}
}

// in returns the first of dirs that holds name, as a path, or "".
func in(dirs []string, name string) string {
	for _, dir := range dirs {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// roots returns where f's code lies on this machine: its own directory first, then its layers', the last one first.
func roots(f *catalog.Function) []string {
	dirs := []string{f.Code.Dir}
	for i := len(f.Layers) - 1; i >= 0; i-- {
		dirs = append(dirs, f.Layers[i].Code.Dir)
	}
	return dirs
}
