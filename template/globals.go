package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// globalProperties lists what each section of Globals may contain (SAM's
// specification of Globals).
var globalProperties = map[string][]string{
	"Function": {"Handler", "Runtime", "CodeUri", "DeadLetterQueue", "Description", "MemorySize", "Timeout", "VpcConfig", "Environment", "Tags",
		"PropagateTags", "Tracing", "KmsKeyArn", "AutoPublishAlias", "AutoPublishAliasAllProperties", "Layers", "DeploymentPreference", "RolePath",
		"PermissionsBoundary", "ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig", "AssumeRolePolicyDocument", "EventInvokeConfig",
		"FileSystemConfigs", "CodeSigningConfigArn", "Architectures", "SnapStart", "EphemeralStorage", "FunctionUrlConfig", "RuntimeManagementConfig",
		"LoggingConfig", "RecursiveLoop", "SourceKMSKeyArn", "TenancyConfig", "DurableConfig", "CapacityProviderConfig", "FunctionScalingConfig",
		"PublishToLatestPublished", "VersionDeletionPolicy"},
	"Api": {"Auth", "Name", "DefinitionUri", "CacheClusterEnabled", "CacheClusterSize", "MergeDefinitions", "Variables", "EndpointConfiguration",
		"MethodSettings", "BinaryMediaTypes", "MinimumCompressionSize", "Cors", "GatewayResponses", "AccessLogSetting", "CanarySetting",
		"TracingEnabled", "OpenApiVersion", "Domain", "AlwaysDeploy", "PropagateTags", "SecurityPolicy", "EndpointAccessMode"},
	"HttpApi":          {"Auth", "AccessLogSettings", "StageVariables", "Tags", "CorsConfiguration", "DefaultRouteSettings", "Domain", "RouteSettings", "FailOnWarnings", "PropagateTags"},
	"SimpleTable":      {"SSESpecification"},
	"StateMachine":     {"PropagateTags"},
	"LayerVersion":     {"PublishLambdaVersion"},
	"CapacityProvider": {"VpcConfig", "OperatorRole", "Tags", "InstanceRequirements", "ScalingConfig", "KmsKeyArn", "PropagateTags"},
	"WebSocketApi": {"AccessLogSettings", "ApiKeySelectionExpression", "DefaultRouteSettings", "DisableExecuteApiEndpoint", "DisableSchemaValidation",
		"Domain", "FailOnWarnings", "IpAddressType", "PropagateTags", "RouteSelectionExpression", "RouteSettings", "StageVariables", "Tags"},
}

var globalSections = []string{"Api", "CapacityProvider", "Function", "HttpApi", "LayerVersion", "SimpleTable", "StateMachine", "WebSocketApi"}

// globals are the properties each type has in common, by type.
type globals map[string]*tree.Node

// readGlobals reads and checks the Globals section.
func (l *loader) readGlobals() globals {
	section := l.scope.Expand(l.doc.Get("Globals"))
	if section == nil || section.Kind != tree.Map {
		return nil
	}
	g := globals{}
	for _, f := range section.Fields {
		known, found := globalProperties[f.Name]
		switch {
		case !found:
			l.fault(f.Pos, "'Globals' section is invalid. '"+f.Name+"' is not supported. Must be one of the following values - ["+strings.Join(globalSections, ", ")+"]", tree.Near(f.Name, globalSections))
			continue
		case f.Value.Kind == tree.Null:
			continue
		case f.Value.Kind != tree.Map:
			l.fault(f.Value.Pos, "'Globals' section is invalid. Value of "+f.Name+" must be a map, not "+f.Value.Kind.String(), "")
			continue
		}
		l.noNulls(f.Value, "/Globals/"+f.Name)
		for _, p := range f.Value.Fields {
			if !slices.Contains(known, p.Name) {
				hint := tree.Near(p.Name, known)
				if hint == "" {
					hint = "set it on each resource"
				}
				l.fault(p.Pos, "'Globals' section is invalid. '"+p.Name+"' is not a supported property of '"+f.Name+"'", hint)
			}
		}
		g["AWS::Serverless::"+f.Name] = f.Value
	}
	return g
}

// merge adds the global properties of r's type to r, but for those it ignores.
func (g globals) merge(l *loader, r *resource) {
	common := g[r.typ]
	if r.node != nil {
		if ignored := r.node.Get("IgnoreGlobals"); ignored != nil && ignored.Kind != tree.Broken {
			common = l.ignore(r, common, ignored)
		}
	}
	if common != nil {
		r.props = mergeNodes(common, r.props)
	}
}

// ignore leaves out of common what a resource's IgnoreGlobals names: "*" or a list of properties.
func (l *loader) ignore(r *resource, common, ignored *tree.Node) *tree.Node {
	if !slices.Contains(serverlessTypes, r.typ) {
		l.fault(ignored.Pos, "Template format error: Invalid template resource property 'IgnoreGlobals'", "only SAM's types have it")
		return nil
	}
	if ignored.Kind == tree.String && ignored.Text == "*" {
		return nil
	}
	if ignored.Kind != tree.List {
		l.fault(ignored.Pos, "Resource "+r.id+" has invalid resource attribute 'IgnoreGlobals'.", "it is '*' or a list of properties")
		return common
	}
	if common == nil {
		return nil
	}
	rest := &tree.Node{Pos: common.Pos, Kind: tree.Map}
	for _, f := range common.Fields {
		if !slices.ContainsFunc(ignored.Items, func(n *tree.Node) bool { return n.Text == f.Name }) {
			rest.Fields = append(rest.Fields, f)
		}
	}
	for _, item := range ignored.Items {
		if common.Field(item.Text) == nil {
			l.fault(item.Pos, "Resource "+r.id+" has invalid resource attribute 'IgnoreGlobals' on item '"+item.Text+"'.", tree.Near(item.Text, common.Names()))
		}
	}
	return rest
}

// mergeNodes lays a resource's value over the global one: maps key by key, lists one
// after the other with the global one first, everything else as the resource has
// it. A call of a function is not looked into.
func mergeNodes(global, local *tree.Node) *tree.Node {
	globalCall, _ := global.Function()
	localCall, _ := local.Function()
	if global.Kind != local.Kind || globalCall != "" || localCall != "" {
		return local
	}
	switch local.Kind {
	case tree.List:
		return &tree.Node{Pos: local.Pos, Kind: tree.List, Items: slices.Concat(global.Items, local.Items)}
	case tree.Map:
		out := &tree.Node{Pos: local.Pos, Kind: tree.Map}
		for _, f := range global.Fields {
			if own := local.Field(f.Name); own != nil {
				f = tree.Field{Name: f.Name, Pos: own.Pos, Value: mergeNodes(f.Value, own.Value)}
			}
			out.Fields = append(out.Fields, f)
		}
		for _, f := range local.Fields {
			if global.Field(f.Name) == nil {
				out.Fields = append(out.Fields, f)
			}
		}
		return out
	}
	return local
}
