package dynamodb

import (
	"encoding/base64"
	"strings"

	"github.com/daruma-io/daruma/table/value"
)

const wrongParameters = "One or more parameter values were invalid: "

// attribute makes a value of what has the right types. The text says what is
// wrong with it, and is "" when nothing is.
func attribute(n *node, depth int) (value.Value, string) {
	var found value.Value
	count := 0
	for i := range n.kids {
		k := &n.kids[i]
		if k.kind == nodeNull || value.KindOf(k.key) == value.None {
			continue
		}
		v, text := part(k, depth)
		if text != "" {
			return v, text
		}
		found = v
		count++
	}
	switch {
	case count == 0:
		return found, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	case count > 1:
		return found, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	}
	return found, ""
}

// part makes a value of one of its representations.
func part(n *node, depth int) (value.Value, string) {
	switch n.key {
	case "S":
		return value.OfString(n.text), ""
	case "N":
		return number(n.text)
	case "B":
		return binary(n), ""
	case "BOOL":
		return value.OfBool(n.kind == nodeTrue), ""
	case "NULL":
		if n.kind != nodeTrue {
			return value.Value{}, wrongParameters + "Null attribute value types must have the value of true"
		}
		return value.Nothing(), ""
	case "SS", "NS", "BS":
		return set(n)
	}
	if depth >= value.DepthMax {
		return value.Value{}, "Nesting Levels have exceeded supported limits"
	}
	if n.key == "M" {
		it, text := item(n, depth+1)
		return value.OfMap(it), text
	}
	list := make([]value.Value, 0, len(n.kids))
	for i := range n.kids {
		if n.kids[i].kind == nodeNull {
			continue
		}
		v, text := attribute(&n.kids[i], depth+1)
		if text != "" {
			return v, text
		}
		list = append(list, v)
	}
	return value.OfList(list), ""
}

func number(text string) (value.Value, string) {
	v, err := value.OfNumber(text)
	if err != nil {
		return v, err.Error()
	}
	return v, ""
}

func binary(n *node) value.Value {
	b, _ := base64.StdEncoding.DecodeString(n.text) // its form was checked with the types
	return value.OfBinary(string(b))
}

var emptySets = map[string]string{
	"SS": "An string set  may not be empty", "NS": "An number set  may not be empty", "BS": "Binary sets should not be empty",
}

func set(n *node) (value.Value, string) {
	kind := value.KindOf(n.key)
	if len(n.kids) == 0 {
		return value.Value{}, wrongParameters + emptySets[n.key]
	}
	elements := make([]value.Value, 0, len(n.kids))
	seen := make(map[string]bool, len(n.kids))
	twice := false
	for i := range n.kids {
		var v value.Value
		text := ""
		switch kind {
		case value.StringSet:
			v = value.OfString(n.kids[i].text)
		case value.NumberSet:
			v, text = number(n.kids[i].text)
		default:
			v = binary(&n.kids[i])
		}
		if text != "" {
			return v, text
		}
		twice = twice || seen[v.Text()]
		seen[v.Text()] = true
		elements = append(elements, v)
	}
	if twice {
		return value.Value{}, duplicates(n)
	}
	return value.OfSet(kind, elements), ""
}

func duplicates(n *node) string {
	texts := make([]string, len(n.kids))
	for i := range n.kids {
		texts[i] = n.kids[i].text
	}
	list := "[" + strings.Join(texts, ", ") + "]"
	switch n.key {
	case "NS":
		return "Input collection contains duplicates"
	case "BS":
		return wrongParameters + "Input collection " + list + "of type BS contains duplicates."
	}
	return wrongParameters + "Input collection " + list + " contains duplicates."
}

// item makes an item of an object of values. Of two attributes with one name
// the last counts.
func item(n *node, depth int) (value.Item, string) {
	all := make([]value.Attribute, 0, len(n.kids))
	for i := range n.kids {
		if n.kids[i].kind == nodeNull {
			continue
		}
		if text := checkAttributeName(n.kids[i].key); text != "" {
			return nil, text
		}
		v, text := attribute(&n.kids[i], depth)
		if text != "" {
			return nil, text
		}
		all = append(all, value.Attribute{Name: n.kids[i].key, Value: v})
	}
	it, _, ok := value.Sorted(all)
	for !ok { // the later of two takes the place of the earlier
		unique := all[:0]
		for i := range all {
			if i+1 < len(all) && all[i].Name == all[i+1].Name {
				continue
			}
			unique = append(unique, all[i])
		}
		all = unique
		it, _, ok = value.Sorted(all)
	}
	return it, ""
}

// nameBytesMax is the longest name of an attribute (Developer Guide, "Naming rules").
const nameBytesMax = 1<<16 - 1

// checkAttributeName says what is wrong with a name, "" for nothing.
func checkAttributeName(name string) string {
	switch {
	case name == "":
		return "Empty attribute name"
	case len(name) > nameBytesMax:
		return "1 validation error detected: Attribute name is too large, must be less than 65536 bytes"
	}
	return ""
}
