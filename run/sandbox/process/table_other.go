//go:build unix && !linux

package process

import (
	"os"
	"syscall"

	"github.com/daruma-io/daruma/run/sandbox"
)

// missingHere is what only this system's processes lack.
var missingHere = []string{
	sandbox.NoMemoryLimit + ": this system does not tell what a process uses",
	sandbox.NoFileLimit + ": this system has none that is set from outside",
	sandbox.NoPlatformEnd + ": this system does not end processes with the one that started them",
}

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// closeOnExec keeps what whoever started the platform left open from places.
func closeOnExec() {
	for fd := 3; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
}

// peakBytes is the most memory one process had, as the kernel told at its end.
func peakBytes(used *syscall.Rusage) int64 { return int64(used.Maxrss) }

// start starts a process.
func start(f fork) (*os.Process, error) { return os.StartProcess(f.path, f.argv, f.attr) }

// processes cannot be listed here: what was started is known by its group.
type processes []int

func table(processes) processes { return nil }

func (processes) of(string, []int) []int { return nil }

func (processes) session(int) bool { return false }

func (processes) marked(string) []int { return nil }

func residentBytes(int) int64 { return 0 }

func signalAll([]int, syscall.Signal) {}
