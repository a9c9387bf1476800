package conduct

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/daruma-io/daruma"
)

// An Underway says which experiment is under way, so that what must be put back can be when its process is gone.
type Underway struct {
	File    string            `json:"file"`
	Title   string            `json:"title"`
	PID     int               `json:"pid"`
	Started time.Time         `json:"started"`
	Source  string            `json:"source"` // the file as it was
	Vars    map[string]string `json:"vars,omitempty"`
}

const (
	underwayFile = "experiment.json"
	stopFile     = "experiment.stop"
)

// StopFile names the file whose being there stops the experiment that is run on the state in dir.
func StopFile(dir string) string { return filepath.Join(dir, stopFile) }

// Stop asks the experiment that is run on the state in dir to end. Faults end within moments, then rollbacks run.
func Stop(dir string) error {
	return os.WriteFile(StopFile(dir), []byte("stop\n"), 0o600)
}

// ReadUnderway returns what is under way on the state in dir; nil when nothing is.
func ReadUnderway(dir string) (*Underway, error) {
	raw, err := os.ReadFile(filepath.Join(dir, underwayFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var u Underway
	if err == nil {
		err = json.Unmarshal(raw, &u)
	}
	if err != nil {
		return nil, &daruma.Error{Op: "read what is under way", Ref: filepath.Join(dir, underwayFile), Kind: daruma.KindCorrupt, Err: err}
	}
	return &u, nil
}

// write notes, whole or not at all, what is under way. There may be only one.
func (u Underway) write(dir string) error {
	b, err := json.MarshalIndent(u, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, underwayFile)
	if _, err := os.Stat(name); err == nil {
		return &daruma.Error{Op: "begin the experiment", Ref: name, Kind: daruma.KindLocked, Err: errors.New("another experiment is under way"), Hint: "daruma experiment stop ends it and puts back what it changed"}
	}
	tmp := name + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// Clear notes that nothing is under way any more.
func Clear(dir string) error {
	err := os.Remove(filepath.Join(dir, underwayFile))
	if stop := os.Remove(StopFile(dir)); stop != nil && !errors.Is(stop, fs.ErrNotExist) {
		err = errors.Join(err, stop)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
