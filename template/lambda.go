package template

import (
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// lambdaFunction reads an AWS::Lambda::Function.
func (l *loader) lambdaFunction(r *resource) {
	p := l.properties(r)
	f := l.newFunction(r, p)
	if f == nil {
		f = &catalog.Function{Name: r.id, LogicalID: r.id}
	}
	if p.one("PackageType", "Zip", "Image") == "Image" {
		l.image(f, p, "PackageType")
		return
	}
	p.require("Code")
	if !p.has("Role") {
		l.warn(r.at, "the function has no Role: AWS refuses it", "")
	}
	code := p.value("Code")
	if code.Get("ImageUri") != nil {
		l.image(f, p, "Code")
		return
	}
	l.configuration(r, f, p)
	supported := l.lambdaCode(r, f, p, code)
	f.Tags = l.tagList(p)
	if t := p.sub("TracingConfig"); t != nil {
		f.Tracing = t.one("Mode", "Active", "PassThrough")
		t.done()
	}
	p.unkeep("KmsKeyArn", encryption)
	p.accept("CodeSigningConfigArn", "RuntimeManagementConfig", "SnapStart", "VersionDeletionPolicy")
	p.ask("ImageConfig")
	l.deadLetterConfig(f, p)
	l.laterFeatures(p)
	p.done()
	l.addFunction(f, supported)
}

// lambdaCode reads Code: inline text, a local path (as aws cloudformation package takes it), or a CDK asset.
func (l *loader) lambdaCode(r *resource, f *catalog.Function, p *properties, code *tree.Node) bool {
	if at := asset(r, "Code"); at != nil {
		return l.path(&f.Source, p, "Code", at)
	}
	if code == nil {
		return true
	}
	if code.Kind != tree.Map {
		return l.located(&f.Source, p, "Code", code)
	}
	c := l.within("Code", code)
	if c.has("ZipFile") {
		f.Source.Inline = c.text("ZipFile")
		if !strings.HasPrefix(f.Runtime, "nodejs") && !strings.HasPrefix(f.Runtime, "python") && f.Runtime != "" {
			c.fault("ZipFile", c.at("ZipFile"), "ZipFile can only be used when Runtime is set to either of nodejs, python", "")
		}
		c.accept("SourceKMSKeyArn")
		c.done()
		return true
	}
	return l.located(&f.Source, p, "Code", code)
}

// tagList reads tags as CloudFormation writes them: a list of Key and Value.
func (l *loader) tagList(p *properties) map[string]string {
	var tags map[string]string
	for _, item := range p.list("Tags") {
		if item.Kind != tree.Map {
			continue
		}
		t := l.within("Tags", item)
		t.require("Key", "Value")
		if tags == nil {
			tags = map[string]string{}
		}
		tags[t.text("Key")] = t.text("Value")
		t.done()
	}
	return tags
}

// lambdaVersion reads an AWS::Lambda::Version.
func (l *loader) lambdaVersion(r *resource) {
	p := l.properties(r)
	p.require("FunctionName")
	v := Version{LogicalID: r.id, Description: p.text("Description"), Position: r.at.String()}
	p.accept("CodeSha256", "RuntimePolicy")
	p.refuse("ProvisionedConcurrencyConfig", "provisioned concurrency: first calls start cold", "")
	p.refuse("FunctionScalingConfig", "the bounds of its scaling", "")
	p.done()
	name := p.value("FunctionName")
	if name == nil || !name.IsScalar() {
		return
	}
	target, ok := l.target(p, "FunctionName", name, "the version "+r.id)
	if !ok || l.functions[target.Function] == nil {
		return
	}
	v.Function = target.Function
	if n, err := strconv.Atoi(l.versionNumber(r, r.at).Text); err == nil {
		v.Number = n
	}
	l.app.Versions = append(l.app.Versions, v)
}

// versionNumber guesses the number of a Version: its place among the versions of its function.
func (l *loader) versionNumber(r *resource, at tree.Pos) *tree.Node {
	n := 0
	function := r.props.Get("FunctionName")
	for _, o := range l.order {
		if o.typ == lambdaVersion && o.exists && function != nil && o.props.Get("FunctionName") != nil && tree.Equal(o.props.Get("FunctionName"), function) {
			n++
		}
		if o == r {
			break
		}
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: strconv.Itoa(max(n, 1)), Refs: []tree.Ref{{ID: r.id, Attr: "Version"}}}
}

// versionARN is what Ref says about a Version.
func (l *loader) versionARN(r *resource, at tree.Pos) *tree.Node {
	return l.qualified(r, at, l.versionNumber(r, at))
}

// aliasARN is what Ref says about an Alias.
func (l *loader) aliasARN(r *resource, at tree.Pos) *tree.Node {
	name := l.property(r, "Name")
	if name == nil {
		return nil
	}
	return l.qualified(r, at, name)
}

// qualified is the ARN of the function that r's FunctionName names, with a qualifier.
func (l *loader) qualified(r *resource, at tree.Pos, qualifier *tree.Node) *tree.Node {
	if r.busy {
		l.fault(at, "Circular dependency between resources: ["+r.id+"]", "")
		return nil
	}
	r.busy = true
	function := l.property(r, "FunctionName")
	r.busy = false
	if function == nil {
		return nil
	}
	arn := function.Text
	if !strings.HasPrefix(arn, "arn:") {
		arn = l.arn("lambda", "function:"+arn)
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: arn + ":" + qualifier.Text, Refs: append(function.Refs, qualifier.Refs...)}
}

// lambdaAlias reads an AWS::Lambda::Alias.
func (l *loader) lambdaAlias(r *resource) {
	p := l.properties(r)
	p.require("FunctionName", "FunctionVersion", "Name")
	a := Alias{LogicalID: r.id, Position: r.at.String()}
	a.Name, a.Description = p.text("Name"), p.text("Description")
	a.Version, a.VersionID = l.versionGiven(p, "FunctionVersion")
	l.routing(p, &a)
	p.refuse("ProvisionedConcurrencyConfig", "provisioned concurrency: first calls start cold", "")
	p.done()
	if a.Name != "" && (!aliasName.MatchString(a.Name) || strings.Trim(a.Name, "0123456789") == "") {
		p.fault("Name", p.at("Name"), "the alias "+strconv.Quote(a.Name)+" must have letters, digits, dashes and underscores, and not digits only", "")
		return
	}
	name := p.value("FunctionName")
	if name == nil || !name.IsScalar() {
		return
	}
	if target, ok := l.target(p, "FunctionName", name, "the alias "+a.Name); ok && l.functions[target.Function] != nil {
		a.Function = target.Function
		l.app.Aliases = append(l.app.Aliases, a)
	}
}

// versionGiven reads a version and, when it is that of a Version of the template, the Version's logical ID.
func (l *loader) versionGiven(p *properties, property string) (version, logical string) {
	v := p.value(property)
	if v == nil {
		return "", ""
	}
	version = p.text(property)
	if len(v.Refs) == 1 && l.resources[v.Refs[0].ID] != nil && l.resources[v.Refs[0].ID].typ == lambdaVersion {
		return version, v.Refs[0].ID
	}
	if version != catalog.Latest && (version == "" || strings.Trim(version, "0123456789") != "") {
		p.fault(property, v.Pos, "a version is a number or $LATEST, not "+strconv.Quote(version), "use Fn::GetAtt Version of an AWS::Lambda::Version")
	}
	return version, ""
}

// routing reads RoutingConfig: at most one more version with its weight.
func (l *loader) routing(p *properties, a *Alias) {
	c := p.sub("RoutingConfig")
	if c == nil {
		return
	}
	weights := c.list("AdditionalVersionWeights")
	if len(weights) > 1 {
		c.fault("AdditionalVersionWeights", c.at("AdditionalVersionWeights"), "Number of items in AdditionalVersionWeights cannot be greater than 1", "")
		return
	}
	for _, item := range weights {
		if item.Kind != tree.Map {
			c.fault("AdditionalVersionWeights", item.Pos, "property 'AdditionalVersionWeights' must be a list of maps", "")
			continue
		}
		w := l.within("RoutingConfig.AdditionalVersionWeights", item)
		w.require("FunctionVersion", "FunctionWeight")
		a.Second, a.SecondID = l.versionGiven(w, "FunctionVersion")
		weight, err := strconv.ParseFloat(w.text("FunctionWeight"), 64)
		if w.has("FunctionWeight") && (err != nil || !(weight >= 0 && weight <= 1)) {
			w.fault("FunctionWeight", w.at("FunctionWeight"), "a weight is from 0 to 1", "")
		}
		a.Weight = weight
		switch {
		case a.Second == catalog.Latest || a.Version == catalog.Latest:
			w.fault("FunctionVersion", w.at("FunctionVersion"), "$LATEST is not supported for an alias pointing to more than 1 version", "")
		case a.Second == a.Version && a.Second != "" && a.SecondID == a.VersionID:
			w.fault("FunctionVersion", w.at("FunctionVersion"), "Invalid function version "+a.Second+". Function version "+a.Second+" is already included in routing configuration.", "")
		}
		w.done()
	}
	c.done()
}

// lambdaURL reads an AWS::Lambda::Url into the function it leads to.
func (l *loader) lambdaURL(r *resource) {
	p := l.properties(r)
	p.require("TargetFunctionArn")
	u := l.url(p, r.id, p.text("Qualifier"))
	name := p.value("TargetFunctionArn")
	p.done()
	if name == nil || !name.IsScalar() {
		return
	}
	target, ok := l.target(p, "TargetFunctionArn", name, "the URL "+r.id)
	if !ok || l.functions[target.Function] == nil {
		return
	}
	u.ID = id(urlIDLength, l.app.Name, r.id)
	if u.Qualifier == "" {
		u.Qualifier = target.Qualifier
	}
	f := l.functions[target.Function]
	if f.URL != nil {
		p.missing("TargetFunctionArn", name.Pos, "a second URL of the function "+f.LogicalID+" is not supported", "the URL "+r.id, "")
		return
	}
	f.URL = u
}

// urlTarget is what Ref says about an AWS::Lambda::Url: the ARN of its function.
func (l *loader) urlTarget(r *resource, at tree.Pos) *tree.Node {
	if r.busy {
		l.fault(at, "Circular dependency between resources: ["+r.id+"]", "")
		return nil
	}
	r.busy = true
	function := l.property(r, "TargetFunctionArn")
	r.busy = false
	if function == nil {
		return nil
	}
	text := function.Text
	if !strings.HasPrefix(text, "arn:") {
		text = l.arn("lambda", daruma.Target{Function: "function:" + text}.String())
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: text, Refs: function.Refs}
}
