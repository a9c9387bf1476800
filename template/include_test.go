package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/template/samconfig"
	"github.com/daruma-io/daruma/template/tree"
)

// readAmong loads a template's text out of a directory with these files.
func readAmong(t *testing.T, files map[string]string, text string) (*App, Problems) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return load(t.Context(), source{path: filepath.Join(dir, "template.yaml"), dir: dir, name: "template.yaml"}, []byte(text), samconfig.Config{}, Options{StackName: "app"})
}

const includedAPI = `
openapi: 3.0.1
info: { title: { Ref: AWS::StackName } }
paths:
  /orders:
    post:
      x-amazon-apigateway-integration:
        type: aws_proxy
        uri: { Fn::Sub: 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations' }
`

func includes(location string) string {
	return sam + function("F") + "  A:\n    Type: AWS::Serverless::Api\n    Properties:\n      StageName: v1\n      DefinitionBody: { Fn::Transform: { Name: AWS::Include, Parameters: { Location: " + location + " } } }\n"
}

func TestADocumentOfAFileOfItsOwnIsIncluded(t *testing.T) {
	app, problems := readAmong(t, map[string]string{"docs/api.yaml": includedAPI}, includes("./docs/api.yaml"))
	if app == nil {
		t.Fatal(problems)
	}
	a := app.APIs[0]
	if len(a.Routes) != 1 || a.Routes[0].Target.Function != app.Functions[0].Name || a.Name != "app" || a.Routes[0].Position != "docs/api.yaml:6:5" {
		t.Errorf("got %s with %+v, want POST /orders of F", a.Name, a.Routes)
	}
	if want := filepath.Join(app.Dir, "docs/api.yaml"); len(app.Included) != 1 || app.Included[0] != want {
		t.Errorf("included are %q, want %s", app.Included, want)
	}
	if len(app.Unsupported) != 0 {
		t.Error(app.Unsupported)
	}
}

func TestFieldsAreIncludedBesideOthers(t *testing.T) {
	app, problems := readAmong(t, map[string]string{"more.json": `{"V1": {"Fn::Sub": "${AWS::Region}-one"}, "V2": "two"}`},
		sam+function("F", "Environment: { Variables: { V0: zero, Fn::Transform: { Name: AWS::Include, Parameters: { Location: more.json } } } }"))
	if app == nil {
		t.Fatal(problems)
	}
	if env := app.Functions[0].Env; len(env) != 3 || env["V0"] != "zero" || env["V1"] != "us-east-1-one" || env["V2"] != "two" {
		t.Errorf("got %q", env)
	}
}

func TestTheDefinitionOfAnAPIIsTakenFromAFile(t *testing.T) {
	literal := strings.NewReplacer("{ Ref: AWS::StackName }", "orders", "{ Fn::Sub: '", "'", "${AWS::Region}", "us-east-1", "${F.Arn}", "arn:aws:lambda:us-east-1:000000000000:function:charge", "' }", "'").Replace(includedAPI)
	app, problems := readAmong(t, map[string]string{"swagger.yaml": literal},
		sam+function("F", "FunctionName: charge")+"  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionUri: swagger.yaml } }\n")
	if app == nil {
		t.Fatal(problems)
	}
	if a := app.APIs[0]; a.Name != "orders" || len(a.Routes) != 1 || a.Routes[0].Target.Function != "charge" {
		t.Errorf("got %s with %+v", a.Name, a.Routes)
	}
}

func TestWhatCannotBeIncludedIsTold(t *testing.T) {
	files := map[string]string{
		"bad.yaml":   "a: [",
		"empty.yaml": "",
		"list.yaml":  "[1, 2]",
		"again.yaml": "Fn::Transform: { Name: AWS::Include, Parameters: { Location: again.yaml } }",
		"long.yaml":  strings.Repeat("#", tree.BytesMax+1),
	}
	for _, c := range []struct{ text, want string }{
		{includes("none.yaml"), "none.yaml cannot be read: no such file or directory"},
		{includes("long.yaml"), "long.yaml cannot be read: it is longer than 1048576 bytes"},
		{includes("."), ". cannot be read: "},
		{includes("bad.yaml"), "bad.yaml:2:1: Template format error"},
		{includes("empty.yaml"), "empty.yaml:1:1: "},
		{includes("list.yaml"), "the definition of an API must be a map"},
		{includes("again.yaml"), "again.yaml:1:1: AWS::Include may not stand in a file that is included"},
		{includes("s3://bucket/api.yaml"), "s3://bucket/api.yaml is not supported: nothing is fetched"},
		{strings.Replace(includes("x"), "Parameters: { Location: x }", "Parameters: {}", 1), "AWS::Include needs Parameters with a Location"},
		{sam + function("F", "Environment: { Variables: { V0: zero, Fn::Transform: { Name: AWS::Include, Parameters: { Location: list.yaml } } } }"), "what is included beside other fields must be a map, not a list"},
		{sam + "Resources:\n  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionUri: list.yaml, DefinitionBody: {} } }\n", "Specify either 'DefinitionUri' or 'DefinitionBody'"},
		{sam + "Resources:\n  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionUri: { Bucket: b, Key: k } } }\n", "property 'DefinitionUri' is not supported"},
		{sam + "Resources:\n  A: { Type: AWS::Serverless::Api, Properties: { StageName: v1, DefinitionUri: none.yaml } }\n", "none.yaml cannot be read"},
	} {
		app, problems := readAmong(t, files, c.text)
		if app != nil {
			problems = app.Unsupported
		}
		if !strings.Contains(problems.Error(), c.want) {
			t.Errorf("got %v, want %q", problems, c.want)
		}
	}
}
