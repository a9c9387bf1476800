package intrinsic

import (
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// A Use is one place where a template names a parameter, a resource or a condition.
type Use struct {
	ID        string // as written: "Table", "AWS::Region", "Function.Alias"
	Attr      string // of Fn::GetAtt; "" otherwise
	Condition bool   // ID names a condition
	Sub       bool   // it stands in a Fn::Sub: ID may be "Table.Arn"
	At        tree.Pos
}

// Uses calls f for all that n names, in every branch of every condition.
func Uses(n *tree.Node, f func(Use)) {
	if n == nil {
		return
	}
	name, arg := n.Function()
	switch name {
	case "Ref":
		if arg.Kind == tree.String {
			f(Use{ID: arg.Text, At: n.Pos})
		}
	case "Fn::GetAtt":
		id, attr := "", ""
		if arg.Kind == tree.String {
			id, attr, _ = strings.Cut(arg.Text, ".")
		} else if len(arg.Items) >= 2 && arg.Items[0].Kind == tree.String {
			id, attr, _ = strings.Cut(arg.Items[0].Text+"."+arg.Items[1].Text, ".")
		}
		if id != "" {
			f(Use{ID: id, Attr: attr, At: n.Pos})
		}
	case "Fn::If":
		if len(arg.Items) > 0 && arg.Items[0].Kind == tree.String {
			f(Use{ID: arg.Items[0].Text, Condition: true, At: arg.Items[0].Pos})
		}
	case "Fn::Sub":
		text, variables := arg, (*tree.Node)(nil)
		if len(arg.Items) == 2 {
			text, variables = arg.Items[0], arg.Items[1]
		}
		if text.Kind == tree.String {
			eachVariable(text.Text, func(_, name string) bool {
				if name != "" && variables.Get(name) == nil {
					f(Use{ID: name, Sub: true, At: n.Pos})
				}
				return true
			})
		}
	}
	for _, item := range n.Items {
		Uses(item, f)
	}
	for _, field := range n.Fields {
		Uses(field.Value, f)
	}
}
