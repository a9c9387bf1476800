package template

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/samconfig"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheTemplateOfADirectoryIsFound(t *testing.T) {
	for _, name := range []string{"template.yaml", "template.yml", "template.json"} {
		dir := t.TempDir()
		text := minimal
		if name == "template.json" {
			text = `{"Resources": {"L": {"Type": "AWS::Logs::LogGroup"}}}`
		}
		path := write(t, dir, name, text)
		app, err := Load(t.Context(), Options{Path: dir})
		if err != nil || app.Path != path || app.Dir != dir {
			t.Errorf("got %v, %v; want %s", app, err, path)
		}
	}
	_, err := Load(t.Context(), Options{Path: t.TempDir()})
	if daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
	if _, err = Load(t.Context(), Options{Path: filepath.Join(t.TempDir(), "x.yaml")}); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestWhatIsWrongIsAnErrorOfKindInvalid(t *testing.T) {
	path := write(t, t.TempDir(), "template.yaml", "Resources: {}\n")
	_, err := Load(t.Context(), Options{Path: path})
	problems, ok := errors.AsType[Problems](err)
	if daruma.KindOf(err) != daruma.KindInvalid || !ok || len(problems) != 1 {
		t.Errorf("got %v, want one problem of kind invalid", err)
	}
	if p, ok := errors.AsType[Problem](err); !ok || p.Position.String() != "template.yaml:1:12" {
		t.Errorf("got %v, want the problem at template.yaml:1:12", p)
	}
}

func TestAFinishedBuildIsTakenWhenItIsNotOlder(t *testing.T) {
	dir := t.TempDir()
	source := write(t, dir, "template.yaml", strings.Replace(minimal, "Handler: a.b", "Handler: a.b, CodeUri: src", 1))
	write(t, dir, "src/a.py", "")
	built := write(t, dir, ".aws-sam/build/template.yaml", strings.Replace(minimal, "Handler: a.b", "Handler: a.b, CodeUri: F", 1))
	write(t, dir, ".aws-sam/build/F/a.py", "")
	now := time.Now()
	for _, c := range []struct {
		age   time.Duration
		built bool
	}{{time.Minute, true}, {0, true}, {-time.Minute, false}} {
		if err := errors.Join(os.Chtimes(source, now, now), os.Chtimes(built, now, now.Add(c.age))); err != nil {
			t.Fatal(err)
		}
		app, err := Load(t.Context(), Options{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		want := filepath.Join(dir, "src")
		if c.built {
			want = filepath.Join(dir, ".aws-sam/build/F")
		}
		if s := app.Functions[0].Source; app.Built != c.built || s.Built != c.built || s.Path != want || app.Dir != dir {
			t.Errorf("with a build %v younger: got %v, %+v; want %v and %s", c.age, app.Built, s, c.built, want)
		}
	}
}

func TestCodeMayBeADirectoryAnArchiveOrAFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.zip", "b.JAR", "c/d.py", "e.py"} {
		write(t, dir, name, "")
	}
	text := func(uri string) string {
		return strings.Replace(minimal, "Handler: a.b", "Handler: a.b, CodeUri: "+uri, 1)
	}
	for _, uri := range []string{"a.zip", "./b.JAR", "c/", ".", "e.py"} {
		app, err := Load(t.Context(), Options{Path: write(t, dir, "template.yaml", text(uri))})
		if err != nil || app.Functions[0].Source.Path != filepath.Join(dir, uri) {
			t.Errorf("CodeUri %s: got %v, %v", uri, app, err)
		}
	}
	for uri, hint := range map[string]string{"none": "it is relative to the template", "target/app": "build it first", "x.jar": "build it first"} {
		if _, err := Load(t.Context(), Options{Path: write(t, dir, "template.yaml", text(uri))}); err == nil || !strings.Contains(err.Error(), "CodeUri "+uri+" does not exist ("+hint) {
			t.Errorf("CodeUri %s: got %v, want the hint %q", uri, err, hint)
		}
	}
}

func TestBuildMetadataIsRead(t *testing.T) {
	app := loads(t, sam+"Resources:\n  F:\n    Metadata: { BuildMethod: makefile, BuildProperties: { A: [1, x], B: !Ref AWS::Region }, SkipBuild: true }\n"+strings.TrimPrefix(resourceFunction("F"), "  F:\n"))
	s := app.Functions[0].Source
	if s.Method != "makefile" || !s.Built || s.LogicalID != "F" {
		t.Errorf("got %+v, want a makefile that is not run", s)
	}
	if diff := cmp.Diff(map[string]any{"A": []any{int64(1), "x"}, "B": "us-east-1"}, s.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
}

func TestNamesThatNoARNCanBeMadeOfAreRefused(t *testing.T) {
	for _, c := range []struct {
		stack, region, config string
		good                  bool
	}{
		{"shop-2", "eu-central-1", "", true},
		{"", "local", "", true},
		{"!!", "", "", false},
		{"2shop", "", "", false},
		{strings.Repeat("s", 129), "", "", false},
		{"", "bla bla", "", false},
		{"", "us-east-1.", "", false},
		{"", "", "[default.deploy.parameters]\nstack_name = 'my stack'\n", false},
		{"shop", "", "[default.deploy.parameters]\nstack_name = 'my stack'\n", true},
		{"", "", "[default.deploy.parameters]\nregion = 'US East'\n", false},
	} {
		dir := t.TempDir()
		if c.config != "" {
			write(t, dir, "samconfig.toml", c.config)
		}
		_, err := Load(t.Context(), Options{Path: write(t, dir, "template.yaml", sam+function("F", "")), StackName: c.stack, Region: c.region})
		if (err == nil) != c.good || err != nil && daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestSamconfigIsRead(t *testing.T) {
	parameters := "Parameters: { A: { Type: String, Default: '' }, B: { Type: String, Default: '' }, C: { Type: CommaDelimitedList, Default: '' } }\n"
	template := parameters + sam + function("F", "Environment: { Variables: { A1: !Ref A, B1: !Ref B, C1: !Join ['|', !Ref C], R1: !Ref AWS::Region, S1: !Ref AWS::StackName } }")
	for _, c := range []struct{ name, file, config, env, want string }{
		{"one string", "samconfig.toml", "[default.deploy.parameters]\nparameter_overrides = \"A=\\\"x y\\\" B=b=c C='1, 2'\"\n", "", "x y/b=c/1|2"},
		{"long pairs", "samconfig.toml", "[default.deploy.parameters]\nparameter_overrides = 'ParameterKey=A,ParameterValue=x ParameterKey=C,ParameterValue=1,2'\n", "", "x//1|2"},
		{"a list", "samconfig.toml", "[default.deploy.parameters]\nparameter_overrides = [\"A=x y\", \"B=\\\"q\\\"\"]\n", "", "x y/q/"},
		{"a table", "samconfig.toml", "[default.deploy.parameters.parameter_overrides]\nA = 1\nC = [\"1\", \"2\"]\n", "", "1//1|2"},
		{"global", "samconfig.toml", "[default.global.parameters]\nparameter_overrides = \"A=global B=global\"\n[default.deploy.parameters]\nparameter_overrides = \"A=deploy\"\n", "", "deploy//"},
		{"global alone", "samconfig.toml", "[default.global.parameters]\nparameter_overrides = \"A=global\"\n[default.deploy.parameters]\nregion = \"eu-north-1\"\n", "", "global//"},
		{"another environment", "samconfig.toml", "[default.deploy.parameters]\nparameter_overrides = \"A=x\"\n[prod.deploy.parameters]\nparameter-overrides = \"A=p\"\n", "prod", "p//"},
		{"YAML", "samconfig.yaml", "version: 0.1\ndefault: { global: { parameters: { parameter_overrides: [A=y] } } }\n", "", "y//"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, c.file, c.config)
			app, err := Load(t.Context(), Options{Path: write(t, dir, "template.yaml", template), ConfigEnv: c.env})
			if err != nil {
				t.Fatal(err)
			}
			env := app.Functions[0].Env
			if got := env["A1"] + "/" + env["B1"] + "/" + env["C1"]; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	dir := t.TempDir()
	write(t, dir, "samconfig.toml", "[default.global.parameters]\nstack_name = \"s\"\nregion = \"eu-north-1\"\nparameter_overrides = \"A=x Nope=1 word\"\n")
	app, err := Load(t.Context(), Options{Path: write(t, dir, "template.yaml", template), Params: map[string]string{"A": "own"}})
	if err != nil {
		t.Fatal(err)
	}
	if env := app.Functions[0].Env; app.Name != "s" || env["S1"] != "s" || env["R1"] != "eu-north-1" || env["A1"] != "own" || len(app.Warnings) != 2 {
		t.Errorf("got %s, %v and %v; want the file's names, the own parameter and two warnings", app.Name, env, app.Warnings)
	}
	if _, err = Load(t.Context(), Options{Path: dir, ConfigEnv: "nope"}); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want no such environment", err)
	}
	write(t, dir, "samconfig.toml", "[default\n")
	if _, err = Load(t.Context(), Options{Path: dir}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want an invalid file", err)
	}
}

func TestALogicalIDThatIsTooLongForAFunctionIsShortened(t *testing.T) {
	long := strings.Repeat("a", 100)
	f := loads(t, sam+function(long)).Functions[0]
	if len(f.Name) != 64 || f.LogicalID != long {
		t.Errorf("got %q of %d letters, want 64", f.Name, len(f.Name))
	}
}

func TestRawResourcesAreChecked(t *testing.T) {
	base := "Resources:\n  F: { Type: AWS::Lambda::Function, Properties: { Role: r, Runtime: nodejs20.x, Handler: index.handler, Code: { ZipFile: x } } }\n"
	wrong(t, []line{
		{"no code", "Resources:\n  F: { Type: AWS::Lambda::Function, Properties: { Role: r, Runtime: nodejs20.x, Handler: index.handler } }\n", "missing required property 'Code'"},
		{"inline Java", strings.Replace(base, "nodejs20.x", "java21", 1), "ZipFile can only be used when Runtime is set to either of nodejs, python"},
		{"weights", base + "  A: { Type: AWS::Lambda::Alias, Properties: { Name: a, FunctionName: !Ref F, FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: [{ FunctionVersion: '2', FunctionWeight: 0.1 }, { FunctionVersion: '3', FunctionWeight: 0.1 }] } } }\n", "Number of items in AdditionalVersionWeights cannot be greater than 1"},
		{"the same version twice", base + "  A: { Type: AWS::Lambda::Alias, Properties: { Name: a, FunctionName: !Ref F, FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: [{ FunctionVersion: '1', FunctionWeight: 0.1 }] } } }\n", "Function version 1 is already included in routing configuration."},
		{"latest with weights", base + "  A: { Type: AWS::Lambda::Alias, Properties: { Name: a, FunctionName: !Ref F, FunctionVersion: $LATEST, RoutingConfig: { AdditionalVersionWeights: [{ FunctionVersion: '1', FunctionWeight: 0.1 }] } } }\n", "$LATEST is not supported for an alias pointing to more than 1 version"},
		{"weight", base + "  A: { Type: AWS::Lambda::Alias, Properties: { Name: a, FunctionName: !Ref F, FunctionVersion: '1', RoutingConfig: { AdditionalVersionWeights: [{ FunctionVersion: '2', FunctionWeight: 2 }] } } }\n", "a weight is from 0 to 1"},
		{"a version that is a word", base + "  A: { Type: AWS::Lambda::Alias, Properties: { Name: a, FunctionName: !Ref F, FunctionVersion: new } }\n", "a version is a number or $LATEST"},
		{"route's key", base + "  H: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: HTTP, Name: h } }\n  I: { Type: AWS::ApiGatewayV2::Integration, Properties: { ApiId: !Ref H, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt F.Arn, PayloadFormatVersion: '2.0' } }\n  R: { Type: AWS::ApiGatewayV2::Route, Properties: { ApiId: !Ref H, RouteKey: GET, Target: !Sub 'integrations/${I}' } }\n", "a route's key is $default"},
	})
	refused(t, []line{
		{"event source mapping", base + "  E: { Type: AWS::Lambda::EventSourceMapping, Properties: { FunctionName: !Ref F, EventSourceArn: 'arn:aws:kinesis:us-east-1:000000000000:stream/S', StartingPosition: LATEST } }\n", "event sources other than queues and streams of tables are not supported; without it: the invocations of"},
		{"image", "Resources:\n  F: { Type: AWS::Lambda::Function, Properties: { Role: r, PackageType: Image, Code: { ImageUri: x } } }\n", "container images"},
		{"bucket", "Resources:\n  F: { Type: AWS::Lambda::Function, Properties: { Role: r, Runtime: nodejs20.x, Handler: a.b, Code: { S3Bucket: b, S3Key: k } } }\n", "code in S3 is not supported"},
		{"authorization", base + "  A: { Type: AWS::ApiGateway::RestApi, Properties: { Name: a } }\n  M: { Type: AWS::ApiGateway::Method, Properties: { RestApiId: !Ref A, ResourceId: !GetAtt A.RootResourceId, HttpMethod: GET, AuthorizationType: AWS_IAM, Integration: { Type: AWS_PROXY, Uri: !GetAtt F.Arn } } }\n", "authorization of type AWS_IAM is not supported"},
	})
	if app := loads(t, strings.Replace(base, "Role: r, ", "", 1)); len(app.Warnings) != 1 || !strings.Contains(app.Warnings[0].Message, "has no Role") {
		t.Errorf("got %v, want a warning about the role", app.Warnings)
	}
	app := loads(t, base+"  H: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: HTTP, Name: h, Target: !GetAtt F.Arn } }\n")
	if r := route(t, app.APIs[0], "ANY", "$default"); r.Target.Function != "F" || app.APIs[0].Stages[0].Name != "$default" {
		t.Errorf("got %+v, want quick create's default route", r)
	}
	if f := app.Functions[0]; f.Source.Inline != "x" {
		t.Errorf("got %+v, want the inline code", f.Source)
	}
}

// FuzzLoad holds that reading never panics or hangs, and gives an app or problems.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/apps/*/template.*")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(sam + sections + function("F")))
	f.Add([]byte(`{"Resources":{"A":{"Type":"AWS::ApiGateway::Method","Properties":{"Integration":{"Type":"MOCK","IntegrationResponses":[{}]}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		app, problems := load(t.Context(), source{path: "/nowhere/template.yaml", dir: "/nowhere", name: "template.yaml"}, data, samconfig.Config{}, Options{})
		if app == nil && len(problems) == 0 {
			t.Error("no app and no problem")
		}
	})
}
