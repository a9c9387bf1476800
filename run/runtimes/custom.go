package runtimes

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
)

// launchCustom starts what the function brings: bootstrap in its code, else in
// a layer; for go1.x also the binary its handler names. The entry point is
// checked when a process is about to start, so a function without one fails
// as it does on AWS: each time it is invoked.
func (r *Runtimes) launchCustom(f *catalog.Function, launch *run.Launch) {
	launch.Command = func(path func(string) string) (run.Command, error) {
		entry, err := entryPoint(f)
		if err != nil {
			return run.Command{}, err
		}
		c := r.command(f, path, "", path(entry))
		c.Argv = []string{path(entry)} // a wrapper is for managed runtimes only
		return c, nil
	}
}

// entryPoint returns the path, as functions know it, of f's own bootstrap.
func entryPoint(f *catalog.Function) (string, error) {
	tried := []struct{ file, known string }{{filepath.Join(f.Code.Dir, "bootstrap"), taskRoot + "/bootstrap"}}
	if f.Runtime == "go1.x" && f.Handler != "" {
		tried = append(tried, struct{ file, known string }{filepath.Join(f.Code.Dir, f.Handler), taskRoot + "/" + f.Handler})
	}
	if layer := in(roots(f)[1:], "bootstrap"); layer != "" {
		tried = append(tried, struct{ file, known string }{layer, optDir + "/bootstrap"})
	}
	for _, t := range tried {
		stat, err := os.Stat(t.file)
		if err != nil || stat.IsDir() {
			continue
		}
		if stat.Mode()&0o111 == 0 {
			return "", invalidEntrypoint("Error: fork/exec %s: permission denied", t.known)
		}
		if err := runnable(t.file); err != nil {
			return "", invalidEntrypoint("Error: fork/exec %s: exec format error: %v", t.known, err)
		}
		return t.known, nil
	}
	return "", invalidEntrypoint("Error: Couldn't find valid bootstrap(s): [%s/bootstrap %s/bootstrap]", taskRoot, optDir)
}

func invalidEntrypoint(format string, args ...any) error {
	return &daruma.Failure{Kind: daruma.KindInvalid, Type: "Runtime.InvalidEntrypoint", Message: fmt.Sprintf(format, args...)}
}

var elfMachines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// runnable says why this machine cannot run a binary. Scripts and what is not
// ELF are left to the kernel.
func runnable(file string) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	b, err := elf.Open(file)
	if err != nil {
		return nil
	}
	defer b.Close()
	if want, ok := elfMachines[runtime.GOARCH]; ok && b.Machine != want {
		return fmt.Errorf("it is built for %v, this machine is %v", b.Machine, want)
	}
	return nil
}
