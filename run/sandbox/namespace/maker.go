//go:build linux

package namespace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/cgroup"
	"github.com/daruma-io/daruma/run/sandbox/skew"
)

// maker is the sandbox.Maker of this package.
type maker struct {
	config  Config
	log     *slog.Logger
	tree    *cgroup.Tree
	lacks   []string
	overlay bool // the kernel lays directories over each other
	files   uint64
	spare   chan *room
	taken   chan struct{} // a spare room was taken
	stop    context.CancelFunc
	filling sync.WaitGroup
	making  sync.WaitGroup // places on their way; none is added once closed is set
	number  atomic.Int64

	mu       sync.Mutex // guards what follows
	builder  *builder
	places   map[string]*place // nil while being made
	users    map[int]bool
	lastUser int
	closed   bool
}

// New makes one room to see whether it can, and starts keeping spare ones
// until Close. What it cannot do on this machine is in Missing; when it can
// make no room at all, it answers KindUnsupported with a hint.
func New(config Config) (sandbox.Maker, error) {
	if config.Spare < 0 || config.Spare > SpareMax {
		return nil, &daruma.Error{Op: "make namespaces", Kind: daruma.KindInvalid, Err: fmt.Errorf("%d spare rooms: 0 to %d", config.Spare, SpareMax)}
	}
	m := &maker{
		config: config, log: config.Log, tree: cgroup.Open(), overlay: hasOverlay(),
		spare: make(chan *room, max(config.Spare, 1)), taken: make(chan struct{}, 1),
		places: map[string]*place{}, users: map[int]bool{}, lastUser: rand.IntN(userCount),
	}
	m.config.Hide = hidden(config.Hide)
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read the open file limit: %w", err)
	}
	m.files = limit.Max
	ctx, cancel := context.WithTimeout(context.Background(), roomWait)
	defer cancel()
	first := config.Redirect
	if first == (sandbox.Redirect{}) {
		first = sandbox.Redirect{TCP: 1, DNS: 1} // to see whether it works
	}
	r, err := m.newRoom(ctx, first, false)
	if err != nil {
		err = errors.Join(err, m.closeBuilder(), m.tree.Close())
		return nil, &daruma.Error{Op: "make namespaces", Kind: daruma.KindUnsupported, Err: err, Hint: hint()}
	}
	m.lacks = r.lacks
	if why := skew.Lacks(); why != "" {
		m.lacks = append(m.lacks, sandbox.NoClock+": "+why)
	}
	m.told()
	m.sweep()
	m.spare <- r
	ctx, m.stop = context.WithCancel(context.Background())
	m.filling.Go(func() { m.fill(ctx) })
	return m, nil
}

// optPrefix begins the names of directories that hold layers merged on disk.
const optPrefix = "opt-"

// sweep removes the layers that a platform which was killed has merged.
func (m *maker) sweep() {
	if m.config.Dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(m.config.Dir, optPrefix+"*"))
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			m.log.Warn("a dead place's layers are left", "dir", dir, "err", err)
		}
	}
}

// told says in the log what the kernel does not do itself.
func (m *maker) told() {
	memory, processes, cpu := m.tree.Lacks()
	if memory != "" {
		m.log.Info("memory of places is limited by sampling: a process that takes it quickly is ended late", "why", memory)
	}
	if processes != "" {
		m.log.Info("processes of places are limited by resource limits, with up to 16 more than asked", "why", processes)
	}
	if cpu != "" {
		m.log.Info("CPUs are shared by the session: a place that makes many gets more than its part", "why", cpu)
	}
	if !m.overlay {
		m.log.Info("layers are laid over each other on disk", "why", "no overlay file system")
	}
}

// lacking says whether Missing lists something.
func (m *maker) lacking(what string) bool {
	return slices.ContainsFunc(m.lacks, func(line string) bool { return strings.HasPrefix(line, what+": ") })
}

// hint says what commonly forbids namespaces.
func hint() string {
	for _, s := range []struct{ file, bad, hint string }{
		{"/proc/sys/user/max_user_namespaces", "0", "set sysctl user.max_user_namespaces to more than 0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "set sysctl kernel.unprivileged_userns_clone to 1, or run as root"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "set sysctl kernel.apparmor_restrict_unprivileged_userns to 0, give the binary an AppArmor profile that allows userns, or run as root"},
	} {
		text, err := os.ReadFile(s.file)
		if err == nil && strings.TrimSpace(string(text)) == s.bad {
			return s.hint
		}
	}
	return "needs Linux 5.12 with user namespaces; in a container, the rights to mount and to make namespaces"
}

// hasOverlay says whether the kernel knows the overlay file system.
func hasOverlay() bool {
	text, err := os.ReadFile("/proc/filesystems")
	return err == nil && slices.Contains(strings.Fields(string(text)), "overlay")
}

// hidden are paths as they are found, and where they really are.
func hidden(paths []string) []string {
	var all []string
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			continue
		}
		all = append(all, path)
		if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
			all = append(all, real)
		}
	}
	return all
}

// Kind is "namespaces".
func (m *maker) Kind() string { return "namespaces" }

// Missing tells what the rooms of this machine lack.
func (m *maker) Missing() []string { return slices.Clone(m.lacks) }

// building is the builder, a new one if the last died.
func (m *maker) building() (*builder, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, &daruma.Error{Kind: daruma.KindUnavailable, Err: errors.New("closed")}
	}
	if m.builder != nil && !m.builder.dead() {
		return m.builder, nil
	}
	if m.builder != nil {
		m.log.Warn("the builder of places died; starting another")
		_ = m.builder.close()
	}
	b, err := newBuilder(m.log)
	m.builder = b
	return b, err
}

// refillPause lets the place that took a spare room start its function first.
const refillPause = 50 * time.Millisecond

// fill keeps spare rooms until ctx ends.
func (m *maker) fill(ctx context.Context) {
	for ctx.Err() == nil {
		for len(m.spare) < m.config.Spare && ctx.Err() == nil {
			r, err := m.newRoom(ctx, m.config.Redirect, false)
			if err != nil {
				if ctx.Err() == nil {
					m.log.Warn("no spare place", "err", err)
				}
				break
			}
			m.spare <- r
		}
		select {
		case <-ctx.Done():
		case <-m.taken:
			pause := time.NewTimer(refillPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
			}
		}
	}
}

// take gives a room: a spare one that lives, or a new one. In spare rooms nobody may trace.
func (m *maker) take(ctx context.Context, trace bool) (*room, error) {
	if trace {
		return m.newRoom(ctx, m.config.Redirect, true)
	}
	for {
		select {
		case r := <-m.spare:
			select {
			case m.taken <- struct{}{}:
			default:
			}
			select {
			case <-r.link.done:
				_ = m.closeRoom(r)
				continue
			default:
				return r, nil
			}
		default:
			return m.newRoom(ctx, m.config.Redirect, false)
		}
	}
}

// makeTries is how many rooms may die under a place being made, with the
// builder for one, before that is an error.
const makeTries = 4

var idForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Make furnishes a room. Errors: KindInvalid for a spec that cannot be,
// KindExists for an ID in use, KindNotFound for a mount of nothing.
func (m *maker) Make(ctx context.Context, spec sandbox.Spec) (sandbox.Place, error) {
	failed := func(kind daruma.Kind, err error) (sandbox.Place, error) {
		return nil, &daruma.Error{Op: "make place", Kind: kind, Ref: spec.ID, Err: err}
	}
	if spec.Skew != 0 && m.lacking(sandbox.NoClock) {
		return failed(daruma.KindUnsupported, errors.New("skew: "+skew.Lacks()))
	}
	if err := m.check(&spec); err != nil {
		return failed(daruma.KindInvalid, err)
	}
	m.mu.Lock()
	_, exists := m.places[spec.ID]
	if !exists && !m.closed {
		m.places[spec.ID] = nil
		m.making.Add(1)
	}
	closed := m.closed
	m.mu.Unlock()
	switch {
	case closed:
		return failed(daruma.KindUnavailable, errors.New("closed"))
	case exists:
		return failed(daruma.KindExists, errors.New("there is a place of this name"))
	}
	defer m.making.Done()
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	p, err := m.furnish(ctx, spec)
	for try := 1; try < makeTries && errors.Is(err, errGone) && ctx.Err() == nil; try++ {
		p, err = m.furnish(ctx, spec)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		delete(m.places, spec.ID)
		return failed(sandbox.KindOf(err), err)
	}
	m.places[spec.ID] = p
	return p, nil
}

// filesMin is how many open files the first process itself needs.
const filesMin = 64

// check says what of a spec cannot be.
func (m *maker) check(spec *sandbox.Spec) error {
	if !idForm.MatchString(spec.ID) {
		return fmt.Errorf("id %q: 1 to 64 of a-z, 0-9 and -", spec.ID)
	}
	if spec.Files != 0 && (spec.Files < filesMin || uint64(spec.Files) > m.files) {
		return fmt.Errorf("%d open files: %d to %d on this machine", spec.Files, filesMin, m.files)
	}
	if spec.Skew != 0 && spec.Trace {
		return errors.New("skew: a place where debuggers trace processes keeps the machine's clock, since a process has one tracer")
	}
	if spec.TmpBytes < 0 || spec.MemoryBytes < 0 || spec.Processes < 0 {
		return errors.New("a limit is negative")
	}
	for _, mount := range spec.Mounts {
		t := filepath.Clean(mount.Target)
		if !filepath.IsAbs(t) || !filepath.IsAbs(mount.Source) {
			return fmt.Errorf("mount %s at %s: both must be absolute", mount.Source, mount.Target)
		}
		for _, no := range []string{"/", "/proc", "/dev", "/tmp", "/.old", "/.etc"} {
			if t == no || no != "/" && strings.HasPrefix(t, no+"/") {
				return fmt.Errorf("mount %s at %s: %s is the place's own", mount.Source, mount.Target, no)
			}
		}
	}
	return nil
}

// closeAtOnce bounds how many places are closed at the same time.
const closeAtOnce = 16

// Close closes every place and spare room and waits until nothing is left.
func (m *maker) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.filling.Wait()
	m.making.Wait()
	m.mu.Lock()
	places := slices.Collect(maps.Values(m.places))
	m.mu.Unlock()
	var all error
	for r := range drain(m.spare) {
		all = errors.Join(all, m.closeRoom(r))
	}
	errs := make(chan error, len(places))
	turns := make(chan struct{}, closeAtOnce)
	for _, p := range places {
		turns <- struct{}{}
		go func() {
			errs <- p.Close()
			<-turns
		}()
	}
	for range places {
		all = errors.Join(all, <-errs)
	}
	return errors.Join(all, m.closeBuilder(), m.tree.Close())
}

// drain gives what is in a channel now.
func drain(rooms chan *room) func(func(*room) bool) {
	return func(yield func(*room) bool) {
		for {
			select {
			case r := <-rooms:
				if !yield(r) {
					return
				}
			default:
				return
			}
		}
	}
}

func (m *maker) closeBuilder() error {
	m.mu.Lock()
	b := m.builder
	m.builder = nil
	m.mu.Unlock()
	if b == nil {
		return nil
	}
	return b.close()
}
