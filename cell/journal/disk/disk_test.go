package disk_test

import (
	"flag"
	"testing"

	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/cell/journal/journaltest"
)

func TestDiskPassesTheExam(t *testing.T) {
	journaltest.Exam(t, func(t *testing.T) journal.Place {
		return disk.Place{Dir: t.TempDir(), FreeBytesMin: 1 << 20, BallastBytes: 1 << 16}
	})
}

var damages = flag.Int("damages", 240, "how often a file is damaged")
