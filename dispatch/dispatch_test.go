package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/dispatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A source hands out what it has, in order, and remembers what it is told.
type source struct {
	wake daruma.Bell

	mu sync.Mutex // guards the rest
	seen
	leaseErr error
	settle   func(failures int) error
}

// seen is what a source has seen.
type seen struct {
	queue    []dispatch.Item
	leased   map[uint64]dispatch.Item
	settled  map[uint64]daruma.OutcomeKind
	released int
	extended int
	asked    int // Lease calls
	most     int // leased at once
	failures int
	by       map[string]int // leased, by function
	mostBy   map[string]int
}

func newSource(items ...string) *source {
	s := &source{wake: daruma.NewBell(), seen: seen{leased: map[uint64]dispatch.Item{}, settled: map[uint64]daruma.OutcomeKind{}, by: map[string]int{}, mostBy: map[string]int{}}}
	s.add(items...)
	return s
}

func (s *source) add(functions ...string) {
	s.mu.Lock()
	for _, f := range functions {
		n := uint64(len(s.queue) + len(s.leased) + len(s.settled) + 1)
		s.queue = append(s.queue, dispatch.Item{Number: n, Lease: 1, Invocation: daruma.Invocation{ID: fmt.Sprint(n), Target: daruma.Target{Function: f}}})
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// see returns what the source has seen so far.
func (s *source) see() seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.seen
	is.queue, is.leased, is.settled, is.mostBy = slices.Clone(is.queue), maps.Clone(is.leased), maps.Clone(is.settled), maps.Clone(is.mostBy)
	return is
}

func (s *source) Lease(_ context.Context, w dispatch.Want) (dispatch.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.leaseErr != nil {
		return dispatch.Batch{}, s.leaseErr
	}
	var b dispatch.Batch
	var left []dispatch.Item
	for _, i := range s.queue {
		f := i.Invocation.Target.Function
		limit, ok := w.Limits[f]
		if !ok {
			limit = w.Each
		}
		switch {
		case s.by[f] >= limit:
			left = append(left, i)
		case len(b.Items) == w.N:
			left = append(left, i)
			b.More = true
		default:
			b.Items = append(b.Items, i)
			s.leased[i.Number] = i
			s.by[f]++
			s.most, s.mostBy[f] = max(s.most, len(s.leased)), max(s.mostBy[f], s.by[f])
		}
	}
	s.queue = left
	return b, nil
}

func (s *source) Extend(_ context.Context, _ time.Duration, items []dispatch.Item) ([]dispatch.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extended += len(items)
	return nil, nil
}

func (s *source) Settle(_ context.Context, i dispatch.Item, o daruma.Outcome, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settle != nil {
		s.failures++
		if err := s.settle(s.failures); err != nil {
			return err
		}
	}
	s.back(i)
	if o.Kind.Ran() {
		s.settled[i.Number] = o.Kind
	} else {
		s.queue = append(s.queue, i)
	}
	return nil
}

func (s *source) back(i dispatch.Item) {
	delete(s.leased, i.Number)
	s.by[i.Invocation.Target.Function]--
}

func (s *source) Release(_ context.Context, items []dispatch.Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range items {
		s.back(i)
		s.queue = append(s.queue, i)
		s.released++
	}
	return nil
}

func (s *source) Wake() <-chan struct{} { return s.wake }

// runner is a daruma.Runner made of a function.
type runner func(ctx context.Context, inv daruma.Invocation) daruma.Outcome

func (r runner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome { return r(ctx, inv) }

// lasting runs everything for some time, and ends early when nobody waits.
func lasting(d time.Duration) runner {
	return func(ctx context.Context, _ daruma.Invocation) daruma.Outcome {
		if (daruma.SystemClock{}).Sleep(ctx, d) != nil {
			return daruma.Outcome{Kind: daruma.Unknown}
		}
		return daruma.Outcome{Kind: daruma.Done}
	}
}

// run runs a dispatcher in a bubble until stop is called.
func run(t *testing.T, cfg dispatch.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- dispatch.New(cfg).Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// pass lets time pass in the bubble.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	_ = daruma.SystemClock{}.Sleep(t.Context(), d)
	synctest.Wait()
}

func many(n int, function string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = function
	}
	return all
}

func TestEverythingThatIsDueIsRunWithinTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(append(many(100, "A"), many(100, "B")...)...)
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(time.Second), Total: 20, Each: 12})()
		pass(t, time.Minute)
		if len(s.see().settled) != 200 || s.see().most != 20 || s.see().mostBy["A"] > 12 || s.see().mostBy["B"] > 12 {
			t.Fatalf("%d are settled, %d ran at once, %v", len(s.see().settled), s.see().most, s.see().mostBy)
		}
	})
}

func TestAnIdleDispatcherAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A")
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(time.Second)})()
		pass(t, time.Minute)
		before := s.see().asked
		pass(t, 24*time.Hour)
		if s.see().asked != before || before > 4 {
			t.Fatalf("it asked %d times for one event, and %d times in a day without any", before, s.see().asked-before)
		}
		s.add("A")
		pass(t, 2*time.Second)
		if len(s.see().settled) != 2 {
			t.Fatal("a wake-up did not wake it")
		}
	})
}

func TestAfterAStartMoreAndMoreRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(many(1000, "A")...)
		stop := run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(time.Hour), Total: 64, Each: 64, RampFrom: 4, Drain: time.Second})
		for i, want := range []int{4, 8, 16, 32, 64, 64} {
			pass(t, map[bool]time.Duration{true: 500 * time.Millisecond, false: time.Second}[i == 0])
			if s.see().most != want {
				t.Fatalf("in second %d: %d run, want %d", i, s.see().most, want)
			}
		}
		stop()
	})
}

func TestLeasesOfLongRunsAreExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A")
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(15 * time.Minute), LeaseFor: time.Minute})()
		pass(t, 14*time.Minute)
		if s.see().extended < 40 {
			t.Fatalf("extended %d times in 14 minutes, want about 42", s.see().extended)
		}
		pass(t, 2*time.Minute)
		if s.see().settled[1] != daruma.Done {
			t.Fatal("it was not settled")
		}
	})
}

func TestAThrottledFunctionGetsNoMoreThanRunOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(append(many(50, "A"), many(50, "B")...)...)
		var mu sync.Mutex
		running, throttled := 0, 0
		r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
			if inv.Target.Function == "A" {
				mu.Lock()
				if running == 2 {
					throttled++
					mu.Unlock()
					return daruma.Outcome{Kind: daruma.Throttled}
				}
				running++
				mu.Unlock()
				defer func() { mu.Lock(); running--; mu.Unlock() }()
			}
			return lasting(time.Second)(ctx, inv)
		})
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r, Total: 40, Each: 20})()
		pass(t, 10*time.Second)
		b := 0
		for n := range s.see().settled {
			if n > 50 {
				b++
			}
		}
		if b != 50 {
			t.Fatalf("%d of the other function's 50 ran behind the throttled one", b)
		}
		pass(t, 50*time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(s.see().settled) != 100 || throttled > 60 {
			t.Fatalf("%d of 100 ran, with %d throttles", len(s.see().settled), throttled)
		}
	})
}

func TestAFunctionThatNeverRunsIsTriedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(many(10, "A")...)
		tries := 0
		var mu sync.Mutex
		r := runner(func(context.Context, daruma.Invocation) daruma.Outcome {
			mu.Lock()
			defer mu.Unlock()
			tries++
			return daruma.Outcome{Kind: daruma.NoCapacity}
		})
		stop := run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r})
		pass(t, time.Hour)
		stop()
		if tries > 250 || tries < 100 {
			t.Fatalf("%d tries in an hour, want one about every 20 seconds", tries)
		}
	})
}

func TestWhatHasNotEndedIsGivenBackWhenTheDispatcherStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("short", "long", "waiting")
		r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
			return lasting(map[string]time.Duration{"short": 20 * time.Second, "long": time.Hour}[inv.Target.Function])(ctx, inv)
		})
		stop := run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r, Total: 2, Each: 1, Drain: 30 * time.Second})
		pass(t, time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it took %v to stop, want 30s", took)
		}
		if len(s.see().settled) != 1 || s.see().settled[1] != daruma.Done || s.see().released != 1 || len(s.see().leased) != 0 || len(s.see().queue) != 2 {
			t.Errorf("settled %v, released %d, leased %v", s.see().settled, s.see().released, s.see().leased)
		}
	})
}

func TestWhatCannotBeSettledYetIsSettledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A")
		s.settle = func(failures int) error {
			if failures < 6 {
				return &daruma.Error{Kind: daruma.KindFull}
			}
			return nil
		}
		var ran atomic.Int64
		r := runner(func(context.Context, daruma.Invocation) daruma.Outcome {
			ran.Add(1)
			return daruma.Outcome{Kind: daruma.Done}
		})
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: r})()
		pass(t, time.Minute)
		if s.see().settled[1] != daruma.Done || ran.Load() != 1 {
			t.Fatalf("settled %v after %d runs", s.see().settled, ran.Load())
		}
	})
}

func TestALostLeaseIsNotSettledTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("A")
		s.settle = func(int) error { return &daruma.Error{Kind: daruma.KindConflict} }
		defer run(t, dispatch.Config{Sources: []dispatch.Source{s}, Runner: lasting(time.Second)})()
		pass(t, time.Hour)
		if s.see().failures != 1 {
			t.Fatalf("settled %d times, want once", s.see().failures)
		}
	})
}

func TestASourceThatFailsIsAskedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, whole := newSource("A"), newSource("A")
		broken.leaseErr = errors.New("its disk is gone")
		defer run(t, dispatch.Config{Sources: []dispatch.Source{broken, whole}, Runner: lasting(time.Second)})()
		pass(t, 10*time.Minute)
		if broken.see().asked > 60 || broken.see().asked < 15 {
			t.Fatalf("asked %d times in ten minutes, want about 25", broken.see().asked)
		}
		if len(whole.see().settled) != 1 {
			t.Fatal("the other source waits behind it")
		}
		broken.mu.Lock()
		broken.leaseErr = nil
		broken.mu.Unlock()
		pass(t, time.Minute)
		if len(broken.see().settled) != 1 {
			t.Fatal("it was not asked again")
		}
	})
}

func TestADispatcherWithoutARunnerIsRefused(t *testing.T) {
	if err := dispatch.New(dispatch.Config{}).Run(t.Context()); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("got %v", err)
	}
}
