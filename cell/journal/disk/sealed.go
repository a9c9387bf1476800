package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/daruma-io/daruma"
)

// A sealed file is one line of JSON and one with the checksum of the first. It
// is only ever replaced as a whole.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeSealed replaces the file at path, durably.
func writeSealed(path string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	line = fmt.Appendf(line, "crc32c %08x\n", crc32.Checksum(line, castagnoli))
	temp := path + ".new"
	if err := writeSynced(temp, line); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readSealed reads the file at path. One that is not as it was written is KindCorrupt.
func readSealed(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := unseal(b, v); err != nil {
		return corrupt(path, err)
	}
	return nil
}

func unseal(b []byte, v any) error {
	end := bytes.IndexByte(b, '\n') + 1
	if want := fmt.Sprintf("crc32c %08x\n", crc32.Checksum(b[:end], castagnoli)); end == 0 || string(b[end:]) != want {
		return errors.New("its checksum is wrong")
	}
	return json.Unmarshal(b[:end], v)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncFile makes what the system has of a file durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

const restoreHint = "nothing was changed: restore this directory from a checkpoint, or bring the file back as it was"

// corrupt says that a file is damaged or missing.
func corrupt(path string, err error) error {
	return &daruma.Error{Op: "check", Ref: path, Kind: daruma.KindCorrupt, Err: err, Hint: restoreHint}
}

// unreachable says that the disk did not do what it was asked to.
func unreachable(op, path string, err error) error {
	kind := daruma.KindUnavailable
	switch {
	case noSpace(err):
		kind = daruma.KindFull
	case errors.Is(err, os.ErrPermission):
		kind = daruma.KindDenied
	}
	return &daruma.Error{Op: op, Ref: path, Kind: kind, Err: err}
}
