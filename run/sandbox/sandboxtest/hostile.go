//go:build linux

package sandboxtest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daruma-io/daruma/run/sandbox"
)

var hostileChecks = []check{
	{"the platform cannot be seen or signalled", sandbox.NoProcessesView, func(x *exam) error {
		pid := strconv.Itoa(os.Getpid())
		p := x.make(nil)
		return errors.Join(x.run(p, "refused", "signal", pid), x.run(p, "refused", "environ", pid), x.run(p, "alone"))
	}},
	{"the first process cannot be harmed", sandbox.NoProcessesView, func(x *exam) error {
		p := x.make(nil)
		if err := x.run(p, "harm"); err != nil {
			return err
		}
		return x.run(p, "ok")
	}},
	{"files of the platform and of other places cannot be read", sandbox.NoPaths, func(x *exam) error {
		p, other := x.make(nil), x.make(nil)
		if err := x.run(other, "store", other.Path("/tmp/theirs"), "1"); err != nil {
			return err
		}
		all := []error{x.run(p, "refused", "read", x.secret), x.run(p, "refused", "read", other.Path("/tmp/theirs"))}
		for _, path := range []string{"/root", "/home", "/run/docker.sock", "/sys/fs/cgroup", "/var/lib", "/var/run/docker.sock", "/proc/1/root", "/proc/1/environ", "/proc/1/exe", "/dev/kmsg", "/dev/mem", "/.old"} {
			all = append(all, x.run(p, "refused", "list", path))
		}
		return errors.Join(all...)
	}},
	{"a hidden path is hidden within what is mounted", sandbox.NoPaths, func(x *exam) error {
		p := x.make(func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: filepath.Dir(x.hidden), Target: "/var/runtime"})
		})
		return errors.Join(x.run(p, "read", "/var/runtime/shown", "shown"), x.run(p, "refused", "read", "/var/runtime/"+filepath.Base(x.hidden)+"/secret"))
	}},
	{"there are no privileges, and none to be had", sandbox.NoPrivilegeDrop, func(x *exam) error {
		return x.run(x.make(nil), "powerless")
	}},
	{"the calls that change the machine are refused", sandbox.NoCallFilter, func(x *exam) error {
		return x.run(x.make(nil), "calls")
	}},
	{"new namespaces are refused", sandbox.NoCallFilter, func(x *exam) error {
		return x.run(x.make(nil), "namespaces")
	}},
	{"sockets that ignore namespaces are refused", sandbox.NoCallFilter, func(x *exam) error {
		return x.run(x.make(nil), "sockets")
	}},
}
