package dynamodb

import (
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/value"
)

// Members from before there were expressions say the same as expressions, and
// become such: the names and values in them stand behind placeholders.

// A rewriter makes an expression.
type rewriter struct {
	names, values []value.Attribute
	text          strings.Builder
}

func (r *rewriter) name(name string) string {
	p := "#n" + strconv.Itoa(len(r.names))
	r.names = append(r.names, value.Attribute{Name: p, Value: value.OfString(name)})
	return p
}

// legacyProjection makes a projection of AttributesToGet.
func legacyProjection(n *node, text *string, names *value.Item) string {
	all := n.texts("AttributesToGet")
	if len(all) == 0 {
		return ""
	}
	var r rewriter
	seen := map[string]bool{}
	for i, name := range all {
		if seen[name] {
			return wrongParameters + "Duplicate value in attribute name: " + name
		}
		seen[name] = true
		if i > 0 {
			r.text.WriteString(", ")
		}
		r.text.WriteString(r.name(name))
	}
	*text = r.text.String()
	*names, _, _ = value.Sorted(r.names)
	return ""
}

// legacyWrite refuses what is not rewritten.
func legacyWrite(n *node, _ *table.Action) string {
	for _, name := range []string{"Expected", "AttributeUpdates", "ConditionalOperator"} {
		if n.get(name) != nil {
			return name + " is not supported here: use an expression"
		}
	}
	return ""
}

// legacyQuery refuses what is not rewritten.
func legacyQuery(n *node, _ *table.Query) string {
	for _, name := range []string{"KeyConditions", "QueryFilter", "ScanFilter", "ConditionalOperator"} {
		if n.get(name) != nil {
			return name + " is not supported here: use an expression"
		}
	}
	return ""
}
