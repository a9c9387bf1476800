package dispatch_test

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/route"
)

func TestLeasesOfAProcessThatIsGoneAreTakenBackByTheBook(t *testing.T) {
	m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.Function }})
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, l := delivery.New(c, m), ledger.New(c)
	source := func() *dispatch.Deliveries {
		return dispatch.NewDeliveries(d, func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, l)
	}
	repairs := func() []*ledger.Repair {
		all, err := l.Repairs(t.Context(), 0, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for range 3 {
		if _, err := d.Accept(t.Context(), delivery.Event{Request: daruma.NewID(), Target: daruma.Target{Function: "F"}, Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := source().Lease(t.Context(), dispatch.Want{N: 3, For: time.Hour})
	if err != nil || len(got.Items) != 3 || len(repairs()) != 0 {
		t.Fatalf("got %d events, %v and %d repairs; want 3 and nothing repaired", len(got.Items), err, len(repairs()))
	}
	// The process ends here, and another begins.
	next := source()
	if _, err = next.Lease(t.Context(), dispatch.Want{N: 2, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if all := repairs(); len(all) != 1 || all[0].Outcome != "" {
		t.Fatalf("got %+v, want one repair that is under way", all)
	}
	if _, err = next.Lease(t.Context(), dispatch.Want{N: 2, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	all := repairs()
	if len(all) != 1 || all[0].By != "dispatch" || all[0].Outcome != "3 events are due again; each has spent an attempt" {
		t.Errorf("got %+v", all[0])
	}
}
