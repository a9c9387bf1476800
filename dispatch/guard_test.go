package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
)

func messageJSON(_ *mapping.Mapping, r dispatch.Record) []byte {
	return fmt.Appendf(nil, `{"body":%s}`, r.Body.(queue.Received).Body)
}

// tallied checks what became of the function's events with keys.
func tallied(t *testing.T, keys *once.Records, run, suppressed, clashed int64) {
	t.Helper()
	all, err := keys.Tallies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := once.Tally{Function: "F"}
	if len(all) == 1 {
		got = all[0]
	}
	if got.Run != run || got.Suppressed != suppressed || got.Clashed != clashed {
		t.Errorf("the tally is %+v, want %d run, %d suppressed, %d clashed", got, run, suppressed, clashed)
	}
}

var byID = once.Rule{Path: "$.id", For: time.Hour}

// An eventful is asynchronous events of a function "F" with a rule, whose runs take a second.
type eventful struct {
	*testing.T
	d    *delivery.Deliveries
	l    *ledger.Ledger
	keys *once.Records

	mu      sync.Mutex
	runs    []string
	running int
	told    []string
}

func guarded(t *testing.T) *eventful {
	t.Helper()
	x := &eventful{T: t}
	m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.Function }, Sinks: map[string]delivery.Sink{"shelf": delivery.PutTo("shelf")}})
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, once.Machine{}, m, shelf{&x.told}}})
	if err != nil {
		t.Fatal(err)
	}
	x.d, x.l, x.keys = delivery.New(c, m), ledger.New(c), once.New(c)
	clock := daruma.SystemClock{}
	source := dispatch.NewDeliveries(x.d, func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, x.l).Guarded(
		dispatch.NewGuard(x.keys, func(string) (once.Rule, bool) { return byID, true }, clock))
	r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
		x.mu.Lock()
		x.runs = append(x.runs, string(inv.Payload))
		keyed := strings.Contains(string(inv.Payload), "id")
		if keyed {
			if x.running++; x.running > 1 {
				t.Error("two run at once")
			}
		}
		n := len(x.runs)
		x.mu.Unlock()
		_ = clock.Sleep(ctx, time.Second)
		x.mu.Lock()
		if keyed {
			x.running--
		}
		x.mu.Unlock()
		var e struct{ Fail bool }
		if _ = json.Unmarshal(inv.Payload, &e); e.Fail && n == 1 {
			return broken
		}
		return answered(fmt.Sprintf(`{"run":%d}`, n))
	})
	live, stop := context.WithCancel(context.Background())
	d := dispatch.New(dispatch.Config{Sources: []dispatch.Source{source}, Runner: r, Total: 10, Heal: heal.New(heal.Config{Strict: true, Most: 10})})
	var all sync.WaitGroup
	all.Go(func() { _ = d.Run(live) })
	t.Cleanup(func() { stop(); all.Wait(); c.Close() })
	return x
}

func (x *eventful) accept(payloads ...string) {
	x.Helper()
	policy := &delivery.Policy{OnSuccess: &delivery.Destination{Kind: "shelf", Name: "S"}}
	for _, p := range payloads {
		if _, err := x.d.Accept(x.Context(), delivery.Event{Target: daruma.Target{Function: "F"}, Payload: []byte(p), Policy: policy}); err != nil {
			x.Fatal(err)
		}
	}
}

func (x *eventful) ran(want int) {
	x.Helper()
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.runs) != want {
		x.Errorf("%d runs (%q), want %d", len(x.runs), x.runs, want)
	}
}

func TestAnEventThatComesTwiceRunsOnceAndIsAnsweredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := guarded(t)
		x.accept(`{"id":1}`, `{"id":1}`, `{"id":1}`) // at once
		pass(t, 10*time.Second)
		x.accept(`{"id":1}`) // later
		pass(t, 10*time.Second)
		x.ran(1)
		tallied(t, x.keys, 1, 3, 0)
		if len(x.told) != 4 {
			t.Fatalf("the destination was told of %d events, want 4", len(x.told))
		}
		for _, told := range x.told {
			var r struct{ ResponsePayload struct{ Run int } }
			if err := json.Unmarshal([]byte(told), &r); err != nil || r.ResponsePayload.Run != 1 {
				t.Errorf("the destination was told %s", told)
			}
		}
	})
}

func TestAKeyOfAnotherEventIsAnErrorInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := guarded(t)
		x.accept(`{"id":1}`)
		pass(t, 10*time.Second)
		x.accept(`{"id":1,"amount":2}`)
		pass(t, 10*time.Second)
		x.ran(1)
		tallied(t, x.keys, 1, 0, 1)
		page, err := x.l.Find(t.Context(), ledger.Query{})
		if err != nil || len(page.Failures) != 1 || page.Failures[0].ErrorType != "IdempotencyMismatch" {
			t.Errorf("the ledger has %+v, %v", page.Failures, err)
		}
	})
}

func TestAnEventThatFailedKeepsNoKeyAndRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := guarded(t)
		x.accept(`{"id":1,"fail":true}`)
		pass(t, 5*time.Minute)
		x.ran(2)
		tallied(t, x.keys, 1, 0, 0)
	})
}

func TestAnEventWhoseLeaseWasLostDoesNotKeepItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.Function }})
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, once.Machine{}, m}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		d, clock := delivery.New(c, m), daruma.SystemClock{}
		source := dispatch.NewDeliveries(d, func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, ledger.New(c)).Guarded(
			dispatch.NewGuard(once.New(c), func(string) (once.Rule, bool) { return byID, true }, clock))
		if _, err := d.Accept(t.Context(), delivery.Event{Target: daruma.Target{Function: "F"}, Payload: []byte(`{"id":1}`)}); err != nil {
			t.Fatal(err)
		}
		lease := func() dispatch.Item {
			t.Helper()
			got, err := source.Lease(t.Context(), dispatch.Want{N: 1, For: time.Second})
			if err != nil || len(got.Items) != 1 {
				t.Fatalf("got %+v, %v; want one event", got, err)
			}
			return got.Items[0]
		}
		first := lease()
		pass(t, 10*time.Second) // nobody extends its lease
		if err := source.Settle(t.Context(), first, answered("1"), time.Now()); daruma.KindOf(err) != daruma.KindConflict {
			t.Fatalf("got %v, want that its lease is lost", err)
		}
		if err := source.Settle(t.Context(), lease(), answered("2"), time.Now()); err != nil {
			t.Error(err)
		}
	})
}

func TestAKeyIsForgottenWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := guarded(t)
		x.accept(`{"id":1}`)
		pass(t, 61*time.Minute)
		x.accept(`{"id":1}`, `{"other":1}`, `{"other":1}`)
		pass(t, 10*time.Second)
		tallied(t, x.keys, 2, 0, 0)
		all, err := x.keys.Tallies(t.Context())
		if err != nil || all[0].Kept != 1 {
			t.Errorf("%+v are kept, %v", all, err)
		}
	})
}

func TestMessagesOfOneKeyRunOnce(t *testing.T) {
	x := &mapped{answer: done, lasts: time.Second, rule: &once.Rule{Path: "$.body.id", For: time.Hour}}
	flow(t, queue.Settings{DeadLetter: &queue.DeadLetter{Queue: "D", After: 5}}, mapping.Settings{Batch: 10}, x, func(x *mapped) {
		x.send(`{"id":1}`, `{"id":1}`, `{"id":2}`, `{"id":1}`)
		pass(x.T, 10*time.Second)
		x.send(`{"id":2}`, `{"id":2,"other":true}`)
		pass(x.T, 10*time.Second)
		n := 0
		for _, b := range x.ran() {
			n += len(b)
		}
		if n != 2 {
			x.Errorf("the runs had %v, want each key once", x.ran())
		}
		tallied(x.T, x.tallies, 2, 3, 1)
		if a := x.account(); a.Messages() != 0 {
			x.Errorf("the queue holds %+v", a)
		}
		page, err := x.l.Find(x.Context(), ledger.Query{})
		if err != nil || len(page.Failures) != 1 || page.Failures[0].Condition != "IdempotencyMismatch" {
			x.Errorf("the ledger has %+v, %v", page.Failures, err)
		}
	})
}

func TestMessagesThatFailedKeepNoKey(t *testing.T) {
	runs := 0
	x := &mapped{rule: &once.Rule{Path: "$.body.id", For: time.Hour}, answer: func([]string) daruma.Outcome {
		if runs++; runs == 1 {
			return broken
		}
		return daruma.Outcome{Kind: daruma.Done}
	}}
	flow(t, queue.Settings{Hide: 10 * time.Second}, mapping.Settings{Batch: 10}, x, func(x *mapped) {
		x.send(`{"id":1}`)
		pass(x.T, time.Minute)
		if len(x.ran()) != 2 {
			x.Errorf("the runs had %v", x.ran())
		}
		tallied(x.T, x.tallies, 1, 0, 0)
	})
}

func TestRecordsOfOneKeyRunOnceInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := streaming(t, mapping.Settings{Window: time.Second}, ok, once.Rule{Path: "$.text", For: time.Hour})
		add := func(key, text string) {
			w.tape.mu.Lock()
			n := uint64(len(w.tape.records) + 1)
			w.tape.records = append(w.tape.records, dispatch.StreamRecord{Sequence: n, At: time.Now(), Key: key, Body: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, text)})
			w.tape.mu.Unlock()
		}
		add("k", "a")
		w.tape.add("k", "b") // wakes
		pass(t, 5*time.Second)
		w.saw("1 2")
		// The same event again, as far as its key says: another body, so it is no duplicate.
		w.tape.add("k", "a")
		w.tape.add("k", "c")
		pass(t, 10*time.Second)
		w.saw("1 2", "4")
		tallied(t, w.keys, 3, 0, 1)
		if got := w.failures(); len(got) != 1 {
			t.Errorf("the ledger has %q", got)
		}
	})
}
