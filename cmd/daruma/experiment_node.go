package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

// A tenant is a node that was started for an experiment, on state of its own that goes with it.
type tenant struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	dir   string
	at    node.Address

	w        world
	template string
	args     []string // of daruma up
}

const (
	tenantStartMax = 5 * time.Minute // functions may have to be built
	tenantStopMax  = 30 * time.Second
)

// startTenant brings an app up and returns when it is ready.
func startTenant(ctx context.Context, w world, template string, args []string) (*tenant, error) {
	dir, err := os.MkdirTemp("", "daruma-experiment-")
	if err != nil {
		return nil, err
	}
	t := &tenant{dir: dir, w: w, template: template, args: args}
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

// start starts the process, on the addresses it had when it ran before.
func (t *tenant) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(t.dir, "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	t.ended = make(chan struct{})
	t.cmd = exec.Command(self, append([]string{"up", t.template, "--json", "--no-watch", "--data=" + filepath.Join(t.dir, "state"),
		"--aws-addr=" + hostOf(t.at.AWS), "--web-addr=" + hostOf(t.at.Web), "--console-addr=" + hostOf(t.at.Console)}, t.args...)...)
	t.cmd.Dir, t.cmd.Env, t.cmd.Stderr = t.w.dir, t.w.environ, log
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	t.cmd.SysProcAttr = bound()
	began, cmd, ended := make(chan error, 1), t.cmd, t.ended
	go func() { // a child that is bound ends with the thread that started it: this one stays until it has ended
		runtime.LockOSThread()
		began <- cmd.Start()
		if cmd.Process != nil {
			_, _ = cmd.Process.Wait() // how it ended does not matter
			close(ended)
		}
	}()
	if err := <-began; err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, tenantStartMax)
	defer cancel()
	late := context.AfterFunc(ready, func() { _ = cmd.Process.Kill() }) // it may have ended
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
	t.end()
	return err
}

// hostOf returns where a base URL leads to, or where a free port is picked.
func hostOf(base string) string {
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		return u.Host
	}
	return "127.0.0.1:0"
}

// kill ends the process with SIGKILL, leaves it down for a while, and starts it again on the state it has left. It
// ends the process that it has started and has not seen end, and so never another.
func (t *tenant) kill(ctx context.Context, down time.Duration) (pid int, err error) {
	pid = t.cmd.Process.Pid
	if err := t.cmd.Process.Kill(); err != nil {
		return pid, fmt.Errorf("kill process %d: %w", pid, err)
	}
	<-t.ended
	if err := (daruma.SystemClock{}).Sleep(ctx, down); err != nil {
		return pid, err
	}
	return pid, t.start(ctx)
}

// end has the process end, by force when it does not.
func (t *tenant) end() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-t.ended:
	case <-time.After(tenantStopMax):
		_ = t.cmd.Process.Kill()
		<-t.ended
	}
}

// close ends the node and removes its state.
func (t *tenant) close() error {
	t.end()
	return os.RemoveAll(t.dir)
}
