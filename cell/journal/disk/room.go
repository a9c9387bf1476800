package disk

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
)

// room watches the free space of the disk. Three marks keep the disk from
// ever being full while there is something one can do about it:
//
//	free ──────── low ─────────────── last ──────── 0
//	 everything   only what frees,    nothing new;
//	 is taken     and reads           reads go on
//
// The ballast is a file that is given up when free falls below last, which
// lifts it up again once: enough for many acknowledgements and deletes, which
// need a little room themselves before they make any.
type room struct {
	dir     string // where statfs looks
	ballast string // the file
	low     uint64
	last    uint64
	size    uint64 // of the ballast
	log     *slog.Logger

	mu       sync.Mutex
	free     uint64
	full     bool // free was below low, and has not risen far enough since
	starving bool // operations are waiting for space
	gone     bool // the ballast was given up, or could not be made
}

// look measures the free space, and gives up or restores the ballast.
func (r *room) look() {
	var s unix.Statfs_t
	if err := unix.Statfs(r.dir, &s); err != nil {
		return // the canary tells what is wrong with the disk
	}
	free := s.Bavail * uint64(s.Bsize)
	if s.Files > 0 && s.Ffree < 64 {
		free = 0 // no more files can be made, however much space there is
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = free
	was := r.full
	switch {
	case free < r.low:
		r.full = true
	case free >= r.low+r.low/8:
		r.full = false
	}
	if was != r.full {
		r.log.Warn("cell: free space of the disk", "dir", r.dir, "full", r.full, "free", free, "low", r.low)
	}
	if free < r.last {
		r.dropLocked()
	} else if r.gone && free >= r.low+r.low/8+r.size {
		r.makeLocked()
	}
}

// starve is told when operations begin and cease to wait for space.
func (r *room) starve(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starving = on
	if on {
		r.full = true
		r.dropLocked()
	}
}

// state returns what is refused: full refuses what does not free, none refuses everything.
func (r *room) state() (free uint64, full, none error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		full = r.errorf("%d MiB are free, new work is taken from %d MiB on", r.free>>20, (r.low+r.low/8)>>20)
	}
	if r.starving || r.gone && r.free < r.last {
		none = r.errorf("%d MiB are free, nothing can be written", r.free>>20)
	}
	return r.free, full, none
}

func (r *room) errorf(format string, args ...any) error {
	return &daruma.Error{Op: "write", Ref: r.dir, Kind: daruma.KindFull, Err: fmt.Errorf("the disk is nearly full: "+format, args...), Hint: "make room on the disk; work is taken again within seconds, no restart is needed"}
}

func (r *room) dropLocked() {
	if r.gone {
		return
	}
	r.gone = true
	if err := os.Remove(r.ballast); err != nil && !os.IsNotExist(err) {
		r.log.Warn("cell: the ballast cannot be given up", "err", err)
	}
}

func (r *room) makeLocked() {
	if err := reserve(r.ballast, int64(r.size)); err != nil {
		r.log.Warn("cell: no ballast can be made", "err", err)
		return
	}
	r.gone = false
}

// reserve makes a file of the given size that really takes up space.
func reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := allocate(f, size); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return err
	}
	return f.Close()
}
