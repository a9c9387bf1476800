package dynamodb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/value"
)

// Expressions and what they refer to go together with one another, and not
// with the members from before there were expressions.

// checkExpressions says what is wrong with how the members of a request go
// together: with is the names of its expressions, without those of members
// that express the same otherwise.
func checkExpressions(n *node, with, without []string) string {
	var given []string
	for _, name := range with {
		if n.get(name) != nil {
			given = append(given, name)
		}
	}
	if len(given) > 0 {
		var others []string
		for _, name := range without {
			if n.get(name) != nil && (name != "KeyConditions" || n.get("KeyConditionExpression") != nil) {
				others = append(others, name)
			}
		}
		if len(others) > 0 {
			return "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {" + strings.Join(others, ", ") + "} Expression parameters: {" + strings.Join(given, ", ") + "}"
		}
	}
	if n.get("ExpressionAttributeNames") != nil && len(given) == 0 {
		return "ExpressionAttributeNames can only be specified when using expressions"
	}
	takers := slices.DeleteFunc(with, func(name string) bool { return name == "ProjectionExpression" })
	given = slices.DeleteFunc(given, func(name string) bool { return name == "ProjectionExpression" })
	if n.get("ExpressionAttributeValues") != nil && len(takers) > 0 && len(given) == 0 {
		verb := " is null"
		if len(takers) > 1 {
			verb = " are null"
		}
		return "ExpressionAttributeValues can only be specified when using expressions: " + strings.Join(takers, " and ") + verb
	}
	return ""
}

// checkPlaceholders says what is wrong with what expressions refer to. Its turn
// comes after the keys, items and older members of a request.
func checkPlaceholders(n *node) string {
	for _, of := range []struct {
		name string
		mark byte
	}{{"ExpressionAttributeNames", '#'}, {"ExpressionAttributeValues", ':'}} {
		m := n.get(of.name)
		if m == nil {
			continue
		}
		if len(m.elements()) == 0 {
			return of.name + " must not be empty"
		}
		for i := range m.kids {
			if !placeholder(m.kids[i].key, of.mark) {
				return of.name + ` contains invalid key: Syntax error; key: "` + m.kids[i].key + `"`
			}
			if of.mark != '#' || m.kids[i].kind != nodeString {
				continue
			}
			switch text := checkAttributeName(m.kids[i].text); {
			case text != "" && m.kids[i].text == "":
				return of.name + " contains invalid value: " + text + " for key " + m.kids[i].key
			case text != "":
				return text
			}
		}
	}
	values := n.get("ExpressionAttributeValues")
	if values == nil {
		return ""
	}
	for i := range values.kids {
		k := &values.kids[i]
		if k.kind == nodeNull {
			continue
		}
		if _, text := attribute(k, 0); text != "" {
			return "ExpressionAttributeValues contains invalid value: " + text + " for key " + k.key
		}
	}
	return ""
}

// placeholder says whether s is a mark with letters, digits or underscores behind it.
func placeholder(s string, mark byte) bool {
	if len(s) < 2 || s[0] != mark {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !alphanumeric(c) && c != '_' {
			return false
		}
	}
	return true
}

// names returns the names that a request's expressions refer to.
func (n *node) names() value.Item {
	m := n.get("ExpressionAttributeNames")
	if m == nil {
		return nil
	}
	all := make([]value.Attribute, 0, len(m.kids))
	for i := range m.kids {
		if m.kids[i].kind == nodeString {
			all = append(all, value.Attribute{Name: m.kids[i].key, Value: value.OfString(m.kids[i].text)})
		}
	}
	it, _, _ := value.Sorted(all)
	return it
}

// values returns the values that a request's expressions refer to; they have
// been checked.
func (n *node) values() value.Item {
	m := n.get("ExpressionAttributeValues")
	if m == nil {
		return nil
	}
	it, _ := item(m, 0)
	return it
}

// expression returns an expression of a request, and "" when it has none. One that
// is given and empty is a mistake, which is told when its turn comes.
func (n *node) expression(kind expression.Kind) string {
	m := n.get(kind.String())
	switch {
	case m == nil:
		return ""
	case m.text == "":
		return " "
	}
	return m.text
}

// checkTexts checks what expressions refer to, and holds them to their limits.
func (n *node) checkTexts(expressions ...expression.Kind) string {
	if text := checkPlaceholders(n); text != "" {
		return text
	}
	for _, kind := range expressions {
		m := n.get(kind.String())
		if m == nil {
			continue
		}
		if len(m.text) > expression.TextBytesMax {
			return "Invalid " + kind.String() + ": Expression size has exceeded the maximum allowed size; expression size: " + strconv.Itoa(len(m.text))
		}
		if !strings.ContainsAny(m.text, " (") || len(m.text) < expression.OperatorsMax {
			continue // too short for so many
		}
		if e, err := expression.Parse(kind, m.text); err == nil && e.Operators() > expression.OperatorsMax {
			return "Invalid " + kind.String() + ": The expression contains too many operators; operator count: " + strconv.Itoa(e.Operators())
		}
	}
	return ""
}
