//go:build linux

// Package cgroup keeps groups of processes whose memory and number the kernel
// limits and which it stops and continues as one.
//
// It takes what the machine has: version 2 for all, or, where version 1 still
// holds the controllers, these for memory, processes and CPUs, and version 2's
// core, which needs no controller, for stopping. Version 1's freezer is not
// used: what it has frozen cannot be killed. What remains missing is told by
// Lacks; nothing is simulated here.
//
// Every group has the same share of the CPUs, however many processes and
// sessions it makes, and as much as any session of the machine that is in no
// group. Nothing is held back from it while others do not want it.
//
// A Tree is where one platform keeps its groups; its name says whose it is,
// and a new Tree removes the empty ones of platforms that died. Methods of
// Tree may be called from any goroutine, those of one Group by one at a time,
// except where said otherwise.
package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// treePrefix begins the name of every platform's directory.
const treePrefix = "daruma-"

// A Tree is the directories under which one platform keeps its groups.
type Tree struct {
	unified   string // version 2, or ""
	memory    string // version 1, or ""
	pids      string // version 1, or ""
	cpu       string // version 1, or ""
	memoryIn2 bool
	pidsIn2   bool
	cpuIn2    bool
	why       string // what hindered, in words

	mu     sync.Mutex // guards groups, and is held while the kernel is told of it
	groups int        // that have a share of the CPUs
}

// Open finds what the machine gives this process and makes its directories.
// Where nothing is given, it gives an empty Tree and no error.
func Open() *Tree {
	t := &Tree{}
	mounts, points, err := mounted()
	if err != nil {
		t.why = err.Error()
		return t
	}
	name, err := treeName()
	if err != nil {
		t.why = err.Error()
		return t
	}
	for _, point := range points {
		sweep(point, name)
	}
	if dir, ok := mounts["memory"]; ok {
		t.memory = t.claim(dir, name)
	}
	if dir, ok := mounts["pids"]; ok {
		t.pids = t.claim(dir, name)
	}
	if dir, ok := mounts["cpu"]; ok {
		t.cpu = t.claim(dir, name)
	}
	if dir, ok := mounts[""]; ok {
		t.claimUnified(dir, name)
	}
	if len(mounts) == 0 {
		t.why = "no cgroup file system is mounted"
	}
	return t
}

// Lacks tells which limits cannot be given, and why; "" for those that can.
func (t *Tree) Lacks() (memory, processes, cpu string) {
	why := t.why
	if why == "" {
		why = "no cgroup controller"
	}
	if t.memory == "" && !t.memoryIn2 {
		memory = why
	}
	if t.pids == "" && !t.pidsIn2 {
		processes = why
	}
	if t.cpu == "" && !t.cpuIn2 {
		cpu = why
	}
	return memory, processes, cpu
}

// claim makes this platform's directory in dir.
func (t *Tree) claim(dir, name string) string {
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.why = reason(err)
		return ""
	}
	return path
}

// claimUnified does the same in version 2, where controllers are handed down
// one level at a time, and only by groups that hold no process themselves.
func (t *Tree) claimUnified(dir, name string) {
	var wanted []string
	available := words(filepath.Join(dir, "cgroup.controllers"))
	if t.memory == "" && slices.Contains(available, "memory") {
		wanted = append(wanted, "+memory")
	}
	if t.pids == "" && slices.Contains(available, "pids") {
		wanted = append(wanted, "+pids")
	}
	if len(wanted) > 0 {
		if err := handDown(dir, wanted); err != nil {
			t.why = reason(err)
			wanted = nil
		}
	}
	path := t.claim(dir, name)
	if path == "" {
		return
	}
	if len(wanted) > 0 {
		if err := put(filepath.Join(path, "cgroup.subtree_control"), strings.Join(wanted, " ")); err != nil {
			t.why = reason(err)
			wanted = nil
		}
	}
	t.unified = path
	t.memoryIn2 = slices.Contains(wanted, "+memory")
	t.pidsIn2 = slices.Contains(wanted, "+pids")
	if t.cpu == "" && slices.Contains(available, "cpu") { // asked for last: the others do not depend on it
		err := handDown(dir, []string{"+cpu"})
		if err == nil {
			err = put(filepath.Join(path, "cgroup.subtree_control"), "+cpu")
		}
		t.cpuIn2 = err == nil
	}
}

// handDown makes dir give controllers to its groups. The platform first steps
// into a group of its own when it is in dir itself.
func handDown(dir string, wanted []string) error {
	control := filepath.Join(dir, "cgroup.subtree_control")
	err := put(control, strings.Join(wanted, " "))
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	leaf := filepath.Join(dir, "daruma")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := put(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return err
	}
	return put(control, strings.Join(wanted, " "))
}

// Close removes the directories. Groups must have been removed.
func (t *Tree) Close() error {
	var all error
	for _, dir := range t.dirs() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("remove cgroups: %w", err))
		}
	}
	return all
}

func (t *Tree) dirs() []string {
	var dirs []string
	for _, dir := range []string{t.unified, t.memory, t.pids, t.cpu} {
		if dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// sweepMax bounds how many groups of a machine are looked at.
const sweepMax = 20_000

// The share of one group. All groups are in one directory, which counts as
// one beside the machine's other sessions: it is given as many as there are.
const (
	shareIn1    = 1024
	shareIn2    = 100
	shareIn1Max = 262144
	shareIn2Max = 10000
)

// share counts a group in or out, and has the kernel weigh the directory by
// how many there are. That it cannot is of no consequence for those that exist.
func (t *Tree) share(change int) {
	if t.cpu == "" && !t.cpuIn2 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.groups += change
	n := int64(max(t.groups, 1))
	if t.cpu != "" {
		_ = write(filepath.Join(t.cpu, "cpu.shares"), min(n*shareIn1, shareIn1Max))
	} else {
		_ = write(filepath.Join(t.unified, "cpu.weight"), min(n*shareIn2, shareIn2Max))
	}
}

// sweep removes what dead platforms left anywhere below dir: the last one may
// have been started from another group. It kills nothing: processes of a
// place end with its platform, and a directory with any left stays.
func sweep(dir, mine string) {
	looked := 0
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if looked++; looked > sweepMax {
			return fs.SkipAll
		}
		name := d.Name()
		if !strings.HasPrefix(name, treePrefix) || name == mine || alive(name) {
			return nil
		}
		groups, _ := os.ReadDir(path)
		for _, g := range groups {
			if g.IsDir() {
				_ = os.Remove(filepath.Join(path, g.Name()))
			}
		}
		_ = os.Remove(path)
		return fs.SkipDir
	})
}

// treeName names this process for ever: its process namespace, its number and
// when it started.
func treeName() (string, error) {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("name cgroups: %w", err)
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("name cgroups: %w", err)
	}
	return fmt.Sprintf("%s%s-%d-%s", treePrefix, strings.Trim(ns, "pid:[]"), os.Getpid(), start), nil
}

// alive says whether the platform a directory is named after may be alive.
func alive(name string) bool {
	var ns, pid int
	var start string
	if _, err := fmt.Sscanf(strings.ReplaceAll(strings.TrimPrefix(name, treePrefix), "-", " "), "%d %d %s", &ns, &pid, &start); err != nil {
		return true
	}
	mine, err := os.Readlink("/proc/self/ns/pid")
	if err != nil || strings.Trim(mine, "pid:[]") != fmt.Sprint(ns) {
		return true // not ours to judge
	}
	now, err := startTime(pid)
	return err == nil && now == start
}

// startTime is when a process started, in ticks since the machine did.
func startTime(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := bytes.Fields(rest)
	const afterName = 19
	if len(fields) <= afterName {
		return "", fmt.Errorf("read start time of %d: %w", pid, unix.EINVAL)
	}
	return string(fields[afterName]), nil
}

// mounted finds the directory of this process in every hierarchy: by
// controller for version 1, by "" for version 2; and where those are mounted
// that this package uses.
func mounted() (dirs map[string]string, points []string, err error) {
	own := map[string]string{}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			for controller := range strings.SplitSeq(parts[1], ",") {
				own[controller] = parts[2]
			}
		}
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	found := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		head, tail, _ := strings.Cut(s.Text(), " - ")
		h, b := strings.Fields(head), strings.Fields(tail)
		if len(h) < 5 || len(b) < 3 {
			continue
		}
		root, point := h[3], h[4]
		var controllers []string
		switch b[0] {
		case "cgroup2":
			controllers = []string{""}
		case "cgroup":
			controllers = strings.Split(b[2], ",")
		}
		for _, c := range controllers {
			path, ok := own[c]
			if !ok || found[c] != "" {
				continue
			}
			if c == "" && os.Geteuid() == 0 {
				path = root // directories of the platform's own at the top: no other manager's are touched
			}
			if c == "" || c == "memory" || c == "pids" || c == "cpu" {
				points = append(points, point)
			}
			found[c] = filepath.Join(point, strings.TrimPrefix(path, root))
		}
	}
	return found, points, nil
}

func words(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}

// put writes a file that must exist: the kernel's own answer to making one is misleading.
func put(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// reason is an error without the path, which says nothing to a person.
func reason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return "cgroups: " + p.Err.Error()
	}
	return "cgroups: " + err.Error()
}
