package runtimes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
)

func TestNodeWaitsForADebuggerBeforeTheBootstrap(t *testing.T) {
	r := newRuntimes(t)
	f := function(t, "nodejs20.x", "index.handler", map[string]string{"index.js": ""})
	l, d, err := r.Debug(t.Context(), f, launch(t, r, f), 0, false)
	if err != nil {
		t.Fatal(err)
	}
	argv := command(t, l).Argv
	at := slices.Index(argv, "--inspect-brk=127.0.0.1:9229")
	if at < 0 || at+1 >= len(argv) || argv[at+1] != "/var/runtime/index.cjs" || d.Language != runtimes.DebugNode || d.Port != 9229 || d.Traces {
		t.Errorf("got %q and %+v", argv, d)
	}
	if plain := command(t, launch(t, r, f)).Argv; strings.Contains(strings.Join(plain, " "), "inspect") {
		t.Errorf("the launch that was given changed: %q", plain)
	}
	if _, d, err = r.Debug(t.Context(), f, launch(t, r, f), 4242, false); err != nil || d.Port != 4242 {
		t.Errorf("got %+v, %v, want the port that was asked for", d, err)
	}
}

func TestPythonWithoutDebugpySaysHowToGetIt(t *testing.T) {
	r := newRuntimes(t, func(c *runtimes.Config) { c.Cache = t.TempDir() })
	f := function(t, "python3.11", "app.handler", map[string]string{"app.py": ""})
	l := launch(t, r, f)
	python, err := r.Interpreter(t.Context(), f.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command(python, "-c", "import debugpy").Run() == nil {
		l, d, err := r.Debug(t.Context(), f, l, 0, false)
		if err != nil || d.Port != 5678 || !slices.Contains(command(t, l).Argv, "--wait-for-client") {
			t.Errorf("got %+v, %v, want the interpreter's own", d, err)
		}
		return
	}
	_, _, err = r.Debug(t.Context(), f, l, 0, false)
	if daruma.KindOf(err) != daruma.KindUnsupported || !strings.Contains(daruma.HintOf(err), "pip install debugpy") || !strings.Contains(daruma.HintOf(err), "--install") {
		t.Errorf("got %v (%s)", err, daruma.HintOf(err))
	}
}

func TestOnlyGoProgramsAreDebuggedOfWhatBringsItsOwnBootstrap(t *testing.T) {
	r := newRuntimes(t, func(c *runtimes.Config) { c.Path, c.Home = t.TempDir(), t.TempDir() })
	script := function(t, "provided.al2023", "x", map[string]string{"bootstrap": "#!/bin/sh\n"})
	_, _, err := r.Debug(t.Context(), script, launch(t, r, script), 0, false)
	if daruma.KindOf(err) != daruma.KindUnsupported || !strings.Contains(err.Error(), "no Go program") {
		t.Errorf("got %v", err)
	}
	self, err := os.Executable() // a Go program
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := function(t, "provided.al2023", "x", map[string]string{"bootstrap": string(b)})
	if err := os.Chmod(filepath.Join(program.Code.Dir, "bootstrap"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Debug(t.Context(), program, launch(t, r, program), 0, false)
	if daruma.KindOf(err) != daruma.KindUnsupported || !strings.Contains(daruma.HintOf(err), "go install github.com/go-delve/delve/cmd/dlv@latest") {
		t.Errorf("got %v (%s)", err, daruma.HintOf(err))
	}
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "dlv"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = newRuntimes(t, func(c *runtimes.Config) { c.Path = tools })
	l, d, err := r.Debug(t.Context(), program, launch(t, r, program), 0, false)
	if err != nil || !d.Traces || d.Port != 2345 {
		t.Fatalf("got %+v, %v", d, err)
	}
	if argv := command(t, l).Argv; argv[0] != "/var/debug/dlv" || argv[len(argv)-1] != "/var/task/bootstrap" {
		t.Errorf("got %q", argv)
	}
}

func TestJavaIsNotDebuggedHereAndSaysSo(t *testing.T) {
	r := newRuntimes(t)
	f := function(t, "java21", "x", nil)
	_, _, err := r.Debug(t.Context(), f, run.Launch{}, 0, false)
	if daruma.KindOf(err) != daruma.KindUnsupported || daruma.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
