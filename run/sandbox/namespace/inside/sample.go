//go:build linux

package inside

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// How often memory is sampled where no cgroup counts it: seldom while little
// is used. A process that takes memory faster than this is stopped late.
const (
	sampleEvery   = 20 * time.Millisecond
	sampleSeldom  = 100 * time.Millisecond
	clockTicks    = 100 // USER_HZ, the same on every architecture Go knows
	statUserTime  = 11  // fields of /proc/pid/stat after the name
	statKernel    = 12
	statmResident = 1
	statmShared   = 2
)

// a watch is what sampling has found.
type watch struct {
	limit int64
	peak  int64
	over  bool // the limit was passed, and everything killed
}

// sample watches the memory of all processes together and kills them when
// they have more than the limit.
func (a *life) sample() {
	for {
		var sum int64
		for _, p := range processes() {
			sum += p.memory()
		}
		a.mu.Lock()
		a.watch.peak = max(a.watch.peak, min(sum, a.watch.limit))
		if sum > a.watch.limit {
			a.watch.over = true
			_ = unix.Kill(-1, unix.SIGKILL)
		}
		a.mu.Unlock()
		if sum > a.watch.limit/2 {
			time.Sleep(sampleEvery)
		} else {
			time.Sleep(sampleSeldom)
		}
	}
}

// a process is the number of one process of the place.
type process string

// processes are those of the place but the first.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	var all []process
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' && name != "1" {
			all = append(all, process(name))
		}
	}
	return all
}

// memory is what the process has for itself: resident and not shared with a file.
func (p process) memory() int64 {
	fields := p.fields("statm")
	if len(fields) <= statmShared {
		return 0
	}
	return (number(fields[statmResident]) - number(fields[statmShared])) * int64(os.Getpagesize())
}

// cpu is the processor time the process has used.
func (p process) cpu() time.Duration {
	fields := p.fields("stat")
	if len(fields) <= statKernel {
		return 0
	}
	return time.Duration(number(fields[statUserTime])+number(fields[statKernel])) * time.Second / clockTicks
}

// fields are the words of a file of /proc; of stat, those after the name,
// which may hold anything.
func (p process) fields(name string) [][]byte {
	text, err := os.ReadFile("/proc/" + string(p) + "/" + name)
	if err != nil {
		return nil
	}
	if i := bytes.LastIndexByte(text, ')'); i >= 0 {
		text = text[i+1:]
	}
	return bytes.Fields(text)
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}
