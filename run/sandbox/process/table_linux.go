package process

import (
	"bytes"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
)

// missingHere is what only this system's processes lack.
var missingHere = []string{sandbox.NoPlatformEnd + ": the kernel ends the processes it started, but not what these started"}

// attributes are those of every started process: the kernel ends it with the platform.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// closeOnExec keeps what whoever started the platform left open from places.
func closeOnExec() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// peakBytes is the most memory one process had, as the kernel told at its end.
func peakBytes(used *syscall.Rusage) int64 {
	return int64(used.Maxrss) << 10 //nolint:unconvert // 32 bits wide on some machines
}

// processes are those of the machine at one moment.
type processes []entry

type entry struct {
	pid, parent, session int
	start                string // tells a process from a later one of its number
	mark                 string // what its environment said when it was first seen
}

// table reads /proc. Those that have ended and were not yet waited for are
// left out. What was seen before is not asked again for its mark.
func table(seen processes) processes {
	before := make(map[int]entry, len(seen))
	for _, e := range seen {
		before[e.pid] = e
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	var all processes
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		const state, parent, session, start = 0, 1, 3, 19
		if len(f) <= start || f[state][0] == 'Z' || f[state][0] == 'X' {
			continue
		}
		e := entry{pid: pid, start: string(f[start])}
		e.parent, _ = strconv.Atoi(string(f[parent]))
		e.session, _ = strconv.Atoi(string(f[session]))
		if was := before[pid]; was.start == e.start && was.mark != "" {
			e.mark = was.mark
		} else {
			e.mark = markOf(pid)
		}
		all = append(all, e)
	}
	return all
}

// of gives the processes with a mark, in one of the sessions, or below such.
func (all processes) of(mark string, sessions []int) []int {
	member := map[int]bool{}
	for _, e := range all {
		if slices.Contains(sessions, e.session) || e.mark == mark {
			member[e.pid] = true
		}
	}
	for grew := len(member) > 0; grew; {
		grew = false
		for _, e := range all {
			if member[e.parent] && !member[e.pid] {
				member[e.pid], grew = true, true
			}
		}
	}
	pids := make([]int, 0, len(member))
	for pid := range member {
		pids = append(pids, pid)
	}
	return pids
}

// session says whether a session has a process.
func (all processes) session(number int) bool {
	return slices.ContainsFunc(all, func(e entry) bool { return e.session == number })
}

// marked gives the processes whose mark begins so.
func (all processes) marked(prefix string) []int {
	var pids []int
	for _, e := range all {
		if strings.HasPrefix(e.mark, prefix) {
			pids = append(pids, e.pid)
		}
	}
	return pids
}

// unmarked is the mark of a process of no place.
const unmarked = "-"

// markOf is the mark in a process's environment. It costs more than the rest
// of what is read of a process.
func markOf(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return unmarked
	}
	for v := range bytes.SplitSeq(text, []byte{0}) {
		if mark, ok := bytes.CutPrefix(v, []byte(markName+"=")); ok {
			return string(mark)
		}
	}
	return unmarked
}

// residentBytes is the memory a process has for itself.
func residentBytes(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(text)
	if len(f) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(string(f[1]), 10, 64)
	shared, _ := strconv.ParseInt(string(f[2]), 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}
