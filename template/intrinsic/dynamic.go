package intrinsic

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// Dynamic references name a value that is kept apart from the template. They are
// resolved wherever a whole one stands in a text, one that a function made included.
var (
	dynamicReference = regexp.MustCompile(`\{\{resolve:(ssm|ssm-secure|secretsmanager):([^{}]*)\}\}`)
	keptName         = regexp.MustCompile(`^([A-Za-z0-9_./-]+)(?::([1-9][0-9]{0,17}))?$`)
)

// dynamic resolves the dynamic references in a text. Those to what is secret are
// refused: it would be kept as it is.
func (s *Scope) dynamic(n *tree.Node) *tree.Node {
	if n.Kind != tree.String || !strings.Contains(n.Text, "{{resolve:") {
		return n
	}
	var b strings.Builder
	refs, done := n.Refs, 0
	for _, m := range dynamicReference.FindAllStringSubmatchIndex(n.Text, -1) {
		whole := n.Text[m[0]:m[1]]
		v := s.resolve(whole, n.Text[m[2]:m[3]], n.Text[m[4]:m[5]], n.Pos)
		if v.Kind == tree.Broken {
			return v
		}
		b.WriteString(n.Text[done:m[0]])
		b.WriteString(v.Text)
		refs, done = with(refs, v.Refs), m[1]
	}
	if done == 0 {
		return n
	}
	b.WriteString(n.Text[done:])
	return s.made(n.Pos, b.String(), refs)
}

// resolve returns the value of one reference; the reference itself, naming
// itself, when it has none.
func (s *Scope) resolve(whole, service, arguments string, at tree.Pos) *tree.Node {
	itself := &tree.Node{Pos: at, Kind: tree.String, Text: whole, Refs: []tree.Ref{{ID: whole}}}
	switch m := keptName.FindStringSubmatch(arguments); {
	case service != "ssm" || s.Kept == nil:
		what := "dynamic references to " + service
		if service == "ssm" {
			what = "dynamic references outside of resources and outputs"
		}
		s.unsupported(at, what+" are not supported: "+whole, "the value of "+s.Path()+"; the reference itself stands in its place", "make it a parameter and give its value")
		return itself
	case m == nil:
		s.fault(at, "Incorrect dynamic reference: "+whole, "it is {{resolve:ssm:NAME}} or {{resolve:ssm:NAME:VERSION}}, with versions from 1")
		return &tree.Node{Pos: at}
	default:
		version, _ := strconv.ParseUint(m[2], 10, 64) // "" is 0: the newest
		if v := s.Kept(m[1], version, at); v != nil {
			return v
		}
		return itself
	}
}
