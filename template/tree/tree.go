// Package tree holds a template as it is written: a tree of nodes, each with
// the place it was read from. It reads YAML with CloudFormation's short tags
// (!Ref, !Sub, …) and JSON into the same tree, in long form, and refuses what
// a template may not contain: several documents, aliases that
// grow without bound, unknown tags.
//
// Scalars keep their text as it was written, so that 1.10 stays 1.10 and a date stays a
// date; their kind follows YAML 1.1, as AWS reads templates.
//
// A tree never changes once it has been read, but for nodes the caller makes
// itself, so any number of goroutines may read it. The YAML library is named
// in this package only.
package tree

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits on one document.
const (
	BytesMax = 1 << 20 // CloudFormation's limit for a template in S3
	depthMax = 100     // nesting, after aliases
	nodesMax = 200_000 // nodes, after aliases
)

// Pos is a place in a file. Lines and columns count from 1; columns count characters.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String returns "file:line:column", leaving out what is not known.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// MarshalText returns String.
func (p Pos) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Kind is what a node is.
type Kind uint8

// The kinds of node.
const (
	Broken Kind = iota // it could not be worked out, and that has been reported
	Null
	Bool   // Text is "true" or "false"
	Number // Text is as written
	String
	List
	Map
)

var kinds = [...]string{"nothing", "null", "a boolean", "a number", "a string", "a list", "a map"}

// String returns the kind in words, with an article.
func (k Kind) String() string { return kinds[k] }

// A Node is one value of a document.
type Node struct {
	Pos    Pos
	Kind   Kind
	Text   string  // of a Bool, Number or String
	Items  []*Node // of a List
	Fields []Field // of a Map, in the order they were written
	Refs   []Ref   // what a value made by functions rests on and could not be known
}

// A Field is one member of a map.
type Field struct {
	Name  string
	Pos   Pos // of the name
	Value *Node
}

// A Ref is something whose value is not known here: a resource that is not
// supported, or what a resource is only given when it is made.
type Ref struct {
	ID   string // logical ID
	Attr string // the attribute; "" for Ref
}

// Get returns the value of a field, or nil when n is no map or has no such field.
func (n *Node) Get(name string) *Node {
	if f := n.Field(name); f != nil {
		return f.Value
	}
	return nil
}

// Field returns a field, or nil when n is no map or has no such field.
func (n *Node) Field(name string) *Field {
	if n == nil {
		return nil
	}
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return &n.Fields[i]
		}
	}
	return nil
}

// Names returns the names of a map's fields, in order.
func (n *Node) Names() []string {
	names := make([]string, len(n.Fields))
	for i, f := range n.Fields {
		names[i] = f.Name
	}
	return names
}

// IsScalar says whether n is a boolean, a number or a string.
func (n *Node) IsScalar() bool {
	return n != nil && (n.Kind == Bool || n.Kind == Number || n.Kind == String)
}

// Function returns the name and the argument of a map that is a call of an
// intrinsic function: one field, named Ref, Condition or Fn::…. The name is
// "" when n is anything else.
func (n *Node) Function() (string, *Node) {
	if n == nil || n.Kind != Map || len(n.Fields) != 1 {
		return "", nil
	}
	f := n.Fields[0]
	if f.Name == "Ref" || f.Name == "Condition" && f.Value.Kind == String || strings.HasPrefix(f.Name, "Fn::") {
		return f.Name, f.Value
	}
	return "", nil
}

// Value returns n as plain Go values: nil, bool, int64, float64, string, []any and map[string]any.
func (n *Node) Value() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		if i, err := Integer(n.Text); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(strings.ReplaceAll(n.Text, "_", ""), 64); err == nil {
			return f
		}
		return n.Text
	case String:
		return n.Text
	case List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = item.Value()
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			m[f.Name] = f.Value.Value()
		}
		return m
	}
	return nil
}

// Equal says whether two values are the same: same shape, same text of every
// scalar whatever its kind, fields in any order.
func Equal(a, b *Node) bool {
	if a.IsScalar() || b.IsScalar() {
		return a.IsScalar() && b.IsScalar() && a.Text == b.Text
	}
	if a.Kind != b.Kind || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !Equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, f := range a.Fields {
		if o := b.Get(f.Name); o == nil || !Equal(f.Value, o) {
			return false
		}
	}
	return true
}

// Text returns a string node at p.
func Text(p Pos, s string) *Node { return &Node{Pos: p, Kind: String, Text: s} }

// Integer reads an integer as YAML 1.1 writes it: decimal, 0x…, 0b…, 0777 for octal, with underscores.
func Integer(s string) (int64, error) {
	t := strings.ReplaceAll(s, "_", "")
	i, err := strconv.ParseInt(t, 0, 64)
	if err != nil || t == "" || strings.Contains(t, "o") {
		return 0, fmt.Errorf("%q is not an integer", s)
	}
	return i, nil
}
