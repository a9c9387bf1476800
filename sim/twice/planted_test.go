//go:build planted

package twice_test

import (
	"flag"
	"os"
	"testing"

	"github.com/daruma-io/daruma/once"
)

var plant = flag.String("plant", "", "the bug that is planted")

func TestMain(m *testing.M) {
	flag.Parse()
	once.Plant(*plant)
	os.Exit(m.Run())
}
