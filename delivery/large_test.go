package delivery_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/daruma-io/daruma/delivery"
)

// largeLeased leases events of a megabyte that are tried once, and whose dead letters
// the sink takes: together more than one command may write when they are given up.
func largeLeased(t *testing.T) (w *world, n int) {
	w = newWorld(t)
	none := 0
	w.configure("Orders", delivery.Policy{Retries: &none, DeadLetter: &delivery.Destination{Kind: "sink", Name: "S"}})
	e := event("Orders")
	e.Payload = append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 1_000_000)...), '"')
	const all = 20
	for range all {
		w.accept(e)
	}
	if got := len(w.lease(all)); got != all {
		t.Fatalf("leased %d events, want %d", got, all)
	}
	return w, all
}

func TestManyLargeEventsWhoseLeasesRunOutAreGivenUp(t *testing.T) {
	w, n := largeLeased(t)
	w.clock.Advance(2 * time.Minute)
	w.until(func() bool { return w.closes().Failed == int64(n) })
}

func TestManyLargeEventsOfAProcessThatIsGoneAreTakenBack(t *testing.T) {
	w, n := largeLeased(t)
	mine, err := w.d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for left, before := 1, n+1; left > 0; {
		if left, err = w.d.Reclaim(t.Context(), mine, n); err != nil || left >= before {
			t.Fatalf("%d leases are left, after %d: %v", left, before, err)
		}
		before = left
	}
	if a := w.closes(); a.Failed != int64(n) || a.Leased != 0 {
		t.Errorf("got %+v, want all given up", a)
	}
}
