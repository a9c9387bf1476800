//go:build linux

package process

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	sandboxtest.Probe()
	sandboxtest.Platform(reopen)
	os.Exit(m.Run())
}

func reopen(dir string) (sandbox.Maker, error) { return New(Config{Dir: dir}) }

func TestAKilledPlatformLeavesNothingToTheNext(t *testing.T) { sandboxtest.Killed(t, false, reopen) }

func TestProcessesPassTheExam(t *testing.T) {
	hidden := sandboxtest.Hidden(t)
	m, err := New(Config{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	sandboxtest.Run(t, m, hidden)
}
