package memory_test

import (
	"testing"

	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/journaltest"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

func TestMemoryPassesTheExam(t *testing.T) {
	journaltest.Exam(t, func(*testing.T) journal.Place { return new(memory.Medium) })
}
