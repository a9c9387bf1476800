package template

import (
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// foreign is a type that is not supported: how its names look, and what is missing without it.
type foreign struct {
	name    string // the property with its physical name
	ref     string // what Ref returns: "name" (also "") or "arn"
	arn     string // its ARN after "arn:aws:", with R, A and NAME to be filled in; "" for service:R:A:NAME
	missing string
}

// foreigners are the types that templates commonly have and that are not supported.
// One that is not listed here is not supported either; its names are guessed.
var foreigners = map[string]foreign{
	"AWS::DynamoDB::GlobalTable":                 {"TableName", "name", "dynamodb:R:A:table/NAME", "the table, its replicas and its stream"},
	"AWS::Kinesis::Stream":                       {"Name", "name", "kinesis:R:A:stream/NAME", "the stream"},
	"AWS::KinesisFirehose::DeliveryStream":       {"DeliveryStreamName", "name", "firehose:R:A:deliverystream/NAME", "the delivery stream"},
	"AWS::S3::Bucket":                            {"BucketName", "name", "s3:::NAME", "the bucket and its notifications"},
	"AWS::Events::EventBus":                      {"Name", "name", "events:R:A:event-bus/NAME", "the event bus"},
	"AWS::Events::Rule":                          {"Name", "name", "events:R:A:rule/NAME", "the invocations of its targets"},
	"AWS::Events::Archive":                       {"ArchiveName", "name", "events:R:A:archive/NAME", "the archive"},
	"AWS::Events::Connection":                    {"Name", "name", "events:R:A:connection/NAME", "the connection"},
	"AWS::Events::ApiDestination":                {"Name", "name", "events:R:A:api-destination/NAME", "the API destination"},
	"AWS::Scheduler::Schedule":                   {"Name", "name", "scheduler:R:A:schedule/default/NAME", "the invocations it schedules"},
	"AWS::Scheduler::ScheduleGroup":              {"Name", "name", "scheduler:R:A:schedule-group/NAME", "the schedule group"},
	"AWS::Pipes::Pipe":                           {"Name", "name", "pipes:R:A:pipe/NAME", "what it moves from its source to its target"},
	"AWS::Serverless::StateMachine":              {"Name", "arn", "states:R:A:stateMachine:NAME", "the state machine and its events"},
	"AWS::StepFunctions::StateMachine":           {"StateMachineName", "arn", "states:R:A:stateMachine:NAME", "the state machine"},
	"AWS::StepFunctions::Activity":               {"Name", "arn", "states:R:A:activity:NAME", "the activity"},
	"AWS::SecretsManager::Secret":                {"Name", "arn", "secretsmanager:R:A:secret:NAME", "the secret"},
	"AWS::AppConfig::Application":                {"", "name", "appconfig:R:A:application/NAME", "the configuration of this application"},
	"AWS::AppConfig::Environment":                {"", "name", "", "the environment of the configuration"},
	"AWS::AppConfig::ConfigurationProfile":       {"", "name", "", "the configuration profile"},
	"AWS::AppConfig::HostedConfigurationVersion": {"", "name", "", "the configuration's content"},
	"AWS::AppConfig::DeploymentStrategy":         {"", "name", "", "the strategy of configuration deployments"},
	"AWS::AppConfig::Deployment":                 {"", "name", "", "the deployment of the configuration"},
	"AWS::CloudWatch::CompositeAlarm":            {"AlarmName", "name", "cloudwatch:R:A:alarm:NAME", "the alarm and its actions"},
	"AWS::CloudWatch::Dashboard":                 {"DashboardName", "name", "", "the dashboard"},
	"AWS::Logs::SubscriptionFilter":              {"", "name", "", "deliveries of log lines to its destination"},
	"AWS::Logs::MetricFilter":                    {"", "name", "", "metrics made of log lines"},
	"AWS::Serverless::Application":               {"", "arn", "cloudformation:R:A:stack/NAME", "all resources of the nested application"},
	"AWS::CloudFormation::Stack":                 {"", "arn", "cloudformation:R:A:stack/NAME", "all resources of the nested stack"},
	"AWS::CloudFormation::CustomResource":        {"", "name", "", "what the custom resource does when the stack is deployed"},
	"AWS::Serverless::GraphQLApi":                {"Name", "name", "appsync:R:A:apis/NAME", "the GraphQL API"},
	"AWS::Serverless::WebSocketApi":              {"", "name", "", "the WebSocket API and its routes"},
	"AWS::Serverless::CapacityProvider":          {"CapacityProviderName", "name", "", "the capacity provider"},
	"AWS::ApiGateway::Authorizer":                {"", "name", "", "the authorizer: routes are open to everybody"},
	"AWS::ApiGateway::GatewayResponse":           {"", "name", "", "the changed answers of the gateway itself"},
	"AWS::ApiGateway::UsagePlan":                 {"", "name", "", "quotas and throttling for API keys"},
	"AWS::ApiGateway::UsagePlanKey":              {"", "name", "", "quotas and throttling for API keys"},
	"AWS::ApiGateway::ApiKey":                    {"Name", "name", "", "the API key: routes that require it are open to everybody"},
	"AWS::ApiGateway::Model":                     {"Name", "name", "", "the validation of bodies"},
	"AWS::ApiGateway::RequestValidator":          {"Name", "name", "", "the validation of requests"},
	"AWS::ApiGateway::DomainName":                {"DomainName", "name", "", "the custom domain name"},
	"AWS::ApiGateway::BasePathMapping":           {"", "name", "", "the custom domain name's path"},
	"AWS::ApiGatewayV2::Authorizer":              {"", "name", "", "the authorizer: routes are open to everybody"},
	"AWS::ApiGatewayV2::DomainName":              {"DomainName", "name", "", "the custom domain name"},
	"AWS::ApiGatewayV2::ApiMapping":              {"", "name", "", "the custom domain name's path"},
	"AWS::ApiGatewayV2::RouteResponse":           {"", "name", "", "answers to WebSocket messages"},
	"AWS::ApiGatewayV2::IntegrationResponse":     {"", "name", "", "answers to WebSocket messages"},
	"AWS::CodeDeploy::Application":               {"ApplicationName", "name", "", "gradual deployments"},
	"AWS::CodeDeploy::DeploymentGroup":           {"DeploymentGroupName", "name", "", "gradual deployments"},
	"AWS::CodeDeploy::DeploymentConfig":          {"DeploymentConfigName", "name", "", "gradual deployments"},
	"AWS::Cognito::UserPool":                     {"", "name", "cognito-idp:R:A:userpool/NAME", "the user pool: nobody can sign in"},
	"AWS::Cognito::UserPoolClient":               {"", "name", "", "the user pool's client"},
	"AWS::Cognito::IdentityPool":                 {"", "name", "", "the identity pool"},
	"AWS::KMS::Key":                              {"", "name", "kms:R:A:key/NAME", "the key: nothing is encrypted with it"},
	"AWS::KMS::Alias":                            {"AliasName", "name", "", "the key's alias"},
	"AWS::Route53::HealthCheck":                  {"", "name", "", "the health check"},
	"AWS::Route53::RecordSet":                    {"Name", "name", "", "the DNS record"},
	"AWS::Route53::RecordSetGroup":               {"", "name", "", "the DNS records"},
	"AWS::Route53::HostedZone":                   {"", "name", "", "the hosted zone"},
	"AWS::EC2::VPC":                              {"", "name", "", "the network"},
	"AWS::EC2::Subnet":                           {"", "name", "", "the network"},
	"AWS::EC2::SecurityGroup":                    {"GroupName", "name", "", "the network's rules"},
}

// refuse lists every resource of a type that is not supported.
func (l *loader) refuse(r *resource) {
	message := r.typ + " is not supported"
	hint := ""
	f, common := foreigners[r.typ]
	missing := f.missing
	switch {
	case common:
	case strings.HasPrefix(r.typ, "AWS::Serverless::"):
		l.fault(r.at, "Template format error: Unrecognized resource types: ["+r.typ+"]", tree.Near(r.typ, serverlessTypes))
		return
	case strings.HasPrefix(r.typ, "Custom::"):
		missing = foreigners["AWS::CloudFormation::CustomResource"].missing
	case strings.HasSuffix(r.typ, "::MODULE"), strings.Count(r.typ, "::") == 2:
		missing = "the resource"
		hint = nearType(r.typ)
	default:
		l.fault(r.at, "Template format error: Unrecognized resource types: ["+r.typ+"]", nearType(r.typ))
		return
	}
	l.report(Problem{Position: r.at, Message: message, Missing: missing, Hint: hint, Unsupported: true})
}

// nearType names a type that is nearly the same, if there is one: each of its words is nearly the same, not only the
// whole, of which the half is AWS in all of them.
func nearType(typ string) string {
	words := strings.Split(typ, "::")
	var near []string
	for _, known := range slices.Concat(slices.Sorted(maps.Keys(attributes)), slices.Sorted(maps.Keys(foreigners))) {
		others := strings.Split(known, "::")
		same := len(others) == len(words)
		for i := 0; same && i < len(words); i++ {
			same = words[i] == others[i] || tree.Near(words[i], others[i:i+1]) != ""
		}
		if same {
			near = append(near, known)
		}
	}
	return tree.Near(typ, near)
}

// foreignRef returns a stand-in for what Ref says about a resource that is not supported.
func (l *loader) foreignRef(r *resource, at tree.Pos) *tree.Node {
	name := l.foreignName(r, at)
	if name == nil {
		return nil
	}
	text := name.Text
	if foreigners[r.typ].ref == "arn" {
		text = l.foreignARN(r, text)
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: text, Refs: []tree.Ref{{ID: r.id}}}
}

func (l *loader) foreignName(r *resource, at tree.Pos) *tree.Node {
	if property := foreigners[r.typ].name; property != "" && r.props.Get(property) != nil {
		return l.physicalName(r, at)
	}
	name := l.standIn(r.id)
	if r.typ == "AWS::S3::Bucket" {
		name = strings.ToLower(name)
	}
	return tree.Text(at, name)
}

func (l *loader) foreignARN(r *resource, name string) string {
	pattern := foreigners[r.typ].arn
	if pattern == "" {
		parts := strings.Split(strings.ToLower(r.typ), "::")
		return l.arn(parts[min(1, len(parts)-1)], name)
	}
	service, rest, _ := strings.Cut(pattern, ":")
	_, rest, _ = strings.Cut(rest, ":")
	_, rest, _ = strings.Cut(rest, ":")
	return l.arn(service, strings.Replace(rest, "NAME", name, 1))
}

// foreignAttribute returns a stand-in for what Fn::GetAtt says about a resource that is not supported.
func (l *loader) foreignAttribute(r *resource, attr string, at tree.Pos) *tree.Node {
	name := l.foreignName(r, at)
	if name == nil {
		return nil
	}
	text := name.Text
	switch {
	case strings.HasSuffix(attr, "Arn"):
		text = l.foreignARN(r, text)
		if attr == "StreamArn" {
			text += "/stream/2000-01-01T00:00:00.000"
		}
	case strings.HasSuffix(attr, "Name"), attr == "Id":
	case strings.HasSuffix(attr, "DomainName"):
		text = strings.ToLower(text) + ".invalid"
	default:
		text += "." + attr
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: text, Refs: []tree.Ref{{ID: r.id, Attr: attr}}}
}
