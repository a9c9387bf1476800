package runtimes

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

// javaMain is the client's main class; its argument is the handler.
const javaMain = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"

// javaHeapShare is the part of a function's memory given to the heap.
const javaHeapShare = 0.8

// launchJava starts AWS's own Runtime API client for Java, fetched once by
// Maven. The client itself finds the function's classes: in the working
// directory, in its lib/, and in /opt/java/lib.
func (r *Runtimes) launchJava(ctx context.Context, f *catalog.Function, id id, launch *run.Launch) error {
	i, err := r.interpreter(ctx, id)
	if err != nil {
		return err
	}
	r.stateVersion(f, id, i)
	dir, err := r.shelf.take(ctx, "runtime-java-"+regexp.MustCompile(`[^0-9.]`).ReplaceAllString(javaClient, ""), r.mavenFetch)
	if err != nil {
		return err
	}
	launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: dir, Target: runtimeDir})
	binary := i.settle(launch)
	launch.Command = func(path func(string) string) (run.Command, error) {
		bin := settled(path, binary)
		argv := []string{bin, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}
		if f.MemoryMB > 0 {
			argv = append(argv, "-Xmx"+strconv.Itoa(int(float64(f.MemoryMB)*javaHeapShare))+"m")
		}
		if i.version[0] >= 16 {
			argv = append(argv, "--add-opens=java.base/java.util=ALL-UNNAMED")
		}
		argv = append(argv, "-cp", path(runtimeDir)+"/lib/*", javaMain, f.Handler)
		return r.command(f, path, filepath.Dir(bin), argv...), nil
	}
	return nil
}

var (
	javaHome    = regexp.MustCompile(`(?m)^\s*java\.home = (.+)$`)
	javaVersion = regexp.MustCompile(`(?m)^\s*java\.version = (?:1\.)?(\d+[0-9.]*)`)
)

// probeJava asks a Java launcher what it is. "1.8.0" counts as 8.
func probeJava(ctx context.Context, file string) (interpreter, error) {
	out, err := exec.CommandContext(ctx, file, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return interpreter{}, err
	}
	home, v := javaHome.FindSubmatch(out), javaVersion.FindSubmatch(out)
	if home == nil || v == nil {
		return interpreter{}, errors.New("it does not say what it is")
	}
	prefix, err := filepath.EvalSymlinks(string(home[1]))
	if err != nil {
		return interpreter{}, err
	}
	return interpreter{file: filepath.Join(prefix, "bin", "java"), prefix: prefix, version: parseVersion(string(v[1]))}, nil
}
