package run_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
)

// busy starts n calls that last until release is called, and waits until they run.
func (w *world) busy(n int, target daruma.Target) (release func()) {
	w.t.Helper()
	held := daruma.NewID()
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			w.pool.Run(context.Background(), daruma.Invocation{ID: daruma.NewID(), Target: target, Payload: []byte(`"until ` + held + `"`)})
		})
	}
	w.awaitBusy(n)
	return func() {
		w.letGo(held)
		wait.Wait()
	}
}

// awaitBusy waits until so many environments run something.
func (w *world) awaitBusy(n int) {
	w.t.Helper()
	w.await("busy environments", func() bool {
		busy := 0
		for _, e := range w.pool.Environments() {
			if e.State == daruma.Busy {
				busy++
			}
		}
		return busy >= n
	})
}

// awaitFree waits until no environment runs anything.
func (w *world) awaitFree() {
	w.t.Helper()
	w.await("environments that are free", func() bool {
		return !slices.ContainsFunc(w.pool.Environments(), func(e daruma.Environment) bool { return e.State != daruma.Warm })
	})
}

// letGo has what waits for a name in any environment go on.
func (w *world) letGo(name string) {
	all, _ := filepath.Glob(filepath.Join(w.maker.Dir, "*", "tmp"))
	for _, dir := range all {
		_ = os.WriteFile(filepath.Join(dir, name), nil, 0o600) // nothing waits in one that is gone
	}
}

func reserved(f *catalog.Function, n int) *catalog.Function {
	f.Reserved = &n
	return f
}

func TestReservedConcurrencyIsTheMost(t *testing.T) {
	w := newWorld(t, nil, reserved(timeout("sleep", 20*time.Second), 1))
	defer w.busy(1, daruma.Target{Function: "f"})()
	o := w.run(`"0s"`)
	if o.Kind != daruma.Throttled || o.Failure.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" || o.Failure.Message != "Rate Exceeded." || o.Failure.Kind != daruma.KindThrottled {
		t.Errorf("got %v %+v", o.Kind, o.Failure)
	}
}

func TestReservedConcurrencyOfZeroAlwaysThrottles(t *testing.T) {
	w := newWorld(t, nil, reserved(function("echo"), 0))
	if o := w.run("{}"); o.Kind != daruma.Throttled || o.Failure.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" {
		t.Errorf("got %v %+v", o.Kind, o.Failure)
	}
	if n := w.maker.Made.Load(); n != 0 {
		t.Errorf("got %d environments, want none", n)
	}
}

func TestReservedConcurrencyIsTakenFromTheAccount(t *testing.T) {
	g := reserved(function("sleep"), 2)
	g.Name = "g"
	w := newWorld(t, func(c *run.Config) { c.AccountConcurrency = 3 }, timeout("sleep", 20*time.Second), g)
	defer w.busy(1, daruma.Target{Function: "f"})()
	o := w.run(`"0s"`)
	if o.Kind != daruma.Throttled || o.Failure.Reason != "ConcurrentInvocationLimitExceeded" {
		t.Errorf("got %v %+v, want the one unreserved place to be taken", o.Kind, o.Failure)
	}
	want(t, w.runInvocation(daruma.Invocation{Target: daruma.Target{Function: "g"}, Payload: []byte(`"0s"`)}), daruma.Done, `"slept"`)
}

func TestEnvironmentsRunOneInvocationAtATime(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 20*time.Second))
	var wait sync.WaitGroup
	seen := make([]daruma.Outcome, 5)
	for i := range seen {
		wait.Go(func() { seen[i] = w.run(`"until all are there"`) })
	}
	w.awaitBusy(len(seen))
	w.letGo("all are there")
	wait.Wait()
	environments := map[string]bool{}
	for _, o := range seen {
		want(t, o, daruma.Done, `"slept"`)
		environments[o.Environment] = true
	}
	if len(environments) != 5 {
		t.Errorf("got %d environments for five calls at once, want 5", len(environments))
	}
}

func TestWithoutRoomAnEventWaitsAndIsTurnedAwayAfterASecond(t *testing.T) {
	w := newWorld(t, func(c *run.Config) { c.EnvironmentsMax = 1 }, timeout("sleep", 20*time.Second))
	release := w.busy(1, daruma.Target{Function: "f"})
	o := w.run(`"0s"`)
	if o.Kind != daruma.NoCapacity || o.Failure.Kind != daruma.KindNoCapacity {
		t.Errorf("got %v %v, want no capacity", o.Kind, o.Failure)
	}
	release()
	w.await("the end of the first", func() bool { return len(w.obs.Spans()) == 2 })
	want(t, w.run(`"0s"`), daruma.Done, `"slept"`)
}

func TestAnIdleEnvironmentMakesRoomForAnotherFunction(t *testing.T) {
	g := function("pid")
	g.Name = "g"
	w := newWorld(t, func(c *run.Config) { c.EnvironmentsMax = 1 }, function("echo"), g)
	want(t, w.run("1"), daruma.Done, "1")
	w.awaitState("warm")
	if o := w.runInvocation(daruma.Invocation{Target: daruma.Target{Function: "g"}}); o.Kind != daruma.Done {
		t.Errorf("got %v %v", o.Kind, o.Failure)
	}
	contains(t, strings.Join(w.states(), ","), "gone capacity")
}

func TestACallerThatLeavesTheQueueLeavesNothing(t *testing.T) {
	w := newWorld(t, func(c *run.Config) { c.EnvironmentsMax = 1 }, timeout("sleep", 20*time.Second))
	release := w.busy(1, daruma.Target{Function: "f"})
	defer release()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	o := w.pool.Run(ctx, daruma.Invocation{ID: requestID, Target: daruma.Target{Function: "f"}})
	if o.Kind != daruma.NoCapacity || o.Failure.Kind != daruma.KindUnavailable {
		t.Errorf("got %v %v, want no capacity: it was never handed over", o.Kind, o.Failure)
	}
}

func TestTheLastUsedEnvironmentIsUsedFirst(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 20*time.Second))
	w.busy(2, daruma.Target{Function: "f"})()
	w.awaitFree()
	first := w.run(`"0s"`)
	w.awaitState("warm")
	for range 3 {
		if o := w.run(`"0s"`); o.Environment != first.Environment {
			t.Errorf("got %s, want %s again", o.Environment, first.Environment)
		}
		w.awaitState("warm")
	}
}

func TestAnIdleEnvironmentIsClosedAfterAWhile(t *testing.T) {
	w := newWorld(t, func(c *run.Config) { c.IdleTimeout = 100 * time.Millisecond }, function("echo"))
	want(t, w.run("1"), daruma.Done, "1")
	w.awaitState("gone idle")
	want(t, w.run("2"), daruma.Done, "2")
}

func TestAnIdleEnvironmentIsFrozenAndThawedForTheNextEvent(t *testing.T) {
	w := newWorld(t, func(c *run.Config) { c.FreezeAfter = 20 * time.Millisecond }, function("echo"))
	want(t, w.run("1"), daruma.Done, "1")
	deadline := time.Now().Add(10 * time.Second)
	for w.maker.Freezes.Load() == 0 { // an outside process: there is no event to wait for
		if time.Now().After(deadline) {
			t.Fatal("the environment was not frozen")
		}
		time.Sleep(time.Millisecond)
	}
	want(t, w.run("2"), daruma.Done, "2")
	if n := w.maker.Thaws.Load(); n != 1 {
		t.Errorf("got %d thaws, want 1", n)
	}
}

func TestRetireReplacesEnvironmentsOnceTheyAreIdle(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 20*time.Second))
	idle := w.run(`"0s"`)
	w.awaitState("warm")
	release := w.busy(1, daruma.Target{Function: "f"})
	w.pool.Retire("f")
	o := w.run(`"0s"`)
	want(t, o, daruma.Done, `"slept"`)
	if o.Environment == idle.Environment || o.Init == 0 {
		t.Errorf("got a retired environment")
	}
	release()
	w.await("the end of the busy one", func() bool {
		return strings.Contains(strings.Join(w.states(), ","), "gone deploy")
	})
}

func TestNewCodeIsRunByNewEnvironments(t *testing.T) {
	w := newWorld(t, nil, function("count"))
	want(t, w.run(""), daruma.Done, "1")
	w.awaitState("warm")
	f := function("count")
	f.Revision = "2"
	w.set(f)
	want(t, w.run(""), daruma.Done, "1")
	w.await("the old one to go", func() bool { return strings.Contains(strings.Join(w.states(), ","), "gone deploy") })
}

func TestCloseWaitsForWhatRunsAndTakesNoMore(t *testing.T) {
	w := newWorld(t, nil, function("sleep"))
	answered := make(chan daruma.Outcome, 1)
	go func() { answered <- w.run(`"500ms"`) }()
	w.awaitState("busy")
	w.close()
	want(t, <-answered, daruma.Done, `"slept"`)
	if o := w.run(`"0s"`); o.Kind != daruma.NoCapacity || o.Failure.Kind != daruma.KindUnavailable {
		t.Errorf("got %v %v, want no capacity, unavailable", o.Kind, o.Failure)
	}
	if n := w.maker.Open(); n != 0 {
		t.Errorf("got %d places, want none", n)
	}
}

func TestCloseKillsWhatRunsTooLong(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 30*time.Second))
	answered := make(chan daruma.Outcome, 1)
	go func() { answered <- w.run(`"20s"`) }()
	w.awaitState("busy")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := w.pool.Close(ctx); err == nil {
		t.Error("got no error, want the deadline's")
	}
	if o := <-answered; o.Kind != daruma.Unknown || o.Failure.Kind != daruma.KindDoubtful {
		t.Errorf("got %v %v, want unknown", o.Kind, o.Failure)
	}
}

func TestManyCallersOfOneFunctionAllGetTheirOwnAnswer(t *testing.T) {
	w := newWorld(t, func(c *run.Config) { c.EnvironmentsMax = 4 }, function("echo"))
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 50 {
				payload := `"` + strings.Repeat(string(rune('a'+i)), j+1) + `"`
				if o := w.run(payload); o.Kind != daruma.Done || string(o.Payload) != payload {
					t.Errorf("got %v %q, want %q", o.Kind, o.Payload, payload)
				}
			}
		})
	}
	wait.Wait()
}

// spin keeps every CPU busy until the test ends.
func spin(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wait.Go(func() {
			for ctx.Err() == nil {
				continue
			}
		})
	}
	t.Cleanup(func() { stop(); wait.Wait() })
}

// occupy leaves no CPU idle until the test ends, and gives way to all others.
func occupy(t *testing.T) {
	for range runtime.NumCPU() {
		c := exec.Command("nice", "-n", "19", "sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	}
}

func TestAQuickFunctionSharesBusyCPUsAmongFewEnvironments(t *testing.T) {
	occupy(t)
	w := newWorld(t, nil, function("echo"))
	for range 50 { // it is known to be quick then
		want(t, w.run("1"), daruma.Done, "1")
	}
	const callers = 32
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for range 200 {
				want(t, w.run("1"), daruma.Done, "1")
			}
		})
	}
	wait.Wait()
	if n := len(w.pool.Environments()); n > callers/2 {
		t.Errorf("got %d environments for %d callers, want far fewer", n, callers)
	}
}

func TestACallDoesNotWaitForQuickRunsThatTurnSlow(t *testing.T) {
	w := newWorld(t, nil, timeout("sleep", 20*time.Second))
	few := 2 * runtime.NumCPU()
	w.busy(few+2, daruma.Target{Function: "f"})()
	w.await("environments that are free again", func() bool { return len(w.obs.Spans()) == few+2 })
	for range 100 {
		want(t, w.run(`"0s"`), daruma.Done, `"slept"`)
	}
	spin(t)
	var wait sync.WaitGroup
	var ended atomic.Int64
	for range few {
		wait.Go(func() {
			w.runInvocation(daruma.Invocation{Target: daruma.Target{Function: "f"}, Payload: []byte(`"until the end"`)})
			ended.Add(1)
		})
	}
	w.awaitBusy(few)
	want(t, w.run(`"0s"`), daruma.Done, `"slept"`)
	if n := ended.Load(); n > 0 {
		t.Errorf("a call waited for %d that do not end while environments were free", n)
	}
	w.letGo("the end")
	wait.Wait()
}
