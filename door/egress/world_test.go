package egress

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// The world that tests run in.
const (
	worldVariable = "DARUMA_EGRESS_WORLD"
	ownAddress    = "203.0.113.1"    // the machine's own, besides loopback
	abroad        = "203.0.113.0/24" // other hosts' (RFC 5737)
)

// noWorld says why there is no world to reach; "" when there is.
var noWorld string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	flag.Parse()
	fuzzing := false
	flag.Visit(func(f *flag.Flag) { fuzzing = fuzzing || strings.HasPrefix(f.Name, "test.fuzz") })
	if fuzzing {
		noWorld = "fuzzing runs in the machine's own network"
	} else if code, elsewhere := inWorld(); elsewhere {
		os.Exit(code)
	} else if noWorld == "" {
		if err := makeWorld(); err != nil {
			noWorld = fmt.Sprintf("the network cannot be laid out: %v", err)
		}
	}
	goleak.VerifyTestMain(m)
}

// needWorld skips a test where there is nothing to reach but loopback.
func needWorld(t testing.TB) {
	t.Helper()
	if noWorld != "" {
		t.Skip(noWorld)
	}
}
