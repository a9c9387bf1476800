package intrinsic

import (
	"github.com/daruma-io/daruma/template/tree"
)

// Holds says whether the named condition holds. ok is false when that cannot
// be said, and why has been reported.
func (s *Scope) Holds(name string, at tree.Pos) (holds, ok bool) {
	switch s.conditions[name] {
	case yes:
		return true, true
	case no:
		return false, true
	case underWay:
		s.fault(at, "Template format error: Circular dependency of the condition "+name+" on itself", "")
		return false, false
	}
	n := s.Conditions.Get(name)
	if n == nil {
		hint := ""
		if s.Conditions != nil {
			hint = tree.Near(name, s.Conditions.Names())
		}
		s.fault(at, "Template format error: Unresolved condition dependency "+name+" in the template", hint)
		return false, false
	}
	if s.conditions == nil {
		s.conditions = map[string]truth{}
	}
	s.conditions[name] = underWay
	resources, path := s.Resources, s.path
	s.Resources, s.path = nil, []string{"Conditions", name}
	holds, ok = s.truthOf(n)
	s.Resources, s.path = resources, path
	switch {
	case !ok:
		// Reported above; what depends on it goes on as if it held, once.
		s.conditions[name] = yes
		return true, true
	case holds:
		s.conditions[name] = yes
	default:
		s.conditions[name] = no
	}
	return holds, ok
}

// truthOf works out a function that makes a condition.
func (s *Scope) truthOf(n *tree.Node) (holds, ok bool) {
	if n.Kind == tree.Bool {
		return n.Text == "true", true
	}
	name, arg := n.Function()
	c := call{name, arg, n.Pos}
	switch name {
	case "Condition":
		return s.Holds(arg.Text, arg.Pos)
	case "Fn::Equals":
		return s.equals(c)
	case "Fn::Not":
		args, ok := s.items(c, 1, 1)
		if !ok {
			return false, false
		}
		holds, ok := s.truthOf(args[0])
		return !holds, ok
	case "Fn::And", "Fn::Or":
		args, ok := s.items(c, 2, 10)
		if !ok {
			return false, false
		}
		all, some := true, false
		for _, a := range args {
			h, o := s.truthOf(a)
			ok, all, some = ok && o, all && h, some || h
		}
		if name == "Fn::And" {
			return all, ok
		}
		return some, ok
	case "Fn::If", "Ref", "Fn::FindInMap", "Fn::Select":
		if v := s.Eval(n); v.IsScalar() && (v.Text == "true" || v.Text == "false") {
			return v.Text == "true", true
		}
	}
	if n.Kind != tree.Broken {
		s.fault(n.Pos, "Template error: a condition is made of Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition", "")
	}
	return false, false
}

func (s *Scope) equals(c call) (holds, ok bool) {
	args, ok := s.items(c, 2, 2)
	if !ok {
		return false, false
	}
	a, b := s.Eval(args[0]), s.Eval(args[1])
	if a == nil || b == nil {
		return a == b, true
	}
	if a.Kind == tree.Broken || b.Kind == tree.Broken {
		return false, false
	}
	return tree.Equal(a, b), true
}
