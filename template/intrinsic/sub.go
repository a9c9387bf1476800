package intrinsic

import (
	"regexp"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// variable is what may stand between ${ and } in Fn::Sub.
var variable = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

func sub(s *Scope, c call) *tree.Node {
	text, variables := c.arg, (*tree.Node)(nil)
	if c.arg.Kind == tree.List {
		args, ok := s.items(c, 2, 2)
		if !ok {
			return broken(c.arg)
		}
		text, variables = args[0], args[1]
		if variables.Kind != tree.Map {
			s.fault(variables.Pos, "Template error: the second element of Fn::Sub must be a map of variables", "")
			return broken(c.arg)
		}
	}
	if !text.IsScalar() {
		s.fault(c.at, "Template error: Fn::Sub takes a string, or a list of a string and a map", "")
		return broken(c.arg)
	}
	var b strings.Builder
	var refs []tree.Ref
	ok := true
	known := map[string]*tree.Node{} // a variable is worked out once, however often it stands there
	err := eachVariable(text.Text, func(literal, name string) bool {
		b.WriteString(literal)
		if name == "" || b.Len() > textBytesMax {
			return b.Len() <= textBytesMax
		}
		v, seen := known[name]
		if !seen {
			v = s.variable(name, variables, c.at)
			known[name] = v
		}
		switch {
		case v == nil:
			s.fault(c.at, "Template error: ${"+name+"} in Fn::Sub comes to AWS::NoValue", "")
			ok = false
		case v.Kind == tree.Broken:
			ok = false
		case !v.IsScalar():
			s.fault(c.at, "Template error: ${"+name+"} in Fn::Sub must be a string, not "+v.Kind.String(), "use Fn::Join to make one of it")
			ok = false
		default:
			b.WriteString(v.Text)
			refs = with(refs, v.Refs)
		}
		return true
	})
	if err != "" {
		s.fault(c.at, err, "write ${!…} for a dollar sign and braces that are meant as they are")
		ok = false
	}
	if !ok {
		return broken(c.arg)
	}
	return s.dynamic(s.made(c.at, b.String(), refs))
}

// variable returns the value of one ${name}.
func (s *Scope) variable(name string, variables *tree.Node, at tree.Pos) *tree.Node {
	if v := variables.Get(name); v != nil {
		return s.Eval(v)
	}
	if id, attr, dotted := strings.Cut(name, "."); dotted && (s.Resources == nil || !s.Resources.Named(name)) {
		return s.attribute(id, attr, at)
	}
	return s.refTo(name, at)
}

// eachVariable calls f with the text before each variable and the variable's
// name, and at the end with the rest and "". ${!x} is text. It returns a
// message when a name is not a name.
func eachVariable(text string, f func(literal, name string) bool) string {
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			f(text, "")
			return ""
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			f(text, "")
			return ""
		}
		name := text[i+2 : i+end]
		literal := text[:i]
		text = text[i+end+1:]
		if strings.HasPrefix(name, "!") {
			if !f(literal+"${"+name[1:]+"}", "") {
				return ""
			}
			continue
		}
		name = strings.TrimSpace(name)
		if !variable.MatchString(name) {
			return "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons; got ${" + name + "}"
		}
		if !f(literal, name) {
			return ""
		}
	}
}
