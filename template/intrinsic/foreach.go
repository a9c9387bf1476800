package intrinsic

import (
	"regexp"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

const forEach = "Fn::ForEach::"

var (
	loopName        = regexp.MustCompile(`^[A-Za-z0-9]+$`)
	notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]+`)
)

// Expand writes out every Fn::ForEach in n, the outer before the inner. Without the language
// extensions it returns n, and Eval complains.
func (s *Scope) Expand(n *tree.Node) *tree.Node {
	if n == nil || !s.Extensions || !loops(n) {
		return n
	}
	if !s.spend(nodeBytes, n.Pos) {
		return broken(n)
	}
	out := &tree.Node{Pos: n.Pos, Kind: n.Kind, Text: n.Text}
	for _, item := range n.Items {
		out.Items = append(out.Items, s.Expand(item))
	}
	for _, f := range n.Fields {
		fields := []tree.Field{{Name: f.Name, Pos: f.Pos, Value: f.Value}}
		if strings.HasPrefix(f.Name, forEach) {
			fields = s.loop(f)
		}
		for _, made := range fields {
			if first := out.Field(made.Name); first != nil {
				s.fault(made.Pos, "duplicate key \""+made.Name+"\" once Fn::ForEach is written out", "its name must contain the identifier")
				continue
			}
			made.Value = s.Expand(made.Value)
			out.Fields = append(out.Fields, made)
		}
	}
	return out
}

// loops says whether there is a loop anywhere in n.
func loops(n *tree.Node) bool {
	for _, item := range n.Items {
		if loops(item) {
			return true
		}
	}
	for _, f := range n.Fields {
		if strings.HasPrefix(f.Name, forEach) || loops(f.Value) {
			return true
		}
	}
	return false
}

// loop writes out one Fn::ForEach::Name: [identifier, collection, {name: value, …}].
func (s *Scope) loop(f tree.Field) []tree.Field {
	args, ok := s.items(call{f.Name, f.Value, f.Pos}, 3, 3)
	if !ok {
		return nil
	}
	id, body := args[0], args[2]
	if id.Kind != tree.String || !loopName.MatchString(id.Text) || body.Kind != tree.Map {
		s.fault(f.Pos, "Template error: Fn::ForEach takes an identifier, a collection and a map", "")
		return nil
	}
	collection := s.Eval(args[1])
	if collection == nil || collection.Kind != tree.List {
		s.noList(collection, call{f.Name, f.Value, f.Pos})
		return nil
	}
	var out []tree.Field
	for _, v := range collection.Items {
		if !v.IsScalar() {
			if v.Kind != tree.Broken {
				s.fault(v.Pos, "Template error: Fn::ForEach's collection must be a list of strings", "")
			}
			return nil
		}
		made := s.replace(body, id.Text, v.Text)
		for _, m := range made.Fields {
			if strings.HasPrefix(m.Name, forEach) {
				out = append(out, s.loop(m)...)
				continue
			}
			out = append(out, m)
		}
		if s.exhausted {
			return nil
		}
	}
	return out
}

// replace puts value in the place of ${id}, &{id} and {Ref: id}. &{id} leaves out what is not alphanumeric.
func (s *Scope) replace(n *tree.Node, id, value string) *tree.Node {
	if !s.spend(nodeBytes+len(n.Text), n.Pos) {
		return broken(n)
	}
	if name, arg := n.Function(); name == "Ref" && arg.Kind == tree.String && arg.Text == id {
		return tree.Text(n.Pos, value)
	}
	replacer := strings.NewReplacer("${"+id+"}", value, "&{"+id+"}", notAlphanumeric.ReplaceAllString(value, ""))
	out := &tree.Node{Pos: n.Pos, Kind: n.Kind, Text: n.Text}
	if n.Kind == tree.String {
		out.Text = replacer.Replace(n.Text)
	}
	for _, item := range n.Items {
		out.Items = append(out.Items, s.replace(item, id, value))
	}
	for _, f := range n.Fields {
		out.Fields = append(out.Fields, tree.Field{Name: replacer.Replace(f.Name), Pos: f.Pos, Value: s.replace(f.Value, id, value)})
	}
	return out
}
