//go:build linux

package sandboxtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

var limitChecks = []check{
	{"tmp has a size", sandbox.NoTmpLimit, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.TmpBytes = 4 << 20 })
		return x.run(p, "fill", p.Path("/tmp"))
	}},
	{"tmp has a number of files", sandbox.NoTmpLimit, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.TmpBytes = 4 << 20 })
		return x.run(p, "strew", p.Path("/tmp"))
	}},
	{"files in tmp are not the processes' memory", "", func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.TmpBytes, s.MemoryBytes = 256<<20, 96<<20 })
		return errors.Join(x.run(p, "store", p.Path("/tmp/large"), "160"), x.run(p, "ok"))
	}},
	{"a process with too much memory is out of memory", sandbox.NoMemoryLimit, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.MemoryBytes, s.TmpBytes = 96<<20, 512<<20 })
		r, err := x.start(p, "hoard")
		if err != nil {
			return err
		}
		exit, out, err := r.finish()
		if !exit.OutOfMemory || exit.Signal != 9 {
			return errors.Join(err, fmt.Errorf("got %+v and %q, want killed and out of memory", exit, out))
		}
		if err != nil {
			return err
		}
		return x.run(p, "ok")
	}},
	{"a child with too much memory ends the place's processes", sandbox.NoMemoryLimit, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.MemoryBytes = 96 << 20 })
		r, err := x.start(p, "child", "hoard")
		if err != nil {
			return err
		}
		exit, out, err := r.finish()
		if !exit.OutOfMemory {
			return errors.Join(err, fmt.Errorf("got %+v and %q, want out of memory", exit, out))
		}
		return err
	}},
	{"processes have a number, and a fork bomb ends with a reset", sandbox.NoProcessLimit, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) { s.Processes = 64 })
		mark := fmt.Sprintf("bomb-%d", time.Now().UnixNano())
		r, err := x.start(p, "bomb", mark)
		if err != nil {
			return err
		}
		line, err := r.out.line()
		if err != nil || line != "no more" {
			return errors.Join(err, fmt.Errorf("got %q, want no more", line), p.Reset(x.t.Context()))
		}
		if err := p.Reset(x.t.Context()); err != nil {
			return err
		}
		if left := Running(mark); len(left) > 0 {
			return fmt.Errorf("after the reset there are %q", left)
		}
		return x.run(p, "ok")
	}},
	{"open files have a number", sandbox.NoFileLimit, func(x *exam) error {
		return x.run(x.make(func(s *sandbox.Spec) { s.Files = 100 }), "open", "100")
	}},
	{"no core is dumped", sandbox.NoFileLimit, func(x *exam) error {
		return x.run(x.make(nil), "core")
	}},
	{"a process that hears no SIGTERM is ended by a reset", "", func(x *exam) error {
		p := x.make(nil)
		r, err := x.start(p, "deaf")
		if err != nil {
			return err
		}
		if _, err := r.out.line(); err != nil {
			return err
		}
		if err := r.Signal(15); err != nil {
			return err
		}
		if err := p.Reset(x.t.Context()); err != nil {
			return err
		}
		exit, _, err := r.finish()
		if exit.Signal != 9 {
			return errors.Join(err, fmt.Errorf("got %+v, want killed", exit))
		}
		return err
	}},
	{"mounts are where functions look and cannot be changed", sandbox.NoPaths, func(x *exam) error {
		dir := x.t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("here"), 0o666); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
		p := x.make(func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/var/runtime"}, sandbox.Mount{Source: filepath.Join(dir, "file"), Target: "/srv/deep/one"})
		})
		return errors.Join(
			x.run(p, "read", "/var/runtime/file", "here"), x.run(p, "read", "/srv/deep/one", "here"),
			x.run(p, "refused", "write", p.Path("/var/runtime/file")), x.run(p, "refused", "write", p.Path("/var/runtime")),
			x.run(p, "refused", "write", "/usr"), x.run(p, "refused", "write", "/etc"), x.run(p, "refused", "write", "/"),
			x.run(p, "refused", "write", "/dev"), x.run(p, "refused", "write", "/proc/sys/kernel/domainname"), x.run(p, "refused", "write", "/var/task"),
		)
	}},
	{"names and trust are the place's own", sandbox.NoPaths, func(x *exam) error {
		trust := filepath.Join(x.t.TempDir(), "roots.pem")
		if err := os.WriteFile(trust, []byte("roots"), 0o644); err != nil {
			return err
		}
		p := x.make(func(s *sandbox.Spec) { s.Resolver, s.Trust = "127.0.0.1", trust })
		return errors.Join(
			x.run(p, "begins", "/etc/resolv.conf", "nameserver 127.0.0.1\n"), x.run(p, "begins", "/etc/hosts", "127.0.0.1 localhost sandbox.localdomain sandbox\n"),
			x.run(p, "read", "/etc/ssl/certs/ca-certificates.crt", "roots"),
		)
	}},
}
