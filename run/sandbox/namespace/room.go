//go:build linux

package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/cgroup"
	"github.com/daruma-io/daruma/run/sandbox/namespace/inside"
)

// A room is an empty place: all that does not depend on what will be in it.
type room struct {
	link  *link
	pidfd int
	group *cgroup.Group
	uid   int
	lacks []string
	place atomic.Pointer[place] // set before the first process starts
}

// The users of processes when the platform is root: one for each place, from
// a range that no distribution hands out.
const (
	userFirst = 600_000_000
	userCount = 1 << 20
)

// newRoom makes a room that leads where most places will want. The caller closes it.
func (m *maker) newRoom(ctx context.Context, lead sandbox.Redirect, trace bool) (*room, error) {
	b, err := m.building()
	if err != nil {
		return nil, err
	}
	uid, gid, err := m.takeUser(&b.room)
	if err != nil {
		return nil, err
	}
	r := &room{uid: uid, pidfd: -1}
	if r.group, err = m.tree.New(fmt.Sprintf("place-%d", m.number.Add(1))); err != nil {
		m.giveUser(uid)
		return nil, err
	}
	if err := m.fork(ctx, b, r, gid, &inside.Prepare{Redirect: lead, Trace: trace}); err != nil {
		return nil, errors.Join(err, m.closeRoom(r))
	}
	return r, nil
}

// fork starts the room's first process and has it prepare everything.
func (m *maker) fork(ctx context.Context, b *builder, r *room, gid int, p *inside.Prepare) error {
	l, other, err := newLink(func(reply *inside.Reply) {
		if p := r.place.Load(); p != nil {
			p.ended(reply)
		}
	}, func() {
		if p := r.place.Load(); p != nil {
			p.lost()
		}
	})
	if err != nil {
		return err
	}
	r.link = l
	r.pidfd, err = b.make(ctx, other)
	_ = other.Close()
	if errors.Is(err, errGone) {
		select { // so that the next try finds it dead
		case <-b.link.done:
		case <-ctx.Done():
		}
	}
	if err != nil {
		return err
	}
	tasks, err := r.group.Tasks()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range tasks {
			_ = f.Close()
		}
	}()
	p.UID, p.GID, p.Switch, p.Hide, p.Tasks = r.uid, gid, !b.room.Own, m.config.Hide, len(tasks)
	var files []int
	for _, f := range tasks {
		files = append(files, int(f.Fd()))
	}
	if dir := r.group.Dir(); dir != nil {
		p.Unified = true
		files = append(files, int(dir.Fd()))
	}
	reply, _, err := l.do(ctx, &inside.Request{Prepare: p}, files, nil)
	if err != nil {
		return err
	}
	r.lacks = reply.Lacks
	return nil
}

// closeRoom ends everything in the room and waits until it is gone.
func (m *maker) closeRoom(r *room) error {
	var err error
	if r.pidfd >= 0 {
		_ = unix.PidfdSendSignal(r.pidfd, unix.SIGKILL, nil, 0)
		err = gone(r.pidfd, closeWait)
	}
	if r.link != nil {
		r.link.close() // whose reader may be waiting for the same end
	}
	if r.pidfd >= 0 {
		_ = unix.Close(r.pidfd)
		r.pidfd = -1
	}
	err = errors.Join(err, r.group.Remove())
	m.giveUser(r.uid)
	return err
}

// gone waits for a process to end. The kernel ends the first process of a
// process namespace last.
func gone(pidfd int, wait time.Duration) error {
	for end := time.Now().Add(wait); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(max(0, time.Until(end).Milliseconds())))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("wait for a place to end: %w", err)
		case n > 0:
			return nil
		default:
			return fmt.Errorf("a place did not end in %v: %w", wait, os.ErrDeadlineExceeded)
		}
	}
}

// takeUser chooses the user of a new room's processes.
func (m *maker) takeUser(has *inside.Room) (uid, gid int, err error) {
	if has.Own {
		return os.Geteuid(), os.Getegid(), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for range userCount {
		m.lastUser = (m.lastUser + 1) % userCount
		id := userFirst + m.lastUser
		if !holds(has.UIDs, id) || !holds(has.GIDs, id) {
			id = 1000 + m.lastUser%60000
		}
		if !m.users[id] && holds(has.UIDs, id) && holds(has.GIDs, id) {
			m.users[id] = true
			return id, id, nil
		}
	}
	return 0, 0, errors.New("no user is left for another place")
}

func (m *maker) giveUser(uid int) {
	m.mu.Lock()
	delete(m.users, uid)
	m.mu.Unlock()
}
