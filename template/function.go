package template

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// functions are the functions read so far, by name. One that is not supported
// is there too, as nil: what leads to it is left out with it.
type functions map[string]*catalog.Function

// runtimes are the identifiers Lambda knows or has known.
var runtimes = []string{"nodejs4.3", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x", "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x",
	"python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14",
	"java8", "java8.al2", "java11", "java17", "java21", "java25", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6", "dotnet8", "dotnet10",
	"ruby2.5", "ruby2.7", "ruby3.2", "ruby3.3", "ruby3.4", "go1.x", "provided", "provided.al2", "provided.al2023"}

var (
	functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)
	aliasName    = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,128}$`)
	variableName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// newFunction starts a function's record and settles its name. It returns nil when it has none.
func (l *loader) newFunction(r *resource, p *properties) *catalog.Function {
	p.ask("FunctionName")
	name := l.physicalName(r, r.at)
	if name == nil {
		if p.text("FunctionName"); p.has("FunctionName") {
			return nil
		}
		name = tree.Text(r.at, r.id)
	}
	if !functionName.MatchString(name.Text) {
		p.fault("FunctionName", p.at("FunctionName"), fmt.Sprintf("the function's name %q must match %s", name.Text, functionName), "")
		return nil
	}
	if first, taken := l.functions[name.Text]; taken {
		hint := ""
		if first != nil {
			hint = "the other is " + first.LogicalID
		}
		p.fault("FunctionName", p.at("FunctionName"), "another function is named "+name.Text+" already", hint)
		return nil
	}
	return &catalog.Function{Name: name.Text, LogicalID: r.id, Version: catalog.Latest, Source: catalog.Source{LogicalID: r.id, Position: r.at.String()}}
}

// serverlessFunction reads an AWS::Serverless::Function.
func (l *loader) serverlessFunction(r *resource) {
	p := l.properties(r)
	f := l.newFunction(r, p)
	if f == nil {
		f = &catalog.Function{Name: r.id, LogicalID: r.id}
	}
	if p.one("PackageType", "Zip", "Image") == "Image" {
		l.image(f, p, "PackageType")
		return
	}
	supported := l.serverlessCode(r, f, p)
	l.configuration(r, f, p)
	f.Tags = p.textMap("Tags")
	if _, reserved := f.Tags["lambda:createdBy"]; reserved {
		p.fault("Tags", p.at("Tags"), "the tag lambda:createdBy is SAM's own", "")
	}
	f.Tracing = p.one("Tracing", "Active", "PassThrough", "Disabled")
	if f.Tracing == "Disabled" {
		f.Tracing = ""
	}
	f.Policies = p.policies("Policies")
	alias := l.publish(f, p)
	l.functionURL(r, f, p, alias)
	f.Role = cmp.Or(p.text("Role"), l.arn("iam", "role/"+l.physical(r.id+"Role")))
	p.accept("AssumeRolePolicyDocument", "RolePath", "PermissionsBoundary", "SourceKMSKeyArn", "CodeSigningConfigArn", "RuntimeManagementConfig",
		"PropagateTags", "VersionDeletionPolicy", "SnapStart")
	p.unkeep("KmsKeyArn", encryption)
	p.ask("ImageUri", "ImageConfig")
	l.deadLetterQueue(f, p)
	l.eventInvokeConfig(r, f, p, alias)
	p.refuse("ProvisionedConcurrencyConfig", "provisioned concurrency: first calls start cold", "")
	l.deploymentPreference(p)
	l.laterFeatures(p)
	l.events(r, f, p, alias)
	p.done()
	l.addFunction(f, supported)
}

// laterFeatures refuses properties with which the function would behave otherwise.
func (l *loader) laterFeatures(p *properties) {
	p.refuse("FileSystemConfigs", "the mounted file systems", "")
	p.refuse("TenancyConfig", "isolation by tenant", "")
	p.refuse("DurableConfig", "durable execution: the function runs once, as any other", "")
	p.refuse("CapacityProviderConfig", "the capacity provider: environments run here", "")
	p.refuse("FunctionScalingConfig", "the bounds of its scaling", "")
	p.refuse("PublishToLatestPublished", "the version $LATEST.PUBLISHED", "")
}

func (l *loader) deploymentPreference(p *properties) {
	d := p.sub("DeploymentPreference")
	if d == nil {
		return
	}
	if d.has("Enabled") && !d.boolean("Enabled") {
		return
	}
	if !p.has("AutoPublishAlias") {
		p.fault("DeploymentPreference", p.at("DeploymentPreference"), "'DeploymentPreference' requires AutoPublishAlias property to be specified.", "")
		return
	}
	p.refuse("DeploymentPreference", "the gradual deployment: the alias moves to a new version at once", "")
}

// image refuses a function that is a container image.
func (l *loader) image(f *catalog.Function, p *properties, property string) {
	l.functions[f.Name] = nil
	p.missing(property, p.at(property), "functions that are container images are not supported", "the function "+f.LogicalID+" and the routes to it", "package it as a .zip file or a directory")
}

// configuration reads what SAM's and CloudFormation's function have in common.
func (l *loader) configuration(r *resource, f *catalog.Function, p *properties) {
	f.Description = p.text("Description")
	f.Runtime, f.Handler = p.text("Runtime"), p.text("Handler")
	if f.Runtime != "" && !slices.Contains(runtimes, f.Runtime) {
		p.fault("Runtime", p.value("Runtime").Pos, fmt.Sprintf("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set", f.Runtime), tree.Near(f.Runtime, runtimes))
	}
	if strings.HasPrefix(f.Runtime, "ruby") || strings.HasPrefix(f.Runtime, "dotnet") || f.Runtime == "python2.7" {
		l.warn(p.value("Runtime").Pos, "the runtime "+f.Runtime+" is not supported: the function "+f.LogicalID+" cannot be invoked", "functions in any language run when they bring their own bootstrap, with provided.al2023")
	}
	if (f.Runtime == "" && !p.has("Runtime")) || (f.Handler == "" && !p.has("Handler")) {
		p.fault("Handler", r.at, "Runtime and Handler are mandatory parameters for functions created with deployment packages.", "")
	}
	f.Timeout = time.Duration(p.integer("Timeout", 1, int(catalog.TimeoutMax/time.Second), int(catalog.TimeoutDefault/time.Second))) * time.Second
	f.MemoryMB = p.integer("MemorySize", catalog.MemoryMBMin, catalog.MemoryMBMax, catalog.MemoryMBDefault)
	f.StorageMB = catalog.StorageMBDefault
	if s := p.sub("EphemeralStorage"); s != nil {
		s.require("Size")
		f.StorageMB = s.integer("Size", catalog.StorageMBDefault, catalog.StorageMBMax, catalog.StorageMBDefault)
		s.done()
	}
	if p.value("ReservedConcurrentExecutions") != nil {
		n := p.integer("ReservedConcurrentExecutions", 0, math.MaxInt32, -1)
		if n >= 0 {
			f.Reserved = &n
		}
	}
	f.Architecture = "x86_64"
	if list := p.texts("Architectures"); len(list) > 0 {
		f.Architecture = list[0]
		if len(list) > 1 || list[0] != "x86_64" && list[0] != "arm64" {
			p.fault("Architectures", p.at("Architectures"), "Architectures needs to be a list with one string, either x86_64 or arm64", "")
		}
	}
	f.Role = p.text("Role")
	f.Recursion = p.one("RecursiveLoop", catalog.RecursionAllow, catalog.RecursionTerminate)
	l.logging(f, p)
	f.VPC = l.vpc(f, p)
	l.environment(f, p)
	l.functionLayers(f, p)
	if b := r.node.Get("Metadata"); b != nil {
		l.buildMetadata(&f.Source, b)
	}
	l.owned(f, r)
}

// owned reads who a function belongs to, who is told, and what is said of its events.
func (l *loader) owned(f *catalog.Function, r *resource) {
	p := l.darumaOf("Metadata", r.node.Get("Metadata"))
	if p == nil {
		return
	}
	own := l.section(p)
	own.once = l.onceRule(p)
	own.depends, own.dependsAt = l.dependency(p)
	l.owns[f] = own
	l.recordIn(f, p)
	p.done()
}

// logging reads LoggingConfig.
func (l *loader) logging(f *catalog.Function, p *properties) {
	c := p.sub("LoggingConfig")
	if c == nil {
		return
	}
	levels := []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
	f.LogFormat = c.one("LogFormat", "Text", "JSON")
	f.LogLevel = c.one("ApplicationLogLevel", levels...)
	f.SystemLogLevel = c.one("SystemLogLevel", "DEBUG", "INFO", "WARN")
	f.LogGroup = c.text("LogGroup")
	if f.LogFormat != "JSON" && (f.LogLevel != "" || f.SystemLogLevel != "") {
		p.fault("LoggingConfig", p.at("LoggingConfig"), "log levels need LogFormat: JSON", "")
	}
	c.done()
}

// environment reads the variables a function is given.
func (l *loader) environment(f *catalog.Function, p *properties) {
	e := p.sub("Environment")
	if e == nil {
		return
	}
	variables := e.sub("Variables")
	e.done()
	if variables == nil {
		return
	}
	f.Env = map[string]string{}
	size := len(`{}`)
	for _, v := range variables.node.Fields {
		switch {
		case v.Value.Kind == tree.Broken:
			continue
		case !v.Value.IsScalar():
			variables.fault(v.Name, v.Value.Pos, "the environment variable "+v.Name+" must be a string, not "+v.Value.Kind.String(), "use Fn::Join or Fn::ToJsonString to make one of it")
			continue
		case catalog.ReservedVariable(v.Name):
			variables.fault(v.Name, v.Pos, "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "+v.Name, "")
		case !variableName.MatchString(v.Name):
			variables.fault(v.Name, v.Pos, fmt.Sprintf("the name of the environment variable %q must match %s", v.Name, variableName), "")
		case v.Value.Kind == tree.Number && strings.HasPrefix(strings.TrimLeft(v.Value.Text, "+-"), "0") && len(v.Value.Text) > 1 && strings.Trim(v.Value.Text, "+-0123456789_") == "":
			l.warn(v.Value.Pos, "the environment variable "+v.Name+" is "+v.Value.Text+" here; other YAML readers make another number of it", "put it in quotes")
		}
		f.Env[v.Name] = v.Value.Text
		size += len(v.Name) + len(v.Value.Text) + len(`"":"",`)
		l.tell(v.Value, f.LogicalID+" ("+v.Name+")")
	}
	if size > catalog.EnvBytesMax {
		variables.fault("", variables.node.Pos, fmt.Sprintf("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit: they are %d bytes long", size), "")
	}
}

// functionLayers reads a function's layers: references to layers of the template.
func (l *loader) functionLayers(f *catalog.Function, p *properties) {
	items := p.list("Layers")
	if len(items) > catalog.LayersMax {
		p.fault("Layers", p.at("Layers"), fmt.Sprintf("a function cannot have more than %d layers; it has %d", catalog.LayersMax, len(items)), "")
	}
	for _, item := range items {
		if !item.IsScalar() {
			if item.Kind != tree.Broken {
				p.fault("Layers", item.Pos, "a layer is the ARN of a layer's version, not "+item.Kind.String(), "")
			}
			continue
		}
		layer := l.layers[item.Text]
		switch {
		case layer == nil:
			p.missing("Layers", item.Pos, "the layer "+item.Text+" is not in this template", "what it puts into /opt of "+f.LogicalID, "download it (aws lambda get-layer-version-by-arn) and make it an AWS::Serverless::LayerVersion with ContentUri")
		case slices.ContainsFunc(f.Layers, func(o catalog.Layer) bool { return o.Name == layer.Name }):
			p.fault("Layers", item.Pos, "Two different versions of the same layer are not allowed to be referenced in the same function: "+layer.Name, "")
		default:
			f.Layers = append(f.Layers, *layer)
		}
	}
}

// publish reads AutoPublishAlias and what belongs to it, and returns the alias or "".
func (l *loader) publish(f *catalog.Function, p *properties) string {
	v := p.value("AutoPublishAlias")
	out := Publish{Function: f.Name, Alias: p.text("AutoPublishAlias"), AllProperties: p.boolean("AutoPublishAliasAllProperties"),
		CodeSHA256: p.text("AutoPublishCodeSha256"), Description: p.text("VersionDescription")}
	if v == nil {
		return ""
	}
	if !aliasName.MatchString(out.Alias) || strings.Trim(out.Alias, "0123456789") == "" {
		p.fault("AutoPublishAlias", v.Pos, fmt.Sprintf("the alias %q must have letters, digits, dashes and underscores, and not digits only", out.Alias), "")
		return ""
	}
	l.app.Publish = append(l.app.Publish, out)
	return out.Alias
}

// functionURL reads FunctionUrlConfig. The URL leads to the alias when there is one.
func (l *loader) functionURL(r *resource, f *catalog.Function, p *properties, alias string) {
	c := p.sub("FunctionUrlConfig")
	if c == nil {
		return
	}
	f.URL = l.url(c, r.id+"Url", alias)
	c.done()
}

// url reads what FunctionUrlConfig and AWS::Lambda::Url have in common.
func (l *loader) url(c *properties, logical, qualifier string) *catalog.URL {
	c.require("AuthType")
	u := &catalog.URL{ID: id(urlIDLength, l.app.Name, strings.TrimSuffix(logical, "Url")), Qualifier: qualifier, Auth: c.one("AuthType", catalog.AuthNone, catalog.AuthIAM),
		Stream: c.one("InvokeMode", "BUFFERED", "RESPONSE_STREAM") == "RESPONSE_STREAM"}
	if cors := c.sub("Cors"); cors != nil {
		u.CORS = corsOf(cors)
		cors.done()
	}
	return u
}

// corsOf reads the CORS settings of HTTP APIs and function URLs.
func corsOf(c *properties) *catalog.CORS {
	out := &catalog.CORS{Origins: c.texts("AllowOrigins"), Methods: c.texts("AllowMethods"), Headers: c.texts("AllowHeaders"), Expose: c.texts("ExposeHeaders"),
		MaxAge: c.integer("MaxAge", -1, 86400, 0), Credentials: c.boolean("AllowCredentials")}
	if out.Credentials && slices.Contains(out.Origins, "*") {
		c.fault("AllowCredentials", c.at("AllowCredentials"), "'AllowCredentials' can not be true when 'AllowOrigins' has '*'", "name the origins")
	}
	return out
}

// addFunction takes a function in, or remembers that it is left out.
func (l *loader) addFunction(f *catalog.Function, supported bool) {
	if !supported {
		l.functions[f.Name] = nil
		return
	}
	l.settle(f, l.owns[f])
	l.functions[f.Name] = f
	l.app.Functions = append(l.app.Functions, f)
}

// ownerTag returns the value of the tag owner, whatever its case.
func ownerTag(tags map[string]string) string {
	owner, at := "", ""
	for name, v := range tags {
		if strings.EqualFold(name, "owner") && (at == "" || name < at) {
			owner, at = v, name
		}
	}
	return owner
}
