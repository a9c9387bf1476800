package delivery

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/ledger"
)

// What was given up at the head of a line is deleted in the store, and a scan would
// go over it each time.
func TestALineThatIsHeldBackBeginsBehindWhatWasGivenUp(t *testing.T) {
	m := NewMachine(Config{ARN: func(t daruma.Target) string { return t.String() }})
	clock := clocktest.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	c, err := cell.Open(t.Context(), cell.Config{Journal: new(memory.Medium), Clock: clock, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := New(c, m)
	accept := func(n int) {
		t.Helper()
		for range n {
			if _, err := d.Accept(t.Context(), Event{Target: daruma.Target{Function: "F"}, Payload: []byte("{}"), Policy: &Policy{Age: time.Minute}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func(want []byte) {
		t.Helper()
		if _, err := d.Lease(t.Context(), Want{N: 10, For: time.Minute, Limits: map[string]int{"F": 0}}); err != nil {
			t.Fatal(err)
		}
		if got := m.lines["F"]; string(got) != string(want) { // the command has been applied
			t.Errorf("the line begins at %q, want %q", got, want)
		}
	}
	began := clock.Now()
	accept(3)
	clock.Advance(2 * time.Minute)
	accept(1)
	look(waitingKey("F", began.Add(2*time.Minute), 4))
	clock.Advance(2 * time.Minute)
	look(nil)
	accept(1)
	look(waitingKey("F", began.Add(4*time.Minute), 5))
}
