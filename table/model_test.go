package table_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A model is the table "orders" as one would write it without a store.
type model struct {
	items map[string]value.Item
}

func modelKey(it value.Item) string {
	pk, _ := it.Get("pk")
	sk, _ := it.Get("sk")
	return pk.Text() + "/" + sk.Text()
}

// take does what an action should do, and says whether its condition holds.
func (m *model) take(a write.Action) bool {
	key := modelKey(a.Item)
	old, there := m.items[key]
	switch a.Condition {
	case "attribute_not_exists(pk)":
		if there {
			return false
		}
	case "v = :old":
		want, _ := a.Values.Get(":old")
		if v, ok := old.Get("v"); !ok || !value.Equal(v, want) {
			return false
		}
	}
	switch a.Kind {
	case write.Put:
		m.items[key] = a.Item
	case write.Delete:
		delete(m.items, key)
	case write.Update:
		if !there {
			old = a.Item
		}
		n, _ := a.Values.Get(":n")
		g, _ := a.Values.Get(":g")
		sum := n.Decimal()
		if v, ok := old.Get("v"); ok {
			sum, _ = v.Decimal().Add(sum)
		}
		m.items[key] = old.With("v", value.OfDecimal(sum)).With("g", g)
	}
	return true
}

// actions draws an action on one of a few items.
func actions() *rapid.Generator[write.Action] {
	return rapid.Custom(func(t *rapid.T) write.Action {
		pk := rapid.SampledFrom([]string{"a", "b", "c\x00d", "\xff"}).Draw(t, "pk")
		sk := rapid.SampledFrom([]any{-1, 0, 1, "10", "2.5"}).Draw(t, "sk")
		a := write.Action{Table: "orders", Kind: rapid.SampledFrom([]write.Kind{write.Put, write.Put, write.Update, write.Update, write.Delete}).Draw(t, "kind"), Item: item("pk", pk, "sk", num(sk))}
		g := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "g")
		switch a.Kind {
		case write.Put:
			a.Item = a.Item.With("v", num(rapid.IntRange(0, 3).Draw(t, "v")))
			if rapid.Bool().Draw(t, "indexed") {
				a.Item = a.Item.With("g", str(g)).With("l", num(rapid.IntRange(0, 3).Draw(t, "l")))
			}
		case write.Update:
			a.Update, a.Values = "SET g = :g ADD v :n", item(":g", g, ":n", rapid.IntRange(-1, 1).Draw(t, "n"))
		}
		switch rapid.IntRange(0, 3).Draw(t, "condition") {
		case 0:
			a.Condition = "attribute_not_exists(pk)"
		case 1:
			a.Condition = "v = :old"
			a.Values = a.Values.With(":old", num(rapid.IntRange(0, 3).Draw(t, "old")))
		}
		return a
	})
}

func TestATableIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		defer func() { _ = w.cell.Close() }()
		d := w.create(orders())
		m := &model{items: map[string]value.Item{}}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				a := actions().Draw(rt, "action")
				before := m.items[modelKey(a.Item)]
				a.Return = write.ReturnAllOld
				a.OldOnFailure = true
				out, err := w.tables.Write(t.Context(), a)
				r, failed := errors.AsType[*refuse.Error](err)
				switch holds := m.take(a); {
				case holds && (err != nil || text(out.Attributes) != text(before)):
					rt.Fatalf("%+v: got %s, %v, want %s", a, text(out.Attributes), err, text(before))
				case !holds && (!failed || r.Code != refuse.ConditionFailed || text(r.Item) != text(before)):
					rt.Fatalf("%+v: got %v, want a failed condition", a, err)
				}
			},
			"transact": func(rt *rapid.T) {
				all := rapid.SliceOfNDistinct(actions(), 1, 4, func(a write.Action) string { return modelKey(a.Item) }).Draw(rt, "actions")
				next := &model{items: maps.Clone(m.items)}
				holds := true
				for _, a := range all {
					holds = next.take(a) && holds
				}
				_, err := w.tables.Transact(t.Context(), "", all)
				if holds != (err == nil) {
					rt.Fatalf("got %v, holds %v", err, holds)
				}
				if holds {
					m.items = next.items
				}
			},
			"crash": func(rt *rapid.T) { w.crash() },
			"":      func(rt *rapid.T) { w.compare(rt, m) },
		})
		// What the stream tells leads to what there is.
		told := map[string]value.Item{}
		for _, c := range w.changes(d.Stream) {
			key := modelKey(c.Keys)
			if text(told[key]) != text(c.Old) || (c.Old == nil) != (c.Kind == table.Inserted) || (c.New == nil) != (c.Kind == table.Removed) {
				rt.Fatalf("a change of %s from %s, which was %s", key, text(c.Old), text(told[key]))
			}
			if told[key] = c.New; c.New == nil {
				delete(told, key)
			}
		}
		if diff := gocmp.Diff(sortedTexts(m.items, nil), sortedTexts(told, nil)); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func sortedTexts(items map[string]value.Item, of func(value.Item) value.Item) []string {
	out := []string{}
	for _, it := range items {
		if of != nil {
			if it = of(it); it == nil {
				continue
			}
		}
		out = append(out, text(it))
	}
	slices.Sort(out)
	return out
}

// compare reads everything in every way, and compares it with the model.
func (w *world) compare(rt *rapid.T, m *model) {
	global := func(it value.Item) value.Item {
		if _, ok := it.Get("g"); !ok {
			return nil
		}
		return it.With("l", value.Value{})
	}
	local := func(it value.Item) value.Item {
		if _, ok := it.Get("l"); !ok {
			return nil
		}
		return it.With("g", value.Value{}).With("v", value.Value{})
	}
	counts := map[string]int{}
	for index, of := range map[string]func(value.Item) value.Item{"": nil, "global": global, "local": local} {
		got := texts(w.query(read.Query{Table: "orders", Index: index, Scan: true}).Items)
		slices.Sort(got)
		counts[index] = len(got)
		if diff := gocmp.Diff(sortedTexts(m.items, of), got); diff != "" {
			rt.Fatalf("%q: %s", index, diff)
		}
	}
	for _, pk := range []string{"a", "c\x00d"} {
		var want []value.Item
		for _, it := range m.items {
			if v, _ := it.Get("pk"); v.Text() == pk {
				want = append(want, it)
			}
		}
		slices.SortFunc(want, func(a, b value.Item) int {
			x, _ := a.Get("sk")
			y, _ := b.Get("sk")
			order, _ := value.Compare(x, y)
			return order
		})
		if diff := gocmp.Diff(texts(want), texts(w.query(read.Query{Table: "orders", Condition: "pk = :p", Values: item(":p", pk)}).Items)); diff != "" {
			rt.Fatal(diff)
		}
	}
	desc, err := w.tables.Describe(w.t.Context(), "orders")
	if err != nil || int(desc.Count.Items) != counts[""] || int(desc.Indexes[0].Items) != counts["global"] || int(desc.Indexes[1].Items) != counts["local"] {
		rt.Fatalf("got %+v, %v, want %v", desc, err, counts)
	}
	size := 0
	for _, it := range m.items {
		size += it.Size()
	}
	if int(desc.Count.Bytes) != size {
		rt.Fatalf("%d bytes are counted, want %d", desc.Count.Bytes, size)
	}
}

// Crashes at any command of random transactions leave all of each or nothing.
func TestTransactionsAreWholeWhereverTheCellCrashes(t *testing.T) {
	const accounts, money = 5, 100
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		defer func() { _ = w.cell.Close() }()
		w.create(plain("accounts"))
		for i := range accounts {
			w.put("accounts", item("id", fmt.Sprint(i), "balance", money))
		}
		done := 0
		for range rapid.IntRange(1, 10).Draw(rt, "transfers") {
			from := rapid.IntRange(0, accounts-1).Draw(rt, "from")
			to := (from + rapid.IntRange(1, accounts-1).Draw(rt, "to")) % accounts
			n := rapid.IntRange(1, 60).Draw(rt, "n")
			_, err := w.tables.Transact(t.Context(), "", []write.Action{
				{Kind: write.Update, Table: "accounts", Item: item("id", fmt.Sprint(from)), Update: "ADD balance :n", Values: item(":n", -n, ":min", n), Condition: "balance >= :min"},
				{Kind: write.Update, Table: "accounts", Item: item("id", fmt.Sprint(to)), Update: "ADD balance :n", Values: item(":n", n)},
				{Kind: write.Put, Table: "accounts", Item: item("id", fmt.Sprint("transfer ", done))},
			})
			if err == nil {
				done++
			}
			if rapid.Bool().Draw(rt, "crash") {
				w.crash()
			}
			sum, transfers := value.Decimal{}, 0
			for _, it := range w.query(read.Query{Table: "accounts", Scan: true}).Items {
				v, ok := it.Get("balance")
				if !ok {
					transfers++
					continue
				}
				sum, _ = sum.Add(v.Decimal())
			}
			if n, _ := sum.Int64(); n != accounts*money || transfers != done {
				rt.Fatalf("%d in all accounts after %d transfers of which %d are there", n, done, transfers)
			}
		}
	})
}

func FuzzCommands(f *testing.F) {
	w := newWorld(f)
	w.create(orders())
	f.Add([]byte("\x01\x00\x00\x00\x01\x00\x06orders\x02\x02pk\x04\x01a\x02sk\x03\x011\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = w.cell.Do(t.Context(), cell.Command{Machine: "table", Name: "write", Body: body})
		if n := w.cell.Health().Panics; n > 0 {
			t.Fatalf("%d panics", n)
		}
	})
}

func TestItemsOfAPartitionAreOrderedByTheirTextsBytes(t *testing.T) {
	w := newWorld(t)
	c := plain("texts")
	c.Attributes = append(c.Attributes, schema.KeyAttribute{Name: "sk", Kind: value.String})
	c.Key.Range = []string{"sk"}
	w.create(c)
	texts := rapid.SliceOfNDistinct(rapid.StringN(1, 6, -1), 20, 20, rapid.ID).Example(7)
	for _, s := range texts {
		w.put("texts", item("id", "a", "sk", s))
	}
	slices.SortFunc(texts, cmp.Compare[string])
	var got []string
	for _, it := range w.query(read.Query{Table: "texts", Condition: "id = :a", Values: item(":a", "a")}).Items {
		v, _ := it.Get("sk")
		got = append(got, v.Text())
	}
	if diff := gocmp.Diff(texts, got); diff != "" {
		t.Error(diff)
	}
}
