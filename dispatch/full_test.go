package dispatch_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/route"
)

// On a disk that is nearly full what was accepted is dispatched: that makes room. So
// what the platform does about what fails must be written down there, too.
func TestOnADiskThatIsNearlyFullAnotherProcessGoesOn(t *testing.T) {
	dir := t.TempDir()
	process := func(least uint64, f func(d *delivery.Deliveries, s *dispatch.Deliveries, h *hold.Holds)) {
		t.Helper()
		m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.Function }})
		c, err := cell.Open(t.Context(), cell.Config{Journal: disk.Place{Dir: dir, FreeBytesMin: least, BallastBytes: 1 << 12}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, m, hold.Machine{}}})
		if err != nil {
			t.Fatal(err)
		}
		d := delivery.New(c, m)
		f(d, dispatch.NewDeliveries(d, func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, ledger.New(c)), hold.New(c))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	accept := func(d *delivery.Deliveries) error {
		_, err := d.Accept(t.Context(), delivery.Event{Target: daruma.Target{Function: "F"}, Payload: []byte("{}")})
		return err
	}
	lease := func(s *dispatch.Deliveries) dispatch.Item {
		t.Helper()
		got, err := s.Lease(t.Context(), dispatch.Want{N: 1, For: time.Hour})
		if err != nil || len(got.Items) != 1 {
			t.Fatalf("got %+v, %v; want one event", got, err)
		}
		return got.Items[0]
	}
	process(1, func(d *delivery.Deliveries, s *dispatch.Deliveries, _ *hold.Holds) {
		if err := accept(d); err != nil {
			t.Fatal(err)
		}
		lease(s)
	})
	var free syscall.Statfs_t
	if err := syscall.Statfs(dir, &free); err != nil {
		t.Fatal(err)
	}
	process(2*free.Bavail*uint64(free.Bsize), func(d *delivery.Deliveries, s *dispatch.Deliveries, h *hold.Holds) {
		if err := accept(d); daruma.KindOf(err) != daruma.KindFull {
			t.Fatalf("got %v, want that the disk is nearly full", err)
		}
		if err := s.Settle(t.Context(), lease(s), daruma.Outcome{Kind: daruma.Done}, time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := h.Open(t.Context(), hold.Opening{Function: "F", Why: "most events fail"}); err != nil {
			t.Errorf("the function is not held, and its events are given up: %v", err)
		}
		if err := h.Close(t.Context(), hold.Unit{Function: "F"}, "it works again"); err != nil {
			t.Error(err)
		}
	})
}
