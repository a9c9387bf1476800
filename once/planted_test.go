//go:build planted

package once_test

import (
	"flag"

	"github.com/daruma-io/daruma/once"
)

// The bug is planted when the flags are read, before any test runs.
var _ = func() bool {
	flag.Func("plant", "the bug that is planted", func(name string) error {
		once.Plant(name)
		return nil
	})
	return true
}()
