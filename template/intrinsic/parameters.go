package intrinsic

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daruma-io/daruma/template/tree"
)

// A Parameter is a declared parameter with its value.
type Parameter struct {
	Name        string
	Type        string
	Description string
	NoEcho      bool
	Value       string // as text, lists with commas
	Position    tree.Pos

	// Unknown is set when the value is kept in the Parameter Store of AWS and
	// none was given here; Value is the name it has there.
	Unknown bool
}

var parameterProperties = []string{"Type", "Default", "AllowedValues", "AllowedPattern", "MinLength", "MaxLength", "MinValue", "MaxValue", "NoEcho", "ConstraintDescription", "Description"}

// awsType is the form of the types whose values are ids of AWS resources: plain text here.
var awsType = regexp.MustCompile(`^(?:List<)?AWS::(?:EC2|Route53|SSM)::[A-Za-z0-9:]+>?$`)

const ssmValue = "AWS::SSM::Parameter::Value<"

// Declare reads the Parameters section, checks the values given against it and
// puts them into the scope.
func (s *Scope) Declare(section *tree.Node, given map[string]string) []Parameter {
	var out []Parameter
	if section == nil {
		return nil
	}
	var missing []string
	for _, f := range section.Fields {
		if f.Value.Kind != tree.Map {
			s.fault(f.Value.Pos, "Template format error: Every Parameters object must contain a Type member.", "")
			continue
		}
		s.path = []string{"Parameters", f.Name}
		p, ok := s.declare(f, given)
		s.path = nil
		if !ok {
			missing = append(missing, f.Name)
		}
		out = append(out, p)
	}
	if len(missing) > 0 {
		s.fault(section.Field(missing[0]).Pos, "Parameters: ["+strings.Join(missing, ", ")+"] must have values", "give them a Default, or values in samconfig.toml or on the command line: --param "+strings.Join(missing, "=… --param ")+"=…")
	}
	return out
}

// declare reads one parameter. ok is false when it has no value.
func (s *Scope) declare(f tree.Field, given map[string]string) (p Parameter, ok bool) {
	d := declaration{s: s, name: f.Name, node: f.Value}
	p = Parameter{Name: f.Name, Type: d.text("Type"), Description: d.text("Description"), NoEcho: d.text("NoEcho") == "true", Position: f.Pos}
	for _, field := range f.Value.Fields {
		if !slices.Contains(parameterProperties, field.Name) {
			s.fault(field.Pos, "Invalid template parameter property '"+field.Name+"'", tree.Near(field.Name, parameterProperties))
		}
	}
	if p.Type == "" {
		s.fault(f.Pos, "Template format error: Every Parameters object must contain a Type member.", "")
		p.Type = "String"
	}
	if !knownType(p.Type) {
		s.fault(f.Value.Get("Type").Pos, "Template format error: Unrecognized parameter type: "+p.Type, tree.Near(p.Type, []string{"String", "Number", "List<Number>", "CommaDelimitedList"}))
	}
	value, isGiven := given[f.Name]
	def := f.Value.Get("Default")
	switch {
	case isGiven:
		p.Value = value
	case def.IsScalar():
		p.Value = def.Text
	case def != nil && def.Kind != tree.Broken:
		s.fault(def.Pos, "Template format error: Every Default member must be a string.", "")
	case strings.HasPrefix(p.Type, ssmValue):
	default:
		s.Parameters[f.Name] = &tree.Node{Pos: f.Pos}
		return p, def != nil
	}
	at := f.Pos
	if !isGiven && def != nil {
		at = def.Pos
	}
	p.Unknown = !isGiven && strings.HasPrefix(p.Type, ssmValue)
	if !p.Unknown {
		d.check(p.Type, p.Value, at)
	}
	s.Parameters[f.Name] = parameterValue(p)
	return p, true
}

func knownType(t string) bool {
	switch t {
	case "String", "Number", "List<Number>", "List<String>", "CommaDelimitedList":
		return true
	}
	if inner, found := strings.CutPrefix(t, ssmValue); found {
		return strings.HasSuffix(inner, ">")
	}
	return awsType.MatchString(t)
}

// parameterValue returns what Ref says about p.
func parameterValue(p Parameter) *tree.Node {
	n := &tree.Node{Pos: p.Position, Kind: tree.String, Text: p.Value}
	if p.Unknown {
		n.Refs = []tree.Ref{{ID: p.Name}}
		if n.Text == "" {
			n.Text = p.Name
		}
		return n
	}
	if !isListType(p.Type) {
		return n
	}
	list := &tree.Node{Pos: p.Position, Kind: tree.List}
	for _, item := range strings.Split(p.Value, ",") {
		list.Items = append(list.Items, tree.Text(p.Position, strings.TrimSpace(item)))
	}
	return list
}

func isListType(t string) bool {
	return t == "CommaDelimitedList" || strings.HasPrefix(t, "List<") || strings.HasPrefix(t, ssmValue+"List<") || t == ssmValue+"CommaDelimitedList>"
}

// declaration is one parameter's declaration, and what it allows.
type declaration struct {
	s    *Scope
	name string
	node *tree.Node
}

func (d declaration) text(property string) string {
	n := d.node.Get(property)
	if n == nil {
		return ""
	}
	if !n.IsScalar() {
		d.s.fault(n.Pos, "Template format error: Every "+property+" member must be a string.", "")
		return ""
	}
	return n.Text
}

func (d declaration) fault(at tree.Pos, message string) {
	if c := d.text("ConstraintDescription"); c != "" {
		message = "Parameter " + d.name + " failed to satisfy constraint: " + c
	}
	d.s.fault(at, message, "")
}

// check holds a value against all constraints, lists item by item.
func (d declaration) check(typ, value string, at tree.Pos) {
	values := []string{value}
	if isListType(typ) {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		if isListType(typ) {
			v = strings.TrimSpace(v)
		}
		if strings.Contains(typ, "Number") {
			d.number(v, at)
		}
		d.allowed(v, at)
	}
	if typ == "String" || typ == "" {
		d.length(value, at)
	}
}

func (d declaration) number(v string, at tree.Pos) {
	x, err := strconv.ParseFloat(v, 64)
	if err != nil {
		d.s.fault(at, "Parameter '"+d.name+"' must be a number", "")
		return
	}
	if least, err := strconv.ParseFloat(d.text("MinValue"), 64); err == nil && x < least {
		d.fault(at, "Parameter '"+d.name+"' must be a number not less than "+d.text("MinValue"))
	}
	if most, err := strconv.ParseFloat(d.text("MaxValue"), 64); err == nil && x > most {
		d.fault(at, "Parameter '"+d.name+"' must be a number not greater than "+d.text("MaxValue"))
	}
}

func (d declaration) length(v string, at tree.Pos) {
	n := utf8.RuneCountInString(v)
	if least, err := strconv.Atoi(d.text("MinLength")); err == nil && n < least {
		d.fault(at, fmt.Sprintf("Parameter '%s' must contain at least %d characters", d.name, least))
	}
	if most, err := strconv.Atoi(d.text("MaxLength")); err == nil && n > most {
		d.fault(at, fmt.Sprintf("Parameter '%s' must contain at most %d characters", d.name, most))
	}
}

func (d declaration) allowed(v string, at tree.Pos) {
	if list := d.node.Get("AllowedValues"); list != nil {
		var allowed []string
		for _, item := range list.Items {
			allowed = append(allowed, item.Text)
		}
		if !slices.Contains(allowed, v) {
			d.fault(at, "Parameter '"+d.name+"' must be one of AllowedValues ["+strings.Join(allowed, ", ")+"]")
		}
	}
	pattern := d.text("AllowedPattern")
	if pattern == "" {
		return
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		d.s.Report(tree.Problem{Position: d.node.Get("AllowedPattern").Pos, Property: d.s.Path(), Unsupported: true,
			Message: "the pattern " + strconv.Quote(pattern) + " of parameter " + d.name + " is not supported", Missing: "the check of the parameter's value"})
		return
	}
	if !re.MatchString(v) {
		d.fault(at, "Parameter '"+d.name+"' must match pattern "+pattern)
	}
}
