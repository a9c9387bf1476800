package template

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/intrinsic"
	"github.com/daruma-io/daruma/template/samconfig"
	"github.com/daruma-io/daruma/template/tree"
)

// loader is one reading of one template.
type loader struct {
	src       source
	app       *App
	doc       *tree.Node
	scope     *intrinsic.Scope
	resources map[string]*resource
	order     []*resource // as written, implicit APIs last
	current   *resource   // whose properties are being worked out
	problems  Problems    // wrong and unsupported

	functions functions
	layers    map[string]*catalog.Layer // by ARN
	apis      apis
	later     []event
	told      map[string][]string // by logical ID: who was told about something that is not supported
	unkept    []unkept

	checkAlarm func(catalog.Place, *Alarm) error
	checkDrill func(*ExperimentTemplate) error
	stored     func(name string, version uint64, declared *StoredText) (string, error) // Options.Stored
	reading    map[*resource]bool                                                      // parameters of which a dynamic reference asks

	declared declared
	owns     map[*catalog.Function]section // of functions, in the template
}

// load reads a template's text. The app is nil when something is wrong with
// it; problems then has all that is wrong or not supported.
func load(ctx context.Context, src source, data []byte, c samconfig.Config, o Options) (*App, Problems) {
	l := &loader{src: src, app: &App{Path: src.path, Dir: src.dir, Built: src.built}, resources: map[string]*resource{}, layers: map[string]*catalog.Layer{}, told: map[string][]string{}, checkAlarm: o.Alarm, checkDrill: o.ExperimentTemplate, stored: o.Stored, reading: map[*resource]bool{}, owns: map[*catalog.Function]section{}}
	l.name(c, o)
	l.scope = &intrinsic.Scope{Region: l.app.Place.Region, Report: l.report, Parameters: l.pseudo(), Include: l.include}
	var problems Problems
	l.doc, problems = tree.Read(src.name, data)
	for _, p := range problems {
		if p.Warning {
			l.app.Warnings = append(l.app.Warnings, p)
		} else {
			l.problems = append(l.problems, p)
		}
	}
	if l.doc == nil {
		return nil, l.problems.Sort()
	}
	l.sections()
	l.parameters(c, o)
	l.conditions()
	l.scope.Kept = l.kept
	l.settings()
	l.appSettings()
	l.readResources()
	if ctx.Err() != nil {
		return nil, l.problems
	}
	l.references()
	l.build()
	l.strangers()
	l.outputs()
	return l.finish()
}

// name settles what the stack is called and where it is.
func (l *loader) name(c samconfig.Config, o Options) {
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	l.app.Name = first(o.StackName, c.StackName, stackName(filepath.Base(l.src.dir)))
	l.app.Place = catalog.Place{Region: first(o.Region, c.Region, RegionDefault), Account: first(o.Account, AccountDefault)}
}

var notInStackName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// stackName makes a stack's name of a directory's.
func stackName(dir string) string {
	name := strings.Trim(notInStackName.ReplaceAllString(dir, "-"), "-0123456789")
	if name == "" {
		return "app"
	}
	return name[:min(len(name), 64)]
}

// pseudo returns the pseudo parameters.
func (l *loader) pseudo() map[string]*tree.Node {
	place := l.app.Place
	partition, suffix := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(place.Region, "cn-"):
		partition, suffix = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(place.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	text := func(s string) *tree.Node { return &tree.Node{Kind: tree.String, Text: s} }
	stack := fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s", partition, place.Region, place.Account, l.app.Name, uuid(l.app.Name))
	return map[string]*tree.Node{
		"AWS::AccountId": text(place.Account), "AWS::Region": text(place.Region), "AWS::Partition": text(partition),
		"AWS::URLSuffix": text(suffix), "AWS::StackName": text(l.app.Name), "AWS::StackId": text(stack),
		"AWS::NotificationARNs": {Kind: tree.List}, "AWS::NoValue": nil,
	}
}

// report takes in a problem, in the name of the resource in hand.
func (l *loader) report(p Problem) {
	if l.current != nil && p.Resource == "" {
		p.Resource, p.Type = l.current.id, l.current.typ
	}
	l.problems = append(l.problems, p)
}

func (l *loader) fault(at tree.Pos, message, hint string) {
	l.report(Problem{Position: at, Property: l.scope.Path(), Message: message, Hint: hint})
}

func (l *loader) unsupported(at tree.Pos, message, missing, hint string) {
	l.report(Problem{Position: at, Property: l.scope.Path(), Message: message, Missing: missing, Hint: hint, Unsupported: true})
}

func (l *loader) warn(at tree.Pos, message, hint string) {
	p := Problem{Position: at, Message: message, Hint: hint}
	if l.current != nil {
		p.Resource, p.Type = l.current.id, l.current.typ
	}
	l.app.Warnings = append(l.app.Warnings, p)
}

var sectionNames = []string{"AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs", "Rules", "Hooks"}

// sections checks the template's outermost shape.
func (l *loader) sections() {
	if l.doc.Kind != tree.Map {
		l.fault(l.doc.Pos, "Template format error: the template must be a map, not "+l.doc.Kind.String(), "")
		l.doc = &tree.Node{Pos: l.doc.Pos, Kind: tree.Map}
	}
	for _, f := range l.doc.Fields {
		switch f.Name {
		case "Metadata", "Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs", "Rules", "Hooks":
			switch {
			case f.Value.Kind == tree.Map, f.Value.Kind == tree.Broken, f.Name == "Resources" && f.Value.Kind == tree.Null:
			case f.Value.Kind == tree.Null:
				l.fault(f.Value.Pos, "[/"+f.Name+"] 'null' values are not allowed in templates", "fill the section or remove it")
			default:
				l.fault(f.Value.Pos, "Template format error: "+f.Name+" must be a map, not "+f.Value.Kind.String(), "")
			}
		case "AWSTemplateFormatVersion":
			if f.Value.Text != "2010-09-09" {
				l.fault(f.Value.Pos, "Template format error: unsupported value for AWSTemplateFormatVersion.", "the only version is '2010-09-09'")
			}
		case "Description":
			if f.Value.Kind != tree.String {
				l.fault(f.Value.Pos, "Template format error: every Description member must be a string.", "")
			}
			l.app.Description = f.Value.Text
		case "Transform":
			l.transforms(f.Value)
		default:
			l.fault(f.Pos, "Invalid template property or properties ["+f.Name+"]", tree.Near(f.Name, sectionNames))
		}
	}
	if r := l.doc.Get("Rules"); r != nil && len(r.Fields) > 0 {
		l.warn(r.Pos, "Rules are not checked: they only refuse parameters when a stack is deployed", "")
	}
	if h := l.doc.Field("Hooks"); h != nil {
		l.unsupported(h.Pos, "Hooks are not supported", "the deployments they describe", "")
	}
}

const serverlessTransform, extensions = "AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"

// transforms reads the Transform section: one name or a list of names.
func (l *loader) transforms(n *tree.Node) {
	list := []*tree.Node{n}
	if n.Kind == tree.List {
		list = n.Items
	}
	for _, t := range list {
		switch {
		case t.Kind == tree.String && t.Text == serverlessTransform:
		case t.Kind == tree.String && t.Text == extensions:
			l.scope.Extensions = true
		case t.Kind == tree.String || t.Kind == tree.Map:
			name := t.Text
			if inner := t.Get("Name"); inner.IsScalar() {
				name = inner.Text
			}
			if hint := tree.Near(name, []string{serverlessTransform, extensions}); hint != "" {
				l.fault(t.Pos, "unknown transform "+name, hint)
				continue
			}
			l.unsupported(t.Pos, "the transform "+name+" is not supported", "all that "+name+" would add to the template", "write its result into the template")
		default:
			l.fault(t.Pos, "Template format error: Transform must be a string or a list of strings", "")
		}
	}
}

// isServerless says whether the template has SAM's transform.
func (l *loader) isServerless() bool {
	t := l.doc.Get("Transform")
	return t != nil && (t.Text == serverlessTransform || slices.ContainsFunc(t.Items, func(n *tree.Node) bool { return n.Text == serverlessTransform }))
}

// parameters settles the value of every parameter.
func (l *loader) parameters(c samconfig.Config, o Options) {
	section := l.doc.Get("Parameters")
	given := map[string]string{}
	for name, v := range c.Params {
		given[name] = v
		if section.Field(name) == nil {
			l.warn(tree.Pos{File: c.File}, "parameter_overrides names "+name+", which is no parameter of the template", l.nearParameter(name))
		}
	}
	for _, word := range c.Strange {
		l.warn(tree.Pos{File: c.File}, "parameter_overrides: "+word+" is not of the form Name=value", "")
	}
	var unknown []string
	for name, v := range o.Params {
		given[name] = v
		if section.Field(name) == nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		l.fault(l.doc.Pos, "Parameters: ["+strings.Join(unknown, ", ")+"] do not exist in the template", l.nearParameter(unknown[0]))
	}
	for _, p := range l.scope.Declare(section, given) {
		value := p.Value
		if p.NoEcho {
			value = "****"
		}
		l.app.Parameters = append(l.app.Parameters, Parameter{Name: p.Name, Type: p.Type, Description: p.Description, Value: value, NoEcho: p.NoEcho})
		if p.Unknown {
			l.unknownParameter(p)
		}
	}
	l.scope.Mappings = l.doc.Get("Mappings")
	l.mappings()
}

func (l *loader) nearParameter(name string) string {
	if section := l.doc.Get("Parameters"); section != nil {
		return tree.Near(name, section.Names())
	}
	return ""
}

// unknownParameter refuses a parameter whose value is kept on AWS, if anything uses it.
func (l *loader) unknownParameter(p intrinsic.Parameter) {
	used := false
	for _, section := range []string{"Conditions", "Globals", "Resources", "Outputs"} {
		intrinsic.Uses(l.doc.Get(section), func(u intrinsic.Use) { used = used || u.ID == p.Name })
	}
	if used {
		instead := p.Value
		if instead == "" {
			instead = "the empty string"
		}
		l.report(Problem{Position: p.Position, Property: "Parameters." + p.Name, Message: "the value of " + p.Name + " is kept in Parameter Store, which is not supported",
			Missing: "its value; " + instead + " stands in its place", Hint: "give it one: --param " + p.Name + "=VALUE", Unsupported: true})
	}
}

// mappings checks the shape of Mappings: two levels of keys, then text or a list of it.
func (l *loader) mappings() {
	if l.scope.Mappings == nil {
		return
	}
	for _, m := range l.scope.Mappings.Fields {
		if m.Name == "Fn::Transform" {
			l.unsupported(m.Pos, "Fn::Transform in Mappings is not supported", "the mappings it would add", "")
			continue
		}
		if m.Value.Kind != tree.Map {
			l.fault(m.Value.Pos, "Template format error: Every Mappings attribute must be a map.", "")
			continue
		}
		for _, k := range m.Value.Fields {
			if k.Value.Kind != tree.Map {
				l.fault(k.Value.Pos, "Template format error: Every Mappings member "+m.Name+" must be a map.", "")
			}
		}
	}
}

// conditions works out every condition, used or not.
func (l *loader) conditions() {
	section := l.scope.Expand(l.doc.Get("Conditions"))
	l.scope.Conditions = section
	if section == nil {
		return
	}
	for _, f := range section.Fields {
		l.scope.Holds(f.Name, f.Pos)
	}
}

// finish puts the list of problems and the app in order.
func (l *loader) finish() (*App, Problems) {
	l.current = nil
	for i, p := range l.problems {
		if who := l.told[p.Resource]; p.Unsupported && p.Property == "" && len(who) > 0 {
			slices.Sort(who)
			l.problems[i].Missing += "; told of it: " + strings.Join(slices.Compact(who), ", ")
		}
	}
	problems := l.problems.Sort()
	for _, p := range problems {
		if !p.Unsupported {
			return nil, problems
		}
	}
	a := l.app
	a.Unsupported, a.Warnings = problems, a.Warnings.Sort()
	slices.SortFunc(a.Functions, func(x, y *catalog.Function) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Layers, func(x, y *catalog.Layer) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(a.APIs, func(x, y *catalog.API) int { return strings.Compare(x.LogicalID, y.LogicalID) })
	return a, nil
}
