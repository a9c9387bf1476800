package console

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
)

// kept is spans in memory.
type kept []daruma.Span

func (k kept) Spans(_ context.Context, root string) (spans []daruma.Span, more int, err error) {
	for _, s := range k {
		if s.Trace == root {
			spans = append(spans, s)
		}
	}
	return spans, 3, nil
}

func (k kept) Traces(_ context.Context, id string) (found []daruma.Span, err error) {
	for _, s := range k {
		if s.Request == id || s.ID == id || slices.Contains(s.Keys, id) {
			found = append(found, s)
		}
	}
	return found, nil
}

func TestAStoryIsFoundByEveryID(t *testing.T) {
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := ledger.New(c)
	const root, other = "1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-000000000000000000000001"
	for _, f := range []ledger.Failure{
		{Hop: ledger.Async, Function: "f", Request: "r1", Trace: root},
		{Hop: ledger.Call, Function: "f", Request: "rotated", Trace: "1-5759e988-000000000000000000000002", Correlate: []string{"$.order"}},
	} {
		if _, err := l.Record(t.Context(), f, []byte(`{"order":"o-old"}`)); err != nil {
			t.Fatal(err)
		}
	}
	spans := kept{
		{ID: "00000000000000aa", Trace: root, Request: "r1", Keys: []string{"o-1", "both", "4bf92f3577b34da6a3ce929d0e0e4736"}},
		{ID: "00000000000000bb", Trace: other, Request: "r2", Keys: []string{"both"}},
	}
	d, _, _ := open(t, func(c *Config) { c.Ledger, c.Spans = l, spans })
	for id, want := range map[string]string{
		root:                               root,
		"5759e988bd862e3fe1be46a994272793": root,
		"Root=" + root + ";Sampled=1":      root,
		"00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01": root,
		"4bf92f3577b34da6a3ce929d0e0e4736":                        root, // the other name it came with
		"F-1":                                                     root,
		"r1":                                                      root,
		"o-1":                                                     root,
		"00000000000000bb":                                        other,
		"F-2":                                                     "1-5759e988-000000000000000000000002", // its spans are gone, the failure is kept
		"rotated":                                                 "1-5759e988-000000000000000000000002",
		"o-old":                                                   "1-5759e988-000000000000000000000002",
		"both":                                                    "",
	} {
		got := story(t, d, id)
		if got.Trace != want || want == "" && len(got.Several) != 2 || want == root && (len(got.Spans) != 1 || len(got.Failures) != 1 || got.W3C != "5759e988bd862e3fe1be46a994272793" || got.More != 3) {
			t.Errorf("%q: got %+v, want %q", id, got, want)
		}
	}
	if _, err := d.story(t.Context(), ""); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v for no ID", err)
	}
	for _, id := range []string{"nothing", "F-99", "1-5759e988-000000000000000000000009"} {
		if _, err := d.story(t.Context(), id); daruma.KindOf(err) != daruma.KindNotFound {
			t.Errorf("%q: got %v, want that it is not found", id, err)
		}
	}
}

func story(t *testing.T, d *Door, id string) (got Trace) {
	t.Helper()
	got, err := d.story(t.Context(), id)
	if err != nil {
		t.Fatalf("%q: %v", id, err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var again Trace
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	return again
}
