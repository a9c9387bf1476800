package delivery_test

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma/delivery"
)

// A destination may hand on what it is told to functions, in the step that gives
// an event up: a topic does. What it hands on is accepted within that step.

func TestADestinationMayHandTheFunctionThatFailedItsNextEvent(t *testing.T) {
	w := newWorld(t)
	w.sink.hands = "Orders"
	w.configure("Orders", delivery.Policy{OnFailure: &delivery.Destination{Kind: "sink", Name: "S"}})
	w.accept(event("Orders"))
	w.settle(w.one(), delivery.Never)
	if all := w.closes(); all.Accepted != 2 || all.Waiting != 1 {
		t.Fatalf("one event failed and its destination handed on another: %+v", all)
	}
	w.sink.hands = ""
	w.accept(event("Orders"))
	seen := map[uint64]bool{}
	for _, l := range w.lease(10) {
		seen[l.Number] = true
		w.settle(l, delivery.Success)
	}
	if all := w.closes(); len(seen) != 2 || all.Done != 2 || all.InProgress() != 0 {
		t.Errorf("the events %v ran, want 2; %+v", seen, all)
	}
}

func TestWhatADestinationHandsOnWhileEventsAreLeasedIsLeasedNext(t *testing.T) {
	w := newWorld(t)
	w.sink.hands = "Tell"
	w.configure("Orders", delivery.Policy{Age: time.Minute, OnFailure: &delivery.Destination{Kind: "sink", Name: "S"}})
	for range 20 { // whose turn it is first is random
		w.accept(event("Orders"))
		w.clock.Advance(2 * time.Minute)
		w.accept(event("Tell"))
		for _, l := range w.lease(10) { // gives up that of Orders, of which Tell is told
			w.settle(l, delivery.Success)
		}
		got := w.lease(10)
		if len(got) > 1 {
			t.Fatalf("%d events are due, want one at most", len(got))
		}
		for _, l := range got {
			w.settle(l, delivery.Success)
		}
		if all := w.closes(); all.InProgress() != 0 {
			t.Fatalf("what was handed on is not found: %+v", all)
		}
	}
}
