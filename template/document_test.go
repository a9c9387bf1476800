package template

import (
	"strings"
	"testing"
)

const minimal = "Transform: AWS::Serverless-2016-10-31\nResources:\n  F: { Type: AWS::Serverless::Function, Properties: { Runtime: python3.12, Handler: a.b } }\n"

func TestADocumentThatIsWrongIsRefusedInCloudFormationsWords(t *testing.T) {
	wrong(t, []line{
		{"no resources", "Transform: AWS::Serverless-2016-10-31\n", "Template format error: At least one Resources member must be defined."},
		{"empty resources", "Resources: {}\n", "Template format error: At least one Resources member must be defined."},
		{"no type", "Resources:\n  A: { Properties: {} }\n", "Template format error: [/Resources/A] Every Resources object must contain a Type member."},
		{"output without a value", minimal + "Outputs:\n  X: { Description: d }\n", "Template format error: Every Outputs member must contain a Value object"},
		{"output that is null", minimal + "Outputs:\n  X: { Value: }\n", "[/Outputs/X/Value] 'null' values are not allowed in templates"},
		{"unknown name in resources", minimal + "  G: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: !Ref X } }\n", "Template format error: Unresolved resource dependencies [X] in the Resources block of the template"},
		{"unknown name in outputs", minimal + "Outputs:\n  O: { Value: !Ref X }\n", "Template format error: Unresolved resource dependencies [X] in the Outputs block of the template"},
		{"unknown name in DependsOn", "Resources:\n  L: { Type: AWS::Logs::LogGroup, DependsOn: [X] }\n", "Unresolved resource dependencies [X]"},
		{"version", "AWSTemplateFormatVersion: 2011-01-01\n" + minimal, "unsupported value for AWSTemplateFormatVersion"},
		{"unknown section", "Resorces: {}\n" + minimal, "Invalid template property or properties [Resorces] (did you mean Resources?)"},
		{"unknown attribute", "Resources:\n  A: { Type: AWS::Logs::LogGroup, Propertes: {} }\n", "Invalid template resource property 'Propertes' (did you mean Properties?)"},
		{"name with a dash", "Resources:\n  a-b: { Type: AWS::Logs::LogGroup }\n", "Resource name a-b is non alphanumeric."},
		{"near attribute of SAM's", strings.Replace(minimal, "Properties:", "Propertes:", 1), "Invalid template resource property 'Propertes' (did you mean Properties?)"},
		{"tab", "Resources:\n\tA: {}\n", "(YAML is indented with spaces, never with tabs)"},
		{"template of a template", "Resources:\n  {%- if x %}\n", "make the application of it first, with sam init or cookiecutter"},
		{"value to be quoted", "Description: `x`\nResources: {}\n", "(put the value that begins with ` in quotes)"},
		{"SAM without its transform", strings.TrimPrefix(minimal, "Transform: AWS::Serverless-2016-10-31\n"), "Unrecognized resource types: [AWS::Serverless::Function] (add Transform: AWS::Serverless-2016-10-31)"},
		{"mistyped type", strings.Replace(minimal, "Function,", "Functon,", 1), "Unrecognized resource types: [AWS::Serverless::Functon] (did you mean AWS::Serverless::Function?)"},
		{"mistyped transform", strings.Replace(minimal, "10-31", "10-13", 1), "did you mean AWS::Serverless-2016-10-31?"},
		{"null property", "Resources:\n  L: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: } }\n", "[/Resources/L/Properties/LogGroupName] 'null' values are not allowed in templates"},
		{"null section", "Outputs:\n" + minimal, "[/Outputs] 'null' values are not allowed in templates"},
		{"unknown deletion policy", "Resources:\n  L: { Type: AWS::Logs::LogGroup, DeletionPolicy: Keep }\n", "Unrecognized DeletionPolicy"},
		{"circle", "Resources:\n  A: { Type: AWS::Logs::LogGroup, DependsOn: B }\n  B: { Type: AWS::Logs::LogGroup, DependsOn: A }\n", "Circular dependency between resources: [A, B]"},
		{"circle of a function and its API", sam + function("F", "Environment: { Variables: { API: !Ref ServerlessRestApi } }", "Events: { E: { Type: Api, Properties: { Path: /, Method: get } } }"), "Circular dependency between resources: [F, ServerlessRestApi]"},
		{"function that names itself", sam + function("F", "Environment: { Variables: { ME: !Ref F } }"), "Circular dependency between resources: [F]"},
		{"not a map", "- a\n", "the template must be a map"},
		{"not YAML", "a: [\n", "YAML not well-formed"},
		{"empty", "", "the template is empty"},
	})
}

func TestOutputsMayNameWhatSAMWouldMakeOfWhatIsNotSupported(t *testing.T) {
	refused(t, []line{
		{"key of a GraphQL API", minimal + "  G: { Type: AWS::Serverless::GraphQLApi, Properties: { SchemaInline: x, Auth: { Type: API_KEY } } }\nOutputs:\n  K: { Value: !GetAtt GMyApiKey.ApiKey }\n", "AWS::Serverless::GraphQLApi is not supported"},
		{"deployment of a function", sam + function("F", "InlineCode: x", "AutoPublishAlias: live", "DeploymentPreference: { Type: Canary10Percent5Minutes }") + "Outputs:\n  A: { Value: !Ref ServerlessDeploymentApplication }\n", "property 'DeploymentPreference' is not supported"},
		{"mapping of a domain", minimal + "  G: { Type: AWS::Serverless::HttpApi, Properties: { Domain: { DomainName: a.example.com, CertificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/x', BasePath: [v1] } } }\nOutputs:\n  A: { Value: !Ref Gv1ApiMapping }\n", "property 'Domain' is not supported"},
	})
}

func TestWhatSAMAndCloudFormationOverlookIsAWarning(t *testing.T) {
	for _, l := range []line{
		{"duplicate key", minimal + "  F: { Type: AWS::Logs::LogGroup }\n", `template.yaml:4:3: duplicate key "F": this one counts, the one at template.yaml:3:3 does not (remove or rename one of them)`},
		{"attribute SAM does not know", sam + "Resources:\n  A: { Type: AWS::Serverless::HttpApi, OpenApiVersion: 3.0.1 }\n", "'OpenApiVersion' beside Type is left out, as SAM does (properties go below Properties)"},
	} {
		t.Run(l.name, func(t *testing.T) {
			app, problems := read(t, l.text, Options{})
			if len(problems) > 0 || !strings.Contains(app.Warnings.Error(), l.want) {
				t.Errorf("got problems %v and warnings %v, want the warning %q", problems, app.Warnings, l.want)
			}
		})
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	_, problems := read(t, sam+function("F", "Timeout: 901", "MemorySize: 1", "Handlr: x", "Environment: { Variables: { A1: !Ref Nowhere } }")+
		"  Q: { Type: AWS::Kinesis::Stream }\nOutputs:\n  O: { Value: !GetAtt F.Nothing }\n", Options{})
	for _, want := range []string{
		"template.yaml:8:16: property 'Timeout' must be from 1 to 900, not 901",
		"template.yaml:9:19: property 'MemorySize' must be from 128 to 10240, not 1",
		"template.yaml:10:7: property 'Handlr' is not defined (did you mean Handler?)",
		"template.yaml:11:39: Template format error: Unresolved resource dependencies [Nowhere]",
		"template.yaml:12:14: AWS::Kinesis::Stream is not supported; without it: the stream",
		"template.yaml:14:15: Template error: resource F does not support attribute type Nothing in Fn::GetAtt",
	} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("got problems:\n%v\nwant one with %q", problems, want)
		}
	}
	if len(problems) != 6 {
		t.Errorf("got %d problems, want 6:\n%v", len(problems), problems)
	}
}

func TestAResourceWithoutItsConditionDoesNotExist(t *testing.T) {
	base := sam + "Conditions: { Never: !Equals [a, b] }\n" + function("F") + "  G:\n    Condition: Never\n    Type: AWS::Serverless::Function\n    Properties: { Runtime: python3.12, Handler: a.b, Events: { E: { Type: Api, Properties: { Path: /, Method: get } } } }\n"
	app := loads(t, base+"Outputs:\n  A: { Value: !If [Never, !Ref G, none] }\n  B: { Condition: Never, Value: !Ref G }\n")
	if len(app.Functions) != 1 || len(app.APIs) != 0 || len(app.Outputs) != 1 || app.Outputs[0].Value != "none" {
		t.Errorf("got %d functions, %d APIs, outputs %v; want 1, none and A", len(app.Functions), len(app.APIs), app.Outputs)
	}
	_, problems := read(t, base+"Outputs:\n  A: { Value: !Ref G }\n", Options{})
	if want := "Unresolved resource dependencies [G] in the Outputs block of the template (G does not exist because its condition Never does not hold: use Fn::If)"; !strings.Contains(problems.Error(), want) {
		t.Errorf("got %v, want %q", problems, want)
	}
}

func TestWhatIsNotSupportedIsListedWithWhatIsMissing(t *testing.T) {
	refused(t, []line{
		{"a stream", sam + function("F") + "  Q: { Type: AWS::Kinesis::Stream }\n", "AWS::Kinesis::Stream is not supported; without it: the stream"},
		{"an unknown type", sam + function("F") + "  Q: { Type: AWS::Nowhere::Thing }\n", "AWS::Nowhere::Thing is not supported; without it: the resource"},
		{"a custom resource", sam + function("F") + "  Q: { Type: Custom::Thing }\n", "Custom::Thing is not supported; without it: what the custom resource does"},
		{"a macro", "Transform: [AWS::Serverless-2016-10-31, MyMacro]\n" + function("F"), "the transform MyMacro is not supported"},
		{"AWS::Include", sam + function("F") + "  Fn::Transform: { Name: AWS::Include, Parameters: { Location: x } }\n", "Fn::Transform in Resources is not supported"},
		{"hooks", sam + "Hooks: { H: { Type: AWS::CodeDeploy::BlueGreen } }\n" + function("F"), "Hooks are not supported"},
		{"import", sam + function("F", "Environment: { Variables: { V1: !ImportValue other } }"), "there are no other stacks to import \"other\" from"},
		{"dynamic reference in a condition", "Conditions: { C: !Equals ['{{resolve:ssm:/a/b:1}}', x] }\n" + sam + function("F"), "dynamic references outside of resources and outputs are not supported: {{resolve:ssm:/a/b:1}}"},
		{"reference to a secure string", sam + function("F", "Environment: { Variables: { V1: '{{resolve:ssm-secure:/a/b:1}}' } }"), "dynamic references to ssm-secure are not supported: {{resolve:ssm-secure:/a/b:1}}"},
		{"secure dynamic reference", sam + function("F", "Environment: { Variables: { V1: !Sub '{{resolve:secretsmanager:${AWS::StackName}:SecretString:key}}' } }"), "dynamic references to secretsmanager are not supported: {{resolve:secretsmanager:app:SecretString:key}}"},
		{"parameter kept on AWS", sam + "Parameters: { P: { Type: 'AWS::SSM::Parameter::Value<String>', Default: /a } }\n" + function("F", "Environment: { Variables: { V1: !Ref P } }"), "the value of P is kept in Parameter Store"},
		{"WebSocket API", sam + function("F") + "  W: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET, Name: w } }\n  I: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref W, IntegrationType: AWS_PROXY } }\n", "WebSocket APIs are not supported"},
	})
}

func TestATypeIsTakenForAnotherOnlyWhenEachOfItsWordsIsNear(t *testing.T) {
	for typ, want := range map[string]string{
		"AWS::SQS::Qeue":               "did you mean AWS::SQS::Queue?",
		"AWS::SSQ::Queue":              "did you mean AWS::SQS::Queue?",
		"AWS::Serverles::Function":     "did you mean AWS::Serverless::Function?",
		"AWS::EC2::Route":              "", // AWS::IAM::Role
		"AWS::EC2::EIP":                "", // AWS::EC2::VPC
		"AWS::EC2::Instance":           "", // AWS::EC2::Subnet
		"AWS::ApiGateway::VpcLink":     "", // AWS::ApiGateway::Account
		"AWS::Serverless::Functions::": "",
	} {
		if got := nearType(typ); got != want {
			t.Errorf("%s: got %q, want %q", typ, got, want)
		}
	}
}

func TestAFunctionIsToldStandInsForWhatIsMissing(t *testing.T) {
	app := loads(t, sam+function("F", "Environment: { Variables: { Q1: !Ref Q, Q2: !GetAtt Q.Arn, T1: !Ref T } }")+"  Q: { Type: AWS::Kinesis::Stream }\n  T: { Type: AWS::DynamoDB::GlobalTable, Properties: { TableName: orders } }\n")
	env := app.Functions[0].Env
	for name, want := range map[string]string{
		"Q1": "app-Q-NOTAVAILABLE",
		"Q2": "arn:aws:kinesis:us-east-1:123456789012:stream/app-Q-NOTAVAILABLE",
		"T1": "orders",
	} {
		if env[name] != want {
			t.Errorf("got %s=%s, want %s", name, env[name], want)
		}
	}
	if want := "told of it: F (Q1), F (Q2)"; !strings.Contains(app.Unsupported.Error(), want) {
		t.Errorf("got %v, want %q", app.Unsupported, want)
	}
}

func TestTypesWithoutBehaviourAreAccepted(t *testing.T) {
	app := loads(t, sam+function("F")+`  Role: { Type: AWS::IAM::Role, Properties: { Anything: 1 } }
  Policy: { Type: AWS::IAM::ManagedPolicy }
  Logs: { Type: AWS::Logs::LogGroup }
  Permission: { Type: AWS::Lambda::Permission, Properties: { FunctionName: !Ref F } }
  Connector: { Type: AWS::Serverless::Connector, Properties: { Source: { Id: F }, Destination: { Id: Role }, Permissions: [Read] } }
Outputs:
  A: { Value: !GetAtt Role.Arn }
  B: { Value: !GetAtt Logs.Arn }
`)
	if len(app.Unsupported) != 0 || !strings.HasPrefix(app.Outputs[0].Value, "arn:aws:iam::123456789012:role/app-Role-") || !strings.HasSuffix(app.Outputs[1].Value, ":*") {
		t.Errorf("got %v and %v, want nothing unsupported and two ARNs", app.Unsupported, app.Outputs)
	}
	wrong(t, []line{{"a connector to nowhere", sam + function("F") + "  C: { Type: AWS::Serverless::Connector, Properties: { Source: { Id: F }, Destination: { Id: X } } }\n", "Unresolved resource dependencies [X]"}})
}
