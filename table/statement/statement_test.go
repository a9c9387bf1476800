package statement_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/statement"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

func str(s string) value.Value { return value.OfString(s) }

// orders has a hash key "pk", a range key "sk", and an index "by" of "c".
var orders = &schema.Definition{Name: "orders", Key: schema.KeySchema{Hash: []string{"pk"}, Range: []string{"sk"}}, Indexes: []schema.Index{{Name: "by", Key: schema.KeySchema{Hash: []string{"c"}, Range: []string{"d"}}}}}

// shown writes an expression with the names and values it refers to.
func shown(text string, names, values value.Item) string {
	for _, n := range names {
		text = strings.ReplaceAll(text, n.Name, n.Value.Text())
	}
	for _, v := range values {
		text = strings.ReplaceAll(text, v.Name, string(value.AppendJSON(nil, v.Value)))
	}
	return text
}

func query(q read.Query) string {
	how := "query"
	if q.Scan {
		how = "scan"
	}
	text := fmt.Sprintf("%s %s.%s", how, q.Table, q.Index)
	for name, part := range map[string]string{"key": q.Condition} {
		if part != "" {
			text += " " + name + " " + shown(part, q.Names, q.Values)
		}
	}
	if q.Filter != "" {
		text += " filter " + shown(q.Filter, q.Names, q.Values)
	}
	if q.Projection != "" {
		text += " get " + shown(q.Projection, q.Names, q.Values)
	}
	if q.Backward {
		text += " backward"
	}
	return text
}

func TestWhatAKeyAnswersIsAQueryAndTheRestAFilter(t *testing.T) {
	for text, want := range map[string]string{
		`SELECT * FROM orders`:                                                                            `scan orders.`,
		`select a, b.c[2]."d e" from "orders"`:                                                            `scan orders. get a, b.c[2].d e`,
		`SELECT * FROM orders WHERE pk = 'x'`:                                                             `query orders. key pk = {"S":"x"}`,
		`SELECT * FROM orders WHERE 'x' = pk AND 5 < sk`:                                                  `query orders. key pk = {"S":"x"} AND sk > {"N":"5"}`,
		`SELECT * FROM orders WHERE a = 1 AND pk = ? AND sk = 2`:                                          `query orders. key pk = {"S":"p"} AND sk = {"N":"2"} filter a = {"N":"1"}`,
		`SELECT * FROM orders WHERE pk = 'x' AND (a = 1 OR b=2)`:                                          `query orders. key pk = {"S":"x"} filter a = {"N":"1"} OR b = {"N":"2"}`,
		`SELECT * FROM orders WHERE pk = 'x' OR sk = 1`:                                                   `scan orders. filter pk = {"S":"x"} OR sk = {"N":"1"}`,
		`SELECT * FROM orders WHERE pk = 'x' AND sk <> 1`:                                                 `scan orders. filter pk = {"S":"x"} AND sk <> {"N":"1"}`,
		`SELECT * FROM orders WHERE pk IN ['x', 'y']`:                                                     `scan orders. filter pk IN ({"S":"x"}, {"S":"y"})`,
		`SELECT * FROM orders WHERE sk BETWEEN 1 AND 2 AND pk=?`:                                          `query orders. key pk = {"S":"p"} AND sk BETWEEN {"N":"1"} AND {"N":"2"}`,
		`SELECT * FROM "orders"."by" WHERE c = 1 ORDER BY d DESC`:                                         `query orders.by key c = {"N":"1"} backward`,
		`SELECT * FROM orders WHERE pk='x' AND begins_with("sk", 'a') AND a IS MISSING AND b IS NOT NULL`: `query orders. key pk = {"S":"x"} AND begins_with(sk, {"S":"a"}) filter attribute_not_exists(a) AND NOT attribute_type(b, {"S":"NULL"})`,
		`SELECT * FROM orders WHERE NOT (a = 1 AND b = 2) AND size(c) > 3 AND contains(d, 'e''f')`:        `scan orders. filter NOT (a = {"N":"1"} AND b = {"N":"2"}) AND size(c) > {"N":"3"} AND contains(d, {"S":"e'f"})`,
	} {
		var params []value.Value
		if strings.Contains(text, "?") {
			params = []value.Value{str("p")}
		}
		s, err := statement.Parse(text, params)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		q, err := s.Query(orders)
		if got := query(q); err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestAWriteIsOfOneItem(t *testing.T) {
	for text, want := range map[string]string{
		`INSERT INTO orders VALUE {'pk': ?, 'sk': 1, 'l': [1, 'a', null, true], 'm': {'x': -2.5}, 's': <<'b', 'a'>>}`: `put {"l":{"L":[{"N":"1"},{"S":"a"},{"NULL":true},{"BOOL":true}]},"m":{"M":{"x":{"N":"-2.5"}}},"pk":{"S":"p"},"s":{"SS":["b","a"]},"sk":{"N":"1"}} if attribute_not_exists(pk)`,
		`UPDATE orders SET a = 1, b = b + 2 REMOVE c.d SET e = list_append(e, [1]) WHERE pk = 'x' AND sk = 1`:         `update {"pk":{"S":"x"},"sk":{"N":"1"}} if attribute_exists(pk) do SET a = {"N":"1"}, b = b + {"N":"2"}, e = list_append(e, {"L":[{"N":"1"}]}) REMOVE c.d`,
		`UPDATE orders SET t = set_add(t, <<1>>) WHERE pk = 'x' AND sk = 1 AND (a = 1 OR a = 2) RETURNING ALL NEW *`:  `update {"pk":{"S":"x"},"sk":{"N":"1"}} if attribute_exists(pk) AND (a = {"N":"1"} OR a = {"N":"2"}) do ADD t {"NS":["1"]} returning 3`,
		`DELETE FROM orders WHERE pk = 'x' AND sk = 1 AND a IS NOT MISSING RETURNING ALL OLD *`:                       `delete {"pk":{"S":"x"},"sk":{"N":"1"}} if attribute_exists(a) returning 1`,
		`EXISTS(SELECT * FROM orders WHERE pk = 'x' AND sk = 1 AND a > 2)`:                                            `check {"pk":{"S":"x"},"sk":{"N":"1"}} if attribute_exists(pk) AND a > {"N":"2"}`,
	} {
		var params []value.Value
		if strings.Contains(text, "?") {
			params = []value.Value{str("p")}
		}
		s, err := statement.Parse(text, params)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		a, err := s.Action(orders)
		got := fmt.Sprintf("%s %s if %s", kinds[a.Kind], value.AppendItemJSON(nil, a.Item), shown(a.Condition, a.Names, a.Values))
		if a.Update != "" {
			got += " do " + shown(a.Update, a.Names, a.Values)
		}
		if a.Return != write.ReturnNothing {
			got += fmt.Sprint(" returning ", a.Return)
		}
		if err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

var kinds = map[write.Kind]string{write.Put: "put", write.Delete: "delete", write.Update: "update", write.Check: "check"}

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	const well = "Statement wasn't well formed, can't be processed: "
	for text, want := range map[string]string{
		``:                                                                    well + "Expected SELECT, INSERT, UPDATE, DELETE or EXISTS, found the end at 1:1",
		`DROP TABLE orders`:                                                   well + "Expected SELECT, INSERT, UPDATE, DELETE or EXISTS, found 'DROP' at 1:1",
		"SELECT *\nFORM orders":                                               well + "Expected FROM, found 'FORM' at 2:1",
		`SELECT * FROM 'orders'`:                                              well + "Expected the name of a table, found 'orders' at 1:15",
		`SELECT * FROM orders WHERE a`:                                        well + "Expected a comparison, found the end at 1:29",
		`SELECT * FROM orders WHERE a = `:                                     well + "Expected a value, found the end at 1:32",
		`SELECT * FROM orders WHERE a = 'x`:                                   well + "' is not closed at 1:32",
		`SELECT * FROM orders WHERE a = 1 ; `:                                 well + "Unexpected character ';' at 1:34",
		`SELECT * FROM orders WHERE (a = 1`:                                   well + "Expected ), found the end at 1:34",
		`SELECT a[x] FROM orders`:                                             well + "Unexpected path component 'x' at 1:10",
		`SELECT a, b.c, d.c FROM orders`:                                      well + "Two paths are answered under the name c: select what they lie in at 1:16",
		`SELECT a[0], a[1], b.a FROM orders`:                                  well + "Two paths are answered under the name a: select what they lie in at 1:20",
		`SELECT a.b, b.c[0] FROM orders`:                                      well + "Two paths are answered under the name b: select what they lie in at 1:13",
		`SELECT * FROM orders LIMIT 1`:                                        well + "Unexpected 'LIMIT' at 1:22",
		`INSERT INTO orders VALUE 'a'`:                                        well + "Expected a tuple: VALUE {'name': value, …} at 1:26",
		`INSERT INTO orders VALUE {'a': 1, 'a':2}`:                            "Item has the attribute a more than once",
		`INSERT INTO orders VALUE {'s': <<>>}`:                                well + "A set may not be empty at 1:32",
		`INSERT INTO orders VALUE {'s': <<1, 1>>}`:                            well + "A set has different texts, numbers or binaries at 1:32",
		`UPDATE orders WHERE pk = 1`:                                          well + "Expected SET or REMOVE, found 'WHERE' at 1:15",
		`DELETE FROM orders WHERE pk = 1 RETURNING ALL NEW *`:                 well + "DELETE can only return ALL OLD * at 1:47",
		`SELECT * FROM orders WHERE pk = ?`:                                   "Number of parameters in request and statement don't match.",
		`SELECT * FROM orders WHERE ` + strings.Repeat("NOT ", 100) + "a = 1": well + "Nested too deeply at 1:284",
	} {
		_, err := statement.Parse(text, nil)
		if e, ok := errors.AsType[*statement.Error](err); !ok || e.Message != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := statement.Parse(`SELECT * FROM orders`, []value.Value{str("x")}); err == nil || err.Error() != "Number of parameters in request and statement don't match." {
		t.Errorf("a parameter that is not used: %v", err)
	}
	for _, text := range []string{`UPDATE orders SET a = 1 WHERE pk = 'x'`, `DELETE FROM orders WHERE pk = 'x' AND sk > 1`, `DELETE FROM orders`} {
		s, err := statement.Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Action(orders); err == nil || err.Error() != "Where clause does not contain a mandatory equality on all key attributes" {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// What is parsed becomes requests whose expressions package expression takes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`SELECT a, b.c[1] FROM "orders"."by" WHERE pk = ? AND (a = 1 OR NOT b <> 'x') ORDER BY sk DESC`, `INSERT INTO orders VALUE {'pk': ?, 's': <<1, 2>>, 'l': [null, true, {'x': -1e5}]}`,
		`UPDATE orders SET a = a + 1, b = if_not_exists(b, 2) REMOVE c WHERE pk = ? AND sk = 1 RETURNING MODIFIED NEW *`, `DELETE FROM orders WHERE pk = ? AND sk = 2 AND a IS NOT NULL`, `EXISTS(SELECT * FROM orders WHERE pk = ? AND sk = 1 AND size(a) IN (1, 2))`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, params := range [][]value.Value{nil, {str("p")}} {
			s, err := statement.Parse(text, params)
			if err != nil {
				if _, ok := errors.AsType[*statement.Error](err); !ok {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			if s.Kind == statement.Select {
				if q, err := s.Query(orders); err == nil && q.Filter != "" && len(q.Filter) < expression.TextBytesMax {
					if _, err := expression.Parse(expression.Filter, q.Filter); err != nil && strings.Contains(err.Error(), "Syntax error") {
						t.Errorf("%s: the filter %s: %v", text, q.Filter, err)
					}
				}
				continue
			}
			if a, err := s.Action(orders); err == nil && a.Condition != "" && len(a.Condition) < expression.TextBytesMax {
				if _, err := expression.Parse(expression.Condition, a.Condition); err != nil && strings.Contains(err.Error(), "Syntax error") {
					t.Errorf("%s: the condition %s: %v", text, a.Condition, err)
				}
			}
		}
	})
}
