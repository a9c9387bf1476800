package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/daruma-io/daruma/node"
)

// running is a node of the product in a process of its own.
type running struct {
	daruma  string // the product
	app     string // the directory of its template
	data    string
	address node.Address
}

func (r *running) up(ctx context.Context) error {
	up := exec.CommandContext(ctx, r.daruma, "up", "--detach", "--no-watch", "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--data", r.data, r.app)
	if out, err := up.CombinedOutput(); err != nil {
		return fmt.Errorf("daruma up: %w\n%s", err, out)
	}
	var err error
	r.address, err = node.Find("", r.data)
	return err
}

func (r *running) stop() {
	down := exec.Command(r.daruma, "down", "--data", r.data)
	if out, err := down.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "daruma down: %v\n%s", err, out)
	}
}

// addr is where the AWS APIs are answered.
func (r *running) addr() string { return strings.TrimPrefix(r.address.AWS, "http://") }

func (r *running) pids() []int { return []int{r.address.PID} }

// signer makes requests for a service of the node.
func (r *running) signer(service string) (signer, error) {
	key, err := node.OperatorKey(r.data)
	return newSigner(key, r.addr(), r.address.Region, service), err
}

// fresh is a new node that has a queue and no function. drop ends it with all it keeps.
func (w *workshop) fresh(ctx context.Context) (r *running, drop func(), err error) {
	data, err := os.MkdirTemp(w.dir, "state-")
	if err != nil {
		return nil, nil, err
	}
	r = &running{daruma: w.daruma, app: filepath.Join(w.dir, "state"), data: data}
	return r, func() { r.stop(); _ = os.RemoveAll(data) }, r.up(ctx) // it goes with the workshop otherwise
}
