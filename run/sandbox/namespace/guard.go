//go:build linux

package namespace

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How often the guard looks: while /tmp or too much is in use, and all the
// time where the kernel does not tell.
const (
	pollGuard  = 10 * time.Millisecond
	pollSeldom = 100 * time.Millisecond
)

// A guard keeps the memory of a place's processes under its limit. The
// kernel counts the files of /tmp as their memory, which functions do not
// expect: so the kernel's limit is memory and /tmp together, and the guard,
// woken when more than the memory alone is used, tells one from the other.
type guard struct {
	place *place
	kills atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex // guards events
	events *os.File   // nil until the kernel agreed to tell, and once closed
}

// newGuard starts one goroutine; close ends it.
func newGuard(p *place) *guard {
	g := &guard{place: p, stop: make(chan struct{})}
	g.done.Go(g.run)
	return g
}

func (g *guard) close() {
	if g == nil {
		return
	}
	close(g.stop)
	g.mu.Lock()
	if g.events != nil {
		_ = g.events.Close()
	}
	g.mu.Unlock()
	g.done.Wait()
}

// watch asks the kernel to tell. It takes milliseconds, which nobody waits for.
func (g *guard) watch() *os.File {
	events, err := g.place.room.group.Watch(g.place.spec.MemoryBytes)
	if err != nil {
		g.place.maker.log.Warn("memory of a place is looked at now and then", "place", g.place.spec.ID, "err", err)
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stop:
		_ = events.Close()
		return nil
	default:
	}
	g.events = events
	return events
}

func (g *guard) run() {
	events := g.watch()
	buf := make([]byte, 4096)
	var seen int64
	for pause := time.Duration(0); ; pause = pollGuard {
		now := g.place.room.group.OutOfMemory()
		if now > seen {
			seen = now // the kernel ended one; the place is of no use without it
			g.place.killAll()
		}
		above, err := g.look()
		switch {
		case err != nil:
			return // the group is gone
		case above:
		case events == nil:
			pause = pollSeldom
		default:
			if _, err := events.Read(buf); err != nil {
				return
			}
			continue
		}
		select {
		case <-g.stop:
			return
		case <-time.After(pause):
		}
	}
}

// look compares what is used with the limit and kills if it is the processes'
// own. It says whether more is used than the limit, whoever's it is.
func (g *guard) look() (above bool, err error) {
	group, limit := g.place.room.group, g.place.spec.MemoryBytes
	used, err := group.Used()
	if err != nil || used <= limit {
		return false, err
	}
	tmp, err := g.tmpUsed()
	if err != nil {
		return false, err
	}
	if used-tmp > limit {
		used, files, err := group.Memory()
		if err != nil {
			return false, err
		}
		if used-files-tmp > limit {
			g.kills.Add(1)
			g.place.killAll()
			return true, nil
		}
	}
	return true, group.Soft(limit + tmp)
}

// tmpUsed is how many bytes the files of /tmp take.
func (g *guard) tmpUsed() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(g.place.tmp.Fd()), &st); err != nil {
		return 0, fmt.Errorf("look at /tmp: %w", err)
	}
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize), nil //nolint:unconvert // 32 bits wide on some machines
}
