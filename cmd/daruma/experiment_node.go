package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-io/daruma/node"
)

// A tenant is a node that was started for an experiment, on state of its own that goes with it.
type tenant struct {
	cmd   *exec.Cmd
	ended chan error
	dir   string
	at    node.Address
}

const (
	tenantStartMax = 5 * time.Minute // functions may have to be built
	tenantStopMax  = 30 * time.Second
)

// startTenant brings an app up and returns when it is ready.
func startTenant(ctx context.Context, w world, template string, args []string) (*tenant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "daruma-experiment-")
	if err != nil {
		return nil, err
	}
	t := &tenant{dir: dir, ended: make(chan error, 1)}
	if err := t.start(ctx, w, self, append([]string{"up", template, "--json", "--no-watch", "--data=" + filepath.Join(dir, "state"),
		"--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0"}, args...)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

func (t *tenant) start(ctx context.Context, w world, self string, args []string) error {
	log, err := os.Create(filepath.Join(t.dir, "node.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	t.cmd = exec.Command(self, args...)
	t.cmd.Dir, t.cmd.Env, t.cmd.Stderr = w.dir, w.environ, log
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	t.cmd.SysProcAttr = bound()
	began := make(chan error, 1)
	go func() { // a child that is bound ends with the thread that started it: this one stays until it has ended
		runtime.LockOSThread()
		began <- t.cmd.Start()
		if t.cmd.Process != nil {
			state, err := t.cmd.Process.Wait()
			if err == nil && !state.Success() {
				err = fmt.Errorf("%v", state)
			}
			t.ended <- err
		}
	}()
	if err := <-began; err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, tenantStartMax)
	defer cancel()
	late := context.AfterFunc(ready, func() { _ = t.cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if !late() && err == nil {
		err = ready.Err()
	}
	var is node.Ready
	if err == nil {
		err = json.Unmarshal(line, &is)
	}
	if err == nil {
		t.at, err = node.Find("", is.Data)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		text, _ := os.ReadFile(log.Name()) // without it the error is shorter
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		err = fmt.Errorf("the app did not come up:\n%s", strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return errors.Join(err, t.end())
}

// end has the process end, by force when it does not.
func (t *tenant) end() error {
	_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-t.ended:
		return nil
	case <-time.After(tenantStopMax):
		_ = t.cmd.Process.Kill()
		<-t.ended
		return nil
	}
}

// close ends the node and removes its state.
func (t *tenant) close() error { return errors.Join(t.end(), os.RemoveAll(t.dir)) }
