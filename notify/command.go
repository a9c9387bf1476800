package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Limits of a command.
const (
	commandTime        = 10 * time.Second
	outputBytesMax     = 4 << 10
	commandEnds        = time.Second // from the kill of the program until what it left open is given up
	commandPathDefault = "/usr/local/bin:/usr/bin:/bin"
)

// command gives messages to a program, as JSON on its standard input. There is
// no shell: the arguments are what was declared, and never anything of a
// message. Of the environment it sees PATH, HOME and LANG.
type command struct {
	Channel
	vars variables
}

func (c *command) send(ctx context.Context, m Message) (string, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = commandTime
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Run[0], c.Run[1:]...)
	cmd.Dir, cmd.Env = c.vars.dir, []string{}
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		v, ok := c.vars.lookup(name)
		if !ok && name == "PATH" {
			v, ok = commandPathDefault, true
		}
		if ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	out := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(body, '\n')), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and what it started
	cmd.WaitDelay = commandEnds
	err = cmd.Run()
	said := strings.TrimSpace(out.String())
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return said, fmt.Errorf("it was ended after %v", timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return said, nil // it ended well, and left something behind that does not
	case err != nil && said != "":
		return said, fmt.Errorf("%w: %s", err, oneLine(said, 400))
	}
	return said, err
}

// tail keeps the beginning of what is written to it.
type tail struct{ b bytes.Buffer }

// Write takes everything and keeps some.
func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), outputBytesMax-t.b.Len())])
	return len(p), nil
}

func (t *tail) String() string { return t.b.String() }

// terminal prints messages where daruma up writes.
type terminal struct{ print func(string) }

func (t terminal) send(_ context.Context, m Message) (string, error) {
	for _, n := range m.Notices {
		text := oneLine(n.line(), textBytesMax)
		if m.Owner != "" {
			text += "; owner " + oneLine(m.Owner, 100)
		}
		if len(n.Commands) > 0 {
			text += "; " + n.Commands[0]
		}
		if m.Test {
			text = "TEST " + text
		}
		t.print(text)
	}
	if m.More > 0 {
		t.print(fmt.Sprintf("and %d more: daruma failures ls --state open", m.More))
	}
	return "printed", nil
}
