//go:build linux

package run_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/namespace"
)

// inNamespaces changes a world's configuration to real places.
func inNamespaces(t *testing.T) func(*run.Config) {
	t.Helper()
	maker, err := namespace.New(namespace.Config{Spare: 1, Dir: t.TempDir()})
	if err != nil {
		t.Skipf("this machine makes no namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := maker.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code := t.TempDir()
	if err := os.Chmod(code, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(code, "bootstrap"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	return func(c *run.Config) {
		c.Maker, c.FreezeAfter = maker, 20*time.Millisecond
		c.Launch = func(*catalog.Function) (run.Launch, error) {
			return run.Launch{Mounts: []sandbox.Mount{{Source: code, Target: "/var/task"}}, Command: func(path func(string) string) (run.Command, error) {
				return run.Command{Argv: []string{path("/var/task/bootstrap")}, Env: []string{"TMPDIR=/tmp"}, Dir: path("/var/task")}, nil
			}}, nil
		}
	}
}

func TestInNamespacesAnEventSurvivesFreezing(t *testing.T) {
	w := newWorld(t, inNamespaces(t), function("count"))
	for _, n := range []string{"1", "2", "3"} {
		want(t, w.run("{}"), daruma.Done, n)
		w.awaitState("warm")
		frozen := time.Now().Add(60 * time.Millisecond)
		for time.Now().Before(frozen) { // outlast FreezeAfter: that it froze is nobody's to tell
			time.Sleep(time.Until(frozen))
		}
	}
}

func TestInNamespacesTmpOutlivesItsProcesses(t *testing.T) {
	w := newWorld(t, inNamespaces(t), timeout("hang-once", 2*time.Second))
	if o := w.run("{}"); o.Kind != daruma.TimedOut {
		t.Fatalf("got %v %v", o.Kind, o.Failure)
	}
	w.awaitState("warm")
	want(t, w.run("{}"), daruma.Done, `{"n":1,"kept":"kept"}`)
}

func TestInNamespacesTheRuntimeAPIIsWhereAWSHasIt(t *testing.T) {
	w := newWorld(t, inNamespaces(t), function("environ"))
	vars := string(w.run("").Payload)
	for _, v := range []string{`"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"`, `"LAMBDA_TASK_ROOT=/var/task"`, `"PWD=/var/task"`} {
		if !strings.Contains(vars, v) {
			t.Errorf("got %s, want %s in it", vars, v)
		}
	}
}
