package table_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/clocktest"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// A world is a cell with tables, that can crash.
type world struct {
	t      testing.TB
	clock  *clocktest.Clock
	medium *memory.Medium
	cell   *cell.Cell
	tables *table.Tables
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, clock: clocktest.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), medium: &memory.Medium{}}
	w.open()
	t.Cleanup(func() { _ = w.cell.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	m := table.NewMachine()
	c, err := cell.Open(context.Background(), cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{m}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.cell, w.tables = c, table.New(c, m, w.clock)
}

func (w *world) crash() {
	w.t.Helper()
	w.medium.Crash()
	_ = w.cell.Close()
	w.open()
}

// until waits for what a timer of the cell brings about.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for at := uint64(0); ; {
		var err error
		if at, err = w.tables.Changed(ctx, at); err != nil {
			w.t.Fatalf("%s: %v", what, err)
		}
		if f() {
			return
		}
	}
}

func str(s string) value.Value { return value.OfString(s) }

func num(n any) value.Value {
	v, err := value.OfNumber(fmt.Sprint(n))
	if err != nil {
		panic(err)
	}
	return v
}

func item(parts ...any) value.Item {
	var all []value.Attribute
	for i := 0; i < len(parts); i += 2 {
		v, ok := parts[i+1].(value.Value)
		if !ok {
			if s, text := parts[i+1].(string); text {
				v = str(s)
			} else {
				v = num(parts[i+1])
			}
		}
		all = append(all, value.Attribute{Name: parts[i].(string), Value: v})
	}
	it, _, _ := value.Sorted(all)
	return it
}

// orders has a sort key, a global and a local index, and a stream.
func orders() schema.Creation {
	return schema.Creation{View: schema.ViewBoth, Definition: schema.Definition{
		Name: "orders", OnDemand: true,
		Attributes: []schema.KeyAttribute{{Name: "pk", Kind: value.String}, {Name: "sk", Kind: value.Number}, {Name: "g", Kind: value.String}, {Name: "l", Kind: value.Number}},
		Key:        schema.KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}},
		Indexes: []schema.Index{
			{Name: "global", Key: schema.KeySchema{Hash: []string{"g"}, Range: []string{"sk"}}, Projection: schema.Projection{Kind: schema.ProjectInclude, Include: []string{"v"}}},
			{Name: "local", Local: true, Key: schema.KeySchema{Hash: []string{"pk"}, Range: []string{"l"}}, Projection: schema.Projection{Kind: schema.ProjectKeys}},
		},
	}}
}

func plain(name string) schema.Creation {
	return schema.Creation{Definition: schema.Definition{Name: name, OnDemand: true, Attributes: []schema.KeyAttribute{{Name: "id", Kind: value.String}}, Key: schema.KeySchema{Hash: []string{"id"}}}}
}

func (w *world) create(c schema.Creation) *schema.Definition {
	w.t.Helper()
	d, err := w.tables.Create(context.Background(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) put(name string, it value.Item) {
	w.t.Helper()
	if _, err := w.tables.Write(context.Background(), write.Action{Kind: write.Put, Table: name, Item: it}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string, key value.Item) value.Item {
	w.t.Helper()
	got, err := w.tables.Get(context.Background(), read.Get{Table: name, Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Item
}

func (w *world) query(q read.Query) *read.Page {
	w.t.Helper()
	p, err := w.tables.Query(context.Background(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) changes(stream uint32) []*table.Change {
	w.t.Helper()
	var all []*table.Change
	for from := uint64(0); ; {
		tail, err := w.tables.Changes(context.Background(), stream, from, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(tail.Changes) == 0 {
			return all
		}
		all, from = append(all, tail.Changes...), tail.Next
	}
}

func text(it value.Item) string { return string(value.AppendItemJSON(nil, it)) }

func texts(items []value.Item) []string {
	out := []string{}
	for _, it := range items {
		out = append(out, text(it))
	}
	return out
}

func refused(t testing.TB, err error, code refuse.Code, message string) *refuse.Error {
	t.Helper()
	r, ok := errors.AsType[*refuse.Error](err)
	if !ok || r.Code != code || r.Message != message {
		t.Fatalf("got %v, want code %d and %q", err, code, message)
	}
	return r
}

func TestAWriteIsReadBackAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	w.put("users", item("id", "a", "n", 1))
	w.crash()
	if diff := cmp.Diff(`{"id":{"S":"a"},"n":{"N":"1"}}`, text(w.get("users", item("id", "a")))); diff != "" {
		t.Error(diff)
	}
	if got := w.get("users", item("id", "b")); got != nil {
		t.Errorf("got %s, want nothing", text(got))
	}
}

func TestAConditionThatFailsWritesNothingAndGivesTheItem(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	w.put("users", item("id", "a", "n", 1))
	_, err := w.tables.Write(t.Context(), write.Action{Kind: write.Put, Table: "users", Item: item("id", "a", "n", 2), Condition: "attribute_not_exists(id)", OldOnFailure: true})
	r := refused(t, err, refuse.ConditionFailed, "The conditional request failed")
	if diff := cmp.Diff(`{"id":{"S":"a"},"n":{"N":"1"}}`, text(r.Item)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"id":{"S":"a"},"n":{"N":"1"}}`, text(w.get("users", item("id", "a")))); diff != "" {
		t.Error(diff)
	}
}

func TestWritesReturnWhatWasAskedFor(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	w.put("users", item("id", "a", "n", 1, "m", value.OfMap(item("x", 1, "y", 2))))
	for _, c := range []struct {
		returns write.Returns
		want    string
	}{
		{write.ReturnNothing, "{}"}, {write.ReturnUpdatedNew, `{"m":{"M":{"x":{"N":"7"}}},"n":{"N":"3"}}`}, {write.ReturnUpdatedOld, `{"m":{"M":{"x":{"N":"7"}}},"n":{"N":"3"}}`},
		{write.ReturnAllOld, `{"id":{"S":"a"},"m":{"M":{"x":{"N":"7"},"y":{"N":"2"}}},"n":{"N":"4"}}`}, {write.ReturnAllNew, `{"id":{"S":"a"},"m":{"M":{"x":{"N":"7"},"y":{"N":"2"}}},"n":{"N":"6"}}`},
	} {
		out, err := w.tables.Write(t.Context(), write.Action{Kind: write.Update, Table: "users", Item: item("id", "a"), Update: "SET n = n + :one, m.x = :x", Values: item(":one", 1, ":x", 7), Return: c.returns})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, text(out.Attributes)); diff != "" {
			t.Errorf("%d: %s", c.returns, diff)
		}
	}
	out, err := w.tables.Write(t.Context(), write.Action{Kind: write.Delete, Table: "users", Item: item("id", "gone"), Return: write.ReturnAllOld})
	if err != nil || out.Attributes != nil {
		t.Errorf("got %s, %v, want nothing", text(out.Attributes), err)
	}
}

func TestARequestThatIsWrongForItsTableIsRefusedInTheServicesWords(t *testing.T) {
	const scalars = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: "
	w := newWorld(t)
	w.create(orders())
	const wrong = "One or more parameter values were invalid: "
	put := func(parts ...any) write.Action {
		return write.Action{Kind: write.Put, Table: "orders", Item: item(parts...)}
	}
	update := func(text string, values ...any) write.Action {
		return write.Action{Kind: write.Update, Table: "orders", Item: item("pk", "a", "sk", 1), Update: text, Values: item(values...)}
	}
	long := string(make([]byte, 2049))
	for _, c := range []struct {
		a    write.Action
		code refuse.Code
		want string
	}{
		{write.Action{Kind: write.Put, Table: "gone", Item: item("id", "a")}, refuse.NotFound, "Requested resource not found"},
		{put("pk", "a"), refuse.Validation, wrong + "Missing the key sk in the item"},
		{put("pk", "a", "sk", "b"), refuse.Validation, wrong + "Type mismatch for key sk expected: N actual: S"},
		{put("pk", "", "sk", 1), refuse.Validation, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		{put("pk", long, "sk", 1), refuse.Validation, wrong + "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{put("pk", "a", "sk", 1, "g", 5), refuse.Validation, wrong + "Type mismatch for Index Key g Expected: S Actual: N IndexName: global"},
		{put("pk", "a", "sk", 1, "g", ""), refuse.Validation, "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: global, IndexKey: g"},
		{put("pk", "a", "sk", 1, "x", string(make([]byte, schema.ItemBytesMax))), refuse.Validation, "Item size has exceeded the maximum allowed size"},
		{write.Action{Kind: write.Delete, Table: "orders", Item: item("pk", "a")}, refuse.Validation, "The provided key element does not match the schema"},
		{write.Action{Kind: write.Delete, Table: "orders", Item: item("pk", "a", "sk", "x")}, refuse.Validation, "The provided key element does not match the schema"},
		{update("SET sk = :v", ":v", 2), refuse.Validation, wrong + "Cannot update attribute sk. This attribute is part of the key"},
		{update("SET g = :v", ":v", 2), refuse.Validation, wrong + "Type mismatch for Index Key g Expected: S Actual: N IndexName: global"},
		{update("SET x = :v ADD g :v", ":v", 2), refuse.Validation, wrong + "Type mismatch for Index Key g Expected: S Actual: N IndexName: global"},
		{update("SET g.x = :v", ":v", 2), refuse.Validation, scalars + "g"},
		{update("SET x = g[1]"), refuse.Validation, scalars + "g"},
		{update("SET g = sk"), refuse.Validation, "The update expression attempted to update the secondary index key to unsupported type"},
		{update("SET x = y"), refuse.Validation, "The provided expression refers to an attribute that does not exist in the item"},
		{update("SET x = :v", ":v", string(make([]byte, schema.ItemBytesMax))), refuse.Validation, "Item size to update has exceeded the maximum allowed size"},
		{update("SET x = :v, y = :w", ":v", 1), refuse.Validation, "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :w"},
		{update("SET x = :v", ":v", 1, ":w", 1), refuse.Validation, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"},
	} {
		_, err := w.tables.Write(t.Context(), c.a)
		refused(t, err, c.code, c.want)
	}
	if n := len(w.query(read.Query{Table: "orders", Scan: true}).Items); n != 0 {
		t.Errorf("%d items were written", n)
	}
}

func TestAQueryReadsAPartitionInOrderPageByPage(t *testing.T) {
	w := newWorld(t)
	w.create(orders())
	for _, n := range []string{"10", "-1", "9", "0.5", "100", "-20"} {
		w.put("orders", item("pk", "a", "sk", num(n), "l", num(n)))
		w.put("orders", item("pk", "b", "sk", num(n)))
	}
	pages := func(q read.Query) (got []string) {
		for {
			p := w.query(q)
			for _, it := range p.Items {
				v, _ := it.Get("sk")
				got = append(got, v.Text())
			}
			if q.Start = p.Last; p.Last == nil {
				return got
			}
		}
	}
	for _, c := range []struct {
		condition string
		backward  bool
		want      []string
	}{
		{"pk = :p", false, []string{"-20", "-1", "0.5", "9", "10", "100"}}, {"pk = :p", true, []string{"100", "10", "9", "0.5", "-1", "-20"}},
		{"pk = :p AND sk > :a", false, []string{"10", "100"}}, {"pk = :p AND sk >= :a", true, []string{"100", "10", "9"}}, {"pk = :p AND sk < :a", false, []string{"-20", "-1", "0.5"}},
		{"pk = :p AND sk <= :a", false, []string{"-20", "-1", "0.5", "9"}}, {"pk = :p AND sk = :a", false, []string{"9"}}, {"pk = :p AND sk BETWEEN :b AND :a", false, []string{"-1", "0.5", "9"}},
	} {
		values := item(":p", "a")
		for name, v := range map[string]value.Value{":a": num(9), ":b": num(-5)} {
			if strings.Contains(c.condition, name) {
				values = values.With(name, v)
			}
		}
		for _, limit := range []int{0, 1, 2, 100} {
			got := pages(read.Query{Table: "orders", Condition: c.condition, Values: values, Backward: c.backward, Limit: limit})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, limit %d: %s", c.condition, limit, diff)
			}
		}
	}
	if got := pages(read.Query{Table: "orders", Index: "local", Condition: "pk = :p AND l < :a", Values: item(":p", "a", ":a", 10), Limit: 1}); len(got) != 4 {
		t.Errorf("got %v from the local index", got)
	}
	seen := map[string]bool{}
	for segment := range 5 {
		q := read.Query{Table: "orders", Scan: true, Segment: segment, Segments: 5, Limit: 2}
		for {
			p := w.query(q)
			for _, it := range p.Items {
				seen[text(it)] = true
			}
			if q.Start = p.Last; p.Last == nil {
				break
			}
		}
	}
	if len(seen) != 12 {
		t.Errorf("the segments of a scan have %d items, want 12", len(seen))
	}
}

func TestAnIndexAddedToALiveTableGetsWhatThereIs(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	for i := range 1200 {
		w.put("users", item("id", fmt.Sprint(i), "team", fmt.Sprint("t", i%3), "n", i))
	}
	w.put("users", item("id", "odd", "team", 5))
	w.put("users", item("id", "none"))
	w.put("users", item("id", "long", "team", strings.Repeat("t", 2049)))
	w.put("users", item("id", "longer", "team", strings.Repeat("t", 66500)))
	d, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "users", Attributes: []schema.KeyAttribute{{Name: "team", Kind: value.String}}, Add: &schema.Index{Name: "by-team", Key: schema.KeySchema{Hash: []string{"team"}}, Projection: schema.Projection{Kind: schema.ProjectAll}}})
	if err != nil || !d.Indexes[0].Building {
		t.Fatalf("got %+v, %v", d, err)
	}
	var p *read.Page
	w.until("built", func() bool {
		p, err = w.tables.Query(t.Context(), read.Query{Table: "users", Index: "by-team", Condition: "team = :t", Values: item(":t", "t1")})
		return err == nil
	})
	if p.Count != 400 {
		t.Errorf("got %d, want 400", p.Count)
	}
	desc, err := w.tables.Describe(t.Context(), "users")
	if err != nil || desc.Count.Items != 1204 || desc.Indexes[0].Items != 1200 {
		t.Errorf("got %+v, %v", desc, err)
	}
	for _, id := range []string{"odd", "long", "longer"} { // they go without a trace in the index
		if _, err := w.tables.Write(t.Context(), write.Action{Kind: write.Delete, Table: "users", Item: item("id", id)}); err != nil {
			t.Errorf("delete %s: %v", id, err)
		}
	}
	if desc, err = w.tables.Describe(t.Context(), "users"); err != nil || desc.Count.Items != 1201 || desc.Indexes[0].Items != 1200 {
		t.Errorf("after they were deleted: got %+v, %v", desc, err)
	}
	if _, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "users", Remove: "by-team"}); err != nil {
		t.Fatal(err)
	}
	if d := w.tables.Definition("users"); len(d.Indexes) != 0 || len(d.Attributes) != 1 {
		t.Errorf("got %+v", d)
	}
}

func TestExpiredItemsAreDeletedAndTheStreamSaysByWhom(t *testing.T) {
	w := newWorld(t)
	c := plain("users")
	c.View = schema.ViewOld
	w.create(c)
	at := w.clock.Now()
	w.put("users", item("id", "before", "ttl", at.Add(time.Minute).Unix()))
	if _, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "users", Expiry: &schema.ExpirySetting{Attribute: "ttl", Enabled: true}}); err != nil {
		t.Fatal(err)
	}
	w.put("users", item("id", "later", "ttl", at.Add(time.Hour).Unix()))
	w.put("users", item("id", "ancient", "ttl", 1000))
	w.put("users", item("id", "text", "ttl", "1700000000"))
	w.put("users", item("id", "moved", "ttl", at.Add(time.Minute).Unix()))
	w.put("users", item("id", "moved", "ttl", at.Add(3*time.Hour).Unix()))
	w.clock.Advance(2 * time.Hour)
	var left *read.Page
	w.until("expired", func() bool {
		left = w.query(read.Query{Table: "users", Scan: true})
		return left.Count <= 3
	})
	if left.Count != 3 {
		t.Errorf("got %v", texts(left.Items))
	}
	var system []string
	for _, c := range w.changes(w.tables.Definition("users").Stream) {
		if c.System {
			system = append(system, fmt.Sprint(c.Kind, text(c.Old)))
		} else if c.Kind == table.Removed {
			t.Errorf("%s was removed by nobody", text(c.Keys))
		}
	}
	if len(system) != 2 {
		t.Errorf("got %v", system)
	}
}

func TestAChangeIsInTheStreamOnceAndNotWhenNothingChanged(t *testing.T) {
	w := newWorld(t)
	w.create(orders())
	for range 2 {
		w.put("orders", item("pk", "a", "sk", 1, "v", 1))
	}
	set := func(v ...value.Value) value.Value { return value.OfSet(value.StringSet, v) }
	w.put("orders", item("pk", "a", "sk", 1, "s", set(str("x"), str("y"))))
	w.put("orders", item("pk", "a", "sk", 1, "s", set(str("y"), str("x"))))
	for range 2 {
		if _, err := w.tables.Write(t.Context(), write.Action{Kind: write.Delete, Table: "orders", Item: item("pk", "a", "sk", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	got := w.changes(w.tables.Definition("orders").Stream)
	if len(got) != 3 || got[0].Kind != table.Inserted || got[1].Kind != table.Modified || got[2].Kind != table.Removed || got[2].Sequence != got[0].Sequence+2 {
		t.Fatalf("got %+v", got)
	}
	if text(got[1].Old) != `{"pk":{"S":"a"},"sk":{"N":"1"},"v":{"N":"1"}}` || got[0].Old != nil || got[2].New != nil || text(got[2].Keys) != `{"pk":{"S":"a"},"sk":{"N":"1"}}` {
		t.Errorf("got %s", text(got[1].Old))
	}
}

func TestChangesAreKeptForADay(t *testing.T) {
	w := newWorld(t)
	d := w.create(orders())
	w.put("orders", item("pk", "a", "sk", 1))
	w.clock.Advance(23 * time.Hour)
	w.put("orders", item("pk", "a", "sk", 2))
	off := schema.View("")
	if _, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "orders", View: &off}); err != nil {
		t.Fatal(err)
	}
	w.put("orders", item("pk", "a", "sk", 3))
	w.clock.Advance(2 * time.Hour)
	w.until("trimmed", func() bool { first, last, _ := w.tables.Bounds(t.Context(), d.Stream); return first == 2 && last == 2 })
	if _, err := w.tables.Changes(t.Context(), d.Stream, 1, 10); err == nil {
		t.Error("a change that is gone was read")
	}
	tail, err := w.tables.Changes(t.Context(), d.Stream, 2, 10)
	if err != nil || len(tail.Changes) != 1 || !tail.End {
		t.Errorf("got %+v, %v", tail, err)
	}
	w.clock.Advance(22 * time.Hour)
	w.until("gone", func() bool { return len(w.tables.Streams("orders")) == 0 })
}

func TestATransactionIsTakenOnceUnderItsToken(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	add := func(n int) []write.Action {
		return []write.Action{{Kind: write.Update, Table: "users", Item: item("id", "a"), Update: "ADD n :n", Values: item(":n", n)}, {Kind: write.Put, Table: "users", Item: item("id", "b")}}
	}
	for range 3 {
		if _, err := w.tables.Transact(t.Context(), "token", add(1)); err != nil {
			t.Fatal(err)
		}
		w.crash()
	}
	if got := text(w.get("users", item("id", "a"))); got != `{"id":{"S":"a"},"n":{"N":"1"}}` {
		t.Errorf("got %s", got)
	}
	_, err := w.tables.Transact(t.Context(), "token", add(2))
	if r, ok := errors.AsType[*refuse.Error](err); !ok || r.Code != refuse.TokenMismatch {
		t.Errorf("got %v", err)
	}
	w.clock.Advance(10 * time.Minute)
	if _, err := w.tables.Transact(t.Context(), "token", add(2)); err != nil {
		t.Fatal(err)
	}
	if got := text(w.get("users", item("id", "a"))); got != `{"id":{"S":"a"},"n":{"N":"3"}}` {
		t.Errorf("got %s", got)
	}
}

func TestATransactionSaysWhatStoodInTheWay(t *testing.T) {
	w := newWorld(t)
	w.create(plain("users"))
	w.put("users", item("id", "a", "n", "text"))
	_, err := w.tables.Transact(t.Context(), "", []write.Action{
		{Kind: write.Put, Table: "users", Item: item("id", "new")},
		{Kind: write.Check, Table: "users", Item: item("id", "b"), Condition: "attribute_exists(id)", OldOnFailure: true},
		{Kind: write.Update, Table: "users", Item: item("id", "a"), Update: "SET n = n + :one", Values: item(":one", 1)},
	})
	r := refused(t, err, refuse.Canceled, "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, ValidationError]")
	if r.Reasons[1].Message != "The conditional request failed" || r.Reasons[2].Message != "An operand in the update expression has an incorrect data type" || r.Reasons[0].Code != refuse.ReasonNone {
		t.Errorf("got %+v", r.Reasons)
	}
	if got := w.get("users", item("id", "new")); got != nil {
		t.Errorf("got %s", text(got))
	}
	two := write.Action{Kind: write.Put, Table: "users", Item: item("id", "x")}
	_, err = w.tables.Transact(t.Context(), "", []write.Action{two, two})
	refused(t, err, refuse.Validation, "Transaction request cannot include multiple operations on one item")
}

func TestProvisionedThroughputThrottlesAfterItsBurst(t *testing.T) {
	w := newWorld(t)
	c := plain("users")
	c.OnDemand, c.Throughput = false, schema.Throughput{Read: 1, Write: 1}
	w.create(c)
	n := 0
	for ; n < 1000; n++ {
		if _, err := w.tables.Write(t.Context(), write.Action{Kind: write.Put, Table: "users", Item: item("id", "a")}); err != nil {
			r := refused(t, err, refuse.Throttled, "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
			if !r.Write {
				t.Error("it is not said to be a write")
			}
			break
		}
	}
	if n != 300 {
		t.Errorf("%d writes went through, want 300", n)
	}
	w.clock.Advance(2 * time.Second)
	w.put("users", item("id", "a"))
	w.put("users", item("id", "a"))
	if _, err := w.tables.Write(t.Context(), write.Action{Kind: write.Put, Table: "users", Item: item("id", "a")}); err == nil {
		t.Error("a third write in two seconds went through")
	}
}

// Batches and transactions stop where single writes do: at the table's
// throughput, and at that of its global indexes.
func TestAnIndexThatIsUsedUpHoldsUpAllWrites(t *testing.T) {
	w := newWorld(t)
	c := orders()
	c.OnDemand, c.Throughput = false, schema.Throughput{Read: 1000, Write: 1000}
	for i := range c.Indexes {
		c.Indexes[i].Throughput = schema.Throughput{Read: 1, Write: 1}
	}
	w.create(c)
	put := func(n int, text string) write.Action {
		return write.Action{Kind: write.Put, Table: "orders", Item: item("pk", "a", "sk", n, "g", text)}
	}
	for n := range 300 {
		if _, err := w.tables.Write(t.Context(), put(n, "x")); err != nil {
			t.Fatal(n, err)
		}
	}
	const message = "The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. Consider provisioning your under-provisioned global secondary indexes with the UpdateTable API"
	_, err := w.tables.Write(t.Context(), put(1, "y"))
	if r := refused(t, err, refuse.Throttled, message); r.Index != "global" || r.Table != "orders" {
		t.Errorf("got %+v, want the index and its table", r)
	}
	_, _, err = w.tables.WriteBatch(t.Context(), []write.Action{put(1, "y"), put(2, "y")})
	refused(t, err, refuse.Throttled, message)
	_, err = w.tables.Transact(t.Context(), "", []write.Action{put(1, "y"), {Kind: write.Check, Table: "orders", Item: item("pk", "a", "sk", 2), Condition: "attribute_exists(pk)"}})
	r := refused(t, err, refuse.Canceled, "Transaction cancelled, please refer cancellation reasons for specific reasons [ProvisionedThroughputExceeded, None]")
	if r.Reasons[0].Message != message {
		t.Errorf("got %q, want %q", r.Reasons[0].Message, message)
	}
	w.clock.Advance(2 * time.Second)
	done, left, err := w.tables.WriteBatch(t.Context(), []write.Action{put(1, "y"), put(2, "y")})
	if err != nil || len(done) != 2 || len(left) != 0 {
		t.Errorf("got %d done, %d left, %v", len(done), len(left), err)
	}
	if got := w.get("orders", item("pk", "a", "sk", 3)); got == nil {
		t.Error("reads are held up, too")
	}
}

func TestCapacityIsCountedByTableAndIndex(t *testing.T) {
	w := newWorld(t)
	w.create(orders())
	out, err := w.tables.Write(t.Context(), write.Action{Kind: write.Put, Table: "orders", Item: item("pk", "a", "sk", 1, "g", "x", "l", 1, "big", string(make([]byte, 3000)))})
	if err != nil {
		t.Fatal(err)
	}
	want := throughput.Capacity{Table: "orders", Write: true, Units: 3, Globals: []throughput.IndexUnits{{Name: "global", Units: 1}}, Locals: []throughput.IndexUnits{{Name: "local", Units: 1}}}
	if diff := cmp.Diff(want, out.Capacity); diff != "" {
		t.Error(diff)
	}
	if out, _ = w.tables.Write(t.Context(), write.Action{Kind: write.Update, Table: "orders", Item: item("pk", "a", "sk", 1), Update: "SET g = :g", Values: item(":g", "y")}); out.Capacity.Globals[0].Units != 2 || len(out.Capacity.Locals) != 0 {
		t.Errorf("got %+v, want two units for an entry that moved", out.Capacity)
	}
	got, err := w.tables.Get(t.Context(), read.Get{Table: "orders", Key: item("pk", "a", "sk", 1)})
	if err != nil || got.Capacity.Units != 0.5 {
		t.Errorf("got %+v, %v", got.Capacity, err)
	}
}

func TestATableThatIsProtectedStays(t *testing.T) {
	w := newWorld(t)
	c := plain("users")
	c.Protected = true
	w.create(c)
	_, err := w.tables.Drop(t.Context(), "users")
	refused(t, err, refuse.Validation, "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	if _, err := w.tables.Alter(t.Context(), schema.Alteration{Table: "users", Protected: new(bool)}); err != nil {
		t.Fatal(err)
	}
	w.put("users", item("id", "a"))
	if _, err := w.tables.Drop(t.Context(), "users"); err != nil {
		t.Fatal(err)
	}
	w.create(plain("users"))
	if got := w.get("users", item("id", "a")); got != nil {
		t.Error("a new table has an item of the one before")
	}
	_, err = w.tables.Create(t.Context(), plain("users"))
	refused(t, err, refuse.InUse, "Table already exists: users")
}
