package template

import (
	"regexp"
	"slices"
	"strings"

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
	snsTopic:                {"TopicArn", "TopicName"}, snsSubscription: {"Arn"}, ssmParameter: {"Type", "Value"}, cloudwatchAlarm: {"Arn"}, experimentTemplate: {"Id"},
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

func fieldsOf(n *tree.Node) []tree.Field {
	if n == nil {
		return nil
	}
	return n.Fields
}
