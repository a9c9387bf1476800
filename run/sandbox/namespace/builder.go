//go:build linux

package namespace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox/namespace/inside"
)

// Init must be the first call of main, and of TestMain where tests make
// places. It returns at once in the platform, and never in the processes this
// package starts from the same binary.
func Init() {
	if inside.Role() {
		inside.Run()
	}
}

// A builder is the small process that forks rooms.
type builder struct {
	link     *link
	command  *exec.Cmd
	output   *os.File // what the builder and rooms say before they die
	complain sync.WaitGroup
	room     inside.Room
}

// newBuilder starts the process; close ends it and every room it made.
func newBuilder(log *slog.Logger) (*builder, error) {
	l, other, err := newLink(nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = other.Close() }()
	output, w, err := os.Pipe()
	if err != nil {
		l.close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = w.Close() }()
	b := &builder{link: l, output: output, room: ownRoom()}
	b.command = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{inside.BuilderName}, Dir: "/", Env: inside.Env,
		Stderr: w, ExtraFiles: []*os.File{other},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := b.command.Start(); err != nil {
		l.close()
		_ = output.Close()
		return nil, fmt.Errorf("start a builder: %w", err)
	}
	b.complain.Go(func() {
		for s := bufio.NewScanner(output); s.Scan(); {
			log.Warn("a place complains", "text", s.Text())
		}
	})
	return b, nil
}

// make forks a room around the other end of a link and returns its pidfd.
func (b *builder) make(ctx context.Context, other *os.File) (int, error) {
	_, files, err := b.link.do(ctx, &inside.Request{Room: &b.room}, []int{int(other.Fd())}, nil)
	if err != nil {
		closeAll(files)
		return -1, err
	}
	if len(files) != 1 {
		closeAll(files)
		return -1, fmt.Errorf("make a room: %w", unix.EBADMSG)
	}
	return files[0], nil
}

// dead says whether the process is no more.
func (b *builder) dead() bool {
	select {
	case <-b.link.done:
		return true
	default:
		return false
	}
}

// close ends the process and its rooms, and waits until the last said its last.
func (b *builder) close() error {
	b.link.close()
	err := b.command.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() < 0 {
		err = nil // somebody killed it, which is as good
	}
	b.complain.Wait()
	_ = b.output.Close()
	return err
}

// ownRoom says which users rooms have: all of the platform's if it is root,
// else the platform's own.
func ownRoom() inside.Room {
	if os.Geteuid() != 0 {
		return inside.Room{Own: true}
	}
	return inside.Room{UIDs: ranges("/proc/self/uid_map"), GIDs: ranges("/proc/self/gid_map")}
}

// ranges reads which identifiers there are; a map of maps is the identity.
func ranges(path string) []inside.Range {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var all []inside.Range
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		size, err := strconv.Atoi(f[2])
		if err != nil {
			size = math.MaxInt32
		}
		all = append(all, inside.Range{First: first, Size: size})
	}
	return all
}

// holds says whether id is one of ranges.
func holds(ranges []inside.Range, id int) bool {
	for _, r := range ranges {
		if id >= r.First && id-r.First < r.Size {
			return true
		}
	}
	return false
}
