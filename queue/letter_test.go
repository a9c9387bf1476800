package queue_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// letters is a world with a queue and its dead-letter queue.
func letters(t *testing.T, after int) *world {
	w := newWorld(t)
	w.create("dead", queue.Settings{})
	w.create("q", queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "dead", After: after}})
	return w
}

func (w *world) failures() []*ledger.Failure {
	w.t.Helper()
	p, err := w.ledger.Find(w.t.Context(), ledger.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Failures
}

// exhaust receives until the message is a dead letter.
func (w *world) exhaust(times int) {
	w.t.Helper()
	for range times {
		w.receive("q", 1)
		w.clock.Advance(31 * time.Second)
	}
	if got := w.receive("q", 1); len(got) > 0 {
		w.t.Fatalf("got %v", bodies(got))
	}
}

func TestADeadLetterIsInItsQueueAndInTheLedger(t *testing.T) {
	w := letters(t, 2)
	sent := w.clock.Now()
	m := w.send("q", queue.Message{Body: []byte(`{"item":"brush"}`), Trace: "Root=1-5759e988-000000000000000000000001;Parent=b", Sender: "AKID", Attributes: []queue.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}})[0]
	w.exhaust(2)
	got := w.receive("dead", 1)
	if len(got) != 1 || got[0].ID != m.ID || !got[0].Sent.Equal(sent) || got[0].Count != 3 || got[0].From != "q" || !got[0].First.Equal(sent) || got[0].Trace != "Root=1-5759e988-000000000000000000000001;Parent=b" || len(got[0].Attributes) != 1 {
		t.Fatalf("got %+v", got)
	}
	f := w.failures()
	if len(f) != 1 || f[0].Hop != ledger.Queued || f[0].Condition != "MaximumReceivesExceeded" || f[0].Function != "q" || f[0].Runs != 2 || f[0].Request != m.ID.String() || f[0].Trace != "1-5759e988-000000000000000000000001" || f[0].Source != "queue q" || f[0].State != ledger.Open || !f[0].Accepted.Equal(sent) {
		t.Fatalf("got %+v", f[0])
	}
	// Who takes it out of there and is done with it has made it good.
	w.delete("dead", got...)
	if f = w.failures(); f[0].State != ledger.Resolved {
		t.Errorf("got %s", f[0].State)
	}
	w.audit()
}

func TestWhatIsKnownOfTheTriesIsInTheLedger(t *testing.T) {
	w := letters(t, 5)
	w.send("q", text("x"))
	for i := range 2 {
		held := w.receive("q", 1)[0]
		do := queue.Return
		if i == 1 {
			do = queue.Bury
		}
		got, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: held.Held, Do: do, Report: &queue.Report{Function: "Charge", Owner: "money@example.com", Stack: []string{"at line 1"},
			Attempt: ledger.Attempt{Outcome: "function error", ErrorType: "TypeError", Message: "no price"}}})
		if err != nil || got[0].Err != nil {
			t.Fatal(err, got)
		}
	}
	f := w.failures()[0]
	if f.Function != "Charge" || f.ErrorType != "TypeError" || f.Message != "no price" || len(f.Attempts) != 2 || f.Owner != "money@example.com" || f.Runs != 2 || len(f.Stack) != 1 {
		t.Errorf("got %+v", f)
	}
	if a := w.account("dead"); a.Letters != 1 || a.Visible != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestADeadLetterThatIsRedrivenIsLinkedWithWhatBecomesOfIt(t *testing.T) {
	w := letters(t, 1)
	w.send("q", queue.Message{Body: []byte("x"), Attributes: []queue.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}})
	w.exhaust(1)
	first := w.failures()[0].Number
	held := w.receive("dead", 1)[0]
	if _, err := w.q.Redrive(t.Context(), first, nil); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("while somebody holds it: got %v", err)
	}
	if _, err := w.q.Hide(t.Context(), "dead", queue.Hiding{Handle: held.Handle}); err != nil {
		t.Fatal(err)
	}
	done, err := w.q.Redrive(t.Context(), first, nil)
	if err != nil || done.Queue != "q" || done.Already {
		t.Fatal(done, err)
	}
	if again, err := w.q.Redrive(t.Context(), first, nil); err != nil || !again.Already {
		t.Errorf("got %+v, %v", again, err)
	}
	if a := w.account("dead"); a.Messages() != 0 || a.Moved != 1 || !a.Closes() {
		t.Errorf("got %+v", a)
	}
	w.exhaust(1)
	f := w.failures()
	if len(f) != 2 || f[0].From != first || f[1].To != f[0].Number || f[1].State != ledger.Redriven {
		t.Fatalf("got %+v and %+v", f[0], f[1])
	}
	if _, err := w.q.Redrive(t.Context(), f[0].Number, []byte("better")); err != nil {
		t.Fatal(err)
	}
	got := w.receive("q", 1)
	if string(got[0].Body) != "better" || got[0].Count != 1 || len(got[0].Attributes) != 1 {
		t.Errorf("got %+v", got[0])
	}
	w.delete("q", got...)
	if f = w.failures(); f[0].State != ledger.Resolved {
		t.Errorf("got %s", f[0].State)
	}
	w.audit()
}

func TestWithoutAQueueThatTakesItAMessageIsReceivedOn(t *testing.T) {
	w := letters(t, 1)
	w.send("q", text("x"))
	if _, err := w.q.Change(t.Context(), "dead", func(s *queue.Settings) error { s.Allow = &queue.Allow{None: true}; return nil }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := w.receive("q", 1); len(got) != 1 {
			t.Fatal("it is gone")
		}
		w.clock.Advance(31 * time.Second)
	}
	if _, err := w.q.Remove(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	got := w.receive("q", 1)
	if len(got) != 1 || got[0].Count != 4 {
		t.Fatalf("got %v", got)
	}
	// What is given up has the ledger, at least.
	settled, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: got[0].Held, Do: queue.Bury})
	if err != nil || settled[0].Failure == 0 || w.account("q").Messages() != 0 {
		t.Errorf("got %+v, %v", settled, err)
	}
	if done, err := w.q.Redrive(t.Context(), settled[0].Failure, nil); err != nil || done.Queue != "q" {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestADeadLetterIsKeptFromWhenItWasSentAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create("dead", queue.Settings{Keep: 2 * time.Hour})
		w.create("q", queue.Settings{Keep: 10 * time.Hour, DeadLetter: &queue.DeadLetter{Queue: "dead", After: 1}})
		w.send("q", text("old"))
		w.clock.Advance(90 * time.Minute)
		w.send("dead", text("young"))
		w.exhaust(1)
		w.audit()
		w.clock.Advance(31 * time.Minute)
		if got := w.receive("dead", 10); !slices.Equal(bodies(got), []string{"young"}) {
			t.Errorf("got %v", bodies(got))
		}
		synctest.Wait()
		if a := w.account("dead"); a.Expired != 1 {
			t.Errorf("got %+v", a)
		}
		w.audit()
	})
}

func TestWhatCouldNotBeTriedIsNotCounted(t *testing.T) {
	w := letters(t, 1)
	w.send("q", text("x"))
	for range 5 {
		got := w.receive("q", 1)
		if len(got) != 1 || got[0].Count != 1 {
			t.Fatalf("got %+v", got)
		}
		if s, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: got[0].Held, Do: queue.Release, After: time.Second}); err != nil || s[0].Err != nil {
			t.Fatal(s, err)
		}
		if s, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: got[0].Held, Do: queue.Release}); err != nil || !errors.Is(s[0].Err, queue.ErrStale) {
			t.Errorf("a second time: got %+v, %v", s, err)
		}
		if got := w.receive("q", 1); len(got) != 0 {
			t.Fatal("it is visible before its time")
		}
		w.clock.Advance(time.Second)
	}
	if a := w.account("q"); a.Received != 0 || a.Released != 5 || !a.Closes() {
		t.Errorf("got %+v", a)
	}
}

func TestASettlementIsOneStep(t *testing.T) {
	w := letters(t, 3)
	for _, b := range []string{"a", "b", "c", "d", "e"} {
		w.send("q", text("%s", b))
	}
	got := w.receive("q", 5)
	// One that makes no sense undoes all.
	if _, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: got[0].Held, Do: queue.Done}, queue.Settlement{Held: got[1].Held, Do: "dance"}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v", err)
	}
	if a := w.account("q"); a.InFlight != 5 {
		t.Errorf("got %+v", a)
	}
	s, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: got[0].Held, Do: queue.Done}, queue.Settlement{Held: got[1].Held, Do: queue.Return}, queue.Settlement{Held: got[2].Held, Do: queue.Bury},
		queue.Settlement{Held: got[3].Held, Do: queue.Extend, After: time.Hour}, queue.Settlement{Held: got[0].Held, Do: queue.Done})
	if err != nil || s[0].Err != nil || s[2].Failure == 0 || !errors.Is(s[4].Err, queue.ErrStale) {
		t.Fatal(s, err)
	}
	if a := w.account("q"); a.Deleted != 1 || a.Visible != 1 || a.DeadLetters != 1 || a.InFlight != 2 || !a.Closes() {
		t.Errorf("got %+v", a)
	}
	w.audit()
}

func TestWhatThePlatformHeldComesBackAfterARestart(t *testing.T) {
	w := letters(t, 3)
	for _, b := range []string{"a", "b", "c"} {
		w.send("q", text("%s", b))
	}
	outside := w.receive("q", 1)
	if got, err := w.q.Receive(t.Context(), "q", queue.Want{N: 2, Internal: true, Hide: new(time.Hour)}); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	w.crash()
	if more, err := w.q.Reclaim(t.Context(), "q", 1, false); err != nil || !more {
		t.Fatal(more, err)
	}
	if more, err := w.q.Reclaim(t.Context(), "q", 1, true); err != nil || more {
		t.Fatal(more, err)
	}
	counts := []int{}
	for _, m := range w.receive("q", 10) {
		counts = append(counts, m.Count)
	}
	slices.Sort(counts)
	if !slices.Equal(counts, []int{1, 2}) {
		t.Errorf("got %v", counts)
	}
	w.delete("q", outside...)
	w.audit()
}

func TestDeadLettersAreMovedBackAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := letters(t, 1)
		if _, err := w.q.Move(t.Context(), "q", "", 0); !errors.Is(err, queue.ErrNoDeadLetters) {
			t.Errorf("got %v", err)
		}
		for i := range 30 {
			w.send("q", text("%d", i))
		}
		w.receive("q", 30)
		w.clock.Advance(31 * time.Second)
		w.receive("q", 30)
		if a := w.account("dead"); a.Visible != 30 {
			t.Fatalf("got %+v", a)
		}
		m, err := w.q.Move(t.Context(), "dead", "", 10)
		if err != nil || m.Count != 30 {
			t.Fatal(m, err)
		}
		if _, err := w.q.Move(t.Context(), "dead", "", 10); !errors.Is(err, queue.ErrMoving) {
			t.Errorf("got %v", err)
		}
		moved := func() *queue.Move {
			list, err := w.q.Moves(t.Context(), "dead")
			if err != nil {
				t.Fatal(err)
			}
			return list[0]
		}
		for k := range 10 {
			synctest.Wait()
			if got := moved().Moved; got != int64(k+1) {
				t.Errorf("got %d, want %d", got, k+1)
			}
			w.clock.Advance(100 * time.Millisecond)
		}
		if a := w.account("q"); a.Visible > 11 {
			t.Errorf("in a second: got %+v", a)
		}
		if c, err := w.q.CancelMove(t.Context(), "dead", m.Number); err != nil || c.State != queue.MoveCancelled {
			t.Fatal(c, err)
		}
		if _, err := w.q.CancelMove(t.Context(), "dead", m.Number); !errors.Is(err, queue.ErrNoMove) {
			t.Errorf("got %v", err)
		}
		w.create("other", queue.Settings{})
		if _, err := w.q.Move(t.Context(), "dead", "other", 0); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(100 * time.Millisecond)
		synctest.Wait()
		if got := moved().State; got != queue.MoveDone {
			t.Errorf("got %v", got)
		}
		a, o := w.account("q"), w.account("other")
		if a.Visible+o.Visible != 30 || o.Visible == 0 || !w.accountCloses("dead") {
			t.Errorf("got %+v and %+v", a, o)
		}
		// What nobody knows the origin of stays.
		w.send("dead", text("stray"))
		if _, err := w.q.Move(t.Context(), "dead", "", 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := moved().State; got != queue.MoveFailed {
			t.Errorf("got %v", got)
		}
		if w.account("dead").Visible != 1 {
			t.Error("it was moved")
		}
		w.audit()
	})
}

func TestADeadLetterIsKnownAsItWasTriedLast(t *testing.T) {
	w := newWorld(t)
	w.create("dead", queue.Settings{})
	w.create("q", queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "dead", After: 1}})
	m := text(`{"pin":"1234","order":7}`)
	m.Attributes = []queue.Attribute{{Name: "k", Type: "String", Value: []byte("v")}}
	m.Trace = "no trace" // what a sender gave is shown as it was
	w.send("q", m)
	was := w.receive("q", 1)[0]
	report := &queue.Report{Function: "f", Qualifier: "live", Revision: "r1", CodeSHA256: "c1", Sensitive: []string{"$.pin"}, Stack: []string{"at f"}, Recording: "tape"}
	report.Outcome, report.ErrorType = "function error", "E"
	if _, err := w.q.Settle(t.Context(), "q", queue.Settlement{Held: was.Held, Do: queue.Return, Report: report}); err != nil {
		t.Fatal(err)
	}
	w.crash()
	w.receive("q", 1) // it is given up here, where nobody has a report any more
	f, event, err := w.ledger.Failure(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.Function != "f" || f.Qualifier != "live" || f.Revision != "r1" || f.CodeSHA256 != "c1" || f.Recording != "tape" || len(f.Stack) != 1 || len(f.Redacted) != 1 || strings.Contains(string(event), "1234") {
		t.Errorf("got %+v with %s", f, event)
	}
	in, got, err := w.q.Buried(f, was.Body)
	if err != nil || in.Name != "q" || got.Handle == "" {
		t.Fatalf("got %+v of %+v, %v", got, in, err)
	}
	got.Handle, got.Lease, got.Until = was.Handle, was.Lease, was.Until
	if diff := cmp.Diff(was, got); diff != "" {
		t.Errorf("it is not as it was received (-was +is)\n%s", diff)
	}
}
