package dynamodb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

func (w *world) execute(text string, params ...types.AttributeValue) (*dynamodb.ExecuteStatementOutput, error) {
	return w.sdk.ExecuteStatement(w.t.Context(), &dynamodb.ExecuteStatementInput{Statement: &text, Parameters: params})
}

func (w *world) executed(text string, params ...types.AttributeValue) []map[string]types.AttributeValue {
	w.t.Helper()
	out, err := w.execute(text, params...)
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	return out.Items
}

func textValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// column is one attribute of items, in their order.
func column(items []map[string]types.AttributeValue, name string) string {
	var all []string
	for _, it := range items {
		switch v := it[name].(type) {
		case *types.AttributeValueMemberS:
			all = append(all, v.Value)
		case *types.AttributeValueMemberN:
			all = append(all, v.Value)
		default:
			all = append(all, "-")
		}
	}
	return strings.Join(all, " ")
}

func TestTheSDKExecutesStatements(t *testing.T) {
	w := newWorld(t)
	w.plain()
	for i := range 5 {
		w.executed(fmt.Sprintf(`INSERT INTO "range" VALUE {'a': 'x', 'b': %d, 'd': ?}`, i), textValue(fmt.Sprint("d", i)))
	}
	for text, want := range map[string]string{
		`SELECT * FROM "range" WHERE a = 'x'`:                            "0 1 2 3 4",
		`SELECT b FROM "range" WHERE a = 'x' AND b > 2 ORDER BY b DESC`:  "4 3",
		`SELECT * FROM "range" WHERE a = 'x' AND (d = 'd1' OR d = 'd3')`: "1 3",
		`SELECT * FROM "range" WHERE d = 'd2'`:                           "2",
		`SELECT * FROM "range" WHERE a = 'x' AND b = 3`:                  "3",
		`SELECT * FROM "range" WHERE a = 'nothing' AND b = 3`:            "",
		`SELECT * FROM "range" WHERE a IN ['x', 'y'] AND b < 2`:          "0 1",
	} {
		if got := column(w.executed(text), "b"); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if got := column(w.executed(`UPDATE "range" SET e = 1, d = ? WHERE a = 'x' AND b = 1 RETURNING ALL NEW *`, textValue("new")), "d"); got != "new" {
		t.Errorf("an update returned %s", got)
	}
	if got := w.executed(`UPDATE "range" REMOVE e WHERE a = 'x' AND b = 1`); len(got) != 0 {
		t.Errorf("an update that returns nothing returned %v", got)
	}
	if got := column(w.executed(`DELETE FROM "range" WHERE a = 'x' AND b = 4 RETURNING ALL OLD *`), "d"); got != "d4" {
		t.Errorf("a delete returned %s", got)
	}
	if got := w.executed(`DELETE FROM "range" WHERE a = 'x' AND b = 4`); len(got) != 0 {
		t.Errorf("a delete of nothing returned %v", got)
	}
	var pages []string
	in := &dynamodb.ExecuteStatementInput{Statement: aws.String(`SELECT * FROM "range" WHERE a = 'x'`), Limit: aws.Int32(2)}
	for range 5 {
		out, err := w.sdk.ExecuteStatement(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, column(out.Items, "b"))
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if got := strings.Trim(strings.Join(pages, "|"), "|"); got != "0 1|2 3" {
		t.Errorf("the pages are %q", got)
	}
}

func TestWhatAPathLeadsToIsAnsweredUnderItsLastName(t *testing.T) {
	w := newWorld(t)
	w.plain()
	w.ok("PutItem", `{"TableName":"plain","Item":{"a":{"S":"x"},"m":{"M":{"b":{"S":"deep"},"c":{"M":{"d":{"N":"1"}}}}},"l":{"L":[{"S":"0"},{"M":{"e":{"S":"of 1"}}},{"S":"2"}]}}}`)
	answers := func(op, body, want string) {
		t.Helper()
		if got := w.ok(op, body); got != want {
			t.Errorf("%s %s:\n got %s\nwant %s", op, body, got, want)
		}
	}
	of := func(paths, where string) string {
		return fmt.Sprintf(`{"Statement":%q}`, `SELECT `+paths+` FROM plain WHERE `+where)
	}
	for paths, want := range map[string]string{
		`m.b`:             `{"b":{"S":"deep"}}`,
		`m.c.d, a`:        `{"a":{"S":"x"},"d":{"N":"1"}}`,
		`m.c, m.b`:        `{"b":{"S":"deep"},"c":{"M":{"d":{"N":"1"}}}}`,
		`m['b']`:          `{"b":{"S":"deep"}}`,
		`l[1].e, m.gone`:  `{"e":{"S":"of 1"}}`,
		`l[2], l[0], m.b`: `{"b":{"S":"deep"},"l":{"L":[{"S":"0"},{"S":"2"}]}}`,
		`m, l[9]`:         `{"m":{"M":{"b":{"S":"deep"},"c":{"M":{"d":{"N":"1"}}}}}}`,
		`m.gone, l.x`:     `{}`,
	} {
		for _, where := range []string{`a = 'x'`, `a = 'x' AND attribute_type(m, 'M')`, `l[0] = '0'`} { // a get, a query, a scan
			answers("ExecuteStatement", of(paths, where), `{"Items":[`+want+`]}`)
		}
		answers("ExecuteTransaction", `{"TransactStatements":[`+of(paths, `a = 'x'`)+`]}`, `{"Responses":[{"Item":`+want+`}]}`)
	}
	answers("BatchExecuteStatement", `{"Statements":[`+of(`m.b`, `a = 'x'`)+`]}`, `{"Responses":[{"TableName":"plain","Item":{"b":{"S":"deep"}}}]}`)
	w.refused("ExecuteStatement", of(`a.y`, `a = 'x'`), validationException, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: a")
}

func TestStatementsThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t)
	w.plain()
	w.executed(`INSERT INTO plain VALUE {'a': '1'}`)
	for _, c := range []struct{ text, code, want string }{
		{`SELECT FROM`, "ValidationException", "Statement wasn't well formed, can't be processed: Expected FROM, found the end at 1:12"},
		{`SELECT * FROM nowhere`, "ResourceNotFoundException", "Requested resource not found"},
		{`SELECT * FROM plain.nothing`, "ValidationException", "The table does not have the specified index: nothing"},
		{`INSERT INTO plain VALUE {'a': '1'}`, "DuplicateItemException", "Duplicate primary key exists in table"},
		{`INSERT INTO plain VALUE {'b': '1'}`, "ValidationException", "One or more parameter values were invalid: Missing the key a in the item"},
		{`UPDATE plain SET b = 1 WHERE a = '2'`, "ConditionalCheckFailedException", "The conditional request failed"},
		{`UPDATE plain SET b = 1 WHERE b = 2`, "ValidationException", "Where clause does not contain a mandatory equality on all key attributes"},
		{`DELETE FROM plain WHERE a = '1' AND b = 5`, "ConditionalCheckFailedException", "The conditional request failed"},
		{`SELECT * FROM plain WHERE a = ?`, "ValidationException", "Number of parameters in request and statement don't match."},
		{`EXISTS(SELECT * FROM plain WHERE a = '1')`, "ValidationException", "EXISTS is a condition of transactions: use ExecuteTransaction"},
	} {
		_, err := w.execute(c.text)
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != c.code || e.ErrorMessage() != c.want {
			t.Errorf("%s:\n got %v\nwant %s: %s", c.text, err, c.code, c.want)
		}
	}
}

func TestStatementsOfABatchSucceedAndFailEachForItself(t *testing.T) {
	w := newWorld(t)
	w.plain()
	batch := func(texts ...string) (codes []string, err error) {
		in := &dynamodb.BatchExecuteStatementInput{}
		for _, text := range texts {
			in.Statements = append(in.Statements, types.BatchStatementRequest{Statement: &text})
		}
		out, err := w.sdk.BatchExecuteStatement(t.Context(), in)
		if err != nil {
			return nil, err
		}
		for _, r := range out.Responses {
			switch {
			case r.Error != nil:
				codes = append(codes, string(r.Error.Code))
			case r.Item != nil:
				codes = append(codes, column([]map[string]types.AttributeValue{r.Item}, "a"))
			default:
				codes = append(codes, "ok")
			}
		}
		return codes, nil
	}
	if got, err := batch(`INSERT INTO plain VALUE {'a': '1'}`, `INSERT INTO plain VALUE {'a': '1'}`, `UPDATE plain SET b = 1 WHERE a = '9'`, `INSERT INTO plain VALUE {'a': '2'}`); err != nil || !slices.Equal(got, []string{"ok", "DuplicateItem", "ConditionalCheckFailed", "ok"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := batch(`SELECT * FROM plain WHERE a = '1'`, `SELECT * FROM plain WHERE a = '3'`, `SELECT * FROM plain WHERE b = 1`); err != nil || !slices.Equal(got, []string{"1", "ok", "ValidationError"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := batch(`SELECT * FROM gone WHERE a = '1'`, `SELECT * FROM plain WHERE a = '1'`); err != nil || !slices.Equal(got, []string{"ResourceNotFound", "1"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := batch(`SELECT * FROM plain WHERE a = '1'`, `DELETE FROM plain WHERE a = '1'`); err == nil || !strings.Contains(err.Error(), "either all reads or all writes") {
		t.Errorf("got %v", err)
	}
}

func TestStatementsOfATransactionAreTakenTogether(t *testing.T) {
	w := newWorld(t)
	w.plain()
	transact := func(texts ...string) (*dynamodb.ExecuteTransactionOutput, error) {
		in := &dynamodb.ExecuteTransactionInput{}
		for _, text := range texts {
			in.TransactStatements = append(in.TransactStatements, types.ParameterizedStatement{Statement: &text})
		}
		return w.sdk.ExecuteTransaction(t.Context(), in)
	}
	if _, err := transact(`INSERT INTO plain VALUE {'a': '1', 'n': 5}`, `INSERT INTO plain VALUE {'a': '2'}`); err != nil {
		t.Fatal(err)
	}
	_, err := transact(`EXISTS(SELECT * FROM plain WHERE a = '1' AND n = 5)`, `UPDATE plain SET n = 6 WHERE a = '1'`, `INSERT INTO plain VALUE {'a': '3'}`)
	if err == nil || !strings.Contains(err.Error(), "multiple operations on one item") {
		t.Errorf("two of one item: got %v", err)
	}
	_, err = transact(`EXISTS(SELECT * FROM plain WHERE a = '1' AND n = 5)`, `INSERT INTO plain VALUE {'a': '2'}`, `INSERT INTO plain VALUE {'a': '3'}`)
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok || *canceled.CancellationReasons[1].Code != "DuplicateItem" || *canceled.CancellationReasons[0].Code != "None" || !strings.HasSuffix(canceled.ErrorMessage(), "[None, DuplicateItem, None]") {
		t.Fatalf("got %v", err)
	}
	out, err := transact(`SELECT * FROM plain WHERE a = '1'`, `SELECT * FROM plain WHERE a = '3'`)
	if err != nil || len(out.Responses) != 2 || column([]map[string]types.AttributeValue{out.Responses[0].Item}, "n") != "5" || out.Responses[1].Item != nil {
		t.Errorf("got %+v, %v", out, err)
	}
}
