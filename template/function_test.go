package template

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/catalog"
)

func TestAFunctionsPropertiesAreRead(t *testing.T) {
	app := loads(t, sam+function("F", `FunctionName: name
Description: d
Timeout: '900'
MemorySize: 1024
EphemeralStorage: { Size: 10240 }
ReservedConcurrentExecutions: 0
Architectures: [arm64]
Tracing: Active
RecursiveLoop: Allow
Role: arn:aws:iam::123456789012:role/r
KmsKeyArn: arn:aws:kms:us-east-1:123456789012:key/k
SnapStart: { ApplyOn: PublishedVersions }
RuntimeManagementConfig: { UpdateRuntimeOn: Auto }
LoggingConfig: { LogFormat: JSON, ApplicationLogLevel: DEBUG, SystemLogLevel: WARN, LogGroup: /l }
Tags: { OWNER: me@example.com, n: 1 }
AutoPublishAlias: live
FunctionUrlConfig: { AuthType: AWS_IAM, InvokeMode: RESPONSE_STREAM, Cors: { AllowOrigins: ['*'], AllowHeaders: [x], ExposeHeaders: [y], MaxAge: 5 } }
Environment: { Variables: { NUMBER: 5, FLAG: true, FLOAT: 1.50, EMPTY: '' } }
Policies: [AWSLambda_ReadOnlyAccess, { S3ReadPolicy: { BucketName: b } }, { VPCAccessPolicy: {} }, { Statement: { Effect: Allow } }]`))
	f := app.Functions[0]
	zero := 0
	want := &catalog.Function{Name: "name", LogicalID: "F", Version: "$LATEST", Description: "d", Runtime: "python3.12", Handler: "app.handler", Architecture: "arm64",
		Env: map[string]string{"NUMBER": "5", "FLAG": "true", "FLOAT": "1.50", "EMPTY": ""}, Timeout: 15 * time.Minute, MemoryMB: 1024, StorageMB: 10240, Reserved: &zero, Recursion: "Allow",
		Role: "arn:aws:iam::123456789012:role/r", Policies: []string{"AWSLambda_ReadOnlyAccess", "S3ReadPolicy BucketName=b", "VPCAccessPolicy", `{"Statement":{"Effect":"Allow"}}`},
		Tracing: "Active", LogFormat: "JSON", LogLevel: "DEBUG", SystemLogLevel: "WARN", LogGroup: "/l", Tags: map[string]string{"OWNER": "me@example.com", "n": "1"}, Owner: "me@example.com", Notify: []string{"terminal"},
		URL:    &catalog.URL{ID: f.URL.ID, Qualifier: "live", Auth: "AWS_IAM", Stream: true, CORS: &catalog.CORS{Origins: []string{"*"}, Headers: []string{"x"}, Expose: []string{"y"}, MaxAge: 5}},
		Source: catalog.Source{Path: app.Dir, LogicalID: "F", Position: "template.yaml:4:11"}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("function (-want +got):\n%s", diff)
	}
	if len(f.URL.ID) != 32 || len(app.Unsupported) != 0 {
		t.Errorf("got the URL %q and %v, want 32 letters and nothing unsupported", f.URL.ID, app.Unsupported)
	}
}

func TestAFunctionHasItsDefaults(t *testing.T) {
	f := loads(t, sam+function("F")).Functions[0]
	if f.Name != "F" || f.Timeout != 3*time.Second || f.MemoryMB != 128 || f.StorageMB != 512 || f.Architecture != "x86_64" || f.Reserved != nil {
		t.Errorf("got %+v, want the defaults of Lambda and the logical ID as name", f)
	}
}

func TestAWrongFunctionIsRefused(t *testing.T) {
	with := func(properties ...string) string { return sam + function("F", properties...) }
	wrong(t, []line{
		{"name", with("FunctionName: 'a b'"), `the function's name "a b" must match`},
		{"two of one name", with("FunctionName: x") + resourceFunction("G", "FunctionName: x"), "another function is named x already (the other is F)"},
		{"runtime", strings.Replace(with(), "python3.12", "pyhton3.12", 1), "Value pyhton3.12 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set (did you mean python3.12?)"},
		{"no handler", strings.Replace(with(), "      Handler: app.handler\n", "", 1), "Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"timeout", with("Timeout: 0"), "property 'Timeout' must be from 1 to 900, not 0"},
		{"timeout that is a word", with("Timeout: long"), `property 'Timeout' must be a whole number, not "long"`},
		{"memory", with("MemorySize: 10241"), "must be from 128 to 10240"},
		{"storage", with("EphemeralStorage: { Size: 511 }"), "property 'EphemeralStorage.Size' must be from 512 to 10240"},
		{"architecture", with("Architectures: [arm]"), "either x86_64 or arm64"},
		{"two architectures", with("Architectures: [x86_64, arm64]"), "either x86_64 or arm64"},
		{"reserved variable", with("Environment: { Variables: { AWS_REGION: x } }"), "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"},
		{"variable's name", with("Environment: { Variables: { 1A: x } }"), "must match"},
		{"variable that is a map", with("Environment: { Variables: { A1: { b: c } } }"), "the environment variable A1 must be a string, not a map"},
		{"too much environment", with("Environment: { Variables: { A1: '" + strings.Repeat("x", 4096) + "' } }"), "exceeded the 4KB limit"},
		{"log level without JSON", with("LoggingConfig: { ApplicationLogLevel: INFO }"), "log levels need LogFormat: JSON"},
		{"unknown property", with("Enviroment: {}"), "property 'Enviroment' is not defined (did you mean Environment?)"}, //nolint:misspell // it is what is misspelt
		{"unknown nested property", with("Environment: { Varables: {} }"), "property 'Environment.Varables' is not defined (did you mean Variables?)"},
		{"code that is not there", with("CodeUri: nowhere/"), "CodeUri nowhere/ does not exist"},
		{"alias", with("AutoPublishAlias: '12'"), "not digits only"},
		{"URL without auth", with("FunctionUrlConfig: {}"), "missing required property 'FunctionUrlConfig.AuthType'"},
		{"URL's auth", with("FunctionUrlConfig: { AuthType: NO }"), "must be one of NONE, AWS_IAM"},
		{"credentials for everybody", with("FunctionUrlConfig: { AuthType: NONE, Cors: { AllowCredentials: true, AllowOrigins: ['*'] } }"), "can not be true"},
		{"policy template", with("Policies: [{ DynamoDBCrudPolcy: { TableName: t } }]"), "there is no policy template DynamoDBCrudPolcy (did you mean DynamoDBCrudPolicy?)"},
		{"policy template's parameter", with("Policies: { DynamoDBCrudPolicy: { Table: t } }"), "Must specify valid parameter values for policy template 'DynamoDBCrudPolicy'"},
		{"six layers", with("Layers: [a, b, c, d, e, f]"), "cannot have more than 5 layers"},
		{"deployment without alias", with("DeploymentPreference: { Type: AllAtOnce }"), "'DeploymentPreference' requires AutoPublishAlias property to be specified."},
		{"loops", with("RecursiveLoop: Maybe"), "property 'RecursiveLoop' must be one of Allow, Terminate"},
		{"SAM's tag", with("Tags: { 'lambda:createdBy': me }"), "the tag lambda:createdBy is SAM's own"},
		{"unknown event", with("Events: { E: { Type: Sqs, Properties: {} } }"), "there is no event type Sqs (did you mean SQS?)"},
	})
}

func TestPartsOfAFunctionThatAreNotSupportedAreNamed(t *testing.T) {
	with := func(properties ...string) string { return sam + function("F", properties...) }
	refused(t, []line{
		{"image", sam + "Resources:\n  F: { Type: AWS::Serverless::Function, Properties: { PackageType: Image, ImageUri: x, Events: { E: { Type: Api, Properties: { Path: /, Method: get } } } } }\n", "functions that are container images are not supported; without it: the function F and the routes to it"},
		{"code in S3", with("CodeUri: s3://bucket/key"), "code in S3 is not supported: s3://bucket/key"},
		{"code in a bucket", with("CodeUri: { Bucket: b, Key: k }"), "code in S3 is not supported: CodeUri names a bucket"},
		{"foreign layer", with("Layers: ['arn:aws:lambda:us-east-1:999999999999:layer:other:1']"), "layer:other:1 is not in this template; without it: what it puts into /opt of F"},
		{"gradual deployment", with("AutoPublishAlias: live", "DeploymentPreference: { Type: AllAtOnce }"), "property 'DeploymentPreference' is not supported"},
		{"provisioned concurrency", with("AutoPublishAlias: live", "ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 1 }"), "first calls start cold"},
		{"file systems", with("FileSystemConfigs: [{ Arn: a, LocalMountPath: /mnt/a }]"), "the mounted file systems"},
		{"durable functions", with("DurableConfig: { ExecutionTimeout: 10 }"), "durable execution"},
		{"tenants", with("TenancyConfig: { TenantIsolationMode: PER_TENANT }"), "isolation by tenant"},
		{"SQS", with("Events: { E: { Type: SQS, Properties: { Queue: q } } }"), "event sources other than queues and streams of tables are not supported; without it: the invocations of F from q"},
		{"schedule", with("Events: { E: { Type: Schedule, Properties: { Schedule: rate(1 minute) } } }"), "invocations on the schedule"},
	})
	if app := loads(t, with("AutoPublishAlias: live", "DeploymentPreference: { Enabled: false, Type: AllAtOnce }")); len(app.Unsupported) != 0 {
		t.Errorf("got %v, want a deployment that is not enabled accepted", app.Unsupported)
	}
}

func TestAFunctionThatIsLeftOutTakesItsRoutesAlong(t *testing.T) {
	app := loads(t, sam+function("F", "Events: { E: { Type: Api, Properties: { Path: /f, Method: get } } }")+resourceFunction("G", "CodeUri: s3://b/k", "Events: { E: { Type: Api, Properties: { Path: /g, Method: get } } }"))
	if len(app.Functions) != 1 || len(app.APIs[0].Routes) != 1 || app.APIs[0].Routes[0].Path != "/f" {
		t.Errorf("got %d functions and routes %v, want F and its route", len(app.Functions), app.APIs[0].Routes)
	}
}

func TestGlobalsAreMerged(t *testing.T) {
	text := sam + `Globals:
  Function:
    Timeout: 10
    Tags: { a: global, b: global }
    Environment: { Variables: { A1: global, B1: global } }
    Layers: [!Ref L1]
    VpcConfig: !Ref AWS::NoValue
` + function("F", "Timeout: 20", "Tags: { b: own }", "Environment: { Variables: { B1: own, C1: own } }", "Layers: [!Ref L2]") +
		"  L1: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: . } }\n  L2: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: . } }\n"
	f := loads(t, text).Functions[0]
	if f.Timeout != 20*time.Second || f.Tags["a"] != "global" || f.Tags["b"] != "own" {
		t.Errorf("got %v and %v, want scalars overridden and maps merged", f.Timeout, f.Tags)
	}
	if diff := cmp.Diff(map[string]string{"A1": "global", "B1": "own", "C1": "own"}, f.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if len(f.Layers) != 2 || f.Layers[0].Name != "L1" || f.Layers[1].Name != "L2" {
		t.Errorf("got layers %v, want the global one first", f.Layers)
	}
	ignoring := strings.Replace(text, "  F:\n", "  F:\n    IgnoreGlobals: '*'\n", 1)
	if f := loads(t, ignoring).Functions[0]; len(f.Layers) != 1 || f.Tags["a"] != "" {
		t.Errorf("got %v and %v, want nothing of Globals", f.Layers, f.Tags)
	}
	ignoring = strings.Replace(text, "  F:\n", "  F:\n    IgnoreGlobals: [Layers, Tags]\n", 1)
	if f := loads(t, ignoring).Functions[0]; len(f.Layers) != 1 || f.Tags["a"] != "" || f.Env["A1"] != "global" {
		t.Errorf("got %v, %v and %v, want no layers and tags of Globals", f.Layers, f.Tags, f.Env)
	}
	wrong(t, []line{
		{"unknown section", sam + "Globals: { Funktion: {} }\n" + function("F"), "'Globals' section is invalid. 'Funktion' is not supported. Must be one of the following values - [Api,"},
		{"unknown property", sam + "Globals: { Function: { Policies: [] } }\n" + function("F"), "'Globals' section is invalid. 'Policies' is not a supported property of 'Function'"},
		{"ignoring what is not there", strings.Replace(text, "  F:\n", "  F:\n    IgnoreGlobals: [Role]\n", 1), "invalid resource attribute 'IgnoreGlobals' on item 'Role'"},
		{"ignoring a word", strings.Replace(text, "  F:\n", "  F:\n    IgnoreGlobals: Tags\n", 1), "invalid resource attribute 'IgnoreGlobals'"},
	})
}

func TestAPropertyThatIsAFunctionIsNotMerged(t *testing.T) {
	f := loads(t, sam+"Conditions: { C: !Equals [a, a] }\nGlobals: { Function: { Tags: { a: global } } }\n"+function("F", "Tags: !If [C, { b: own }, { c: own }]")).Functions[0]
	if diff := cmp.Diff(map[string]string{"b": "own"}, f.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestGeneratedNamesCanBeReferredTo(t *testing.T) {
	app := loads(t, sam+function("F", "AutoPublishAlias: live", "FunctionUrlConfig: { AuthType: NONE }", "Events: { E: { Type: Api, Properties: { Path: /, Method: get } }, H: { Type: HttpApi } }")+`Outputs:
  O1: { Value: !Ref F }
  O2: { Value: !GetAtt F.Arn }
  O3: { Value: !Ref F.Version }
  O4: { Value: !Ref F.Alias }
  O5: { Value: !Ref FAliaslive }
  O6: { Value: !GetAtt FRole.Arn }
  O7: { Value: !GetAtt FUrl.FunctionUrl }
  O8: { Value: !Ref ServerlessRestApiProdStage }
  O9: { Value: !Sub '${F.Alias}' }
  P1: { Value: !Ref ServerlessHttpApi }
  P2: { Value: !GetAtt ServerlessHttpApi.ApiEndpoint }
  P3: { Value: !Ref FEPermissionProd }
  P4: { Value: !GetAtt [F.Version, Version] }
`)
	arn := "arn:aws:lambda:us-east-1:123456789012:function:F"
	http := app.APIs[0].ID
	want := []string{"F", arn, arn + ":1", arn + ":live", arn + ":live", "arn:aws:iam::123456789012:role/app-FRole-", "https://" + app.Functions[0].URL.ID + ".lambda-url.us-east-1.on.aws/",
		"Prod", arn + ":live", http, "https://" + http + ".execute-api.us-east-1.amazonaws.com", "app-FEPermissionProd-", "1"}
	for i, o := range app.Outputs {
		if !strings.HasPrefix(o.Value, want[i]) {
			t.Errorf("%s is %s, want %s", o.Name, o.Value, want[i])
		}
	}
	wrong(t, []line{
		{"a version that is not published", sam + function("F") + "Outputs: { O: { Value: !Ref F.Version } }\n", "Unresolved resource dependencies [F.Version]"},
		{"a role that is given", sam + function("F", "Role: r") + "Outputs: { O: { Value: !GetAtt FRole.Arn } }\n", "Unresolved resource dependencies [FRole]"},
	})
}

func TestRefSaysWhatItSaysOnAWS(t *testing.T) {
	app := loads(t, sam+function("F")+`  Q: { Type: AWS::SQS::Queue, Properties: { QueueName: q } }
  T: { Type: AWS::SNS::Topic, Properties: { TopicName: t } }
  D: { Type: AWS::DynamoDB::Table, Properties: { TableName: d, KeySchema: [] } }
  S: { Type: AWS::Serverless::StateMachine, Properties: { Name: s } }
  L: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: ., LayerName: l } }
  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1 } }
Outputs:
  O1: { Value: !Ref Q }
  O2: { Value: !Ref T }
  O3: { Value: !Ref D }
  O4: { Value: !Ref S }
  O5: { Value: !Ref L }
  O6: { Value: !Ref A.Stage }
  O7: { Value: !GetAtt D.StreamArn }
  O8: { Value: !GetAtt Q.QueueName }
`)
	want := []string{"https://sqs.us-east-1.amazonaws.com/123456789012/q", "arn:aws:sns:us-east-1:123456789012:t", "d", "arn:aws:states:us-east-1:123456789012:stateMachine:s",
		"arn:aws:lambda:us-east-1:123456789012:layer:l:1", "v1", "arn:aws:dynamodb:us-east-1:123456789012:table/d/stream/", "q"}
	for i, o := range app.Outputs {
		if !strings.HasPrefix(o.Value, want[i]) {
			t.Errorf("%s is %s, want %s", o.Name, o.Value, want[i])
		}
	}
}

func TestTheOwnerIsTheNearest(t *testing.T) {
	app := loads(t, "Metadata: { Daruma: { Owner: all@example.com } }\n"+sam+function("F", "Tags: { oWnEr: tag@example.com }")+resourceFunction("G")+"  H:\n    Metadata: { Daruma: { Owner: meta@example.com } }\n"+strings.TrimPrefix(resourceFunction("H", "Tags: { owner: tag@example.com }"), "  H:\n"))
	for i, want := range []string{"tag@example.com", "all@example.com", "meta@example.com"} {
		if got := app.Functions[i].Owner; got != want {
			t.Errorf("the owner of %s is %q, want %q", app.Functions[i].Name, got, want)
		}
	}
}

func TestIDsStayTheSame(t *testing.T) {
	text := sam + function("F", "Events: { E: { Type: HttpApi } }")
	a, b := loads(t, text), loads(t, strings.Replace(text, "python3.12", "python3.13", 1))
	if a.APIs[0].ID != b.APIs[0].ID || len(a.APIs[0].ID) != 10 || strings.Trim(a.APIs[0].ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("got %q and %q, want the same ten letters and digits", a.APIs[0].ID, b.APIs[0].ID)
	}
	other, _ := read(t, text, Options{StackName: "other"})
	if other.APIs[0].ID == a.APIs[0].ID {
		t.Errorf("another stack has the same id %q", a.APIs[0].ID)
	}
}
