// Package intrinsic works out CloudFormation's functions (Ref, Fn::Sub, Fn::If, …),
// parameters and conditions over a template's tree.
//
// A value that rests on something unknown here, such as a resource that is not
// supported, is still a value: it has a stand-in as its text and carries in Refs what
// it rests on, so that whoever uses it can decide whether that matters.
// What is wrong is reported once, where it stands, and becomes a Broken node
// that nothing complains about again.
//
// A Scope is for one goroutine.
package intrinsic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// Limits on what functions may make of a template.
const (
	textBytesMax = tree.BytesMax // one string
	workMax      = 32 << 20      // bytes of everything together, where a node counts as nodeBytes
	nodeBytes    = 32
)

// Resources answers what Ref and Fn::GetAtt say about resources. A nil node
// says that there is no such resource or attribute, and that it has been reported.
type Resources interface {
	// Named says whether Ref may name id although it has a dot: SAM's Function.Alias.
	Named(id string) bool
	Ref(id string, at tree.Pos) *tree.Node
	Attribute(id, name string, at tree.Pos) *tree.Node
}

// A Scope is what functions are worked out in.
type Scope struct {
	Parameters map[string]*tree.Node // by name, pseudo parameters included; a nil value is AWS::NoValue
	Mappings   *tree.Node
	Conditions *tree.Node
	Resources  Resources // nil where resources may not be named
	Region     string
	Extensions bool // the AWS::LanguageExtensions transform is on
	Report     func(tree.Problem)
	// Include reads the document that AWS::Include names. It returns nil, and has
	// reported why, when there is nothing to go on with.
	Include func(location string, at tree.Pos) *tree.Node
	// Kept answers a dynamic reference to a parameter of Systems Manager; version
	// 0 is the newest. It returns nil, and has reported why, when there is none.
	// Nil where dynamic references are not resolved.
	Kept func(name string, version uint64, at tree.Pos) *tree.Node

	conditions map[string]truth
	path       []string // names of the fields around the value in hand
	included   bool     // the value in hand is of another file
	work       int
	exhausted  bool
}

// truth is what is known of a condition while and after it is worked out.
type truth uint8

const (
	_ truth = iota
	underWay
	no
	yes
)

// Path returns the names of the fields around the value that is being worked out.
func (s *Scope) Path() string { return strings.Join(s.path, ".") }

// At runs f with name as the outermost field of Path.
func (s *Scope) At(name string, f func()) {
	before := s.path
	s.path = []string{name}
	f()
	s.path = before
}

// Eval works out every function in n. It returns nil when n comes to AWS::NoValue.
func (s *Scope) Eval(n *tree.Node) *tree.Node {
	if n == nil || !s.spend(nodeBytes, n.Pos) {
		return broken(n)
	}
	switch n.Kind {
	case tree.String:
		return s.dynamic(n)
	case tree.List:
		return s.evalList(n)
	case tree.Map:
		if name, arg := n.Function(); name != "" && name != "Condition" {
			return s.call(name, arg, n.Pos)
		}
		return s.evalMap(n)
	}
	return n
}

func (s *Scope) evalList(n *tree.Node) *tree.Node {
	out := &tree.Node{Pos: n.Pos, Kind: tree.List, Items: make([]*tree.Node, 0, len(n.Items))}
	for _, item := range n.Items {
		if v := s.Eval(item); v != nil {
			out.Items = append(out.Items, v)
		}
	}
	return out
}

func (s *Scope) evalMap(n *tree.Node) *tree.Node {
	out := &tree.Node{Pos: n.Pos, Kind: tree.Map, Fields: make([]tree.Field, 0, len(n.Fields))}
	for _, f := range n.Fields {
		switch {
		case f.Name == "Fn::Transform":
			if v := transform(s, call{f.Name, f.Value, f.Pos}); v != nil && v.Kind == tree.Map {
				out.Fields = append(out.Fields, v.Fields...)
			} else if v != nil && v.Kind != tree.Broken {
				s.fault(f.Pos, "what is included beside other fields must be a map, not "+v.Kind.String(), "")
			}
			continue
		case table(f.Name) != nil:
			s.fault(f.Pos, fmt.Sprintf("%s must stand alone: nothing else may be in the same map", f.Name), "")
			continue
		}
		s.path = append(s.path, f.Name)
		v := s.Eval(f.Value)
		s.path = s.path[:len(s.path)-1]
		if v != nil {
			out.Fields = append(out.Fields, tree.Field{Name: f.Name, Pos: f.Pos, Value: v})
		}
	}
	return out
}

// call is one use of a function.
type call struct {
	name string
	arg  *tree.Node
	at   tree.Pos
}

func (s *Scope) call(name string, arg *tree.Node, at tree.Pos) *tree.Node {
	c := call{name, arg, at}
	switch name {
	case "Ref":
		return ref(s, c)
	case "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not":
		s.fault(at, name+" may be used in Conditions and as the condition of another function only", "name it in Conditions and use Fn::If")
		return broken(arg)
	}
	f := table(name)
	if f == nil {
		if strings.HasPrefix(name, "Fn::ForEach") {
			s.fault(at, "Fn::ForEach needs the transform AWS::LanguageExtensions", "add it to Transform")
		} else {
			s.fault(at, "unknown function "+name, tree.Near(name, names))
		}
		return broken(arg)
	}
	if slices.Contains([]string{"Fn::Length", "Fn::ToJsonString"}, name) && !s.Extensions {
		s.fault(at, name+" needs the transform AWS::LanguageExtensions", "add it to Transform")
		return broken(arg)
	}
	return f(s, c)
}

// text works n out and returns it as text. ok is false when there is none, and that has been reported.
func (s *Scope) text(n *tree.Node, what string) (t string, refs []tree.Ref, ok bool) {
	v := s.Eval(n)
	switch {
	case v == nil:
		s.fault(n.Pos, what+" must be a string, not AWS::NoValue", "")
	case v.Kind == tree.Broken:
	case !v.IsScalar():
		s.fault(v.Pos, what+" must be a string, not "+v.Kind.String(), "")
	default:
		return v.Text, v.Refs, true
	}
	return "", nil, false
}

// items returns the written-out arguments of a function that takes a list of them.
func (s *Scope) items(c call, least, most int) ([]*tree.Node, bool) {
	if c.arg.Kind == tree.Broken {
		return nil, false
	}
	if c.arg.Kind != tree.List || len(c.arg.Items) < least || len(c.arg.Items) > most {
		want := fmt.Sprintf("%d", least)
		if most != least {
			want = fmt.Sprintf("%d to %d", least, most)
		}
		s.fault(c.at, fmt.Sprintf("Template error: %s takes a list of %s elements", c.name, want), "")
		return nil, false
	}
	return c.arg.Items, true
}

// made returns a string that a function made.
func (s *Scope) made(at tree.Pos, text string, refs []tree.Ref) *tree.Node {
	if len(text) > textBytesMax {
		s.fault(at, fmt.Sprintf("the value grows beyond %d bytes", textBytesMax), "")
		return &tree.Node{Pos: at}
	}
	if !s.spend(len(text), at) {
		return &tree.Node{Pos: at}
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: text, Refs: refs}
}

// refsMax bounds how many unknown things one value can name.
const refsMax = 64

// with adds what is not yet in refs.
func with(refs, more []tree.Ref) []tree.Ref {
	for _, r := range more {
		if len(refs) < refsMax && !slices.Contains(refs, r) {
			refs = append(slices.Clip(refs), r)
		}
	}
	return refs
}

// spend counts n of work and says whether it may be done.
func (s *Scope) spend(n int, at tree.Pos) bool {
	s.work += n
	if s.work > workMax && !s.exhausted {
		s.exhausted = true
		s.fault(at, "the template's functions make more than can be taken in", "")
	}
	return !s.exhausted
}

func (s *Scope) fault(at tree.Pos, message, hint string) {
	s.Report(tree.Problem{Position: at, Property: s.Path(), Message: message, Hint: hint})
}

func (s *Scope) unsupported(at tree.Pos, message, missing, hint string) {
	s.Report(tree.Problem{Position: at, Property: s.Path(), Message: message, Hint: hint, Missing: missing, Unsupported: true})
}

func broken(n *tree.Node) *tree.Node {
	if n == nil {
		return nil
	}
	return &tree.Node{Pos: n.Pos}
}
