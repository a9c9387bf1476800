package template

import (
	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const ssmParameter = "AWS::SSM::Parameter"

// A StoredText is a parameter of Systems Manager that should exist; those of
// the template itself are [Parameter]. Who makes it checks what it says.
type StoredText struct {
	LogicalID   string
	Name        string
	Type        string
	Value       string
	Description string
	Pattern     string
	Tier        string
	Tags        map[string]string
	Retain      bool // it stays when the template says nothing of it any more
	Position    string
}

// storedText takes an AWS::SSM::Parameter into the app.
func (l *loader) storedText(r *resource) {
	s := l.readStored(r)
	if s == nil {
		return
	}
	for _, o := range l.app.StoredTexts {
		if o.Name == s.Name {
			p := l.properties(r)
			p.fault("Name", p.at("Name"), "the parameter "+s.Name+" exists already", "the other is "+o.LogicalID)
			return
		}
	}
	l.app.StoredTexts = append(l.app.StoredTexts, *s)
}

// readStored reads an AWS::SSM::Parameter; nil when there is something wrong with it.
func (l *loader) readStored(r *resource) *StoredText {
	p := l.properties(r)
	p.require("Type", "Value")
	name := l.physicalName(r, r.at)
	p.text("Name")
	s := StoredText{LogicalID: r.id, Type: p.one("Type", "String", "StringList"), Value: p.text("Value"), Description: p.text("Description"), Pattern: p.text("AllowedPattern"),
		Tier: p.one("Tier", "Standard", "Advanced", "Intelligent-Tiering"), Tags: p.textMap("Tags"), Retain: l.retained(r), Position: r.at.String()}
	p.one("DataType", "text")
	p.refuse("Policies", "the policies of the parameter: it does not expire and nothing is told", "")
	p.done()
	if name == nil || name.Kind == tree.Broken || s.Type == "" {
		return nil
	}
	s.Name = name.Text
	return &s
}

// kept answers a dynamic reference: with what is kept, which the template itself
// may declare. Without Options.Stored what the template declares is the answer, or
// nothing, and App.Keeps says that it was asked for.
func (l *loader) kept(name string, version uint64, at tree.Pos) *tree.Node {
	declared, ok := l.declaredText(name, at)
	if !ok {
		return &tree.Node{Pos: at}
	}
	if l.stored == nil {
		l.app.Keeps = true
		if declared != nil && version <= 1 {
			return tree.Text(at, declared.Value)
		}
		l.warn(at, "the value of the parameter "+name+" is read when the app comes up", "it must be kept by then, or be declared")
		return nil
	}
	value, err := l.stored(name, version, declared)
	switch {
	case daruma.KindOf(err) == daruma.KindNotFound:
		l.unsupported(at, err.Error(), "the value of "+l.scope.Path()+"; the reference itself stands in its place", daruma.HintOf(err))
		return nil
	case err != nil:
		l.fault(at, err.Error(), daruma.HintOf(err))
		return &tree.Node{Pos: at}
	}
	return tree.Text(at, value)
}

// declaredText finds what the template says of a parameter by its name, nil when
// it says nothing. ok is false, and that has been reported, when that would not end.
func (l *loader) declaredText(name string, at tree.Pos) (declared *StoredText, ok bool) {
	for _, r := range l.order {
		if r.typ != ssmParameter || !r.exists || r.busy {
			continue
		}
		if named := l.physicalName(r, at); named == nil || named.Text != name {
			continue
		}
		if l.reading[r] {
			l.fault(at, "Circular dependency between resources: ["+r.id+"]", "its value depends on itself")
			return nil, false
		}
		l.reading[r] = true
		before := l.current
		l.current = r
		l.scope.At("", func() { declared = l.readStored(r) })
		l.current = before
		delete(l.reading, r)
		return declared, true
	}
	return nil, true
}

// storedAttribute returns the type or the value of a parameter as the template
// has it; what was put since is not known to it.
func (l *loader) storedAttribute(r *resource, name string, at tree.Pos) *tree.Node {
	v := l.property(r, name)
	if v == nil {
		return tree.Text(at, "")
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: v.Text, Refs: v.Refs}
}
