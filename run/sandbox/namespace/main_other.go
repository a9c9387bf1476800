//go:build !linux

package namespace

import (
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// Init does nothing where there are no namespaces.
func Init() {}

// New answers KindUnsupported where there are no namespaces.
func New(Config) (sandbox.Maker, error) {
	return nil, &daruma.Error{Op: "make namespaces", Kind: daruma.KindUnsupported, Err: errors.New("only Linux has them")}
}
