package dynamodb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// Members from before there were expressions say the same as expressions, and
// become such: the names and values in them stand behind placeholders. What is
// wrong with them is told in words of their own.

// A rewriter makes expressions.
type rewriter struct {
	names, values []value.Attribute
}

func (r *rewriter) name(name string) string {
	p := "#n" + strconv.Itoa(len(r.names))
	r.names = append(r.names, value.Attribute{Name: p, Value: value.OfString(name)})
	return p
}

func (r *rewriter) value(v value.Value) string {
	p := ":v" + strconv.Itoa(len(r.values))
	r.values = append(r.values, value.Attribute{Name: p, Value: v})
	return p
}

// into adds what the placeholders stand for to names and values.
func (r *rewriter) into(names, values *value.Item) {
	for _, a := range r.names {
		*names = names.With(a.Name, a.Value)
	}
	for _, a := range r.values {
		*values = values.With(a.Name, a.Value)
	}
}

// legacyProjection makes a projection of AttributesToGet.
func legacyProjection(n *node, text *string, names *value.Item) string {
	all := n.texts("AttributesToGet")
	if len(all) == 0 {
		return ""
	}
	parts := make([]string, len(all))
	for i, name := range all {
		if slices.Contains(all[:i], name) {
			return wrongParameters + "Duplicate value in attribute name: " + name
		}
		if text := checkAttributeName(name); text != "" {
			return text
		}
		parts[i] = "#p" + strconv.Itoa(i)
		*names = names.With(parts[i], value.OfString(name))
	}
	*text = strings.Join(parts, ", ")
	return ""
}

// operators are the comparisons that are an operator between two operands.
var operators = map[string]string{"EQ": "=", "NE": "<>", "LE": "<=", "LT": "<", "GE": ">=", "GT": ">"}

// comparable is which types each comparison takes; those that are not here take all.
var comparable = map[string][]value.Kind{
	"LE": ordered, "LT": ordered, "GE": ordered, "GT": ordered, "IN": ordered, "BETWEEN": ordered,
	"CONTAINS": ordered, "NOT_CONTAINS": ordered, "BEGINS_WITH": {value.String, value.Binary},
}

var ordered = []value.Kind{value.String, value.Number, value.Binary}

// compared writes a comparison of an attribute with values. The text at last
// says what is wrong with it.
func (r *rewriter) compared(attribute, operator string, values []value.Value) (expression, wrong string) {
	want := 1
	switch operator {
	case "NULL", "NOT_NULL":
		want = 0
	case "BETWEEN":
		want = 2
	case "IN":
		want = max(len(values), 1)
	}
	if len(values) != want {
		return "", wrongParameters + "Invalid number of argument(s) for the " + operator + " ComparisonOperator"
	}
	for i, v := range values {
		if kinds := comparable[operator]; kinds != nil && !slices.Contains(kinds, v.Kind()) {
			return "", wrongParameters + "ComparisonOperator " + operator + " is not valid for " + v.Kind().String() + " AttributeValue type"
		}
		if i > 0 && v.Kind() != values[0].Kind() {
			return "", wrongParameters + "AttributeValues inside AttributeValueList must be of same type"
		}
	}
	name := r.name(attribute)
	if sign := operators[operator]; sign != "" {
		return name + " " + sign + " " + r.value(values[0]), ""
	}
	switch operator {
	case "NULL":
		return "attribute_not_exists(" + name + ")", ""
	case "NOT_NULL":
		return "attribute_exists(" + name + ")", ""
	case "CONTAINS":
		return "contains(" + name + ", " + r.value(values[0]) + ")", ""
	case "NOT_CONTAINS":
		return "attribute_exists(" + name + ") AND NOT contains(" + name + ", " + r.value(values[0]) + ")", ""
	case "BEGINS_WITH":
		return "begins_with(" + name + ", " + r.value(values[0]) + ")", ""
	case "BETWEEN":
		if order, ok := value.Compare(values[0], values[1]); ok && order > 0 {
			return "", "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
		}
		return name + " BETWEEN " + r.value(values[0]) + " AND " + r.value(values[1]), ""
	}
	parts := make([]string, len(values))
	for i := range values {
		parts[i] = name + " = " + r.value(values[i]) // not IN, which takes fewer
	}
	return strings.Join(parts, " OR "), ""
}

// valuesIn reads the values of an AttributeValueList.
func valuesIn(n *node) ([]value.Value, string) {
	list := n.list("AttributeValueList")
	all := make([]value.Value, 0, len(list))
	for i := range list {
		v, text := attribute(&list[i], 0)
		if text != "" {
			return nil, text
		}
		all = append(all, v)
	}
	return all, ""
}

// join puts comparisons together as ConditionalOperator says.
func join(n *node, all []string) (string, string) {
	m := n.get("ConditionalOperator")
	switch {
	case m != nil && len(all) == 0:
		return "", "ConditionalOperator cannot be used without Filter or Expected"
	case m != nil && len(all) == 1:
		return "", "ConditionalOperator can only be used when Filter or Expected has two or more elements"
	case len(all) == 1:
		return all[0], ""
	}
	word := " AND "
	if m != nil && m.text == "OR" {
		word = " OR "
	}
	for i := range all {
		all[i] = "(" + all[i] + ")"
	}
	return strings.Join(all, word), ""
}

// legacyWrite makes expressions of Expected and AttributeUpdates.
func legacyWrite(n *node, a *write.Action) string {
	var r rewriter
	var text string
	if updates := n.get("AttributeUpdates"); updates != nil {
		if a.Update, text = r.updates(updates); text != "" {
			return text
		}
	}
	var all []string
	if expected := n.get("Expected"); expected != nil {
		for _, e := range expected.elements() {
			one, text := r.expected(&e)
			if text != "" {
				return text
			}
			all = append(all, one)
		}
	}
	condition, text := join(n, all)
	if text != "" {
		return text
	}
	if condition != "" {
		a.Condition = condition
	}
	r.into(&a.Names, &a.Values)
	return ""
}

// expected writes what is expected of one attribute.
func (r *rewriter) expected(e *node) (string, string) {
	list, val, exists, operator := e.get("AttributeValueList"), e.get("Value"), e.get("Exists"), e.str("ComparisonOperator")
	of := " for Attribute: " + e.key
	if list != nil && val != nil {
		return "", wrongParameters + "Value and AttributeValueList cannot be used together" + of
	}
	var values []value.Value
	var text string
	if val != nil {
		var v value.Value
		v, text = attribute(val, 0)
		values = []value.Value{v}
	} else {
		values, text = valuesIn(e)
	}
	if operator != "" {
		switch {
		case exists != nil:
			return "", wrongParameters + "Exists and ComparisonOperator cannot be used together" + of
		case operator != "NULL" && operator != "NOT_NULL" && list == nil && val == nil:
			return "", wrongParameters + "Value or AttributeValueList must be used with ComparisonOperator: " + operator + of
		case text != "":
			return "", text
		}
		return r.compared(e.key, operator, values)
	}
	there := exists == nil || exists.kind == nodeTrue
	switch {
	case list != nil:
		return "", wrongParameters + "AttributeValueList can only be used with a ComparisonOperator" + of
	case there && val == nil && exists == nil:
		return "", wrongParameters + "Value must be provided when Exists is null" + of
	case there && val == nil:
		return "", wrongParameters + "Value must be provided when Exists is true" + of
	case !there && val != nil:
		return "", wrongParameters + "Value cannot be used when Exists is false" + of
	case text != "":
		return "", text
	case !there:
		return "attribute_not_exists(" + r.name(e.key) + ")", ""
	}
	return r.compared(e.key, "EQ", values)
}

// updates writes an update of what is to become of each attribute.
func (r *rewriter) updates(n *node) (string, string) {
	clauses := map[string][]string{}
	add := func(clause, text string) { clauses[clause] = append(clauses[clause], text) }
	for _, u := range n.elements() {
		if text := checkAttributeName(u.key); text != "" {
			return "", text
		}
		action, val := u.str("Action"), u.get("Value")
		if val == nil {
			if action != "DELETE" {
				return "", wrongParameters + "Only DELETE action is allowed when no attribute value is specified"
			}
			add("REMOVE", r.name(u.key))
			continue
		}
		v, text := attribute(val, 0)
		if text != "" {
			return "", text
		}
		kind := v.Kind()
		switch {
		case action == "DELETE" && !kind.Set():
			return "", wrongParameters + "DELETE action with value is not supported for the type " + kind.String()
		case action == "ADD" && kind != value.Number && kind != value.List && !kind.Set():
			return "", wrongParameters + "ADD action is not supported for the type " + kind.String()
		case action == "ADD" && kind == value.List:
			name := r.name(u.key)
			add("SET", name+" = list_append(if_not_exists("+name+", "+r.value(value.OfList(nil))+"), "+r.value(v)+")")
		case action == "ADD" || action == "DELETE":
			add(action, r.name(u.key)+" "+r.value(v))
		default:
			add("SET", r.name(u.key)+" = "+r.value(v))
		}
	}
	var parts []string
	for _, clause := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if all := clauses[clause]; all != nil {
			parts = append(parts, clause+" "+strings.Join(all, ", "))
		}
	}
	return strings.Join(parts, " "), ""
}

// legacyFilter makes a filter of QueryFilter or ScanFilter.
func legacyFilter(n *node, q *read.Query) string {
	name := "QueryFilter"
	if q.Scan {
		name = "ScanFilter"
	}
	var r rewriter
	var all []string
	for _, c := range n.list(name) {
		values, text := valuesIn(&c)
		if text != "" {
			return text
		}
		one, text := r.compared(c.key, c.str("ComparisonOperator"), values)
		if text != "" {
			return text
		}
		all = append(all, one)
	}
	joined, text := join(n, all)
	q.Filter = joined
	r.into(&q.Names, &q.Values)
	return text
}

// indexable are the comparisons that keys can be found by.
var indexable = map[string]expression.Comparison{
	"EQ": expression.Equal, "LE": expression.LessEqual, "LT": expression.Less, "GE": expression.MoreEqual, "GT": expression.More, "BEGINS_WITH": expression.BeginsWith, "BETWEEN": expression.Between,
}

// legacyKeys reads KeyConditions.
func legacyKeys(n *node, q *read.Query) string {
	all := n.list("KeyConditions")
	for _, c := range all {
		values, text := valuesIn(&c)
		if text != "" {
			return text
		}
		operator := c.str("ComparisonOperator")
		if _, text := new(rewriter).compared(c.key, operator, values); text != "" {
			return text
		}
		key := expression.Key{Name: c.key, Is: expression.NotIndexable}
		if is, ok := indexable[operator]; ok {
			key.Is, key.Low, key.High = is, values[0], values[len(values)-1]
		}
		q.Keys = append(q.Keys, key)
	}
	if len(all) == 0 || len(all) > 2 {
		return "Conditions can be of length 1 or 2 only"
	}
	return ""
}

// What the noun says of expressions, and what the service says instead where
// they were none.
var legacyWords = []struct{ noun, legacy string }{
	{"An operand in the update expression has an incorrect data type", "Type mismatch for attribute to update"},
	{"Filter Expression can only contain", "QueryFilter can only contain"},
}

// legacyRefusal puts a refusal into the words for requests without expressions.
func legacyRefusal(n *node, r *refusal) *refusal {
	if r == nil || n.get("AttributeUpdates") == nil && n.get("QueryFilter") == nil {
		return r
	}
	for _, w := range legacyWords {
		r.message = strings.Replace(r.message, w.noun, w.legacy, 1)
	}
	return r
}
