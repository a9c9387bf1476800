//go:build linux

package sandboxtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

// platformEnv names the environment variable that makes a test's binary a
// platform to be killed.
const platformEnv = "PLATFORM_TO_BE_KILLED"

// Platform returns at once, unless this process was started by Killed. Then
// it makes places with daemons in them, one of them frozen, says so and waits
// for its end. TestMain calls it with what opens a maker.
func Platform(open func(dir string) (sandbox.Maker, error)) {
	dir := os.Getenv(platformEnv)
	if dir == "" {
		return
	}
	m, err := open(dir)
	for i := 0; i < 3 && err == nil; i++ {
		err = inhabit(m, i)
	}
	if err != nil {
		fmt.Println("platform:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

// inhabit makes one place with a daemon in it.
func inhabit(m sandbox.Maker, i int) error {
	spec := sandbox.Spec{
		ID: fmt.Sprintf("killed-%d", i), MemoryBytes: 256 << 20, TmpBytes: 1 << 20, Processes: 64,
		Mounts: []sandbox.Mount{{Source: filepath.Dir(self()), Target: "/var/task"}},
	}
	if i > 0 && !says(m, sandbox.NoClock) {
		spec.Skew = time.Hour // its processes wait for a platform that is no more
	}
	p, err := m.Make(context.Background(), spec)
	if err != nil {
		return err
	}
	if _, err := p.Listen("127.0.0.1:9001"); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	_, err = p.Start(sandbox.Command{
		Argv: []string{p.Path("/var/task") + "/" + filepath.Base(self()), fmt.Sprintf("killed-%d", os.Getpid()), p.Path("/tmp/kept")},
		Env:  []string{probeEnv + "=daemon"}, Stdout: w,
	})
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		return err
	}
	if i == 1 {
		return p.Freeze()
	}
	return nil
}

// Killed starts a platform, kills it in the middle of its work, and says what
// of it is left: processes, mounts, namespaces. open must open the same dir
// again, as the next platform does; nothing may be left after it did.
func Killed(t *testing.T, atOnce bool, open func(dir string) (sandbox.Maker, error)) {
	dir := t.TempDir()
	before := mounts(t)
	cmd := exec.Command(self())
	cmd.Env = append(os.Environ(), platformEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("got %q, %v, want ready", line, err)
	}
	family := descendants(cmd.Process.Pid)
	spaces := namespacesOf(family)
	if len(family) < 6 {
		t.Fatalf("only %d processes: the platform does no work", len(family))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone := func() bool { return len(living(family)) == 0 }
	if atOnce { // later, the next platform's namespaces may have their numbers
		err := until("the end of what a killed platform had", func() bool { return gone() && !inUse(spaces) })
		if err != nil {
			t.Errorf("%v: left are %q", err, living(family))
		}
	}
	m, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := until("the end of what a killed platform had, after the next one started", gone); err != nil {
		t.Errorf("%v: left are %q", err, living(family))
	}
	if after := mounts(t); after != before {
		t.Errorf("mounts: got %s, want %s", after, before)
	}
	left, _ := filepath.Glob("/sys/fs/cgroup/*/daruma-*-" + strconv.Itoa(cmd.Process.Pid) + "-*")
	if len(left) > 0 {
		t.Errorf("cgroups are left: %q", left)
	}
	t.Logf("%d processes in %d namespaces are gone", len(family), len(spaces))
}

// descendants are a process and those below it, each with its start time.
func descendants(pid int) map[string]string {
	parents, starts := map[string]string{}, map[string]string{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		id := filepath.Base(filepath.Dir(name))
		parents[id], starts[id] = f[1], f[19]
	}
	family := map[string]string{strconv.Itoa(pid): starts[strconv.Itoa(pid)]}
	for grew := true; grew; {
		grew = false
		for id, parent := range parents {
			if family[parent] != "" && family[id] == "" {
				family[id], grew = starts[id], true
			}
		}
	}
	for _, line := range Running(fmt.Sprintf("\x00killed-%d\x00", pid)) { // a daemon of a plain process has another parent
		id, _, _ := strings.Cut(line, " ")
		family[id] = starts[id]
	}
	return family
}

// living are those of a family that have not ended.
func living(family map[string]string) []string {
	var left []string
	for id, start := range family {
		text, err := os.ReadFile("/proc/" + id + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if f[19] == start {
			left = append(left, string(text[:min(len(text), 40)]))
		}
	}
	return left
}

// namespacesOf are the namespaces of a family that are not this process's.
func namespacesOf(family map[string]string) map[string]bool {
	spaces := map[string]bool{}
	for id := range family {
		for _, kind := range []string{"net", "mnt", "pid", "user", "ipc", "uts"} {
			ns, err := os.Readlink("/proc/" + id + "/ns/" + kind)
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if err == nil && ns != own {
				spaces[ns] = true
			}
		}
	}
	return spaces
}

// inUse says whether any process of the machine is in one of them, or holds one open.
func inUse(spaces map[string]bool) bool {
	names, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	held, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, name := range append(names, held...) {
		if ns, err := os.Readlink(name); err == nil && spaces[ns] {
			return true
		}
	}
	return false
}

func mounts(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
