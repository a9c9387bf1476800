package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// What a platform has of the machine, read from /proc by another process.

// remains is what must not grow.
type remains struct {
	processes  int // it and all below it
	namespaces int // of any kind, of those processes
	mounts     int // that it sees
	cgroups    int // directories
	files      int // that it has open, without those of its store, which come and go as it grows
	goroutines int
	rss, peak  int64 // bytes; for the eye
	threads    int   // for the eye: Go keeps them
}

func (r remains) String() string {
	return fmt.Sprintf("%d processes, %d namespaces, %d mounts, %d cgroups, %d files, %d goroutines, %d threads, %d MiB (most: %d)",
		r.processes, r.namespaces, r.mounts, r.cgroups, r.files, r.goroutines, r.threads, r.rss>>20, r.peak>>20)
}

// within says whether r is no more than was.
func (r remains) within(was remains) bool {
	const spare = 2 // goroutines of net/http come and go with connections
	return r.processes <= was.processes && r.namespaces <= was.namespaces && r.mounts <= was.mounts &&
		r.cgroups <= was.cgroups && r.files <= was.files && r.goroutines <= was.goroutines+spare
}

// remains counts what the platform has now.
func (p *platform) remains() remains {
	p.http.CloseIdleConnections()
	family := familyOf(p.pid())
	proc := "/proc/" + strconv.Itoa(p.pid())
	r := remains{
		processes: len(family), namespaces: len(namespacesOf(family)), cgroups: len(cgroupsOf(p.pid())),
		files: openFiles(proc+"/fd", filepath.Join(p.address.Data, "cell")), threads: entries(proc + "/task"),
		rss: memoryOf(p.pid(), "VmRSS"), peak: memoryOf(p.pid(), "VmHWM"), goroutines: p.goroutines(),
	}
	mounts, _ := os.ReadFile(proc + "/mountinfo")
	r.mounts = bytes.Count(mounts, []byte("\n"))
	return r
}

// openFiles counts what a process has open outside of a directory.
func openFiles(fds, without string) (n int) {
	all, _ := os.ReadDir(fds)
	for _, e := range all {
		if name, _ := os.Readlink(filepath.Join(fds, e.Name())); !strings.HasPrefix(name, without+"/") {
			n++
		}
	}
	return n
}

func entries(dir string) int {
	all, _ := os.ReadDir(dir)
	return len(all)
}

// bytesBelow is the size of all files in a directory.
func bytesBelow(dir string) (size int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// memoryOf reads a field of /proc/PID/status, in bytes.
func memoryOf(pid int, field string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == field+":" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// forgetPeak makes the kernel count VmHWM anew.
func (p *platform) forgetPeak() {
	os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid()), []byte("5"), 0)
}

var goroutinesForm = regexp.MustCompile(`(?m)^go_goroutines (\S+)$`)

func (p *platform) goroutines() int {
	p.t.Helper()
	res, err := p.http.Get(p.address.Console + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer p.http.CloseIdleConnections()
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	m := goroutinesForm.FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no go_goroutines in %.300q", text)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return int(n)
}

// familyOf returns a process and all below it, with when each started.
func familyOf(pid int) map[int]string {
	parents, starts := map[int]int{}, map[int]string{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		id, _ := strconv.Atoi(filepath.Base(name))
		if parent, start, ok := statOf(id); ok {
			parents[id], starts[id] = parent, start
		}
	}
	family := map[int]string{}
	if start, ok := starts[pid]; ok {
		family[pid] = start
	}
	for grew := true; grew; {
		grew = false
		for id, parent := range parents {
			if family[parent] != "" && family[id] == "" {
				family[id], grew = starts[id], true
			}
		}
	}
	return family
}

// statOf reads a process's parent and when it started; ok is false when it
// has ended, also when its parent has not heard of that yet.
func statOf(pid int) (parent int, start string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return 0, "", false
	}
	parent, err = strconv.Atoi(f[1])
	return parent, f[19], err == nil
}

// living are those of a family that have not ended.
func living(family map[int]string) []string {
	var left []string
	for pid, start := range family {
		if _, now, ok := statOf(pid); ok && now == start {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			left = append(left, fmt.Sprintf("%d %q %.40q", pid, bytes.ReplaceAll(text, []byte{0}, []byte(" ")), state))
		}
	}
	return left
}

// namespacesOf are the namespaces of a family that are not this process's.
func namespacesOf(family map[int]string) map[string]bool {
	spaces := map[string]bool{}
	for pid := range family {
		for _, kind := range []string{"net", "mnt", "pid", "user", "ipc", "uts", "cgroup"} {
			own, _ := os.Readlink("/proc/self/ns/" + kind)
			if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil && ns != own {
				spaces[ns] = true
			}
		}
	}
	return spaces
}

// inUse are those of the namespaces that a process is in or holds open which
// was there at a time: others may have new namespaces of the same numbers.
func inUse(spaces map[string]bool, then uint64) []string {
	names, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	held, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	var used []string
	for _, name := range append(names, held...) {
		ns, err := os.Readlink(name)
		if err != nil || !spaces[ns] {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		_, start, ok := statOf(pid)
		if since, err := strconv.ParseUint(start, 10, 64); ok && err == nil && since <= then {
			used = append(used, name+" → "+ns)
		}
	}
	return used
}

// overload says how many times more processes want to run than there are CPUs; 1 at least.
func overload() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _ := strconv.ParseFloat(strings.Fields(string(text) + " 0")[0], 64)
	return max(1, load/float64(runtime.NumCPU()))
}

// ticks is the time as start times of processes are told.
func ticks() uint64 {
	const perSecond = 100 // USER_HZ, the same on every Linux
	text, _ := os.ReadFile("/proc/uptime")
	seconds, _ := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return uint64(seconds * perSecond)
}

// cgroupsOf are the cgroup directories a platform made.
func cgroupsOf(pid int) []string {
	var all []string
	inside := regexp.MustCompile(fmt.Sprintf(`/daruma-\d+-%d-\d+(/|$)`, pid))
	for _, root := range cgroupRoots() {
		filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() && inside.MatchString(path) {
				all = append(all, path)
			}
			return nil
		})
	}
	slices.Sort(all)
	return all
}

// cgroupRoots are where cgroup file systems are mounted.
func cgroupRoots() []string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var roots []string
	for line := range strings.Lines(string(text)) {
		head, tail, _ := strings.Cut(line, " - ")
		if f := strings.Fields(head); len(f) > 4 && strings.HasPrefix(tail, "cgroup") {
			roots = append(roots, f[4])
		}
	}
	return roots
}

// tasksIn returns how many processes are in a cgroup directory.
func tasksIn(dir string) int {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return len(strings.Fields(string(text)))
}
