//go:build !linux

package node

import (
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

func openNamespaces(string, Config) (sandbox.Maker, error) {
	return nil, &daruma.Error{Op: "isolate functions", Kind: daruma.KindUnsupported, Err: errors.New("only Linux has namespaces")}
}
