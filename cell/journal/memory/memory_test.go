package memory_test

import (
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/journaltest"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

func TestMemoryPassesTheExam(t *testing.T) {
	journaltest.Exam(t, func(*testing.T) journal.Place { return new(memory.Medium) })
}

func write(journal.Entry, journal.Reader) (journal.Changes, any, error) {
	return journal.Changes{Writes: []journal.Write{{Key: []byte("k"), Value: []byte("v")}}}, nil, nil
}

func open(t *testing.T, m *memory.Medium, apply journal.Apply) journal.Journal {
	t.Helper()
	j, err := m.Open(t.Context(), apply)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestACrashedJournalStaysUselessWhenAnotherIsOpened(t *testing.T) {
	m := new(memory.Medium)
	dead := open(t, m, write)
	m.Crash()
	open(t, m, write)
	if err := dead.Append(journal.Entry{}, func(uint64, any, error) { t.Error("it was applied") }); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("an entry: got %v, want that it is unavailable", err)
	}
	if _, err := dead.Snapshot(t.Context()); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("a snapshot: got %v, want that it is unavailable", err)
	}
}

func TestAnEntryThatWasAppliedToWhatIsNoLongerThereIsRefused(t *testing.T) {
	m := new(memory.Medium)
	var next journal.Journal
	former := open(t, m, func(e journal.Entry, r journal.Reader) (journal.Changes, any, error) {
		if err := next.Append(journal.Entry{Fence: 1}, func(uint64, any, error) {}); err != nil {
			t.Error(err)
		}
		return write(e, r)
	})
	next = open(t, m, write)
	if err := former.Append(journal.Entry{}, func(uint64, any, error) { t.Error("it was applied") }); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
}
