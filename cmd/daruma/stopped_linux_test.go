package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daruma-io/daruma/fault"
)

const stoppedTemplate = `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Handler: index.handler, Timeout: 5 } }
Resources:
  Charge: { Type: AWS::Serverless::Function, Properties: { InlineCode: "exports.handler = async () => 1" } }
`

// lasting is an experiment that goes on until somebody ends it.
const lasting = `title: One that lasts
samples: 1
steady-state-hypothesis: { title: x, probes: [{ name: lost, type: probe, when: [before, during, after], tolerance: 0, provider: { type: metric, metric: lost } }] }
load: [{ name: events, rate: 20, invoke: { function: Charge, async: true, event: { id: "${id}" } } }]
windows: { before: 0, during: 20m, after: 0 }
method: [{ name: broken, type: action, provider: { type: fault, fault: { kind: latency, target: { function: Charge }, with: { latency: 1ms } } } }]
rollbacks: [{ name: put back, type: action, provider: { type: process, path: touch, arguments: [put-back] } }]
`

// inForce are the faults that have not ended.
func inForce(t *testing.T, p *platform) (all []fault.State) {
	t.Helper()
	var list []fault.State
	if err := get(t.Context(), p.address, "/api/faults", &list); err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if f.Ended.IsZero() {
			all = append(all, f)
		}
	}
	return all
}

// until looks again and again whether something outside is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	within(t, time.Minute, what, func() (bool, string) { return so(), "" })
}

func TestHoweverAnExperimentEndsItsFaultsAreGoneAndItsRollbacksHaveRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"template.yaml": stoppedTemplate, "lasting.yaml": lasting} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startPlatform(t, dir)
	back, underway := filepath.Join(dir, "put-back"), filepath.Join(dir, ".daruma", "experiment.json")
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	stop := func(*exec.Cmd) error {
		cmd := exec.Command("daruma", "experiment", "stop")
		cmd.Dir = dir
		return cmd.Run()
	}
	for _, c := range []struct {
		name string
		end  func(cmd *exec.Cmd) error
		code int // of the runner; -1: it was killed, and the next command puts back
		why  string
	}{
		{"Ctrl-C", func(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGINT) }, 2, "NOT JUDGED: it was interrupted\n"},
		{"experiment stop", stop, 2, "NOT JUDGED: stopped by daruma experiment stop\n"},
		{"the console", func(*exec.Cmd) error {
			body, err := ask(t.Context(), p.address, "POST", "/api/experiment/stop")
			if err == nil {
				err = body.Close()
			}
			return err
		}, 2, "NOT JUDGED: stopped by daruma experiment stop\n"},
		{"kill -9 of the runner", func(cmd *exec.Cmd) error { return cmd.Process.Kill() }, -1, ""},
		{"kill -9 of the platform", func(*exec.Cmd) error { p.kill(); return nil }, 2, "NOT JUDGED: the platform is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			cmd := exec.CommandContext(t.Context(), "daruma", "experiment", "run", "lasting.yaml")
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			until(t, "a fault in force", func() bool { return len(inForce(t, p)) == 1 })
			if exists(back) || !exists(underway) {
				t.Errorf("under way: put back already: %v; noted: %v", exists(back), exists(underway))
			}
			if err := c.end(cmd); err != nil {
				t.Error(err)
			}
			err := cmd.Wait()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Errorf("got %v, want exit code %d\n%s", err, c.code, out.String())
			}
			if c.code < 0 {
				until(t, "the end of a fault that nobody renews", func() bool { return len(inForce(t, p)) == 0 })
				if err := stop(nil); err != nil {
					t.Error(err)
				}
			} else if !strings.Contains(out.String(), c.why) {
				t.Errorf("got %s, want %q", out.String(), c.why)
			}
			if !exists(back) || exists(underway) {
				t.Errorf("afterwards: put back: %v; noted: %v\n%s", exists(back), exists(underway), out.String())
			}
			if c.name != "kill -9 of the platform" && len(inForce(t, p)) > 0 {
				t.Errorf("a fault is still in force: %v", inForce(t, p))
			}
			_ = os.Remove(back) // for the next one
		})
	}
}
