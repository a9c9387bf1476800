//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree opens the machine's cgroups, or skips where this user has none.
func tree(t *testing.T) *Tree {
	t.Helper()
	tr := Open()
	if len(tr.dirs()) == 0 {
		t.Skipf("this user gets no cgroups here: %s", tr.why)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func TestAGroupIsStoppedContinuedAndRemoved(t *testing.T) {
	tr := tree(t)
	g, err := tr.New("group")
	if err != nil {
		t.Fatal(err)
	}
	if !g.CanFreeze() {
		t.Skip("no version 2 here: groups are stopped by signals")
	}
	cmd := exec.Command("/bin/sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Dir().Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(true, time.Second); err != nil {
		t.Fatal(err)
	}
	if frozen, err := field(filepath.Join(g.unified, "cgroup.events"), "frozen"); err != nil || frozen != 1 {
		t.Errorf("frozen: got %d, %v, want 1", frozen, err)
	}
	if err := cmd.Process.Kill(); err != nil { // also what is frozen can be killed
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cpu, ok := g.CPU(); !ok || cpu <= 0 {
		t.Errorf("processor time: got %v, %v", cpu, ok)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(tr.dirs()[0]) + "/group"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestOnlyWhatDeadPlatformsLeftIsSwept(t *testing.T) {
	dir := t.TempDir()
	mine, err := treeName()
	if err != nil {
		t.Fatal(err)
	}
	ns := strings.Split(mine, "-")[1]
	start, err := startTime(1)
	if err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("%s%s-%d-%d", treePrefix, ns, 1<<30, 5)
	reused := fmt.Sprintf("%s%s-%d-%d", treePrefix, ns, 1, 999999999)
	keep := []string{mine, fmt.Sprintf("%s%s-1-%s", treePrefix, ns, start), treePrefix + "1-1-1", treePrefix + "nonsense", "other"}
	for _, name := range append([]string{dead, reused}, keep...) {
		if err := os.MkdirAll(filepath.Join(dir, name, "place-1"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sweep(dir, mine)
	for _, name := range []string{dead, reused} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range keep {
		if _, err := os.Stat(filepath.Join(dir, name, "place-1")); err != nil {
			t.Errorf("%s was swept", name)
		}
	}
}

// files makes a directory with the kernel's files of one version.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, "g", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheFilesOfBothVersionsAreUnderstood(t *testing.T) {
	two := files(t, map[string]string{
		"memory.max": "", "memory.swap.max": "", "memory.oom.group": "", "memory.high": "", "pids.max": "", "memory.current": "100\n",
		"memory.stat": "anon 60\ninactive_file 10\nactive_file 20\n", "memory.events": "low 0\nhigh 3\noom 1\noom_kill 2\noom_group_kill 1\n", "memory.peak": "150\n",
	})
	one := files(t, map[string]string{
		"memory.limit_in_bytes": "", "memory.memsw.limit_in_bytes": "", "pids.max": "", "memory.usage_in_bytes": "100\n",
		"memory.stat":        "inactive_file 1\nactive_file 1\ntotal_inactive_file 10\ntotal_active_file 20\n",
		"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "memory.max_usage_in_bytes": "150\n",
	})
	for _, c := range []struct {
		name  string
		group Group
		want  map[string]string
	}{
		{"two", Group{tree: &Tree{unified: two, memoryIn2: true, pidsIn2: true}, name: "g", memory: two + "/g", pids: two + "/g"},
			map[string]string{"memory.max": "4096", "memory.swap.max": "0", "memory.oom.group": "1", "memory.high": "2048", "pids.max": "7"}},
		{"one", Group{tree: &Tree{memory: one, pids: one}, name: "g", memory: one + "/g", pids: one + "/g"},
			map[string]string{"memory.limit_in_bytes": "4096", "memory.memsw.limit_in_bytes": "4096", "pids.max": "8"}},
	} {
		g := &c.group
		for _, err := range []error{g.LimitMemory(4096), g.LimitProcesses(7), g.Soft(2048)} {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for name, want := range c.want {
			if got, err := os.ReadFile(filepath.Join(g.memory, name)); err != nil || string(got) != want {
				t.Errorf("%s %s: got %q, %v, want %q", c.name, name, got, err, want)
			}
		}
		used, cached, err := g.Memory()
		if used != 100 || cached != 30 || err != nil || g.OutOfMemory() != 2 || g.Peak() != 150 {
			t.Errorf("%s: got used %d, files %d, %v, killed %d, peak %d", c.name, used, cached, err, g.OutOfMemory(), g.Peak())
		}
	}
}

func TestWithoutCgroupsTheReasonIsTold(t *testing.T) {
	empty := &Tree{}
	if memory, processes, cpu := empty.Lacks(); memory == "" || processes == "" || cpu == "" {
		t.Errorf("got %q, %q and %q, want reasons", memory, processes, cpu)
	}
	g, err := empty.New("group")
	if err != nil || g.CountsMemory() || g.CountsProcesses() || g.CanFreeze() || g.Dir() != nil {
		t.Errorf("an empty tree gives %+v, %v", g, err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

func TestEachGroupCountsOnceAmongTheMachinesSessions(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, name := range []string{one + "/cpu.shares", two + "/cpu.weight"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		tree *Tree
		file string
		want []string // with one group, two, and none again
	}{
		{&Tree{cpu: one}, one + "/cpu.shares", []string{"1024", "2048", "1024"}},
		{&Tree{unified: two, cpuIn2: true}, two + "/cpu.weight", []string{"100", "200", "100"}},
	} {
		says := func(want string) {
			t.Helper()
			if got, err := os.ReadFile(c.file); err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v, want %q", filepath.Base(c.file), got, err, want)
			}
		}
		a, errA := c.tree.New("a")
		says(c.want[0])
		b, errB := c.tree.New("b")
		says(c.want[1])
		if err := errors.Join(errA, errB, a.Remove(), b.Remove()); err != nil {
			t.Error(err)
		}
		says(c.want[2])
	}
}

// A group that makes many sessions, each of which the kernel would be as fair
// to as to the other group, gets no more than its part.
func TestManySessionsGetNoMoreThanOne(t *testing.T) {
	tr := tree(t)
	if _, _, cpu := tr.Lacks(); cpu != "" {
		t.Skipf("no share of CPUs here: %s", cpu)
	}
	used := func(name, script string) *Group {
		t.Helper()
		g, err := tr.New(name)
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := g.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", "read go; "+script)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if g.Dir() != nil {
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(g.Dir().Fd())
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, f := range tasks {
			if _, err := fmt.Fprint(f, cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		t.Cleanup(func() {
			for _, dir := range tr.dirs() {
				text, _ := os.ReadFile(filepath.Join(dir, name, "cgroup.procs"))
				for id := range strings.FieldsSeq(string(text)) {
					if pid, err := strconv.Atoi(id); err == nil {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
			_ = cmd.Wait()
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
		})
		if _, err := fmt.Fprintln(in, "go"); err != nil {
			t.Fatal(err)
		}
		return g
	}
	const spin = "while :; do :; done"
	many := used("many", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do setsid sh -c '"+spin+"' & done; "+spin)
	one := used("one", "for i in $(seq "+strconv.Itoa(runtime.NumCPU())+"); do ("+spin+") & done; "+spin)
	if _, ok := one.CPU(); !ok {
		t.Skip("nobody counts processor time here")
	}
	var a, b time.Duration
	for end := time.Now().Add(10 * time.Second); a+b < 2*time.Second && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		a, _ = many.CPU()
		b, _ = one.CPU()
	}
	t.Logf("many sessions had %v, one %v", a, b)
	if b == 0 || a > 3*b {
		t.Errorf("13 sessions had %v, one had %v, want about the same", a, b)
	}
}
