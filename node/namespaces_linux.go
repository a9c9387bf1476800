package node

import (
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/namespace"
)

// spareRooms are kept ready, so that a cold start need not wait for one.
const spareRooms = 2

func openNamespaces(dir string, cfg Config) (sandbox.Maker, error) {
	return namespace.New(namespace.Config{Dir: dir, Spare: spareRooms, Hide: []string{cfg.Data}, Redirect: redirect(), Log: cfg.Log})
}
