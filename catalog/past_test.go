package catalog

import (
	"context"
	"strconv"
	"testing"

	"github.com/daruma-io/daruma/cell/journal/memory"
)

func TestARevisionIsKnownAsLongAsItIsNeeded(t *testing.T) {
	w := fresh(t)
	deploy := func(code string, needed ...string) string {
		w.deploy(t, Deployment{Functions: []*Function{function("a", code)}, Needed: map[string][]string{"a": needed}})
		return w.View().Function("a", Latest).Revision
	}
	first := deploy("1")
	second := deploy("2", first)
	for i := range 2 * pastRecent {
		deploy(strconv.Itoa(10+i), first)
	}
	if f := w.View().Revision("a", first); f == nil || f.Code.SHA256 != "1" {
		t.Errorf("got %+v, want the first revision: it is needed", f)
	}
	if f := w.View().Revision("a", second); f != nil {
		t.Errorf("got %+v of a revision nobody needs", f)
	}
	if got := len(w.View().Past()); got > pastRecent+2 {
		t.Errorf("got %d past revisions, want a few", got)
	}
	w.deploy(t, Deployment{Needed: map[string][]string{"a": {first}}})
	if f := w.View().Revision("a", first); f == nil {
		t.Error("a revision that is needed went with its function")
	}
	deploy("x")
	deploy("y")
	if f := w.View().Revision("a", first); f != nil {
		t.Error("a revision that is needed no more is still there")
	}
}

func TestThePastIsBoundedWhateverIsNeeded(t *testing.T) {
	w := fresh(t)
	var all []string
	for i := range PastMax + 20 {
		w.deploy(t, Deployment{Functions: []*Function{function("a", strconv.Itoa(i))}, Needed: map[string][]string{"a": all}})
		all = append(all, w.View().Function("a", Latest).Revision)
	}
	if got := len(w.View().Past()); got != PastMax {
		t.Errorf("got %d, want %d", got, PastMax)
	}
	if w.View().Revision("a", all[0]) != nil || w.View().Revision("a", all[len(all)-2]) == nil {
		t.Error("the oldest should be gone, the newest there")
	}
}

func TestAChangeByHandLeavesTheRevisionBeforeItKnown(t *testing.T) {
	w := fresh(t)
	w.deploy(t, Deployment{Functions: []*Function{function("a", "1")}})
	before := w.View().Function("a", Latest).Revision
	five := 5
	if err := w.SetReserved(context.Background(), "a", &five); err != nil {
		t.Fatal(err)
	}
	between := w.View().Function("a", Latest).Revision
	if err := w.SetRecursion(context.Background(), "a", RecursionAllow); err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{before, between} {
		if w.View().Revision("a", r) == nil {
			t.Errorf("revision %s is forgotten", r)
		}
	}
	w.medium.Crash()
	if open(t, w.medium).View().Revision("a", before) == nil {
		t.Error("a revision does not outlive a crash")
	}
}

func TestAVersionThatIsRemovedIsRememberedAndItsNeighbourIsNot(t *testing.T) {
	w := open(t, &memory.Medium{})
	d := Deployment{Functions: []*Function{function("a", "1")}, Publish: []Publication{{Function: "a", LogicalID: "V1"}}}
	w.deploy(t, d)
	v1 := w.View().Function("a", "1").Revision
	d.Publish = nil
	w.deploy(t, d)
	if w.View().Function("a", "1") != nil || w.View().Revision("a", v1) == nil {
		t.Error("the version's configuration should be known and the version gone")
	}
	if got := len(w.View().Past()); got != 1 {
		t.Errorf("got %d past functions, want the version alone", got)
	}
}
