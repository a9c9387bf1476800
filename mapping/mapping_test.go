package mapping_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/mapping"
)

var orders = mapping.Source{Kind: "queue", Name: "orders", ARN: "arn:orders"}

func open(t *testing.T, m *memory.Medium) (*cell.Cell, *mapping.Mappings) {
	t.Helper()
	machine := mapping.NewMachine()
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{machine}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, mapping.Open(c, machine)
}

func create(t *testing.T, x *mapping.Mappings, s mapping.Settings) *mapping.Mapping {
	t.Helper()
	m, err := x.Create(t.Context(), orders, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func advance(t *testing.T, x *mapping.Mappings, uuid string, from, to mapping.State) {
	t.Helper()
	if err := x.Advance(t.Context(), uuid, from); err != nil {
		t.Fatal(err)
	}
	m := x.Mapping(uuid)
	if to == "" && m != nil || to != "" && (m == nil || m.State != to) {
		t.Fatalf("after %s it is %+v, want %q", from, m, to)
	}
}

func TestAMappingGoesThroughItsStatesAndOutlivesThePlatform(t *testing.T) {
	m := &memory.Medium{}
	c, x := open(t, m)
	made := create(t, x, mapping.Settings{Function: "F", Batch: 10})
	if made.State != mapping.Creating || made.Changed.IsZero() || len(made.UUID) != 36 {
		t.Fatalf("made %+v", made)
	}
	advance(t, x, made.UUID, mapping.Creating, mapping.Enabled)
	turn := func(disabled bool, want mapping.State) {
		t.Helper()
		got, err := x.Change(t.Context(), made.UUID, func(s *mapping.Settings) error { s.Disabled = disabled; return nil })
		if err != nil || got.State != want {
			t.Fatalf("got %+v, %v; want %s", got, err, want)
		}
	}
	turn(true, mapping.Disabling)
	advance(t, x, made.UUID, mapping.Creating, mapping.Disabling) // somebody who knows an older state changes nothing
	advance(t, x, made.UUID, mapping.Disabling, mapping.Disabled)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, x = open(t, m)
	if got := x.Mapping(made.UUID); got == nil || got.State != mapping.Disabled || got.Batch != 10 || got.Source != orders {
		t.Fatalf("after a restart: %+v", got)
	}
	turn(false, mapping.Enabling)
	advance(t, x, made.UUID, mapping.Enabling, mapping.Enabled)
	turn(false, mapping.Updating)
	if got, err := x.Delete(t.Context(), made.UUID); err != nil || got.State != mapping.Deleting {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := x.Change(t.Context(), made.UUID, func(*mapping.Settings) error { return nil }); daruma.KindOf(err) != daruma.KindConflict {
		t.Fatalf("what is being deleted was changed: %v", err)
	}
	advance(t, x, made.UUID, mapping.Deleting, "")
	if _, err := x.Delete(t.Context(), made.UUID); daruma.KindOf(err) != daruma.KindNotFound {
		t.Fatalf("got %v", err)
	}
}

func TestThereIsOneMappingOfASourceToAFunction(t *testing.T) {
	_, x := open(t, &memory.Medium{})
	first := create(t, x, mapping.Settings{Function: "F", Batch: 10})
	_, err := x.Create(t.Context(), orders, mapping.Settings{Function: "F", Batch: 5}, nil)
	if there, ok := errors.AsType[*mapping.Exists](err); !ok || there.UUID != first.UUID || daruma.KindOf(err) != daruma.KindExists {
		t.Fatalf("got %v", err)
	}
	other := create(t, x, mapping.Settings{Function: "F", Qualifier: "live", Batch: 10})
	if _, err := x.Change(t.Context(), other.UUID, func(s *mapping.Settings) error { s.Qualifier = ""; return nil }); daruma.KindOf(err) != daruma.KindExists {
		t.Fatalf("changed into the other: %v", err)
	}
}

func TestADeploymentDeclaresChangesAndRemovesAndLeavesWhatWasMadeByHand(t *testing.T) {
	_, x := open(t, &memory.Medium{})
	byHand := create(t, x, mapping.Settings{Function: "Hand", Batch: 10})
	wish := func(id, function string, batch int) mapping.Wish {
		return mapping.Wish{LogicalID: id, Source: orders, Settings: mapping.Settings{Function: function, Batch: batch, Filters: []string{`{"body":["x"]}`}}}
	}
	deploy := func(wishes ...mapping.Wish) map[string]*mapping.Mapping {
		t.Helper()
		if err := x.Deploy(t.Context(), wishes); err != nil {
			t.Fatal(err)
		}
		by := map[string]*mapping.Mapping{}
		for _, m := range x.All() {
			by[m.Function] = m
		}
		return by
	}
	first := deploy(wish("A", "F", 10), wish("B", "G", 10))
	again := deploy(wish("A", "F", 10), wish("B", "G", 10))
	if len(first) != 3 || again["F"] != first["F"] && again["F"].Revision != first["F"].Revision {
		t.Fatalf("the same twice: %+v, then %+v", first["F"], again["F"])
	}
	last := deploy(wish("A", "F", 7))
	if f := last["F"]; f.UUID != first["F"].UUID || f.Batch != 7 || f.Revision != 2 || f.State != mapping.Updating {
		t.Errorf("what has changed: %+v", f)
	}
	if last["G"].State != mapping.Deleting || last["Hand"].State != mapping.Creating || last["Hand"].UUID != byHand.UUID {
		t.Errorf("what is gone: %+v; by hand: %+v", last["G"], last["Hand"])
	}
}

func TestTagsOfAMappingSetByHandHoldUntilTheTemplateSaysOtherwise(t *testing.T) {
	_, x := open(t, &memory.Medium{})
	deploy := func(tags map[string]string) *mapping.Mapping {
		t.Helper()
		if err := x.Deploy(t.Context(), []mapping.Wish{{LogicalID: "A", Source: orders, Settings: mapping.Settings{Function: "F", Batch: 10}, Tags: tags}}); err != nil {
			t.Fatal(err)
		}
		return x.All()[0]
	}
	first := deploy(map[string]string{"team": "a", "old": "1"})
	if err := x.Tag(t.Context(), first.UUID, map[string]string{"by": "hand"}, []string{"old", "never"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"team": "a", "by": "hand"}
	if got := x.All()[0]; !maps.Equal(got.Tags, want) || got.Revision != first.Revision || got.State != first.State || !got.Changed.Equal(first.Changed) {
		t.Errorf("got %+v", got)
	}
	if got := deploy(map[string]string{"team": "a", "old": "1"}); !maps.Equal(got.Tags, want) {
		t.Errorf("got %v, want what was set by hand: %v", got.Tags, want)
	}
	if got := deploy(nil); len(got.Tags) != 0 {
		t.Errorf("got %v, want the template's: none", got.Tags)
	}
	many := map[string]string{}
	for i := range mapping.TagsMax + 1 {
		many[fmt.Sprint(i)] = ""
	}
	if err := x.Tag(t.Context(), first.UUID, many, nil); daruma.KindOf(err) != daruma.KindInvalid || len(x.All()[0].Tags) != 0 {
		t.Errorf("got %v, want that it has too many", err)
	}
	if err := x.Tag(t.Context(), "nobody", want, nil); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	standard := mapping.Limits{BatchMax: 10_000, BatchMaxAtOnce: 10, WindowMax: 300 * time.Second, AtOnceMin: 2, AtOnceMax: 1000}
	fifo := mapping.Limits{BatchMax: 10, BatchMaxAtOnce: 10, AtOnceMin: 2, AtOnceMax: 1000}
	for name, c := range map[string]struct {
		l    mapping.Limits
		s    mapping.Settings
		good bool
	}{
		"the usual":                   {standard, mapping.Settings{Function: "F", Batch: 10}, true},
		"many within a window":        {standard, mapping.Settings{Function: "F", Batch: 10_000, Window: time.Second}, true},
		"many without a window":       {standard, mapping.Settings{Function: "F", Batch: 11}, false},
		"too many":                    {standard, mapping.Settings{Function: "F", Batch: 10_001, Window: time.Second}, false},
		"none":                        {standard, mapping.Settings{Function: "F"}, false},
		"too long a window":           {standard, mapping.Settings{Function: "F", Batch: 10, Window: 301 * time.Second}, false},
		"a window in order":           {fifo, mapping.Settings{Function: "F", Batch: 10, Window: time.Second}, false},
		"eleven in order":             {fifo, mapping.Settings{Function: "F", Batch: 11}, false},
		"one at once":                 {standard, mapping.Settings{Function: "F", Batch: 10, AtOnce: 1}, false},
		"two at once":                 {standard, mapping.Settings{Function: "F", Batch: 10, AtOnce: 2}, true},
		"a filter":                    {standard, mapping.Settings{Function: "F", Batch: 10, Filters: []string{`{"body":{"n":[{"numeric":[">",5]}]}}`}}, true},
		"a filter that is no pattern": {standard, mapping.Settings{Function: "F", Batch: 10, Filters: []string{`{"body":5}`}}, false},
		"without a function":          {standard, mapping.Settings{Batch: 10}, false},
	} {
		if err := c.l.Check(c.s); (err == nil) != c.good || err != nil && daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
