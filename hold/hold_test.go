package hold_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

func open(t *testing.T, m *memory.Medium) (*cell.Cell, *hold.Holds, *ledger.Ledger) {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{ledger.Machine{}, hold.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, hold.New(c), ledger.New(c)
}

func one(t *testing.T, h *hold.Holds) hold.Hold {
	t.Helper()
	all, err := h.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v; want one hold", all, err)
	}
	return all[0]
}

func repairs(t *testing.T, l *ledger.Ledger) []*ledger.Repair {
	t.Helper()
	list, err := l.Repairs(t.Context(), 0, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAHoldIsInTheHealingLogAndOutlivesThePlatform(t *testing.T) {
	m := &memory.Medium{}
	c, h, l := open(t, m)
	id, err := h.Open(t.Context(), hold.Opening{Function: "F", Why: "5 failed", Evidence: "e1\ne2", Owner: "team", Dependency: "db:5432"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Open(t.Context(), hold.Opening{Function: "F", Why: "more failed"})
	if err != nil || again != id {
		t.Fatalf("held twice it is %v, %v; want %v", again, err, id)
	}
	r := repairs(t, l)
	if len(r) != 1 || r[0].What != "hold F, which cannot reach db:5432" || r[0].Evidence != "e1\ne2" || r[0].Owner != "team" || r[0].Outcome != "" || r[0].Undo != "daruma breakers close F" {
		t.Fatalf("the healing log has %+v", r[0])
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, h, l = open(t, m)
	if got := one(t, h); !got.Held || got.Why != "5 failed" || got.Dependency != "db:5432" || got.Repair != id || got.Since.IsZero() {
		t.Fatalf("after a restart: %+v", got)
	}
	if err := h.Close(t.Context(), hold.Unit{Function: "F"}, "it works again"); err != nil {
		t.Fatal(err)
	}
	if all, err := h.All(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("after its end: %+v, %v", all, err)
	}
	if r := repairs(t, l); len(r) != 1 || r[0].Outcome != "it works again" {
		t.Fatalf("the healing log has %+v", r)
	}
	if err := h.Close(t.Context(), hold.Unit{Function: "F"}, "twice"); err != nil {
		t.Fatal(err)
	}
}

func TestAForceIsKeptWithItsReasonAndEndsAHold(t *testing.T) {
	_, h, l := open(t, &memory.Medium{})
	if _, err := h.Force(t.Context(), hold.Unit{Function: "F"}, hold.Open, "", ""); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("without a reason: %v", err)
	}
	if _, err := h.Force(t.Context(), hold.Unit{Function: "F"}, "ajar", "why", ""); daruma.KindOf(err) != daruma.KindInvalid {
		t.Fatalf("an unknown force: %v", err)
	}
	if _, err := h.Open(t.Context(), hold.Opening{Function: "F", Why: "w"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Force(t.Context(), hold.Unit{Function: "F"}, hold.Closed, "they are broken", "team"); err != nil {
		t.Fatal(err)
	}
	if got := one(t, h); got.Held || got.Force != hold.Closed || got.Reason != "they are broken" || got.Forced.IsZero() {
		t.Fatalf("got %+v", got)
	}
	if _, err := h.Force(t.Context(), hold.Unit{Function: "F"}, hold.Auto, "", ""); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range repairs(t, l) {
		said = append(said, r.What+" | "+r.Undo+" | "+r.Outcome)
	}
	want := []string{
		"leave F to its events again | daruma breakers close F | done",
		"never hold F | daruma breakers auto F | done",
		"hold F | daruma breakers close F | ended by a person: they are broken",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Fatalf("the healing log (-want +got):\n%s", diff)
	}
}

func TestAKeyIsHeldByItself(t *testing.T) {
	m := &memory.Medium{}
	c, h, _ := open(t, m)
	acme, odd := hold.Unit{Function: "F", Key: "acme"}, hold.Unit{Function: "F", Key: "it's \x00 odd"}
	if _, err := h.Open(t.Context(), hold.Opening{Function: "F", Key: "acme", Why: "w", Dependency: "db:5432"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Force(t.Context(), odd, hold.Open, "moving", ""); err != nil {
		t.Fatal(err)
	}
	if err := h.Learn(t.Context(), map[hold.Unit]int{{Function: "F"}: 12, acme: 3, odd: 4}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, h, l := open(t, m)
	all, err := h.All(t.Context())
	if err != nil || len(all) != 3 || all[0].Unit() != (hold.Unit{Function: "F"}) || all[1].Unit() != acme || all[2].Unit() != odd {
		t.Fatalf("after a restart: %+v, %v", all, err)
	}
	if all[0].Held || all[0].Limit != 12 || !all[1].Held || all[1].Limit != 3 || all[2].Held || all[2].Force != hold.Open || all[2].Limit != 4 {
		t.Fatalf("after a restart: %+v", all)
	}
	if r := repairs(t, l); r[1].What != "hold F (key acme), which cannot reach db:5432" || r[1].Undo != "daruma breakers close F --key acme" || r[0].Undo != "daruma breakers auto F --key 'it'\\''s \x00 odd'" {
		t.Errorf("the healing log has %+v and %+v", r[0], r[1])
	}
	if err := h.Close(t.Context(), acme, "it works again"); err != nil {
		t.Fatal(err)
	}
	if err := h.Learn(t.Context(), map[hold.Unit]int{acme: 0}); err != nil {
		t.Fatal(err)
	}
	if all, err := h.All(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("when nothing is to be kept of it: %+v, %v", all, err)
	}
	for _, u := range []hold.Unit{{Function: "F\x00G"}, {Function: "F", Key: strings.Repeat("k", 1025)}} {
		if _, err := h.Force(t.Context(), u, hold.Open, "why", ""); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestLimitsAreKept(t *testing.T) {
	_, h, _ := open(t, &memory.Medium{})
	if err := h.Learn(t.Context(), map[hold.Unit]int{{Function: "F"}: 12}); err != nil {
		t.Fatal(err)
	}
	if got := one(t, h); got.Limit != 12 {
		t.Fatalf("got %+v", got)
	}
	many := map[hold.Unit]int{}
	for i := range 1001 {
		many[hold.Unit{Function: string(rune('a' + i))}] = 1
	}
	if err := h.Learn(t.Context(), many); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Fatalf("too many: %v", err)
	}
}
