//go:build linux

package namespace

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	Init()
	sandboxtest.Probe()
	os.Exit(m.Run())
}

// open makes a maker that is closed with the test, after which nothing of it runs.
func open(t testing.TB, config Config) sandbox.Maker {
	t.Helper()
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	m, err := New(config)
	if err != nil {
		t.Fatalf("this machine makes no namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		goleak.VerifyNone(t)
	})
	return m
}

func TestNamespacesPassTheExam(t *testing.T) {
	hidden := sandboxtest.Hidden(t)
	sandboxtest.Run(t, open(t, Config{Spare: 2, Dir: t.TempDir(), Hide: []string{hidden}}), hidden)
}
