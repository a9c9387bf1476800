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

// A guard keeps the memory of a place's processes under its limit. The
// kernel counts the files of /tmp as their memory, which functions do not
// expect: so the kernel's limit is memory and /tmp together, and the guard,
// woken when more than the memory alone is used, tells one from the other.
type guard struct {
	place  *place
	events *os.File
	kills  atomic.Int64
	stop   chan struct{}
	done   sync.WaitGroup
}

// newGuard starts one goroutine; close ends it.
func newGuard(p *place) (*guard, error) {
	events, err := p.room.group.Watch(p.spec.MemoryBytes)
	if err != nil {
		return nil, err
	}
	g := &guard{place: p, events: events, stop: make(chan struct{})}
	g.done.Go(g.run)
	return g, nil
}

func (g *guard) close() {
	if g == nil {
		return
	}
	close(g.stop)
	_ = g.events.Close()
	g.done.Wait()
}

func (g *guard) run() {
	buf := make([]byte, 4096)
	var seen int64
	for {
		if _, err := g.events.Read(buf); err != nil {
			return
		}
		for {
			now := g.place.room.group.OutOfMemory()
			if now > seen {
				seen = now // the kernel ended one; the place is of no use without it
				g.place.killAll()
			}
			above, err := g.look()
			if err != nil || !above {
				break
			}
			select {
			case <-g.stop:
				return
			case <-time.After(pollGuard):
			}
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
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}
