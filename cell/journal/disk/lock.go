package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
)

// lock takes the directory for this process and this journal. The kernel gives
// it back when the process ends, however it ends.
func lock(dir, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unreachable("open cell", dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder := "another process"
		if pid := readPID(f); pid > 0 {
			holder = fmt.Sprintf("process %d", pid)
		}
		_ = f.Close()
		return nil, &daruma.Error{Op: "open cell", Ref: dir, Kind: daruma.KindLocked, Err: fmt.Errorf("%s has it", holder), Hint: "stop that process, or give this one a directory of its own"}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil && !noSpace(err) { // without a pid it is still a lock
		_ = f.Close()
		return nil, unreachable("lock cell", dir, err)
	}
	return f, nil
}

func readPID(r io.ReaderAt) int {
	b := make([]byte, 20)
	n, _ := r.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}
