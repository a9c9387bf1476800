package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
)

const (
	tailLines    = 15       // of a failed tool's output, shown in the error
	tailBytesMax = 64 << 10 // of a tool's output, kept for that
)

// tool runs a program to its end in dir, with the environment of this process
// and env. Its output goes to the log; its last lines are part of the error.
func (j *job) tool(ctx context.Context, dir string, env []string, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return refused("Install it and start again.", "%s was not found", name)
	}
	j.progress("%s", strings.Join(append([]string{filepath.Base(name)}, brief(args)...), " "))
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), 5*time.Second
	// A tool has children; they end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	last := &lastBytes{}
	out := io.MultiWriter(j.Log, last)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if err == nil {
		return nil
	}
	kind := daruma.KindInvalid
	switch ctx.Err() {
	case context.Canceled:
		kind, err = daruma.KindUnavailable, context.Canceled
	case context.DeadlineExceeded:
		kind, err = daruma.KindExpired, fmt.Errorf("it took more than %v", toolTimeout)
	}
	return &daruma.Error{Kind: kind, Err: fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, tail(last.String()))}
}

// brief leaves out what says nothing to a person: paths of ours and settings.
func brief(args []string) []string {
	var shown []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") && !filepath.IsAbs(a) && len(shown) < 4 {
			shown = append(shown, a)
		}
	}
	return shown
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ bytes.Buffer }

func (l *lastBytes) Write(b []byte) (int, error) {
	n, err := l.Buffer.Write(b)
	if over := l.Len() - tailBytesMax; over > 0 {
		l.Next(over)
	}
	return n, err
}

// colours are what tools write for terminals that show some (ECMA-48, SGR).
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(colours.ReplaceAllString(text, "")), "\n")
	// A Java stack tells a person nothing that the exception above it does not.
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "\tat ") })
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}

// failed says whether err is that of a tool that ran and failed, not of one that is missing.
func failed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}
