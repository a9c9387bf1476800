package runtimes

import (
	"context"
	"embed"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

//go:embed node/*.cjs node/*.mjs
var nodeFiles embed.FS

// heapShare is the part of a function's memory that V8 may fill with old
// objects; the rest is for everything else the process needs. AWS does the same.
const heapShare = 0.9

// launchNode starts Node.js on our bootstrap. What the code imports of the AWS
// SDK and does not bring lies in /var/runtime/node_modules.
func (r *Runtimes) launchNode(ctx context.Context, f *catalog.Function, id id, launch *run.Launch) error {
	i, err := r.interpreter(ctx, id)
	if err != nil {
		return err
	}
	r.stateVersion(f, id, i)
	dir, err := r.runtimeDirectory(ctx, f, "node", nodeFiles, r.nodeImports(f, id), r.npmInstall)
	if err != nil {
		return err
	}
	launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: dir, Target: runtimeDir})
	binary := i.settle(launch)
	major := id.version[0]
	launch.Command = func(at func(string) string) (run.Command, error) {
		bin := settled(at, binary)
		argv := []string{bin}
		if f.MemoryMB > 0 {
			argv = append(argv, "--max-old-space-size="+strconv.Itoa(int(float64(f.MemoryMB)*heapShare)))
		}
		argv = append(argv, at(runtimeDir)+"/index.cjs")
		c := r.command(f, at, filepath.Dir(bin), argv...)
		c.Env = append(c.Env, fmt.Sprintf("NODE_PATH=%[1]s/nodejs/node%[2]d/node_modules:%[1]s/nodejs/node_modules:%[3]s/node_modules:%[3]s:%[4]s", at(optDir), major, at(runtimeDir), at(taskRoot)))
		if mapped(f) {
			c.Env = append(c.Env, "NODE_OPTIONS=--enable-source-maps")
		}
		return c, nil
	}
	return nil
}

// mapped says whether f's handler comes with a source map, as bundles do: its
// errors then name the lines that were written, as with sam.
func mapped(f *catalog.Function) bool {
	dir, base := path.Split(f.Handler)
	name, _, _ := strings.Cut(base, ".")
	return !strings.Contains(f.Handler, "..") && in([]string{f.Code.Dir}, dir+name+".js.map")+in([]string{f.Code.Dir}, dir+name+".mjs.map") != ""
}

// settled turns the binary's path as functions know it into one the place can use.
func settled(path func(string) string, binary string) string {
	if within(binary, langDir) {
		return path(langDir) + binary[len(langDir):]
	}
	return binary
}
