package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

func TestALeaseSettlesOnce(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	l := w.one()
	w.settle(l, delivery.Success)
	for _, v := range []delivery.Verdict{delivery.Success, delivery.Failure, delivery.Never} {
		_, err := w.d.Settle(t.Context(), delivery.Report{Held: l.Held(), Verdict: v}, nil)
		if daruma.KindOf(err) != daruma.KindConflict {
			t.Fatalf("settled again: got %v, want a conflict", err)
		}
	}
	if a := w.closes(); a.Done != 1 || a.Failed != 0 {
		t.Fatalf("got %+v", a)
	}
}

func TestAnOldLeaseSettlesNothing(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	old := w.one()
	if err := w.d.Release(t.Context(), old.Held()); err != nil {
		t.Fatal(err)
	}
	now := w.one()
	if _, err := w.d.Settle(t.Context(), delivery.Report{Held: old.Held(), Verdict: delivery.Success}, nil); daruma.KindOf(err) != daruma.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	lost, err := w.d.Extend(t.Context(), time.Minute, old.Held(), now.Held())
	if err != nil || len(lost) != 1 || lost[0] != old.Held() {
		t.Fatalf("got %v, %v, want the old one lost", lost, err)
	}
	if err := w.d.Release(t.Context(), old.Held()); err != nil {
		t.Fatal(err)
	}
	if a := w.closes(); a.Leased != 1 {
		t.Fatalf("got %+v, want the new lease untouched", a)
	}
	w.settle(now, delivery.Success)
}

func TestALeaseThatRanOutComesBackAndHasSpentAnAttempt(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	old := w.one()
	w.clock.Advance(time.Minute)
	w.until(func() bool { return w.closes().Lost == 1 })
	w.clock.Advance(time.Second)
	got := w.one()
	if got.Attempts != 1 || len(got.Tried) != 1 || got.Tried[0].Outcome != "unknown" || got.Request != old.Request {
		t.Fatalf("got %+v", got)
	}
	if _, err := w.d.Settle(t.Context(), delivery.Report{Held: old.Held(), Verdict: delivery.Success}, nil); daruma.KindOf(err) != daruma.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestAnEventWhoseLeaseKeepsRunningOutIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	for i := range 3 {
		w.one()
		w.clock.Advance(time.Minute)
		w.until(func() bool { return w.closes().Lost == int64(i+1) })
		w.clock.Advance(5 * time.Minute)
	}
	f := w.failures()
	if len(f) != 1 || f[0].Condition != delivery.RetriesExhausted || f[0].Runs != 3 || f[0].Outcome != "unknown" {
		t.Fatalf("got %+v", f)
	}
}

func TestAnExtendedLeaseDoesNotRunOut(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"), event("Other"))
	both := w.lease(2)
	for range 10 {
		w.clock.Advance(30 * time.Second)
		if lost, err := w.d.Extend(t.Context(), time.Minute, both[0].Held()); err != nil || len(lost) > 0 {
			t.Fatalf("got %v, %v", lost, err)
		}
	}
	w.until(func() bool { return w.closes().Lost == 1 })
	w.settle(both[0], delivery.Success)
}

func TestAReleaseCountsNothing(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	for range 10 {
		if err := w.d.Release(t.Context(), w.one().Held()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.one(); got.Attempts != 0 || got.NotRun != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestWhatIsPutOffCountsNothingAndIsDueLater(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	w.accept(event("Orders"))
	both := w.lease(2)
	if err := w.d.PutOff(t.Context(), delivery.Off{Held: both[0].Held(), After: time.Minute}, delivery.Off{Held: both[1].Held(), After: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := w.lease(2); len(got) != 0 {
		t.Fatalf("%d are due at once", len(got))
	}
	w.clock.Advance(time.Minute)
	if got := w.lease(2); len(got) != 1 || got[0].Request != both[0].Request || got[0].Attempts != 0 || got[0].NotRun != 0 {
		t.Fatalf("a minute later: %+v", got)
	}
	if err := w.d.PutOff(t.Context(), delivery.Off{Held: both[1].Held(), After: -1}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a time before now: %v", err)
	}
}

func TestAfterACrashLeasesComeBackAFewAtATime(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.accept(event("Orders"))
	}
	w.lease(10)
	w.crash()
	before, err := w.d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{6, 2, 0, 0} {
		left, err := w.d.Reclaim(t.Context(), before, 4)
		if err != nil || left != want {
			t.Fatalf("got %d left, %v, want %d", left, err, want)
		}
	}
	got := w.lease(20)
	if len(got) != 10 || got[0].Attempts != 1 {
		t.Fatalf("got %d events, want 10 with an attempt spent", len(got))
	}
	if left, err := w.d.Reclaim(t.Context(), before, 100); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if a := w.closes(); a.Leased != 10 || a.Lost != 10 {
		t.Fatalf("got %+v, want the new leases untouched", a)
	}
}

func TestAcceptedEventsSurviveACrash(t *testing.T) {
	w := newWorld(t)
	want := map[string]bool{}
	for i := range 50 {
		want[w.accept(event(fmt.Sprintf("F%d", i%3)))[0]] = true
	}
	w.crash()
	for _, l := range w.lease(100) {
		delete(want, l.Request)
	}
	if len(want) != 0 {
		t.Fatalf("%d events are lost", len(want))
	}
}

func TestNobodyStarvesBehindAFunctionWithManyWaiting(t *testing.T) {
	w := newWorld(t)
	many := make([]delivery.Event, 5000)
	for i := range many {
		many[i] = event("Many")
	}
	w.accept(many...)
	w.clock.Advance(time.Second)
	for i := range 20 {
		w.accept(event(fmt.Sprintf("Few%d", i)))
	}
	got := map[string]int{}
	for _, l := range w.lease(63) {
		got[l.Target.Function]++
	}
	if len(got) != 21 || got["Many"] != 43 {
		t.Fatalf("got %v, want one of each of the others, and the rest of the many", got)
	}
	// One place is shared, too.
	turns := map[string]int{}
	for range 20 {
		w.accept(event("Few"))
	}
	for range 60 {
		turns[w.one().Target.Function]++
	}
	if turns["Few"] < 10 || turns["Many"] < 10 {
		t.Fatalf("got %v, want about as many turns each", turns)
	}
}

func TestLimitsHoldAFunctionBack(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.accept(event("A"), event("B"), event("C"))
	}
	got := map[string]int{}
	for range 2 {
		l, err := w.d.Lease(t.Context(), delivery.Want{N: 100, For: time.Minute, Each: 4, Limits: map[string]int{"A": 0, "B": 2}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range l.Events {
			got[e.Target.Function]++
		}
	}
	if got["A"] != 0 || got["B"] != 2 || got["C"] != 4 {
		t.Fatalf("got %v, want none, 2 and 4", got)
	}
}

func TestARedriveKeepsTheRequestAndIsDoneOnce(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Retries: new(0)})
	id := w.accept(event("Orders"))[0]
	first := w.settle(w.one(), delivery.Failure).Failure
	for i := range 3 {
		got, err := w.d.Redrive(t.Context(), first, nil)
		if err != nil || got.Request != id || got.Already != (i > 0) {
			t.Fatalf("redrive %d: got %+v, %v", i+1, got, err)
		}
	}
	l := w.one()
	if l.Request != id || l.From != first || l.Attempts != 0 || string(l.Payload) != `{"n":1}` {
		t.Fatalf("got %+v", l)
	}
	second := w.settle(l, delivery.Failure).Failure
	f := w.failures()
	if len(f) != 2 || f[0].State != ledger.Redriven || f[0].To != second || f[1].From != first {
		t.Fatalf("got %+v", f)
	}
	if _, err := w.d.Redrive(t.Context(), second, []byte(`{"n":`)); daruma.KindOf(err) != daruma.KindInvalid || daruma.HintOf(err) == "" {
		t.Fatalf("got %v, want what is no event refused", err)
	}
	if _, err := w.d.Redrive(t.Context(), second, []byte(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	l = w.one()
	if string(l.Payload) != `{"n":2}` {
		t.Fatalf("got %s, want the edited event", l.Payload)
	}
	w.settle(l, delivery.Success)
	if f = w.failures(); f[1].State != ledger.Resolved {
		t.Fatalf("got %s, want it resolved: its event is done", f[1].State)
	}
	if _, err := w.d.Redrive(t.Context(), second, nil); daruma.KindOf(err) != daruma.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
	if _, err := w.d.Redrive(t.Context(), 99, nil); daruma.KindOf(err) != daruma.KindNotFound {
		t.Fatalf("got %v, want none found", err)
	}
	if a := w.closes(); a.Accepted != 3 || a.Redriven != 2 || a.Done != 1 || a.Failed != 2 {
		t.Fatalf("got %+v", a)
	}
}

func TestSensitiveFieldsAreNotKeptAndMustBeGivenToRedrive(t *testing.T) {
	w := newWorld(t)
	err := w.d.ConfigureAll(t.Context(), []delivery.Wish{{Function: "Orders", Policy: &delivery.Policy{Retries: new(0)}}},
		map[string]delivery.Declared{"Orders": {Owner: "shop", Sensitive: []string{"$.card"}, Correlate: []string{"$.order"}}})
	if err != nil {
		t.Fatal(err)
	}
	e := event("Orders")
	e.Payload = []byte(`{"order":"O-7","card":"4111111111111111"}`)
	w.accept(e)
	id := w.settle(w.one(), delivery.Failure).Failure
	f, kept, err := w.l.Failure(t.Context(), id)
	if err != nil || string(kept) != `{"card":"[redacted]","order":"O-7"}` || f.Owner != "shop" || f.Correlations["$.order"] != "O-7" {
		t.Fatalf("got %s, %+v, %v", kept, f, err)
	}
	if _, err := w.d.Redrive(t.Context(), id, nil); daruma.KindOf(err) != daruma.KindInvalid || daruma.HintOf(err) == "" {
		t.Fatalf("got %v, want a refusal with a hint", err)
	}
	if _, err := w.d.Redrive(t.Context(), id, e.Payload); err != nil {
		t.Fatal(err)
	}
	if got := w.one(); string(got.Payload) != string(e.Payload) {
		t.Fatalf("got %s", got.Payload)
	}
}
