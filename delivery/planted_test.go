//go:build planted

package delivery_test

import (
	"flag"
	"os"
	"testing"

	"github.com/daruma-io/daruma/delivery"
)

var plant = flag.String("plant", "", "the bug that is planted")

func TestMain(m *testing.M) {
	flag.Parse()
	delivery.Plant(*plant)
	os.Exit(m.Run())
}
