package expression_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

func str(s string) value.Value { return value.OfString(s) }

func num(s string) value.Value {
	v, err := value.OfNumber(s)
	if err != nil {
		panic(err)
	}
	return v
}

func list(v ...value.Value) value.Value { return value.OfList(v) }

func set(kind value.Kind, v ...value.Value) value.Value { return value.OfSet(kind, v) }

// item makes an item of names and values in turn.
func item(parts ...any) value.Item {
	var all []value.Attribute
	for i := 0; i < len(parts); i += 2 {
		all = append(all, value.Attribute{Name: parts[i].(string), Value: parts[i+1].(value.Value)})
	}
	it, _, _ := value.Sorted(all)
	return it
}

func object(parts ...any) value.Value { return value.OfMap(item(parts...)) }

func bind(kind expression.Kind, text string, names, values value.Item) (*expression.Bound, error) {
	e, err := expression.Parse(kind, text)
	if err != nil {
		return nil, err
	}
	s := &expression.Scope{Names: names, Values: values}
	b, err := s.Bind(e)
	if err != nil {
		return nil, err
	}
	return b, s.Unused()
}

var (
	names  = item("#a", str("a"), "#b", str("b"), "#dot", str("a.b"))
	values = item(":s", str("text"), ":n", num("5"), ":l", list(str("x")), ":bool", value.OfBool(true), ":ns", set(value.NumberSet, num("1")), ":t", str("SS"), ":null", value.Nothing(), ":m", object())
)

func TestMistakesAreToldInTheServicesWords(t *testing.T) {
	for _, c := range []struct {
		kind expression.Kind
		text string
		want string
	}{
		{expression.Condition, " ", "The expression can not be empty;"},
		{expression.Update, "SET a x b", `Syntax error; token: "x", near: "a x b"`},
		{expression.Update, "SET a =", `Syntax error; token: "<EOF>", near: "="`},
		{expression.Update, "whatever", `Syntax error; token: "whatever", near: "whatever"`},
		{expression.Update, "SET a = :n,", `Syntax error; token: "<EOF>", near: ","`},
		{expression.Projection, "foo-bar", `Syntax error; token: "-", near: "foo-bar"`},
		{expression.Projection, "a, @b", `Syntax error; token: "@", near: ", @b"`},
		{expression.Projection, "a[x]", `Syntax error; token: "x", near: "[x]"`},
		{expression.Condition, "a = ", `Syntax error; token: "<EOF>", near: "="`},
		{expression.Condition, "a", `Syntax error; token: "<EOF>", near: "a"`},
		{expression.Condition, "a = :n AND", `Syntax error; token: "<EOF>", near: "AND"`},
		{expression.Condition, "name = :n", "Attribute name is a reserved keyword; reserved keyword: name"},
		{expression.Projection, "a.Status", "Attribute name is a reserved keyword; reserved keyword: Status"},
		{expression.Condition, "#x = :n", "An expression attribute name used in the document path is not defined; attribute name: #x"},
		{expression.Condition, "a = :x", "An expression attribute value used in expression is not defined; attribute value: :x"},
		{expression.Condition, "((a = :n))", "The expression has redundant parentheses;"},
		{expression.Condition, "wat(a) AND ((a = :n))", "The expression has redundant parentheses;"},
		{expression.Condition, "wat(a) AND name = :n", "Invalid function name; function: wat"},
		{expression.Condition, "if_not_exists(a, :n) = :n", "The function is not allowed in a condition expression; function: if_not_exists"},
		{expression.Projection, "a" + strings.Repeat(".b", 32), "The document path has too many nesting levels; nesting levels: 33"},
		{expression.Condition, "attribute_exists(a" + strings.Repeat("[0]", 32) + ")", "The document path has too many nesting levels; nesting levels: 33"},
		{expression.Update, "SET a[2147483648] = :n", "List index is not within the allowable range; index: [2147483648]"},
		{expression.Projection, "a[99999999999999999999]", "List index is not within the allowable range; index: [99999999999999999999]"},
		{expression.Condition, "attribute_exists(a, b)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"},
		{expression.Condition, "attribute_exists(:n)", "Operator or function requires a document path; operator or function: attribute_exists"},
		{expression.Condition, "begins_with(a, :n)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"},
		{expression.Condition, "attribute_type(a, :n)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"},
		{expression.Condition, "attribute_type(a, b)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"},
		{expression.Condition, "attribute_type(a, :s)", "Invalid attribute type name found; type: text, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"},
		{expression.Condition, "size(:n) > :n", "Incorrect operand type for operator or function; operator or function: size, operand type: N"},
		{expression.Condition, "size(a)", "The function is not allowed to be used this way in an expression; function: size"},
		{expression.Condition, "attribute_exists(a) = :n", "The function is not allowed to be used this way in an expression; function: attribute_exists"},
		{expression.Condition, "a = a", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]"},
		{expression.Condition, "#a.b[1] <> a.#b[1]", "The first operand must be distinct from the remaining operands for this operator or function; operator: <>, first operand: [a, b, [1]]"},
		{expression.Condition, "begins_with(a, a)", "The first operand must be distinct from the remaining operands for this operator or function; operator: begins_with, first operand: [a]"},
		{expression.Condition, "a < :bool", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"},
		{expression.Condition, "a BETWEEN :s AND :n", "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {S:text}, upper bound operand: AttributeValue: {N:5}"},
		{expression.Condition, "a BETWEEN :s AND :t", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:text}, upper bound operand: AttributeValue: {S:SS}"},
		{expression.Condition, "a = a AND b = :x", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]"},
		{expression.Condition, "attribute_type(b, :n) AND (a = a OR #x = :n)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"},
		{expression.Condition, ":x = #x", "An expression attribute value used in expression is not defined; attribute value: :x"},
		{expression.Condition, "((a.b)).c = :n", "The expression has redundant parentheses;"},
		{expression.Update, "SET a = :n SET b = :n", `The "SET" section can only be used once in an update expression;`},
		{expression.Update, "SET a.b = :n REMOVE a", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]"},
		{expression.Update, "SET a.b = :n, #a[1] = :n", "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [1]]"},
		{expression.Update, "SET a = wat(b)", "Invalid function name; function: wat"},
		{expression.Update, "SET a = if_not_exists(b)", "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1"},
		{expression.Update, "SET a = if_not_exists(:n, :n)", "Operator or function requires a document path; operator or function: if_not_exists"},
		{expression.Update, "SET a = list_append(b, :n)", "Incorrect operand type for operator or function; operator or function: list_append, operand type: N"},
		{expression.Update, "SET a = b + :s", "Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{expression.Update, "SET a = list_append(b, :n), c = if_not_exists(d)", "Incorrect operand type for operator or function; operator or function: list_append, operand type: N"},
		{expression.Update, "SET a = list_append(b, :n) ADD c :s", "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"},
		{expression.Update, "ADD a :s", "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"},
		{expression.Update, "DELETE a :n", "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"},
		{expression.Update, "SET a = attribute_exists(b)", "Invalid function name; function: attribute_exists"},
		{expression.Projection, "a.b, a.c, a.b", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, b]"},
	} {
		_, err := bind(c.kind, c.text, names, values)
		if want := "Invalid " + c.kind.String() + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, want)
		}
	}
}

func TestNamesAndValuesThatNobodyUsesAreMistakes(t *testing.T) {
	_, err := bind(expression.Condition, "#a = :n", names, values)
	if want := "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b, #dot}"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = bind(expression.Condition, "attribute_exists(a)", nil, item(":v", num("1")))
	if want := "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestASyntaxErrorSaysWhereItIs(t *testing.T) {
	_, err := expression.Parse(expression.Condition, "a = :b OR ?")
	if e, ok := errors.AsType[*expression.Error](err); !ok || e.At != 10 {
		t.Errorf("got %+v, want position 10", err)
	}
}

var subject = item(
	"s", str("hello"), "n", num("10"), "l", list(num("1"), str("x"), object("k", num("2"))), "m", object("x", object("y", str("deep"))),
	"ss", set(value.StringSet, str("a"), str("b")), "ns", set(value.NumberSet, num("1"), num("2")), "nothing", value.Nothing(), "yes", value.OfBool(true), "bin", value.OfBinary("\x01\x02"), "a.b", num("7"),
)

func TestConditions(t *testing.T) {
	vals := item(":hello", str("hello"), ":hell", str("hell"), ":n5", num("5"), ":n10", num("10.0"), ":n15", num("15"), ":a", str("a"), ":one", num("1"), ":s", str("S"),
		":ba", set(value.StringSet, str("b"), str("a")), ":two", num("2"), ":map", object("k", num("2.0")), ":l", str("L"), ":null", value.Nothing(), ":b", value.OfBinary("\x02"))
	for text, want := range map[string]bool{
		"s = :hello": true, "s <> :hello": false, "n = :n10": true, "n = :hello": false, "n <> :hello": true, "n < :n15 AND n >= :n10 AND n <= :n10": true, "n > :hello": false, "n < :hello": false,
		"gone = :n5": false, "gone <> :n5": true, "NOT gone = :n5": true, "NOT (gone = :n5)": true, "gone < :n5": false, "gone = elsewhere": false, "gone <> elsewhere": true,
		"n BETWEEN :n5 AND :n15": true, "n BETWEEN :n15 AND gone": false, "n IN (:n5, :n10)": true, "n IN (:n5)": false,
		"attribute_exists((m.x).y)": true, "(l)[2].k = :two": true, "attribute_exists(m.x.y)": true, "attribute_exists(m.x.z)": false, "attribute_exists(l[2].k)": true, "attribute_not_exists(l[3])": true, "attribute_not_exists(s.x)": true, "attribute_exists(nothing)": true,
		"attribute_type(s, :s)": true, "attribute_type(l, :l)": true, "attribute_type(gone, :s)": false, "begins_with(s, :hell)": true, "begins_with(n, :hell)": false,
		"contains(s, :hell)": true, "contains(ss, :a)": true, "contains(ns, :one)": true, "contains(ns, :a)": false, "contains(l, :one)": true, "contains(l, :map)": true, "contains(m, :a)": false, "contains(bin, :b)": true,
		"size(s) = :n5": true, "size(l) > :two": true, "size(ss) = :two": true, "size(m) = :one": true, "size(n) = :two": false, "size(n) <> :two": true, "size(bin) = :two": true,
		"ss = :ba": true, "l[2] = :map": true, "nothing = :null": true, "#dot = :n5": false, "#dot > :n5": true, "s = :hello or n = :n5 and gone = :n5": true,
		"(s = :hello OR n = :n5) AND gone = :n5": false, "not s = :hello OR n = :n10": true, ":n5 < n": true, "yes = :hello": false,
	} {
		e, err := expression.Parse(expression.Condition, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b, err := (&expression.Scope{Names: item("#dot", str("a.b")), Values: vals}).Bind(e)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := b.Matches(subject); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestAProjectionKeepsWhatLiesAround(t *testing.T) {
	for text, want := range map[string]string{
		"s, gone":                      `{"s":{"S":"hello"}}`,
		"m.x.y, n":                     `{"m":{"M":{"x":{"M":{"y":{"S":"deep"}}}}},"n":{"N":"10"}}`,
		"l[2].k, l[0]":                 `{"l":{"L":[{"N":"1"},{"M":{"k":{"N":"2"}}}]}}`,
		"l[9], m.z, s.t, n[0], gone.x": `{}`,
		"l[1], m.x":                    `{"l":{"L":[{"S":"x"}]},"m":{"M":{"x":{"M":{"y":{"S":"deep"}}}}}}`,
	} {
		b, err := bind(expression.Projection, text, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, string(value.AppendItemJSON(nil, b.Project(subject)))); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestUpdates(t *testing.T) {
	before := item("n", num("10"), "l", list(str("a"), str("b"), str("c")), "m", object("x", num("1")), "ss", set(value.StringSet, str("a"), str("b")), "s", str("t"))
	vals := item(":one", num("1"), ":big", num("0.1"), ":l", list(str("z")), ":ab", set(value.StringSet, str("b"), str("c")), ":all", set(value.StringSet, str("a"), str("b")), ":s", str("new"), ":ns", set(value.NumberSet, num("1")))
	const (
		missing = "The provided expression refers to an attribute that does not exist in the item"
		typed   = "An operand in the update expression has an incorrect data type"
		path    = "The document path provided in the update expression is invalid for update"
	)
	for _, c := range []struct{ text, changed, err string }{
		{"SET n = n + :one, k = n", `"k":{"N":"10"},"n":{"N":"11"}`, ""},
		{"SET n = :one - n", `"n":{"N":"-9"}`, ""},
		{"SET n = n - :big", `"n":{"N":"9.9"}`, ""},
		{"SET n = if_not_exists(z, :one) + n", `"n":{"N":"11"}`, ""},
		{"SET n = (n + :one)", `"n":{"N":"11"}`, ""},
		{"SET l = list_append(:l, l)", `"l":{"L":[{"S":"z"},{"S":"a"},{"S":"b"},{"S":"c"}]}`, ""},
		{"SET l = list_append(if_not_exists(zz, :l), l)", `"l":{"L":[{"S":"z"},{"S":"a"},{"S":"b"},{"S":"c"}]}`, ""},
		{"SET l[9] = :one, l[7] = :s, l[1] = :s", `"l":{"L":[{"S":"a"},{"S":"new"},{"S":"c"},{"S":"new"},{"N":"1"}]}`, ""},
		{"REMOVE l[0], l[2]", `"l":{"L":[{"S":"b"}]}`, ""},
		{"REMOVE l[0] SET l[1] = :s", `"l":{"L":[{"S":"new"},{"S":"c"}]}`, ""},
		{"REMOVE l[7]", ``, ""},
		{"SET m.y = :s, m.x = :one", `"m":{"M":{"x":{"N":"1"},"y":{"S":"new"}}}`, ""},
		{"REMOVE m.x, m.q, gone", `"m":{"M":{}}`, ""},
		{"ADD n :one, fresh :one, freshset :ab", `"fresh":{"N":"1"},"freshset":{"SS":["b","c"]},"n":{"N":"11"}`, ""},
		{"ADD ss :ab", `"ss":{"SS":["a","b","c"]}`, ""},
		{"DELETE ss :ab", `"ss":{"SS":["a"]}`, ""},
		{"DELETE ss :all", `"ss":null`, ""},
		{"DELETE gone :all", ``, ""},
		{"ADD m.x :one", `"m":{"M":{"x":{"N":"2"}}}`, ""},
		{"SET a.b = :one", "", path}, {"SET s.b = :one", "", path}, {"SET m[0] = :one", "", path}, {"SET l.x = :one", "", path}, {"REMOVE a.b", "", path},
		{"SET n = gone", "", missing}, {"SET n = n + gone", "", missing}, {"SET n = n + s", "", typed}, {"SET l = list_append(l, s)", "", typed}, {"SET l = list_append(l, if_not_exists(gone, :one))", "", typed},
		{"ADD s :one", "", typed}, {"ADD ss :ns", "", typed}, {"DELETE n :ab", "", typed},
	} {
		e, err := expression.Parse(expression.Update, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		b, err := (&expression.Scope{Values: vals}).Bind(e)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		kept := string(value.AppendItemJSON(nil, before))
		got, err := b.Update(before)
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: got %v, want %s", c.text, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.text, err)
		default:
			if diff := cmp.Diff("{"+c.changed+"}", changed(before, got)); diff != "" {
				t.Errorf("%s: %s", c.text, diff)
			}
		}
		if string(value.AppendItemJSON(nil, before)) != kept {
			t.Fatalf("%s changed the item it was given", c.text)
		}
	}
}

// changed writes the attributes in which two items differ.
func changed(before, after value.Item) string {
	var parts []string
	for _, a := range after {
		if old, _ := before.Get(a.Name); !value.Equal(old, a.Value) {
			parts = append(parts, `"`+a.Name+`":`+string(value.AppendJSON(nil, a.Value)))
		}
	}
	for _, a := range before {
		if _, ok := after.Get(a.Name); !ok {
			parts = append(parts, `"`+a.Name+`":null`)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestKeyConditions(t *testing.T) {
	vals := item(":a", str("a"), ":b", str("b"))
	for text, want := range map[string]string{
		"h = :a OR r = :b": "Invalid operator used in KeyConditionExpression: OR", "NOT h = :a": "Invalid operator used in KeyConditionExpression: NOT", "h <> :a": "Invalid operator used in KeyConditionExpression: <>",
		"h IN (:a)": "Invalid operator used in KeyConditionExpression: IN", "contains(h, :a)": "Invalid operator used in KeyConditionExpression: contains", "h = :a AND size(r) > :b": "KeyConditionExpressions cannot contain nested operations",
		"h.x = :a": "KeyConditionExpressions cannot have conditions on nested attributes", "h = r": "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
		":a = :b": "Invalid condition in KeyConditionExpression: No key attribute specified", ":a BETWEEN h AND :b": "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand",
		"begins_with(:a, h)": "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand", "h = :a AND h = :b": "KeyConditionExpressions must only contain one condition per key",
		"h > r.x": "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition", "begins_with(h, r)": "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
		":a BETWEEN size(h) AND :b": "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand",
		"h = :a":                    "", "h = :a AND begins_with(r, :b)": "", ":a = h AND (:b < r)": "",
	} {
		e, err := expression.Parse(expression.KeyCondition, text)
		if err != nil {
			t.Fatal(text, err)
		}
		b, err := (&expression.Scope{Values: vals}).Bind(e)
		if err != nil {
			t.Fatal(text, err)
		}
		keys, err := b.Keys()
		switch {
		case err != nil && err.Error() != want:
			t.Errorf("%s: got %v, want %s", text, err, want)
		case err == nil && want != "":
			t.Errorf("%s: taken, want %s", text, want)
		}
		if text == ":a = h AND (:b < r)" && (len(keys) != 2 || keys[1].Is != expression.More || keys[1].Low.Text() != "b") {
			t.Errorf("%s: got %+v", text, keys)
		}
	}
}

func TestDeepNestingIsRefusedAndNotRun(t *testing.T) {
	text := strings.Repeat("(", 100_000)
	for _, k := range []expression.Kind{expression.Condition, expression.Update} {
		if _, err := expression.Parse(k, "SET a = "+text); err == nil {
			t.Error("it was taken")
		}
	}
	if _, err := expression.Parse(expression.Condition, strings.Repeat("NOT ", 100_000)); err == nil || !strings.Contains(err.Error(), "too deeply") {
		t.Errorf("got %v", err)
	}
}

func TestTheCacheGivesTheSameExpression(t *testing.T) {
	var c expression.Cache
	a, err := c.Parse(expression.Condition, "a = :b")
	b, again := c.Parse(expression.Condition, "a = :b")
	if err != nil || again != nil || a != b {
		t.Errorf("got %p and %p, %v %v", a, b, err, again)
	}
	if _, err := c.Parse(expression.Condition, "a = "); err == nil {
		t.Error("a wrong expression was taken")
	}
}

func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"a = :s AND NOT (b.c[1] IN (:n, :l)) OR size(#a) > :n", "SET a = if_not_exists(b, :n) + :n, c[1] = list_append(d, :l) REMOVE e.f ADD g :n DELETE h :ns", "a, b[1].c, #a", "h = :s AND begins_with(r, :s)", "a BETWEEN :n AND :n"} {
		for k := range 5 {
			f.Add(byte(k), s)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, text string) {
		k := expression.Kind(kind % 5)
		e, err := expression.Parse(k, text)
		if err != nil {
			return
		}
		b, err := (&expression.Scope{Names: names, Values: values}).Bind(e)
		if err != nil {
			return
		}
		switch k {
		case expression.Projection:
			b.Project(subject)
		case expression.Update:
			if out, err := b.Update(subject); err == nil {
				b.Project(out)
			}
		case expression.KeyCondition:
			b.Keys()
		default:
			b.Matches(subject)
		}
		b.Heads()
	})
}
