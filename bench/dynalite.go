package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

const dynalite = "dynalite@4.0.0"

// startDynalite starts the peer, with its data in a directory or in memory.
func (w *workshop) startDynalite(ctx context.Context, onDisk bool) (*tableServer, error) {
	dir, err := w.npm(ctx, "dynalite", dynalite)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ports[0])
	argv := []string{filepath.Join(dir, "node_modules", ".bin", "dynalite"), "--host", "127.0.0.1", "--port", port, "--createTableMs", "0"}
	data, err := os.MkdirTemp(w.dir, "dynalite-")
	if err != nil {
		return nil, err
	}
	if onDisk {
		argv = append(argv, "--path", data)
	}
	end, pid, err := w.start(dir, nil, argv...)
	stop := func() { end(); _ = os.RemoveAll(data) } // it goes with the workshop otherwise
	if err == nil {
		if err = waitFor(ctx, ports[0]); err != nil {
			stop()
		}
	}
	if err != nil {
		return nil, err
	}
	return &tableServer{server{ports[0], []int{pid}, stop}, newSigner(benchKey, ports[0], "us-east-1", "dynamodb")}, nil
}
