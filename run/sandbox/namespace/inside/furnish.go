//go:build linux

package inside

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// own is where the place's own files of /etc are; the machine's lie under them.
const own = "/.etc"

// trustStores are the usual places of trusted roots: of Debian and Go, of
// Fedora and Amazon Linux, of Alpine and OpenSSL, of openSUSE.
var trustStores = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/etc/ssl/ca-bundle.pem",
}

// furnish puts into the root what a place was asked to have.
func (r *root) furnish(f *Furnish) error {
	if err := r.tmp(f.TmpBytes); err != nil {
		return err
	}
	if err := r.etc(f); err != nil {
		return err
	}
	for _, m := range f.Mounts {
		if err := r.show(m.Source, filepath.Clean(m.Target)); err != nil {
			return err
		}
	}
	if err := r.opt(f.Opt); err != nil {
		return err
	}
	return r.leave()
}

// opt lays directories over each other at /opt; later wins.
func (r *root) opt(dirs []string) error {
	switch len(dirs) {
	case 0:
		return nil
	case 1:
		return r.show(dirs[0], "/opt")
	}
	lower := make([]string, 0, len(dirs))
	for i := len(dirs) - 1; i >= 0; i-- {
		fd, err := r.find(dirs[i])
		if err != nil {
			return fmt.Errorf("lay %s over /opt: %w", dirs[i], err)
		}
		defer func() { _ = unix.Close(fd) }()
		lower = append(lower, fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	return overlay("/opt", lower)
}

// overlay lays directories over each other at target; the first wins.
func overlay(target string, lower []string) error {
	flags := uintptr(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV)
	if err := unix.Mount("overlay", target, "overlay", flags, "lowerdir="+strings.Join(lower, ":")); err != nil {
		return fmt.Errorf("lay directories over each other at %s: %w", target, err)
	}
	return nil
}

// etc makes /etc: the machine's, under the files that are the place's own.
func (r *root) etc(f *Furnish) error {
	files := r.etcFiles(f)
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(own+path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(own+path, content, 0o644); err != nil {
			return err
		}
	}
	if f.Trust != "" {
		if err := trust(); err != nil {
			return err
		}
	}
	if err := overlay("/etc", []string{own + "/etc", old + "/etc"}); err != nil {
		// A machine that mounts single files in /etc, as container engines do,
		// does not let it be laid under another.
		return r.etcByFile(files, f.Trust)
	}
	if f.Trust == "" {
		return nil
	}
	return r.show(f.Trust, trustStores[0])
}

// etcFiles are the files of /etc that are the place's own.
func (r *root) etcFiles(f *Furnish) map[string][]byte {
	resolver := []byte("nameserver " + f.Resolver + "\noptions timeout:5 attempts:2\n")
	if f.Resolver == "" {
		var err error
		if resolver, err = r.read("/etc/resolv.conf"); err != nil {
			resolver = nil
		}
	}
	passwd, _ := r.read("/etc/passwd")
	group, _ := r.read("/etc/group")
	return map[string][]byte{
		"/etc/resolv.conf": resolver,
		"/etc/hosts":       []byte("127.0.0.1 localhost sandbox.localdomain sandbox\n::1 localhost\n"), // extensions listen at "sandbox", as AWS tells them to
		"/etc/hostname":    []byte("localhost\n"),
		"/etc/passwd":      fmt.Appendf(line(passwd), "function:x:%d:%d:function:/tmp:/sbin/nologin\n", r.uid, r.gid),
		"/etc/group":       fmt.Appendf(line(group), "function:x:%d:\n", r.gid),
	}
}

// etcByFile shows the machine's /etc and mounts the place's own files over it, where it has them.
func (r *root) etcByFile(files map[string][]byte, trusted string) error {
	if err := r.show("/etc", "/etc"); err != nil {
		return err
	}
	for path := range files {
		at, ok := mountable(path)
		if !ok {
			continue
		}
		if err := unix.Mount(own+path, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount the place's own %s: %w", path, err)
		}
	}
	if trusted == "" {
		return nil
	}
	for _, path := range trustStores {
		if at, ok := mountable(path); ok {
			if err := r.show(trusted, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// mountable says which file is meant by path, and whether there is one. What
// links to a part of the machine that is not shown, /run most often, is made.
func mountable(path string) (string, bool) {
	to, err := os.Readlink(path)
	if err == nil {
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
		if err := place(path, false); err != nil {
			return "", false
		}
	}
	_, err = os.Stat(path)
	return path, err == nil
}

// trust prepares the usual places of trusted roots: one file to be mounted
// over, and links to it.
func trust() error {
	for i, path := range trustStores {
		if err := os.MkdirAll(filepath.Dir(own+path), 0o755); err != nil {
			return err
		}
		var err error
		if i == 0 {
			err = os.WriteFile(own+path, nil, 0o644)
		} else {
			err = os.Symlink(trustStores[0], own+path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads a file of the machine.
func (r *root) read(path string) ([]byte, error) {
	fd, err := r.find(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	return os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// line makes text end with a line's end.
func line(text []byte) []byte {
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		return append(text, '\n')
	}
	return text
}
