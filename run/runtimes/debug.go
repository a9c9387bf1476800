package runtimes

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

// debugDir is where a place has a debugger that the runtime does not bring.
const debugDir = "/var/debug"

// Ports that debuggers listen on unless told otherwise.
const (
	nodePort   = 9229
	pythonPort = 5678
	goPort     = 2345
)

// Languages that can be debugged.
const (
	DebugNode   = "node"
	DebugPython = "python"
	DebugGo     = "go"
)

// A Debugger is how the processes of a launch are debugged.
type Debugger struct {
	Language string // DebugNode, DebugPython or DebugGo
	Port     int    // of the place's loopback, on which it listens
	// Traces says that it looks into the process from another one.
	Traces bool
}

// Debug makes l wait for a debugger before the function's code runs: node
// --inspect-brk, debugpy, or dlv. port is where it listens; 0: where it usually
// does. install lets what is missing be fetched into the cache, where that is
// possible.
//
// KindUnsupported where there is no debugger, with what to do as the hint.
func (r *Runtimes) Debug(ctx context.Context, f *catalog.Function, l run.Launch, port int, install bool) (run.Launch, Debugger, error) {
	id, err := parse(f.Runtime)
	if err != nil {
		return l, Debugger{}, named(err, f)
	}
	switch id.family {
	case node:
		return debugNode(l, or(port, nodePort))
	case python:
		l, d, err := r.debugPython(ctx, id, l, or(port, pythonPort), install)
		return l, d, named(err, f)
	case custom:
		l, d, err := r.debugGo(f, l, or(port, goPort))
		return l, d, named(err, f)
	}
	return l, Debugger{}, named(noDebugger(fmt.Sprintf("functions of %s cannot be debugged here", f.Runtime), "Node.js, Python and Go can."), f)
}

func or(port, usual int) int {
	if port == 0 {
		return usual
	}
	return port
}

func noDebugger(what, hint string) error {
	return &daruma.Error{Op: "debug", Kind: daruma.KindUnsupported, Err: errors.New(what), Hint: hint}
}

// change returns l with another command.
func change(l run.Launch, with func(path func(string) string, c run.Command) run.Command) run.Launch {
	command := l.Command
	l.Command = func(path func(string) string) (run.Command, error) {
		c, err := command(path)
		if err != nil {
			return c, err
		}
		return with(path, c), nil
	}
	return l
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func debugNode(l run.Launch, port int) (run.Launch, Debugger, error) {
	l = change(l, func(path func(string) string, c run.Command) run.Command {
		if at := slices.Index(c.Argv, path(runtimeDir)+"/index.cjs"); at >= 0 {
			c.Argv = slices.Insert(slices.Clone(c.Argv), at, "--inspect-brk="+local(port))
		}
		return c
	})
	return l, Debugger{Language: DebugNode, Port: port}, nil
}

// debugPython starts the bootstrap through debugpy, which lies in the cache.
func (r *Runtimes) debugPython(ctx context.Context, id id, l run.Launch, port int, install bool) (run.Launch, Debugger, error) {
	i, err := r.interpreter(ctx, id)
	if err != nil {
		return l, Debugger{}, err
	}
	dir, err := r.debugpy(ctx, i, install)
	if err != nil {
		return l, Debugger{}, err
	}
	l.Mounts = append(slices.Clone(l.Mounts), sandbox.Mount{Source: dir, Target: debugDir})
	l = change(l, func(path func(string) string, c run.Command) run.Command {
		if at := slices.Index(c.Argv, path(runtimeDir)+"/bootstrap.py"); at >= 0 {
			c.Argv = slices.Insert(slices.Clone(c.Argv), at, "-X", "frozen_modules=off", "-m", "debugpy", "--listen", local(port), "--wait-for-client")
		}
		for n, v := range c.Env {
			if strings.HasPrefix(v, "PYTHONPATH=") {
				c.Env[n] = v + ":" + path(debugDir)
			}
		}
		return c
	})
	return l, Debugger{Language: DebugPython, Port: port}, nil
}

// debugpy returns a directory of the cache that holds debugpy for i: copied
// from the interpreter's own packages, or fetched when that is allowed.
func (r *Runtimes) debugpy(ctx context.Context, i interpreter, install bool) (string, error) {
	name := "debugpy-python" + i.version[:2].String()
	if done := filepath.Join(r.shelf.dir, name); exists(done) {
		return done, nil
	}
	ask, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	found, err := exec.CommandContext(ask, i.file, "-c", "import debugpy, os; print(os.path.dirname(debugpy.__file__))").Output()
	own := string(bytes.TrimSpace(found))
	switch {
	case err == nil && filepath.IsAbs(own):
		return r.shelf.take(ctx, name, func(_ context.Context, dir string) error {
			return os.CopyFS(filepath.Join(dir, "debugpy"), os.DirFS(own))
		})
	case install:
		return r.shelf.take(ctx, name, func(ctx context.Context, dir string) error {
			return r.pipInstall(ctx, i, dir, []string{"debugpy"})
		})
	}
	return "", noDebugger("debugpy cannot be imported by "+i.file, i.file+" -m pip install debugpy, or add --install: it is fetched into the cache then")
}

// debugGo starts the function's binary under Delve.
func (r *Runtimes) debugGo(f *catalog.Function, l run.Launch, port int) (run.Launch, Debugger, error) {
	entry := filepath.Join(f.Code.Dir, "bootstrap")
	if _, err := buildinfo.ReadFile(entry); err != nil {
		return l, Debugger{}, noDebugger("its bootstrap is no Go program", "Of functions that bring their own bootstrap, those in Go can be debugged.")
	}
	dlv := r.look("dlv")
	for _, dir := range []string{filepath.Join(r.config.Home, "go", "bin")} {
		if file := filepath.Join(dir, "dlv"); dlv == "" && r.config.Home != "" && exists(file) {
			dlv = file
		}
	}
	if dlv == "" {
		return l, Debugger{}, noDebugger("dlv, the Go debugger, was not found", "go install github.com/go-delve/delve/cmd/dlv@latest")
	}
	dlv, err := filepath.EvalSymlinks(dlv)
	if err != nil {
		return l, Debugger{}, err
	}
	l.Mounts = append(slices.Clone(l.Mounts), sandbox.Mount{Source: filepath.Dir(dlv), Target: debugDir})
	l = change(l, func(path func(string) string, c run.Command) run.Command {
		c.Argv = append([]string{path(debugDir) + "/" + filepath.Base(dlv), "exec", "--headless", "--api-version=2", "--listen=" + local(port), "--only-same-user=false", "--check-go-version=false"}, c.Argv...)
		c.Env = append(c.Env, "HOME="+path("/tmp")) // where it looks for its settings
		return c
	})
	return l, Debugger{Language: DebugGo, Port: port, Traces: true}, nil
}
