//go:build linux

// Package sandboxtest is the exam every kind of sandbox sits. What a kind
// says is missing must be so, and what it does not say is missing must be there.
//
// The functions that run in places are probes: the test's own binary, started
// again. TestMain of a package that sits the exam calls Probe first, after
// what its kind wants to be first. It is for tests only.
package sandboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

// patience bounds everything the exam waits for.
const patience = 30 * time.Second

// An exam is one maker under examination.
type exam struct {
	t      *testing.T
	maker  sandbox.Maker
	secret string // a file that belongs to the platform
	hidden string // a directory the maker was told to hide
}

// A check is one sentence about places. Its function answers an error when
// the sentence is not true.
type check struct {
	says string
	lack string // what Missing calls it when a kind cannot; "" when every kind must
	test func(*exam) error
}

// Hidden makes what Run needs to see whether a maker hides what it is told
// to: a directory to hide, beside things to show.
func Hidden(t *testing.T) string {
	dir := t.TempDir()
	hidden := filepath.Join(dir, "hidden")
	if err := os.Mkdir(hidden, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"shown": "shown", "hidden/secret": "secret"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return hidden
}

// Run examines a maker that was told to hide a directory made by Hidden.
func Run(t *testing.T, maker sandbox.Maker, hidden string) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("kind %s, missing %q", maker.Kind(), maker.Missing())
	for _, c := range checks() {
		t.Run(strings.ReplaceAll(c.says, " ", "_"), func(t *testing.T) {
			x := &exam{t, maker, secret, hidden}
			err := c.test(x)
			switch lacks := says(maker, c.lack); {
			case errors.Is(err, errExam):
				t.Error(err)
			case lacks && err == nil:
				t.Errorf("Missing says %q, and it is there", c.lack)
			case lacks:
				t.Logf("missing, as it says: %v", err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// errExam is that a check could not be made, which proves no lack.
var errExam = errors.New("the exam could not be held")

// says tells whether a maker lists a lack.
func says(m sandbox.Maker, lack string) bool {
	if lack == "" {
		return false
	}
	for _, line := range m.Missing() {
		if strings.HasPrefix(line, lack+": ") {
			return true
		}
	}
	return false
}

func checks() []check {
	return append(append(append(append(append([]check{}, startChecks...), limitChecks...), networkChecks...), hostileChecks...), clockChecks...)
}

// spec is a place with room for a probe.
func (x *exam) spec() sandbox.Spec {
	return sandbox.Spec{
		ID:     fmt.Sprintf("exam-%d", time.Now().UnixNano()),
		Mounts: []sandbox.Mount{{Source: filepath.Dir(self()), Target: "/var/task"}},
	}
}

// make makes a place that is closed with the test.
func (x *exam) make(change func(*sandbox.Spec)) sandbox.Place {
	x.t.Helper()
	spec := x.spec()
	if change != nil {
		change(&spec)
	}
	p, err := x.maker.Make(x.t.Context(), spec)
	if err != nil {
		x.t.Fatalf("make: %v", err)
	}
	x.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			x.t.Errorf("close: %v", err)
		}
	})
	return p
}

// A run is a probe under way.
type run struct {
	sandbox.Process
	out, err *output
}

// start starts a probe with arguments.
func (x *exam) start(p sandbox.Place, probe string, args ...string) (*run, error) {
	out, err := newOutput()
	if err != nil {
		return nil, err
	}
	errs, err := newOutput()
	if err != nil {
		return nil, err
	}
	pr, err := p.Start(sandbox.Command{
		Argv:   append([]string{p.Path("/var/task") + "/" + filepath.Base(self())}, args...),
		Env:    []string{probeEnv + "=" + probe, "PATH=/usr/bin:/bin", "GIVEN=as given"},
		Dir:    p.Path("/var/task"),
		Stdout: out.w, Stderr: errs.w,
	})
	_, _ = out.w.Close(), errs.w.Close()
	if err != nil {
		return nil, fmt.Errorf("%w: start %s: %w", errExam, probe, err)
	}
	return &run{pr, out, errs}, nil
}

// finish waits for a probe's end and gives what it wrote.
func (r *run) finish() (sandbox.Exit, string, error) {
	select {
	case <-r.Done():
	case <-time.After(patience):
		_ = r.Signal(9)
		return sandbox.Exit{}, "", errors.New("the process did not end")
	}
	out, err := r.out.all()
	if err != nil {
		return r.Exit(), out, err
	}
	said, err := r.err.all()
	if said != "" {
		out += "\n" + said
	}
	return r.Exit(), out, err
}

// run runs a probe that must answer "ok".
func (x *exam) run(p sandbox.Place, probe string, args ...string) error {
	r, err := x.start(p, probe, args...)
	if err != nil {
		return err
	}
	exit, out, err := r.finish()
	if err != nil {
		return fmt.Errorf("%s: %w", probe, err)
	}
	if exit != (sandbox.Exit{}) || strings.TrimSpace(out) != "ok" {
		return fmt.Errorf("%s: got exit %+v and %q, want ok", probe, exit, out)
	}
	return nil
}

// first runs probes one after the other until one does not answer "ok".
func (x *exam) first(p sandbox.Place, probes ...[]string) error {
	for _, probe := range probes {
		if err := x.run(p, probe[0], probe[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// An output is what one stream of a process wrote.
type output struct {
	w     *os.File
	lines chan string
	text  chan string
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{w, make(chan string, 1024), make(chan string, 1)}
	go func() {
		defer func() { _ = r.Close() }()
		var all bytes.Buffer
		buf, rest := make([]byte, 64<<10), ""
		for {
			n, err := r.Read(buf)
			all.Write(buf[:n])
			rest += string(buf[:n])
			for {
				line, more, ok := strings.Cut(rest, "\n")
				if !ok {
					break
				}
				rest = more
				select {
				case o.lines <- line:
				default:
				}
			}
			if err != nil {
				close(o.lines)
				o.text <- all.String()
				return
			}
		}
	}()
	return o, nil
}

// line waits for the next line.
func (o *output) line() (string, error) {
	select {
	case line, ok := <-o.lines:
		if !ok {
			return "", io.EOF
		}
		return line, nil
	case <-time.After(patience):
		return "", errors.New("no line came")
	}
}

func (o *output) all() (string, error) {
	select {
	case text := <-o.text:
		return text, nil
	case <-time.After(patience):
		return "", errors.New("somebody holds the output open")
	}
}

// self is the path of the running binary.
func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// until asks again and again, for what no event tells: the machine's list of processes.
func until(what string, ok func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return fmt.Errorf("%s: not within %v", what, patience)
}

// Running gives the processes of this machine whose command line holds text.
func Running(text string) []string {
	var found []string
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, filepath.Base(filepath.Dir(name))+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
