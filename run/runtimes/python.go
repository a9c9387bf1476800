package runtimes

import (
	"context"
	"embed"
	"path/filepath"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

//go:embed python/*.py
var pythonFiles embed.FS

// launchPython starts Python on our bootstrap, without the interpreter's own
// site-packages. boto3 lies in /var/runtime when the code imports it and does not bring it.
func (r *Runtimes) launchPython(ctx context.Context, f *catalog.Function, id id, launch *run.Launch) error {
	i, err := r.interpreter(ctx, id)
	if err != nil {
		return err
	}
	r.stateVersion(f, id, i)
	install := func(ctx context.Context, dir string, packages []string) error {
		return r.pipInstall(ctx, i, dir, packages)
	}
	dir, err := r.runtimeDirectory(ctx, f, "python"+i.version[:2].String(), pythonFiles, r.pythonImports(f), install)
	if err != nil {
		return err
	}
	launch.Mounts = append(launch.Mounts, sandbox.Mount{Source: dir, Target: runtimeDir})
	binary := i.settle(launch)
	launch.Command = func(path func(string) string) (run.Command, error) {
		bin := settled(path, binary)
		// -u: what is written is there when the process is killed. -B: code directories are shared and never change.
		// UTF-8 whatever the machine's locale is, as on AWS.
		c := r.command(f, path, filepath.Dir(bin), bin, "-S", "-u", "-B", "-X", "utf8", path(runtimeDir)+"/bootstrap.py")
		c.Env = append(c.Env, "PYTHONPATH="+path(runtimeDir))
		if opt := path(optDir); opt != optDir {
			c.Env = append(c.Env, "_DARUMA_OPT="+opt)
		}
		return c, nil
	}
	return nil
}
