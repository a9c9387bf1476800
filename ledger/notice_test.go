package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
)

// notices says what waits: "N-1 new G-1".
func (w *world) notices() (string, ledger.Tally) {
	w.t.Helper()
	list, tally, err := w.l.Notices(w.t.Context(), ledger.NoticesMax)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, n := range list {
		about := n.Group.String()
		if n.Repair != 0 {
			about = n.Repair.String()
		}
		all = append(all, fmt.Sprintf("%s %s %s", n.Number, n.Occasion, about))
	}
	return strings.Join(all, ", "), tally
}

func (w *world) wantNotices(when, want string) {
	w.t.Helper()
	if got, tally := w.notices(); got != want || tally.Waiting != int64(len(strings.Split(want, ",")))*int64(min(len(want), 1)) {
		w.t.Errorf("%s: got %q and %d waiting, want %q", when, got, tally.Waiting, want)
	}
}

func (w *world) told(t ledger.Telling) {
	w.t.Helper()
	if err := w.l.Told(w.t.Context(), t); err != nil {
		w.t.Fatal(err)
	}
}

func TestAGroupIsToldWhenItBecomesNewGrowingOrRegressed(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	f := failure("Orders")
	w.record(f, "{}")
	w.wantNotices("the first", "N-1 new G-1")
	w.told(ledger.Telling{Channel: "a", Notices: []ledger.NoticeID{1}, Finished: []ledger.NoticeID{1}})
	for range 8 {
		w.record(f, "{}")
	}
	w.wantNotices("nine in all", "")
	w.record(f, "{}")
	w.wantNotices("ten times as many", "N-2 growing G-1")
	for range 100 {
		w.record(f, "{}")
	}
	w.wantNotices("a hundred: nobody was told of the ten", "N-3 growing G-1")
	w.told(ledger.Telling{Channel: "a", Notices: []ledger.NoticeID{3}, Finished: []ledger.NoticeID{3}})
	w.clock.advance(2 * ledger.QuietAfter)
	w.record(f, "{}")
	w.wantNotices("the same code after a quiet time", "")
	w.clock.advance(2 * ledger.QuietAfter)
	f.CodeSHA256 = "b"
	w.record(f, "{}")
	w.wantNotices("other code after a quiet time", "N-4 regressed G-1")
}

func TestARepairIsToldWhenItBeginsAndWhenItEnds(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	r := ledger.Repair{What: "replace", Why: "it crashed", Undo: "nothing to undo", Function: "Orders"}
	begin := func() ledger.RepairID {
		id, err := w.l.Begin(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	end := func(id ledger.RepairID) {
		if err := w.l.Complete(t.Context(), id, "replaced"); err != nil {
			t.Fatal(err)
		}
	}
	end(begin())
	w.wantNotices("begun and ended before anybody was told", "N-2 repaired H-1")
	id := begin()
	w.told(ledger.Telling{Channel: "a", Notices: []ledger.NoticeID{2, 3}})
	end(id)
	w.wantNotices("told of the beginning", "N-2 repaired H-1, N-3 repair H-2, N-4 repaired H-2")
}

func TestANoticeStaysUntilEveryChannelIsDone(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	w.record(failure("A"), "{}")
	w.record(failure("B"), "{}")
	w.told(ledger.Telling{Channel: "a", Notices: []ledger.NoticeID{1, 2, 99}})
	w.told(ledger.Telling{Channel: "a", Notices: []ledger.NoticeID{1}}) // again: the answer was lost
	w.told(ledger.Telling{Channel: "b", Notices: []ledger.NoticeID{1}, GivenUp: true, Finished: []ledger.NoticeID{1, 99}})
	list, tally, err := w.l.Notices(t.Context(), 10)
	if err != nil || len(list) != 1 || strings.Join(list[0].Done, ",") != "a" {
		t.Errorf("got %+v, %v; want N-2, done for a", list, err)
	}
	if want := (ledger.Tally{Waiting: 1, Told: 2, GivenUp: 1}); tally != want {
		t.Errorf("got %+v, want %+v", tally, want)
	}
}

func TestNoticesOutliveTheProcess(t *testing.T) {
	medium := &memory.Medium{}
	open := func() (*ledger.Ledger, *cell.Cell) {
		c, err := cell.Open(t.Context(), cell.Config{Journal: medium, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}}})
		if err != nil {
			t.Fatal(err)
		}
		return ledger.New(c), c
	}
	l, c := open()
	if _, err := l.Record(t.Context(), failure("Orders"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	l, c = open()
	defer c.Close()
	if list, _, err := l.Notices(t.Context(), 10); err != nil || len(list) != 1 || list[0].Number != 1 {
		t.Errorf("got %v, %v; want N-1", list, err)
	}
}

func TestNoticesAreBoundedAndWhatIsDroppedIsCounted(t *testing.T) {
	w := newWorld(t, ledger.Machine{})
	for i := range ledger.NoticesMax + 5 {
		w.record(failure(fmt.Sprint("F", i)), "{}")
	}
	list, tally, err := w.l.Notices(t.Context(), 2*ledger.NoticesMax)
	if err != nil || len(list) != ledger.NoticesMax || list[0].Number != 6 {
		t.Errorf("got %d notices, %v; want %d, the first N-6", len(list), err, ledger.NoticesMax)
	}
	if tally.Dropped != 5 || tally.Waiting != ledger.NoticesMax {
		t.Errorf("got %+v, want 5 dropped", tally)
	}
}
