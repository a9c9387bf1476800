//go:build unix

// Package process makes places of plain processes, where namespaces cannot
// be had: each process in a session of its own, with a directory for /tmp and
// real paths for those functions know. It isolates nothing: what it does not
// do is in Missing, and a platform says so when it starts.
//
// It promises to end what it started. On Linux every process that carries a
// place's mark in its environment, belongs to one of its sessions or descends
// from such is found in /proc, so that daemons are ended too; elsewhere the
// process groups are. Memory is limited by looking at it now and then, on
// Linux. Methods may be called from any goroutine.
package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/layers"
)

// A Config says where places are made.
type Config struct {
	// Dir is a directory of the platform's own, where each place gets one. It
	// must exist; what a killed platform left in it is removed.
	Dir string
	// Log is told of what is ended for its memory. nil is silent.
	Log *slog.Logger
}

// markName is the environment variable that marks the processes of a place.
const markName = "DARUMA_PLACE"

type maker struct {
	config Config
	log    *slog.Logger
	mark   string // what marks of this maker begin with
	forks  chan fork
	stop   context.CancelFunc
	work   sync.WaitGroup
	wake   chan struct{} // a place with limits was made

	mu     sync.Mutex // guards what follows
	places map[string]*place
	closed bool
}

// a fork is one process to be started by the one thread that starts them.
type fork struct {
	path   string
	argv   []string
	attr   *os.ProcAttr
	files  int // open files, or 0
	result chan<- forked
}

type forked struct {
	process *os.Process
	err     error
}

// New starts the thread that starts processes and, on Linux, the look at
// their memory; Close ends both.
func New(config Config) (sandbox.Maker, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return nil, &daruma.Error{Op: "make places of processes", Kind: daruma.KindInvalid, Ref: dir, Err: errors.Join(err, errors.New("needs a directory"))}
	}
	config.Dir = dir
	m := &maker{
		config: config, log: config.Log, forks: make(chan fork), wake: make(chan struct{}, 1),
		mark: fmt.Sprintf("%x-", sha256.Sum256([]byte(dir)))[:17], places: map[string]*place{},
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if err := m.sweep(); err != nil {
		return nil, err
	}
	closeOnExec()
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.work.Go(func() { m.forker(ctx) })
	m.work.Go(func() { m.watch(ctx) })
	return m, nil
}

// sweep ends and removes what a platform that was killed left behind.
func (m *maker) sweep() error {
	for range 100 {
		left := table(nil).marked(m.mark)
		if len(left) == 0 {
			break
		}
		signalAll(left, syscall.SIGKILL)
		time.Sleep(time.Millisecond)
	}
	entries, err := os.ReadDir(m.config.Dir)
	if err != nil {
		return fmt.Errorf("sweep places: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && idForm.MatchString(e.Name()) {
			if err := os.RemoveAll(filepath.Join(m.config.Dir, e.Name())); err != nil {
				return fmt.Errorf("sweep places: %w", err)
			}
		}
	}
	return nil
}

// forker starts processes. It keeps its thread to the end, since the kernel
// ends a process with the thread that started it.
func (m *maker) forker(ctx context.Context) {
	runtime.LockOSThread()
	for {
		select {
		case f := <-m.forks:
			p, err := start(f)
			f.result <- forked{p, err}
		case <-ctx.Done():
			return
		}
	}
}

// Kind is "processes".
func (m *maker) Kind() string { return "processes" }

// Missing tells what plain processes do not have.
func (m *maker) Missing() []string {
	const why = ": plain processes share the machine's"
	return append([]string{
		sandbox.NoPaths + why + " files", sandbox.NoNetwork + why, sandbox.NoRedirect + why + " network",
		sandbox.NoProcessesView + why, sandbox.NoCallFilter + why + " kernel as they are",
		sandbox.NoPrivilegeDrop + ": processes run as the platform's user",
		sandbox.NoTmpLimit + ": /tmp is a directory on the machine's disk",
		sandbox.NoClock + why,
		sandbox.NoProcessLimit + ": a place with too many is ended",
	}, missingHere...)
}

var idForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Make makes a directory. Errors: KindInvalid, KindExists, KindNotFound.
func (m *maker) Make(_ context.Context, spec sandbox.Spec) (sandbox.Place, error) {
	failed := func(kind daruma.Kind, err error) (sandbox.Place, error) {
		return nil, &daruma.Error{Op: "make place", Kind: kind, Ref: spec.ID, Err: err}
	}
	if !idForm.MatchString(spec.ID) {
		return failed(daruma.KindInvalid, errors.New("id: 1 to 64 of a-z, 0-9 and -"))
	}
	if spec.Skew != 0 {
		return failed(daruma.KindUnsupported, errors.New("skew: plain processes share the machine's clock"))
	}
	for _, mount := range spec.Mounts {
		if _, err := os.Stat(mount.Source); err != nil {
			return failed(sandbox.KindOf(err), err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return failed(daruma.KindUnavailable, errors.New("closed"))
	}
	if m.places[spec.ID] != nil {
		return failed(daruma.KindExists, errors.New("there is a place of this name"))
	}
	p := &place{
		maker: m, spec: spec, dir: filepath.Join(m.config.Dir, spec.ID), mark: m.mark + spec.ID,
		turn: make(chan struct{}, 1), running: map[*process]bool{},
	}
	if err := p.furnish(); err != nil {
		return failed(sandbox.KindOf(err), errors.Join(err, os.RemoveAll(p.dir)))
	}
	m.places[spec.ID] = p
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return p, nil
}

// furnish makes the place's directories.
func (p *place) furnish() error {
	for _, dir := range []string{p.dir, p.tmp(), p.opt()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	return layers.Merge(p.opt(), p.spec.Opt)
}

// Close closes every place.
func (m *maker) Close() error {
	m.mu.Lock()
	m.closed = true
	places := slices.Collect(maps.Values(m.places))
	m.mu.Unlock()
	var all error
	for _, p := range places {
		all = errors.Join(all, p.Close())
	}
	m.stop()
	m.work.Wait()
	return all
}

// How often memory and numbers are looked at: a twentieth of a processor goes
// into it, unless that were too seldom.
const (
	watchEvery  = 50 * time.Millisecond
	watchSeldom = 500 * time.Millisecond
	watchShare  = 20
)

// watch ends places that have more memory or processes than they may.
func (m *maker) watch(ctx context.Context) {
	var all processes
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		m.mu.Lock()
		places := slices.Collect(maps.Values(m.places))
		m.mu.Unlock()
		begin := time.Now()
		if len(places) > 0 {
			all = table(all)
			for _, p := range places {
				p.look(all)
			}
			timer.Reset(min(watchSeldom, max(watchEvery, watchShare*time.Since(begin))))
		}
	}
}
