package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
)

// DataDir is the name of the directory beside a template that holds its node's state.
const DataDir = ".daruma"

const addressFile = "node.json"

// An Address says how a running node is reached. It lies in the data
// directory, readable by its owner only, for as long as the node runs.
type Address struct {
	AWS      string    `json:"aws"` // base URLs
	Web      string    `json:"web"`
	Console  string    `json:"console"`
	Data     string    `json:"data"`
	PID      int       `json:"pid"`
	Region   string    `json:"region"`
	Template string    `json:"template"`
	Started  time.Time `json:"started"`
	Token    string    `json:"token"` // opens the console's API

	TimeScale int     `json:"timeScale"`        // how many times as fast as the machine's the app's clock runs
	AheadS    float64 `json:"aheadS,omitempty"` // how far it was ahead at the start, in seconds
}

// Ready is what a node says of itself when it is ready: an Address without its secret.
type Ready struct {
	AWS     string `json:"aws"`
	Web     string `json:"web"`
	Console string `json:"console"`
	Data    string `json:"data"`
	PID     int    `json:"pid"`
}

// Ready returns what may be shown to anyone.
func (a Address) Ready() Ready { return Ready{a.AWS, a.Web, a.Console, a.Data, a.PID} }

// write stores the address in its data directory, whole or not at all.
func (a Address) write() error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(a.Data, addressFile), append(b, '\n'))
}

// writeFile replaces a file in one step; only its owner can read it.
func writeFile(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // what went wrong first is the error
	}
	return err
}

func (a Address) remove() error { return os.Remove(filepath.Join(a.Data, addressFile)) }

// Find returns the address of the node that runs for data. With data "" it
// looks for a data directory in dir and then in each directory above it. A
// node that is not running is a KindUnavailable error.
func Find(dir, data string) (Address, error) {
	if data == "" {
		found, err := findData(dir)
		if err != nil {
			return Address{}, err
		}
		data = found
	}
	raw, err := os.ReadFile(filepath.Join(data, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Address{}, notRunning(data, nil)
	}
	if err != nil {
		return Address{}, &daruma.Error{Op: "find the node", Ref: data, Err: err}
	}
	var a Address
	if err := json.Unmarshal(raw, &a); err != nil {
		return Address{}, &daruma.Error{Op: "find the node", Ref: filepath.Join(data, addressFile), Kind: daruma.KindCorrupt, Err: err}
	}
	if !alive(a.PID) {
		return a, notRunning(data, fmt.Errorf("process %d has ended without saying so", a.PID))
	}
	return a, nil
}

func findData(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		data := filepath.Join(at, DataDir)
		if info, err := os.Stat(data); err == nil && info.IsDir() {
			return data, nil
		}
		if at == filepath.Dir(at) {
			return "", notRunning(dir, fmt.Errorf("no %s here or above", DataDir))
		}
	}
}

func notRunning(ref string, err error) error {
	if err == nil {
		err = errors.New("no node is running")
	}
	return &daruma.Error{Op: "find the node", Ref: ref, Kind: daruma.KindUnavailable, Err: err, Hint: "start one with: daruma up, or name its state with --data"}
}

func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
