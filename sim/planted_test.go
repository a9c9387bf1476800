//go:build planted

package sim_test

import (
	"flag"
	"os"
	"testing"

	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/queue"
)

var plant = flag.String("plant", "", "the bug that is planted")

func TestMain(m *testing.M) {
	flag.Parse()
	delivery.Plant(*plant)
	dispatch.Plant(*plant)
	queue.Plant(*plant)
	os.Exit(m.Run())
}
