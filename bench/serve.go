package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run/runtimes"
)

// bareProcesses is how many processes of a function a bare loop has: more than
// the two cores of the machines this is usually run on only slow each other down.
const bareProcesses = 8

// serveFloor is a floor in a process of its own, so that its CPU time is not the client's.
func serveFloor(kind, function, app, dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if kind == "door" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until its end
			l.Close()
		}()
		fmt.Println(l.Addr())
		return serveDoor(l, dir)
	}
	if kind == cannedLibrary {
		go func() { _ = http.Serve(l, http.HandlerFunc(answerCanned)) }()
		fmt.Println(l.Addr())
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	serve := serveCanned
	if kind != canned {
		loop, err := startBareLoop()
		if err != nil {
			return err
		}
		defer loop.close()
		start, err := starter(loop, function, app, dir)
		if err != nil {
			return err
		}
		n := bareProcesses
		if kind == "lazy" { // a process is started when somebody waits for it
			n = 0
			var once sync.Once
			serve = func(c net.Conn) {
				once.Do(func() {
					if err := start(); err != nil {
						fmt.Fprintln(os.Stderr, "floor:", err)
					}
				})
				loop.caller(c)
			}
		} else {
			serve = loop.caller
		}
		for range n {
			if err := start(); err != nil {
				return err
			}
		}
	}
	go accept(l, serve)
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// starter returns a function that starts one process of an echo function, with the command the product uses.
func starter(loop *bareLoop, name, app, dir string) (func() error, error) {
	f := catalog.Function{Name: name, Version: catalog.Latest, Handler: "bootstrap", Runtime: "provided.al2023"}
	src := catalog.Source{Path: filepath.Join(app, "go"), Method: "go1.x", LogicalID: name}
	switch name {
	case "Node":
		f.Handler, f.Runtime = "index.handler", "nodejs20.x"
		src = catalog.Source{Path: filepath.Join(app, "node"), LogicalID: name}
	case "Python":
		f.Handler, f.Runtime = "app.handler", "python3.12"
		src = catalog.Source{Path: filepath.Join(app, "py"), LogicalID: name}
	}
	var err error
	ctx, cache := context.Background(), filepath.Join(dir, "cache")
	f.Code, err = build.Build(ctx, src, build.Options{Name: name, Runtime: f.Runtime, Handler: f.Handler, Out: filepath.Join(dir, "floor"), Cache: cache})
	if err != nil {
		return nil, err
	}
	launch, err := runtimes.New(runtimes.Config{Cache: cache, Path: os.Getenv("PATH"), Home: os.Getenv("HOME")}).Launch(ctx, &f)
	if err != nil {
		return nil, err
	}
	place := func(target string) string { // a floor has no places: what would be mounted is where it is
		for _, m := range launch.Mounts {
			if rest, ok := strings.CutPrefix(target, m.Target); ok {
				return m.Source + rest
			}
		}
		return target
	}
	cmd, err := launch.Command(place)
	if err != nil {
		return nil, err
	}
	env := append(slices.Clip(cmd.Env), "_HANDLER="+f.Handler, "LAMBDA_TASK_ROOT="+place("/var/task"), "LAMBDA_RUNTIME_DIR="+place("/var/runtime"))
	return func() error { return loop.start(cmd.Argv, env, cmd.Dir) }, nil
}
