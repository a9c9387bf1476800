//go:build linux

package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

var startChecks = []check{
	{"a process gets what it was given and nothing else", "", func(x *exam) error {
		x.t.Setenv("PLATFORM_SECRET", "must not be seen")
		p := x.make(nil)
		r, err := x.start(p, "given", "one", "two words")
		if err != nil {
			return err
		}
		_, out, err := r.finish()
		want := "args=one|two words given=as given dir=" + p.Path("/var/task") + " stdin=0 session=true descriptors=[] secret="
		if strings.TrimSpace(out) != want {
			return errors.Join(err, fmt.Errorf("got %q, want %q", out, want))
		}
		return err
	}},
	{"output and errors arrive where they were sent", "", func(x *exam) error {
		r, err := x.start(x.make(nil), "speak")
		if err != nil {
			return err
		}
		<-r.Done()
		out, err1 := r.out.all()
		errs, err2 := r.err.all()
		if out != "to output\n" || errs != "to errors\n" {
			return errors.Join(err1, err2, fmt.Errorf("got %q and %q", out, errs))
		}
		return nil
	}},
	{"an exit code is told", "", func(x *exam) error {
		r, err := x.start(x.make(nil), "exit")
		if err != nil {
			return err
		}
		exit, _, err := r.finish()
		if want := (sandbox.Exit{Code: 3}); exit != want {
			return errors.Join(err, fmt.Errorf("got %+v, want %+v", exit, want))
		}
		return err
	}},
	{"a signal reaches the process alone and is told", "", func(x *exam) error {
		p := x.make(nil)
		r, err := x.start(p, "wait")
		if err != nil {
			return err
		}
		other, err := x.start(p, "wait")
		if err != nil {
			return err
		}
		_, err1 := r.out.line()
		_, err2 := other.out.line()
		if r.PID() <= 0 || syscall.Kill(r.PID(), 0) != nil {
			return fmt.Errorf("PID %d is no process of this machine", r.PID())
		}
		if err := errors.Join(err1, err2, r.Signal(syscall.SIGTERM)); err != nil {
			return err
		}
		exit, _, err := r.finish()
		if want := (sandbox.Exit{Signal: syscall.SIGTERM}); exit != want {
			return errors.Join(err, fmt.Errorf("got %+v, want %+v", exit, want))
		}
		select {
		case <-other.Done():
			return errors.New("the other process ended too")
		default:
		}
		if err := r.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("signal after the end: got %v, want os.ErrProcessDone", err)
		}
		return err
	}},
	{"what cannot be started says why", "", func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) {
			dir := x.t.TempDir()
			_ = os.WriteFile(filepath.Join(dir, "text"), []byte("no program"), 0o755)
			_ = os.WriteFile(filepath.Join(dir, "closed"), []byte("#!/bin/sh\n"), 0o644)
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/var/runtime"})
		})
		for _, c := range []struct {
			argv []string
			want daruma.Kind
		}{
			{[]string{"/var/task/nothing-here"}, daruma.KindNotFound},
			{[]string{"nothing-in-path"}, daruma.KindNotFound},
			{[]string{"/var/runtime/closed"}, daruma.KindDenied},
			{[]string{"/var/runtime/text"}, daruma.KindInvalid},
			{nil, daruma.KindInvalid},
		} {
			_, err := p.Start(sandbox.Command{Argv: c.argv, Env: []string{"PATH=/usr/bin"}})
			if got := daruma.KindOf(err); err == nil || got != c.want {
				return fmt.Errorf("start %q: got %v (%v), want %v", c.argv, err, got, c.want)
			}
		}
		return nil
	}},
	{"layers lie over each other and the later wins", "", func(x *exam) error {
		one, two := x.t.TempDir(), x.t.TempDir()
		for path, text := range map[string]string{one + "/a": "one", one + "/b": "one", two + "/b": "two"} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return err
			}
		}
		p := x.make(func(s *sandbox.Spec) { s.Opt = []string{one, two} })
		return errors.Join(
			x.run(p, "read", p.Path("/opt/a"), "one"),
			x.run(p, "read", p.Path("/opt/b"), "two"),
		)
	}},
	{"a reset kills everything, daemons too, and keeps tmp", "", func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.TmpBytes = 1 << 20 })
		mark := fmt.Sprintf("daemon-%d", time.Now().UnixNano())
		r, err := x.start(p, "daemon", mark, p.Path("/tmp/kept"))
		if err != nil {
			return err
		}
		if _, err := r.out.line(); err != nil {
			return err
		}
		if len(Running(mark)) < 2 {
			return errors.New("the daemon does not run: the exam is wrong")
		}
		if err := p.Reset(x.t.Context()); err != nil {
			return err
		}
		if left := Running(mark); len(left) > 0 {
			return fmt.Errorf("after the reset there are %q", left)
		}
		select {
		case <-r.Done():
		case <-time.After(patience):
			return errors.New("the process is gone, and Done does not say so")
		}
		if want := (sandbox.Exit{Signal: syscall.SIGKILL}); r.Exit() != want {
			return fmt.Errorf("got %+v, want %+v", r.Exit(), want)
		}
		return x.run(p, "read", p.Path("/tmp/kept"), "kept")
	}},
	{"a close leaves nothing, and may come twice", "", func(x *exam) error {
		p := x.make(nil)
		mark := fmt.Sprintf("daemon-%d", time.Now().UnixNano())
		r, err := x.start(p, "daemon", mark, p.Path("/tmp/kept"))
		if err != nil {
			return err
		}
		if _, err := r.out.line(); err != nil {
			return err
		}
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			return err
		}
		if left := Running(mark); len(left) > 0 {
			return fmt.Errorf("after the close there are %q", left)
		}
		<-r.Done()
		if _, err := p.Start(sandbox.Command{Argv: []string{"/bin/true"}}); err == nil {
			return errors.New("a closed place started a process")
		}
		return nil
	}},
	{"freezing stops the processor's work and thawing continues it", "", func(x *exam) error {
		p := x.make(nil)
		r, err := x.start(p, "spin")
		if err != nil {
			return err
		}
		if _, err := r.out.line(); err != nil {
			return err
		}
		if err := p.Freeze(); err != nil {
			return err
		}
		if _, err := p.Start(sandbox.Command{Argv: []string{"/bin/true"}}); daruma.KindOf(err) != daruma.KindConflict {
			return fmt.Errorf("start in a frozen place: got %v, want a conflict", err)
		}
		before := processorTicks(r.PID())
		time.Sleep(150 * time.Millisecond) // nothing tells that nothing happens
		if after := processorTicks(r.PID()); after != before {
			return fmt.Errorf("frozen, it worked %d ticks", after-before)
		}
		if err := p.Thaw(); err != nil {
			return err
		}
		if err := until("work after thawing", func() bool { return processorTicks(r.PID()) > before }); err != nil {
			return err
		}
		if err := p.Freeze(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(x.t.Context(), patience)
		defer cancel()
		if err := p.Reset(ctx); err != nil {
			return fmt.Errorf("reset while frozen: %w", err)
		}
		return x.run(p, "ok")
	}},
	{"what was used is told", "", func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.MemoryBytes = 512 << 20 })
		if err := x.run(p, "work"); err != nil {
			return err
		}
		u := p.Usage()
		if u.CPU < 10*time.Millisecond || !says(x.maker, sandbox.NoMemoryLimit) && u.MemoryPeakBytes < 32<<20 {
			return fmt.Errorf("got %+v, want at least 10ms and 32 MB", u)
		}
		return nil
	}},
	{"names are checked and taken once", "", func(x *exam) error {
		for _, id := range []string{"", "Upper", "a/b", "..", strings.Repeat("a", 65)} {
			if _, err := x.maker.Make(x.t.Context(), sandbox.Spec{ID: id}); daruma.KindOf(err) != daruma.KindInvalid {
				return fmt.Errorf("id %q: got %v, want invalid", id, err)
			}
		}
		var spec sandbox.Spec
		x.make(func(s *sandbox.Spec) { spec = *s })
		if _, err := x.maker.Make(x.t.Context(), spec); daruma.KindOf(err) != daruma.KindExists {
			return fmt.Errorf("second %s: got %v, want exists", spec.ID, err)
		}
		spec.ID, spec.Mounts = "nothing", []sandbox.Mount{{Source: "/nothing/here", Target: "/var/task"}}
		if _, err := x.maker.Make(x.t.Context(), spec); daruma.KindOf(err) != daruma.KindNotFound {
			return fmt.Errorf("mount of nothing: got %v, want not found", err)
		}
		return nil
	}},
	{"many places are made and closed at once", "", func(x *exam) error {
		errs := make([]error, 24)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				spec := x.spec()
				spec.ID = fmt.Sprintf("%s-%d", spec.ID, i)
				p, err := x.maker.Make(x.t.Context(), spec)
				if err != nil {
					errs[i] = err
					return
				}
				errs[i] = errors.Join(x.run(p, "ok"), p.Close())
			})
		}
		all.Wait()
		return errors.Join(errs...)
	}},
}

// processorTicks is the processor time of a process.
func processorTicks(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return -1
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int
	_, _ = fmt.Sscan(f[11], &user)
	_, _ = fmt.Sscan(f[12], &system)
	return user + system
}
