package scribe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a healing log that counts what is written.
type book struct {
	mu     sync.Mutex
	all    []*ledger.Repair
	writes int
	down   bool
	during func() // a Complete
}

func (b *book) Begin(_ context.Context, r ledger.Repair) (ledger.RepairID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return 0, errors.New("down")
	}
	b.writes++
	r.Number = ledger.RepairID(len(b.all) + 1)
	b.all = append(b.all, &r)
	return r.Number, nil
}

func (b *book) Complete(_ context.Context, id ledger.RepairID, outcome string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[id-1]
	if r.Outcome != "" {
		return &daruma.Error{Kind: daruma.KindConflict}
	}
	b.writes++
	r.Outcome = outcome
	if b.during != nil {
		b.during()
	}
	return nil
}

func (b *book) Repairs(context.Context, ledger.RepairID, string, int) ([]*ledger.Repair, error) {
	return b.repairs(), nil
}

func (b *book) repairs() []*ledger.Repair {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*ledger.Repair(nil), b.all...)
}

// begin starts a scribe in a bubble.
func begin(t *testing.T, b *book) (s *Scribe, stop func()) {
	s = New(Config{Log: b, Owner: func(f string) string { return "owner of " + f }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func crash(function, fault string) daruma.Environment {
	return daruma.Environment{ID: "e1", Function: function, Version: "3", PID: 7, State: daruma.Resetting, Cause: "crash", Request: "r-1", Fault: fault}
}

func done(function string) daruma.Span {
	return daruma.Span{Kind: daruma.SpanRun, Function: function, Outcome: daruma.Done}
}

func TestWhatIsReplacedIsWrittenAtOnceAndCompletedWhenItHasCeased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		defer stop()
		s.Changed(crash("Orders", "Runtime.ExitError: exit status 1"))
		synctest.Wait()
		all := b.repairs()
		if len(all) != 1 {
			t.Fatalf("got %d repairs, want 1", len(all))
		}
		if r := all[0]; r.Why != "its process ended (Runtime.ExitError)" || r.Owner != "owner of Orders" || r.Outcome != "" || !strings.Contains(r.Evidence, "process 7: Runtime.ExitError: exit status 1, with request r-1") {
			t.Errorf("got %+v", r)
		}
		s.Spanned(done("Other"))
		s.Spanned(done("Orders"))
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got, want := b.repairs()[0].Outcome, "replaced once; runs that have ended well since: 1"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if s.open.Load() != 0 {
			t.Error("something is still open")
		}
	})
}

func TestAThousandCrashesASecondAreAFewRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		defer stop()
		for range 60_000 {
			s.Changed(crash("Orders", "Runtime.ExitError: exit status 1"))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.writes != 2 {
			t.Errorf("a minute of crashes was written %d times, want twice", b.writes)
		}
		if got, want := b.repairs()[0].Outcome, "replaced 60000 times in 59.999s; no run has ended well since"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestWhatGoesOnForLongIsCompletedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		for range 25 * 60 {
			s.Changed(crash("Orders", "Runtime.ExitError: exit status 1"))
			time.Sleep(time.Second)
		}
		stop()
		total, open := 0, 0
		for _, r := range b.repairs() {
			var n int
			if _, err := fmt.Sscanf(r.Outcome, "replaced %d times", &n); err != nil {
				open++
			}
			total += n
		}
		if len(b.repairs()) != 3 || total != 25*60 || open != 0 {
			t.Errorf("got %d repairs of %d, %d open; want 3 of %d", len(b.repairs()), total, open, 25*60)
		}
	})
}

func TestSymptomsAreToldApartAndWhatIsNoSymptomIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		defer stop()
		s.Changed(crash("A", "Runtime.OutOfMemory: signal: killed"))
		timeout := crash("A", "Sandbox.Timedout: Task timed out after 3.00 seconds")
		timeout.Cause = "timeout"
		s.Changed(timeout)
		start := crash("A", "Runtime.InvalidEntrypoint: no such file")
		start.Cause = "init"
		s.Changed(start)
		for _, cause := range []string{"deploy", "idle", "shutdown", ""} {
			e := crash("A", "")
			e.Cause = cause
			s.Changed(e)
		}
		gone := crash("A", "Runtime.ExitError: x")
		gone.State = daruma.Gone
		s.Changed(gone)
		synctest.Wait()
		got := map[string]bool{}
		for _, r := range b.repairs() {
			got[r.Why] = true
		}
		if len(b.repairs()) != 3 || !got["it was out of memory"] || !got["it was killed at its time-out"] || !got["it could not be started"] {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhatIsToldWhileARepairIsCompletedIsTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		defer stop()
		b.during = sync.OnceFunc(func() { s.Changed(crash("A", "Runtime.ExitError: x")) })
		s.Changed(crash("A", "Runtime.ExitError: x"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if all := b.repairs(); len(all) != 2 || !strings.HasPrefix(all[0].Outcome, "replaced once") || !strings.HasPrefix(all[1].Outcome, "replaced once") {
			t.Errorf("got %d repairs, want two of one each", len(all))
		}
	})
}

func TestWhatCannotBeWrittenIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{down: true}
		s, stop := begin(t, b)
		defer stop()
		s.Changed(crash("A", "Runtime.ExitError: x"))
		time.Sleep(5 * time.Second)
		b.mu.Lock()
		b.down = false
		b.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(b.repairs()); n != 1 {
			t.Errorf("got %d repairs, want 1", n)
		}
	})
}

func TestWhatACrashOfThePlatformLeftOpenIsCompleted(t *testing.T) {
	b := &book{all: []*ledger.Repair{{Number: 1, By: By}, {Number: 2, By: "heal"}, {Number: 3, By: By, Outcome: "replaced"}, {Number: 4, By: "node"}}}
	if err := New(Config{Log: b}).Recover(t.Context(), "node"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"not known: the platform ended before it could say", "", "replaced", "not known: the platform ended before it could say"} {
		if got := b.all[i].Outcome; got != want {
			t.Errorf("H-%d: got %q, want %q", i+1, got, want)
		}
	}
}

func TestMoreSymptomsThanAreToldApartAreCountedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		s, stop := begin(t, b)
		for i := range openMax + 50 {
			s.Saw(Symptom{Function: fmt.Sprint("F", i), What: "stop", Why: "loop", Undo: "no", Ended: "stopped"})
		}
		stop()
		all := b.repairs()
		if len(all) != openMax+1 {
			t.Fatalf("got %d repairs, want %d", len(all), openMax+1)
		}
		for _, r := range all {
			if r.Function == "" && !strings.HasPrefix(r.Outcome, "stopped 50 times") {
				t.Errorf("got %q", r.Outcome)
			}
		}
	})
}

func BenchmarkSpannedWithNothingOpen(b *testing.B) {
	s := New(Config{Log: &book{}})
	for b.Loop() {
		s.Spanned(done("Orders"))
	}
}

func BenchmarkACrash(b *testing.B) {
	s := New(Config{Log: &book{}})
	e := crash("Orders", "Runtime.ExitError: exit status 1")
	for b.Loop() {
		s.Changed(e)
	}
}
