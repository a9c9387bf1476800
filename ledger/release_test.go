package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/ledger"
)

func TestAReleaseIsNeededAsLongAsAFailureOfItIsOpen(t *testing.T) {
	w := newWorld(t, ledger.Machine{KeepMax: 3})
	at := func(revision string) ledger.ID {
		f := failure("f")
		f.Revision = revision
		return w.record(f, "{}")
	}
	check := func(what string, want ...ledger.Release) {
		t.Helper()
		got, err := w.l.Releases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", what, diff)
		}
	}
	one, two := at("r1"), at("r1")
	at("r2")
	notRun := failure("f")
	notRun.Hop = ledger.Destination
	notRun.Revision = "r3"
	w.record(notRun, "{}")
	r1 := ledger.Release{Function: "f", Revision: "r1", CodeSHA256: "a", Open: 1}
	r2 := ledger.Release{Function: "f", Revision: "r2", CodeSHA256: "a", Open: 1}
	check("the oldest was dropped to make room, what did not run needs nothing", r1, r2)
	if err := w.l.Discard(t.Context(), two, "a test"); err != nil {
		t.Fatal(err)
	}
	check("one discarded", r2)
	if err := w.l.Discard(t.Context(), two, "a test"); err != nil {
		t.Fatal(err)
	}
	check("discarding it twice counts once", r2)
	_ = one
}
