package template

import (
	"regexp"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/intrinsic"
	"github.com/daruma-io/daruma/template/tree"
)

// resource is one resource of the template.
type resource struct {
	id     string
	typ    string
	at     tree.Pos   // of its Type
	node   *tree.Node // all of it, as written
	props  *tree.Node // its properties with those of Globals, functions not worked out
	exists bool       // its condition holds
	named  *tree.Node // its physical name, once worked out
	busy   bool       // its name is being worked out
}

// Types that this package builds something of.
const (
	serverlessFunction = "AWS::Serverless::Function"
	serverlessAPI      = "AWS::Serverless::Api"
	serverlessHTTPAPI  = "AWS::Serverless::HttpApi"
	serverlessLayer    = "AWS::Serverless::LayerVersion"
	lambdaFunction     = "AWS::Lambda::Function"
	lambdaVersion      = "AWS::Lambda::Version"
	lambdaAlias        = "AWS::Lambda::Alias"
	lambdaLayer        = "AWS::Lambda::LayerVersion"
	lambdaURL          = "AWS::Lambda::Url"
	lambdaEventInvoke  = "AWS::Lambda::EventInvokeConfig"
	restAPI            = "AWS::ApiGateway::RestApi"
	restResource       = "AWS::ApiGateway::Resource"
	restMethod         = "AWS::ApiGateway::Method"
	restDeployment     = "AWS::ApiGateway::Deployment"
	restStage          = "AWS::ApiGateway::Stage"
	httpAPI            = "AWS::ApiGatewayV2::Api"
	httpIntegration    = "AWS::ApiGatewayV2::Integration"
	httpRoute          = "AWS::ApiGatewayV2::Route"
	httpStage          = "AWS::ApiGatewayV2::Stage"
	httpDeployment     = "AWS::ApiGatewayV2::Deployment"
	roleType           = "AWS::IAM::Role"
	logGroupType       = "AWS::Logs::LogGroup"
)

// attributes lists, for the types that are built or accepted, what Fn::GetAtt may ask for.
var attributes = map[string][]string{
	serverlessFunction: {"Arn", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"},
	lambdaFunction:     {"Arn", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"},
	serverlessAPI:      {"RootResourceId", "RestApiId"}, restAPI: {"RootResourceId", "RestApiId"},
	serverlessHTTPAPI: {"ApiEndpoint", "ApiId"}, httpAPI: {"ApiEndpoint", "ApiId"},
	serverlessLayer: {"LayerVersionArn"}, lambdaLayer: {"LayerVersionArn"},
	lambdaVersion: {"Version", "FunctionArn"}, lambdaAlias: {"AliasArn"}, lambdaURL: {"FunctionArn", "FunctionUrl"},
	lambdaEventInvoke: {},
	lambdaMapping:     {"Id", "EventSourceMappingArn"},
	restResource:      {"ResourceId"}, restMethod: {}, restDeployment: {"DeploymentId"}, restStage: {},
	httpIntegration: {"IntegrationId"}, httpRoute: {"RouteId"}, httpStage: {}, httpDeployment: {"DeploymentId"},
	roleType: {"Arn", "RoleId"}, logGroupType: {"Arn"},
	"AWS::IAM::Policy": {"Id"}, "AWS::IAM::ManagedPolicy": {"PolicyArn", "PolicyId"}, "AWS::IAM::RolePolicy": {},
	"AWS::IAM::UserPolicy": {}, "AWS::IAM::GroupPolicy": {},
	"AWS::IAM::User": {"Arn"}, "AWS::IAM::Group": {"Arn"}, "AWS::IAM::InstanceProfile": {"Arn"}, "AWS::IAM::ServiceLinkedRole": {"RoleName"},
	"AWS::IAM::AccessKey": {"SecretAccessKey"}, "AWS::IAM::OIDCProvider": {"Arn"}, "AWS::IAM::SAMLProvider": {"Arn"},
	"AWS::Lambda::Permission": {"Id"}, "AWS::Lambda::LayerVersionPermission": {"Id"}, "AWS::Lambda::CodeSigningConfig": {"CodeSigningConfigArn", "CodeSigningConfigId"},
	"AWS::ApiGateway::Account": {"Id"}, sqsQueue: {"Arn", "QueueName", "QueueUrl"}, dynamoTable: {"Arn", "StreamArn"}, simpleTable: {"Arn"}, sqsPolicy: {"Id"}, "AWS::SNS::TopicPolicy": {"Id"}, "AWS::Serverless::Connector": {}, "AWS::CDK::Metadata": {},
	"AWS::S3::BucketPolicy": {},
	snsTopic:                {"TopicArn", "TopicName"}, snsSubscription: {"Arn"},
}

// serverlessTypes are all types of SAM.
var serverlessTypes = []string{serverlessFunction, serverlessAPI, serverlessHTTPAPI, serverlessLayer, simpleTable, "AWS::Serverless::StateMachine",
	"AWS::Serverless::Application", "AWS::Serverless::Connector", "AWS::Serverless::GraphQLApi", "AWS::Serverless::WebSocketApi", "AWS::Serverless::CapacityProvider"}

var resourceAttributes = []string{"Type", "Properties", "Description", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "CreationPolicy", "UpdatePolicy", "IgnoreGlobals", "Connectors"}

var logicalID = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)

// readResources reads the Resources section into l.resources, with Globals merged in.
func (l *loader) readResources() {
	section := l.scope.Expand(l.doc.Get("Resources"))
	if section == nil || section.Kind != tree.Map || len(section.Fields) == 0 {
		at := l.doc.Pos
		if section != nil {
			at = section.Pos
		}
		l.fault(at, "Template format error: At least one Resources member must be defined.", "")
		return
	}
	globals := l.readGlobals()
	for _, f := range section.Fields {
		if f.Name == "Fn::Transform" {
			l.unsupported(f.Pos, "Fn::Transform in Resources is not supported", "the resources it would add", "write them into the template")
			continue
		}
		r := l.readResource(f)
		if r == nil {
			continue
		}
		l.resources[r.id] = r
		l.order = append(l.order, r)
		l.current = r
		globals.merge(l, r)
		l.current = nil
	}
	l.implicitAPIs(globals)
}

// readResource reads a resource's attributes.
func (l *loader) readResource(f tree.Field) *resource {
	r := &resource{id: f.Name, node: f.Value, at: f.Pos, exists: true}
	if !logicalID.MatchString(f.Name) {
		l.fault(f.Pos, "Template format error: Resource name "+f.Name+" is non alphanumeric.", "")
	}
	if f.Value.Kind == tree.Broken {
		return nil
	}
	t := f.Value.Get("Type")
	if t == nil || t.Kind != tree.String || t.Text == "" {
		l.fault(f.Pos, "Template format error: [/Resources/"+f.Name+"] Every Resources object must contain a Type member.", tree.Near("Type", names(f.Value)))
		return nil
	}
	r.typ, r.at = t.Text, t.Pos
	l.current = r
	defer func() { l.current = nil }()
	for _, a := range f.Value.Fields {
		if own := a.Name == "Version" && isCustom(r.typ); !own && !slices.Contains(resourceAttributes, a.Name) {
			l.attribute(r, a)
		}
	}
	if c := f.Value.Get("Condition"); c != nil {
		if c.Kind != tree.String {
			l.fault(c.Pos, "Template format error: Every Condition member must be a string.", "")
		} else if holds, ok := l.scope.Holds(c.Text, c.Pos); ok {
			r.exists = holds
		}
	}
	for _, name := range []string{"DeletionPolicy", "UpdateReplacePolicy"} {
		if p := f.Value.Get(name); p != nil {
			v := l.scope.Eval(p)
			if v == nil || v.Kind != tree.Broken && !slices.Contains([]string{"Delete", "Retain", "Snapshot", "RetainExceptOnCreate"}, v.Text) {
				l.fault(p.Pos, "Template format error: Unrecognized "+name, "it is Delete, Retain, Snapshot or RetainExceptOnCreate")
			}
		}
	}
	r.props = f.Value.Get("Properties")
	if r.props == nil || r.props.Kind == tree.Null {
		r.props = &tree.Node{Pos: f.Pos, Kind: tree.Map}
	}
	if r.props.Kind != tree.Map {
		if r.props.Kind != tree.Broken {
			l.fault(r.props.Pos, "Template format error: [/Resources/"+r.id+"/Properties] Properties must be a map, not "+r.props.Kind.String(), "")
		}
		r.props = &tree.Node{Pos: f.Pos, Kind: tree.Map}
	}
	if slices.Contains(serverlessTypes, r.typ) {
		r.props = withoutNulls(r.props)
	}
	if r.typ != "AWS::Serverless::StateMachine" { // its definition is JSON, with nulls of its own
		l.noNulls(r.props, "/Resources/"+r.id+"/Properties")
	}
	return r
}

// isCustom says whether a type is a custom resource, which may state a Version.
func isCustom(typ string) bool {
	return strings.HasPrefix(typ, "Custom::") || typ == "AWS::CloudFormation::CustomResource"
}

// withoutNulls leaves out properties that are null: SAM takes them for absent.
func withoutNulls(props *tree.Node) *tree.Node {
	out := &tree.Node{Pos: props.Pos, Kind: tree.Map}
	for _, f := range props.Fields {
		if f.Value.Kind != tree.Null {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

func names(n *tree.Node) []string {
	if n == nil {
		return nil
	}
	return n.Names()
}

// noNulls refuses null anywhere in n.
func (l *loader) noNulls(n *tree.Node, path string) {
	switch n.Kind {
	case tree.Null:
		l.fault(n.Pos, "["+path+"] 'null' values are not allowed in templates", "give it a value or remove it")
	case tree.List:
		for _, item := range n.Items {
			l.noNulls(item, path)
		}
	case tree.Map:
		if name, arg := n.Function(); name == "Fn::GetAZs" && arg.Kind == tree.Null {
			return
		}
		for _, f := range n.Fields {
			l.noNulls(f.Value, path+"/"+f.Name)
		}
	}
}

// references checks that everything the template names is there, and that nothing waits for itself.
func (l *loader) references() {
	for _, r := range l.order {
		l.current = r
		if r.node == nil { // an implicit API
			continue
		}
		intrinsic.Uses(r.props, func(u intrinsic.Use) { l.known(u, "Resources") })
		depends := r.node.Get("DependsOn")
		list := []*tree.Node{depends}
		if depends != nil && depends.Kind == tree.List {
			list = depends.Items
		}
		for _, d := range list {
			switch {
			case d == nil || d.Kind == tree.Broken:
			case d.Kind != tree.String:
				l.fault(d.Pos, "Template format error: DependsOn must be a string or a list of strings", "")
			default:
				l.known(intrinsic.Use{ID: d.Text, Attr: "DependsOn", At: d.Pos}, "Resources")
			}
		}
	}
	l.current = nil
	if outputs := l.scope.Expand(l.doc.Get("Outputs")); outputs != nil {
		intrinsic.Uses(outputs, func(u intrinsic.Use) { l.known(u, "Outputs") })
	}
	l.cycles()
}

// known reports a name that nothing has.
func (l *loader) known(u intrinsic.Use, block string) {
	if u.Condition {
		if l.scope.Conditions.Get(u.ID) == nil {
			l.fault(u.At, "Template format error: Unresolved condition dependency "+u.ID+" in the "+block+" block of the template", tree.Near(u.ID, names(l.scope.Conditions)))
		}
		return
	}
	if _, isParameter := l.scope.Parameters[u.ID]; isParameter && u.Attr == "" || l.defined(u) {
		return
	}
	id := u.ID
	if owner, _, dotted := strings.Cut(id, "."); dotted && u.Sub {
		id = owner
	}
	l.unresolved(id, block, u.At)
}

// attribute complains about an attribute that resources do not have. SAM's
// own are made anew by its transform, which leaves out what it does not know.
func (l *loader) attribute(r *resource, a tree.Field) {
	near := tree.Near(a.Name, resourceAttributes)
	if near == "" && slices.Contains(serverlessTypes, r.typ) {
		l.warn(a.Pos, "'"+a.Name+"' beside Type is left out, as SAM does", "properties go below Properties")
		return
	}
	l.fault(a.Pos, "Template format error: Invalid template resource property '"+a.Name+"'", near)
}

func (l *loader) unresolved(id, block string, at tree.Pos) {
	known := make([]string, 0, len(l.order))
	for _, r := range l.order {
		known = append(known, r.id)
	}
	for name := range l.scope.Parameters {
		known = append(known, name)
	}
	slices.Sort(known)
	l.fault(at, "Template format error: Unresolved resource dependencies ["+id+"] in the "+block+" block of the template", tree.Near(id, known))
}

// defined says whether a resource, or what SAM generates for one, has the name.
func (l *loader) defined(u intrinsic.Use) bool {
	id := u.ID
	if l.resources[id] != nil || l.generated(id) != nil {
		return true
	}
	if owner, _, dotted := strings.Cut(id, "."); dotted && u.Sub {
		return l.resources[owner] != nil || l.generated(owner) != nil
	}
	return l.Named(id)
}

// cycles refuses resources that wait for each other.
func (l *loader) cycles() {
	g := graph{edges: map[string][]string{}, state: map[string]int{}}
	for _, r := range l.order {
		if r.exists {
			l.edges(g, r)
		}
	}
	for _, r := range l.order {
		if cycle := g.walk(r.id); cycle != nil {
			l.current = l.resources[cycle[0]]
			at := r.at
			if l.current != nil {
				at = l.current.at
			}
			slices.Sort(cycle)
			l.fault(at, "Circular dependency between resources: ["+strings.Join(cycle, ", ")+"]", "")
			l.current = nil
			return
		}
	}
}

// laterProperties of SAM's types make resources of their own, which wait for the resource.
var laterProperties = map[string][]string{
	serverlessFunction: {"Events", "FunctionUrlConfig", "EventInvokeConfig", "DeploymentPreference", "ProvisionedConcurrencyConfig", "Policies"},
	serverlessAPI:      {"StageName", "Variables", "MethodSettings", "AccessLogSetting", "CacheClusterEnabled", "CacheClusterSize", "CanarySetting", "TracingEnabled", "Domain"},
	serverlessHTTPAPI:  {"StageName", "StageVariables", "DefaultRouteSettings", "RouteSettings", "AccessLogSettings", "Domain"},
	serverlessLayer:    {},
}

// edges adds what r waits for. A SAM function waits for its role, which waits
// for what its policies name; an API waits for the functions behind it.
func (l *loader) edges(g graph, r *resource) {
	add := func(from string, n *tree.Node) {
		intrinsic.Uses(n, func(u intrinsic.Use) {
			id, _, _ := strings.Cut(u.ID, ".")
			if owner := l.generated(id); owner != nil && l.resources[id] == nil {
				if strings.HasSuffix(id, "Role") {
					g.edge(from, id)
				}
				return
			}
			if o := l.resources[id]; o != nil && o.exists && !u.Condition {
				g.edge(from, id)
			}
		})
	}
	if r.node != nil {
		if d := r.node.Get("DependsOn"); d != nil {
			for _, item := range append(d.Items, d) {
				if o := l.resources[item.Text]; o != nil && o.exists {
					g.edge(r.id, o.id)
				}
			}
		}
	}
	later, known := laterProperties[r.typ]
	if strings.HasPrefix(r.typ, "AWS::Serverless::") && !known {
		return // what SAM makes of it is not known well enough
	}
	for _, f := range r.props.Fields {
		if !slices.Contains(later, f.Name) {
			add(r.id, f.Value)
		}
	}
	if r.typ != serverlessFunction {
		return
	}
	if r.props.Get("Role") == nil {
		g.edge(r.id, r.id+"Role")
		add(r.id+"Role", r.props.Get("Policies"))
	}
	for _, e := range fieldsOf(r.props.Get("Events")) {
		if target := l.eventAPI(e.Value); target != nil && target.managed() {
			g.edge(target.id, r.id)
		}
	}
}

func fieldsOf(n *tree.Node) []tree.Field {
	if n == nil {
		return nil
	}
	return n.Fields
}

type graph struct {
	edges map[string][]string
	state map[string]int // 1 while on the way, 2 when done
}

func (g graph) edge(from, to string) {
	if !slices.Contains(g.edges[from], to) {
		g.edges[from] = append(g.edges[from], to)
	}
}

// walk returns a cycle that can be reached from id, or nil.
func (g graph) walk(id string) []string {
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		switch g.state[id] {
		case 1:
			return slices.Clone(path[slices.Index(path, id):])
		case 2:
			return nil
		}
		g.state[id] = 1
		path = append(path, id)
		for _, to := range g.edges[id] {
			if cycle := visit(to); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		g.state[id] = 2
		return nil
	}
	return visit(id)
}
