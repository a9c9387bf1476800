//go:build planted

package disk_test

import (
	"flag"
	"os"
	"testing"

	"github.com/daruma-io/daruma/cell/journal/disk"
)

var plant = flag.String("plant", "", "the bug that is planted")

func TestMain(m *testing.M) {
	flag.Parse()
	disk.Plant(*plant)
	os.Exit(m.Run())
}
