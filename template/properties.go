package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/intrinsic"
	"github.com/daruma-io/daruma/template/tree"
)

// properties reads the properties of a resource, or of a map within them. Each
// is read, accepted or refused by name; done complains about the others.
type properties struct {
	l      *loader
	path   string     // "" for the resource's own, "FunctionUrlConfig.Cors" within
	node   *tree.Node // a map
	worked bool       // functions in it are worked out
	asked  []string
	values map[string]*tree.Node
}

func (l *loader) properties(r *resource) *properties {
	return &properties{l: l, node: r.props, values: map[string]*tree.Node{}}
}

// within reads a map that has been worked out already.
func (l *loader) within(path string, n *tree.Node) *properties {
	return &properties{l: l, path: path, node: n, worked: true, values: map[string]*tree.Node{}}
}

func (p *properties) full(name string) string {
	if p.path == "" {
		return name
	}
	return p.path + "." + name
}

func (p *properties) ask(names ...string) { p.asked = append(p.asked, names...) }

// at returns the place of a property, or of the map when it is not there.
func (p *properties) at(name string) tree.Pos {
	if f := p.node.Field(name); f != nil {
		return f.Pos
	}
	return p.node.Pos
}

func (p *properties) fault(name string, at tree.Pos, message, hint string) {
	p.l.report(Problem{Position: at, Property: p.full(name), Message: message, Hint: hint})
}

func (p *properties) missing(name string, at tree.Pos, message, missing, hint string) {
	p.l.report(Problem{Position: at, Property: p.full(name), Message: message, Missing: missing, Hint: hint, Unsupported: true})
}

// value works out a property. It is nil when the property is absent, AWS::NoValue or broken.
func (p *properties) value(name string) *tree.Node {
	p.ask(name)
	if v, done := p.values[name]; done {
		return v
	}
	v := p.node.Get(name)
	if v != nil && !p.worked {
		p.l.scope.At(p.full(name), func() { v = p.l.scope.Eval(v) })
	}
	if v != nil && (v.Kind == tree.Broken || v.Kind == tree.Null) {
		v = nil
	}
	p.values[name] = v
	return v
}

// has says whether a property is written down at all.
func (p *properties) has(name string) bool { return p.node.Get(name) != nil }

// given says whether a property has a value: one that comes to AWS::NoValue has none.
func (p *properties) given(name string) bool { return p.value(name) != nil }

// require complains when a property is not written down.
func (p *properties) require(names ...string) {
	for _, name := range names {
		p.ask(name)
		if !p.has(name) {
			p.fault(name, p.node.Pos, "missing required property '"+p.full(name)+"'", tree.Near(name, p.node.Names()))
		}
	}
}

// text returns a property as text, "" when it is absent.
func (p *properties) text(name string) string {
	v := p.value(name)
	if v == nil {
		return ""
	}
	if !v.IsScalar() {
		p.fault(name, v.Pos, "property '"+p.full(name)+"' must be a string, not "+v.Kind.String(), "")
		return ""
	}
	return v.Text
}

// one returns a text property that must be one of the given.
func (p *properties) one(name string, of ...string) string {
	t := p.text(name)
	if t != "" && !slices.Contains(of, t) {
		p.fault(name, p.value(name).Pos, fmt.Sprintf("property '%s' must be one of %s, not %q", p.full(name), strings.Join(of, ", "), t), tree.Near(t, of))
		return ""
	}
	return t
}

// integer returns a whole number within bounds, and def when the property is absent or wrong.
func (p *properties) integer(name string, least, most, def int) int {
	v := p.value(name)
	if v == nil {
		return def
	}
	if len(v.Refs) > 0 {
		p.missing(name, v.Pos, "the value of '"+p.full(name)+"' cannot be known here", fmt.Sprintf("the value; it is %d", def), "write the number down")
		return def
	}
	i, err := tree.Integer(v.Text)
	if v.Kind == tree.String && err == nil && strings.TrimLeft(v.Text, "-0123456789") != "" {
		err = fmt.Errorf("%q is not an integer", v.Text)
	}
	if !v.IsScalar() || err != nil {
		what := v.Kind.String()
		if v.IsScalar() {
			what = fmt.Sprintf("%q", v.Text)
		}
		p.fault(name, v.Pos, "property '"+p.full(name)+"' must be a whole number, not "+what, "")
		return def
	}
	if i < int64(least) || i > int64(most) {
		p.fault(name, v.Pos, fmt.Sprintf("property '%s' must be from %d to %d, not %d", p.full(name), least, most, i), "")
		return def
	}
	return int(i)
}

// boolean returns a boolean, false when the property is absent.
func (p *properties) boolean(name string) bool {
	v := p.value(name)
	if v == nil {
		return false
	}
	switch {
	case v.IsScalar() && strings.EqualFold(v.Text, "true"):
		return true
	case v.IsScalar() && strings.EqualFold(v.Text, "false"):
		return false
	}
	p.fault(name, v.Pos, "property '"+p.full(name)+"' must be true or false", "")
	return false
}

// list returns a list's items. One scalar counts as a list of one where AWS takes it so.
func (p *properties) list(name string) []*tree.Node {
	v := p.value(name)
	if v == nil {
		return nil
	}
	if v.Kind != tree.List {
		p.fault(name, v.Pos, "property '"+p.full(name)+"' must be a list, not "+v.Kind.String(), "")
		return nil
	}
	return v.Items
}

// texts returns a list of text. It is nil when the property is absent.
func (p *properties) texts(name string) []string {
	var out []string
	for _, item := range p.list(name) {
		switch {
		case item.IsScalar():
			out = append(out, item.Text)
		case item.Kind != tree.Broken:
			p.fault(name, item.Pos, "property '"+p.full(name)+"' must be a list of strings; this is "+item.Kind.String(), "")
		}
	}
	return out
}

// sub returns the reader of a map, or nil when it is absent.
func (p *properties) sub(name string) *properties {
	v := p.value(name)
	if v == nil {
		return nil
	}
	if v.Kind != tree.Map {
		p.fault(name, v.Pos, "property '"+p.full(name)+"' must be a map, not "+v.Kind.String(), "")
		return nil
	}
	return p.l.within(p.full(name), v)
}

// textMap returns a map whose values are scalars, as text.
func (p *properties) textMap(name string) map[string]string {
	s := p.sub(name)
	if s == nil {
		return nil
	}
	out := map[string]string{}
	for _, f := range s.node.Fields {
		switch {
		case f.Value.IsScalar():
			out[f.Name] = f.Value.Text
		case f.Value.Kind != tree.Broken:
			p.fault(name+"."+f.Name, f.Value.Pos, "property '"+s.full(f.Name)+"' must be a string, not "+f.Value.Kind.String(), "")
		}
	}
	return out
}

// accept takes properties that change nothing here. What they refer to is still checked.
func (p *properties) accept(names ...string) {
	for _, name := range names {
		p.value(name)
	}
}

// refuse lists a property that is not supported, when it is there.
func (p *properties) refuse(name, missing, hint string) {
	p.ask(name)
	if p.has(name) && (p.worked || p.value(name) != nil) {
		p.missing(name, p.at(name), "property '"+p.full(name)+"' is not supported", missing, hint)
	}
}

// done complains about every property that nobody asked for.
func (p *properties) done() {
	for _, f := range p.node.Fields {
		if !slices.Contains(p.asked, f.Name) && !strings.HasPrefix(f.Name, "Fn::") {
			p.fault(f.Name, f.Pos, "property '"+p.full(f.Name)+"' is not defined", tree.Near(f.Name, p.asked))
		}
	}
}

// tell remembers that who is told about what v rests on and is not there.
func (l *loader) tell(v *tree.Node, who string) {
	for _, ref := range v.Refs {
		l.told[ref.ID] = append(l.told[ref.ID], who)
	}
}

// outputs works out the Outputs section.
func (l *loader) outputs() {
	section := l.scope.Expand(l.doc.Get("Outputs"))
	for _, f := range fieldsOf(section) {
		if f.Name == "Fn::Transform" {
			l.unsupported(f.Pos, "Fn::Transform in Outputs is not supported", "the outputs it would add", "")
			continue
		}
		if !logicalID.MatchString(f.Name) {
			l.fault(f.Pos, "Template format error: Outputs name '"+f.Name+"' is non alphanumeric.", "")
		}
		value := f.Value.Get("Value")
		switch {
		case f.Value.Kind == tree.Broken:
			continue
		case value == nil:
			l.fault(f.Pos, "Template format error: Every Outputs member must contain a Value object", tree.Near("Value", names(f.Value)))
			continue
		case value.Kind == tree.Null:
			l.fault(value.Pos, "[/Outputs/"+f.Name+"/Value] 'null' values are not allowed in templates", "")
			continue
		}
		if c := f.Value.Get("Condition"); c != nil {
			if holds, ok := l.scope.Holds(c.Text, c.Pos); !ok || !holds {
				continue
			}
		}
		l.output(f, value)
	}
}

func (l *loader) output(f tree.Field, value *tree.Node) {
	for _, m := range f.Value.Fields {
		if !slices.Contains([]string{"Value", "Description", "Export", "Condition"}, m.Name) {
			l.fault(m.Pos, "Template format error: Invalid template outputs property '"+m.Name+"'", tree.Near(m.Name, []string{"Value", "Description", "Export", "Condition"}))
		}
	}
	l.scope.At("Outputs."+f.Name, func() {
		v := l.scope.Eval(value)
		switch {
		case v == nil || v.Kind == tree.Broken:
			return
		case !v.IsScalar():
			l.fault(v.Pos, "Template format error: The Value field of every Outputs member must evaluate to a String.", "use Fn::Join to make one of a list")
			return
		}
		out := Output{Name: f.Name, Declared: v.Text, Value: v.Text, Symbolic: len(v.Refs) > 0}
		if d := f.Value.Get("Description"); d != nil && d.IsScalar() {
			out.Description = d.Text
		}
		l.app.Outputs = append(l.app.Outputs, out)
	})
}

var _ intrinsic.Resources = (*loader)(nil)
