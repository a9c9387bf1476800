package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// A world is deliveries and a ledger in a memory cell.
type world struct {
	t       testing.TB
	clock   *clocktest.Clock
	medium  *memory.Medium
	cell    *cell.Cell
	d       *delivery.Deliveries
	machine *delivery.Machine
	l       *ledger.Ledger
	sink    *sink
}

// sink takes what is put to a destination, and keeps it in the cell. What it is
// told it hands on to a function, as a topic does, if it knows one.
type sink struct {
	refuse bool
	hands  string
}

func (*sink) Name() string { return "sink" }

func (s *sink) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if s.refuse {
		return nil, &daruma.Error{Kind: daruma.KindDenied, Ref: "sink", Err: fmt.Errorf("it takes nothing")}
	}
	n := 0
	for range tx.Scan(cell.Range{}) {
		n++
	}
	tx.Set(fmt.Appendf(nil, "%06d", n), cmd.Body)
	if s.hands == "" {
		return nil, nil
	}
	on, err := delivery.AcceptCommand(delivery.Event{Request: tx.NewID(), Target: daruma.Target{Function: s.hands}, Payload: []byte("{}")})
	if err != nil {
		return nil, err
	}
	return tx.Do(on)
}

func arn(t daruma.Target) string {
	return "arn:aws:lambda:us-east-1:123456789012:function:" + t.String()
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: clocktest.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), medium: &memory.Medium{}, sink: &sink{}}
	w.open()
	t.Cleanup(func() { _ = w.cell.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	w.machine = delivery.NewMachine(delivery.Config{ARN: arn, Sinks: map[string]delivery.Sink{"sink": delivery.PutTo("sink")}})
	c, err := cell.Open(context.Background(), cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{w.machine, ledger.Machine{}, w.sink}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.cell, w.d, w.l = c, delivery.New(c, w.machine), ledger.New(c)
}

// crash loses what is not durable and opens the cell anew.
func (w *world) crash() {
	w.t.Helper()
	w.medium.Crash()
	_ = w.cell.Close()
	w.open()
}

func (w *world) accept(events ...delivery.Event) []string {
	w.t.Helper()
	ids, err := w.d.Accept(w.t.Context(), events...)
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func (w *world) lease(n int) []delivery.Leased {
	w.t.Helper()
	got, err := w.d.Lease(w.t.Context(), delivery.Want{N: n, For: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Events
}

func (w *world) one() delivery.Leased {
	w.t.Helper()
	got := w.lease(1)
	if len(got) != 1 {
		w.t.Fatalf("leased %d events, want 1", len(got))
	}
	return got[0]
}

func (w *world) settle(l delivery.Leased, v delivery.Verdict) delivery.Settled {
	w.t.Helper()
	r := delivery.Report{Held: l.Held(), Verdict: v, Outcome: string(v), Status: 200, Version: "$LATEST", ErrorType: "Error", Message: "it broke", FunctionError: v == delivery.Failure}
	if v == delivery.NotRun {
		r.Status, r.ErrorType, r.Message, r.Version = 429, "TooManyRequestsException", "Rate Exceeded.", ""
	}
	got, err := w.d.Settle(w.t.Context(), r, []byte(`{"errorMessage":"it broke","errorType":"Error"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// until waits until something holds, looking after each change of the deliveries.
func (w *world) until(holds func() bool) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer stop()
	for at := uint64(0); !holds(); {
		var err error
		if at, err = w.cell.Changed(ctx, "delivery", at); err != nil {
			w.t.Fatal("what was waited for did not come: ", err)
		}
	}
}

// handovers returns what the sink was told, by role.
func (w *world) handovers() map[string][]delivery.Handover {
	w.t.Helper()
	got := map[string][]delivery.Handover{}
	err := w.cell.View(w.t.Context(), "sink", func(r *cell.Reader) error {
		for _, v := range r.Scan(cell.Range{}) {
			var h delivery.Handover
			if err := json.Unmarshal(v, &h); err != nil {
				return err
			}
			got[h.Role] = append(got[h.Role], h)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// told returns the one thing the sink was told in a role.
func (w *world) told(role string) delivery.Handover {
	w.t.Helper()
	got := w.handovers()[role]
	if len(got) != 1 {
		w.t.Fatalf("the sink was told %d times of %q, want once", len(got), role)
	}
	return got[0]
}

func (w *world) configure(function string, p delivery.Policy) {
	w.t.Helper()
	if err := w.d.Configure(w.t.Context(), delivery.Wish{Function: function, Policy: &p}); err != nil {
		w.t.Fatal(err)
	}
}

// failures returns what is in the ledger, the oldest first.
func (w *world) failures() []*ledger.Failure {
	w.t.Helper()
	p, err := w.l.Find(w.t.Context(), ledger.Query{Max: ledger.PageMax})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(p.Failures)
	return p.Failures
}

func (w *world) closes() delivery.Account {
	w.t.Helper()
	all, each, err := w.d.Accounts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range append(each, all) {
		if !a.Closes() {
			w.t.Fatalf("the account of %q does not close: %+v", a.Function, a)
		}
	}
	return all
}

func event(function string) delivery.Event {
	return delivery.Event{Target: daruma.Target{Function: function}, Payload: []byte(`{"n":1}`), Source: "invoke", Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"}
}

func TestAFailingFunctionRunsAtOnceAndAfterOneAndTwoMinutes(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	for i, pause := range []time.Duration{time.Minute, 2 * time.Minute} {
		got := w.settle(w.one(), delivery.Failure)
		if want := w.clock.Now().Add(pause); got.State != delivery.StateWaiting || !got.Due.Equal(want) || got.Attempts != i+1 {
			t.Fatalf("after failure %d: got %+v, want waiting until %v", i+1, got, want)
		}
		w.clock.Advance(pause - time.Nanosecond)
		if n := len(w.lease(1)); n != 0 {
			t.Fatal("it is leased before its time")
		}
		w.clock.Advance(time.Nanosecond)
	}
	got := w.settle(w.one(), delivery.Failure)
	if got.State != delivery.StateFailed || got.Condition != delivery.RetriesExhausted || got.Attempts != 3 {
		t.Fatalf("got %+v, want it given up after three attempts", got)
	}
	f, payload, err := w.l.Failure(t.Context(), got.Failure)
	if err != nil || string(payload) != `{"n":1}` || f.Runs != 3 || len(f.Attempts) != 3 || f.Trace != "1-5759e988-bd862e3fe1be46a994272793" {
		t.Fatalf("got %+v, %s, %v", f, payload, err)
	}
	if a := w.closes(); a.Failed != 1 || a.InProgress() != 0 || a.Bytes != 0 {
		t.Fatalf("got %+v", a)
	}
}
