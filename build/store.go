package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/daruma-io/daruma/catalog"
)

// recordVersion is part of every record's name: raised when the same source
// would be built differently. 1: the first.
const recordVersion = 1

// A store keeps finished code by content ("code/<sha256>") and remembers which
// source led to it ("records/<sha256>.json").
type store struct {
	dir    string
	python string // the interpreter that packages are for: with another one, they are others
}

// put moves the tree at dir into the store, unless its content is there.
func (s store) put(dir string) (catalog.Code, error) {
	sum, err := digest(dir)
	if err != nil {
		return catalog.Code{}, err
	}
	code := catalog.Code{Dir: filepath.Join(s.dir, "code", sum.hex()), SHA256: sum.base64(), Bytes: sum.bytes}
	if isDir(code.Dir) {
		return code, nil
	}
	if err := os.MkdirAll(filepath.Dir(code.Dir), 0o755); err != nil {
		return catalog.Code{}, err
	}
	// On disk before it has its name: after a power failure it is whole or not there.
	if err := flush(dir); err != nil {
		return catalog.Code{}, err
	}
	err = os.Rename(dir, code.Dir)
	if errors.Is(err, syscall.EXDEV) {
		err = s.carry(dir, code.Dir)
	}
	if err != nil && !isDir(code.Dir) { // else another build was faster
		return catalog.Code{}, fmt.Errorf("keep code: %w", err)
	}
	return code, flushDirectory(filepath.Dir(code.Dir))
}

// flushDirectory waits until the names in dir are on disk.
func flushDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// carry brings dir over from another file system, whole or not at all.
func (s store) carry(dir, to string) error {
	near, err := os.MkdirTemp(filepath.Dir(to), "carry-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(near) }() // it is not there when all went well
	if err := copyTree(dir, near, nil); err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(near, 0o755), flush(near)); err != nil {
		return err
	}
	return os.Rename(near, to)
}

// A record says what a source was when it led to Code.
type record struct {
	Inputs      []string     `json:"inputs,omitempty"` // read outside the source's own inputs
	Fingerprint string       `json:"fingerprint"`
	Code        catalog.Code `json:"code"`
}

// recall returns the code that src led to the last time, if nothing it was made from has changed.
func (s store) recall(src catalog.Source, o Options) (catalog.Code, bool) {
	r, ok := s.read(src, o)
	if !ok || !isDir(r.Code.Dir) || fingerprint(src, r.Inputs...) != r.Fingerprint {
		return catalog.Code{}, false
	}
	return r.Code, true
}

func (s store) read(src catalog.Source, o Options) (record, bool) {
	b, err := os.ReadFile(s.record(src, o))
	if err != nil {
		return record{}, false
	}
	var r record
	return r, json.Unmarshal(b, &r) == nil
}

// remember writes down what src led to, unless it has changed since before.
func (s store) remember(src catalog.Source, o Options, before string, inputs []string, code catalog.Code) error {
	if fingerprint(src) != before {
		return nil // it changed while it was being built: the next build looks again
	}
	b, err := json.Marshal(record{Inputs: inputs, Fingerprint: fingerprint(src, inputs...), Code: code})
	if err != nil {
		return err
	}
	file := s.record(src, o)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "record-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(b)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// record names the record of src: by everything that decides how it is built.
func (s store) record(src catalog.Source, o Options) string {
	src.Position = ""
	parts := []any{recordVersion, src, o.Runtime, o.Handler, o.Architecture, o.Name}
	if o.Debug {
		parts = append(parts, "debug")
	}
	if s.python != "" {
		parts = append(parts, s.python)
	}
	b, err := json.Marshal(parts)
	if err != nil { // properties that are no JSON were refused when the template was read
		b = fmt.Appendf(nil, "%d %#v %q %q", recordVersion, src, o.Runtime, o.Handler)
	}
	h := sha256.Sum256(b)
	return filepath.Join(s.dir, "records", hex.EncodeToString(h[:])+".json")
}

// take returns the directory name below dir, filled by fill when it is not
// there: whole or not at all. Processes may share dir.
func take(ctx context.Context, dir, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	done := filepath.Join(dir, name)
	if isDir(done) {
		return done, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(done+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock cache: %w", err)
	}
	if isDir(done) {
		return done, nil
	}
	work, err := os.MkdirTemp(dir, "making-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }() // it is not there when all went well
	if err := fill(ctx, work); err != nil {
		return "", err
	}
	if err := openToAll(work); err != nil {
		return "", err
	}
	return done, os.Rename(work, done)
}

func isDir(dir string) bool {
	stat, err := os.Stat(dir)
	return err == nil && stat.IsDir()
}
