package node

import (
	"errors"
	"path/filepath"

	"github.com/daruma-io/daruma"
)

// remnants are what a platform that was killed may have left half-done in its
// data directory. Whatever has no part in the state is here.
var remnants = []string{"." + addressFile + "-*", ".credentials-*", "build/scratch/*", "build/records/record-*"}

// sweep removes remnants. The cell must be open: then no other platform works in the directory.
func (n *Node) sweep() error {
	var errs []error
	for _, pattern := range remnants {
		left, err := filepath.Glob(filepath.Join(n.cfg.Data, pattern))
		errs = append(errs, err)
		for _, path := range left {
			errs = append(errs, removeAll(path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &daruma.Error{Op: "sweep what a killed platform left", Ref: n.cfg.Data, Err: err}
	}
	return nil
}
