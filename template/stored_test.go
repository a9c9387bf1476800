package template

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

const storedTemplate = `  P:
    Type: AWS::SSM::Parameter
    DeletionPolicy: Retain
    Properties: { Name: /app/fault, Type: String, Value: '{"isEnabled":false}', Description: d, AllowedPattern: '^.', Tier: Standard, Tags: { team: pay } }
  Q: { Type: AWS::SSM::Parameter, Properties: { Type: StringList, Value: 'a,b' } }
`

func TestStoredParametersAreRead(t *testing.T) {
	app := loads(t, sam+function("F", "Environment: { Variables: { P1: !Ref P, V1: !GetAtt Q.Value, T1: !GetAtt P.Type } }", "Policies: [{ SSMParameterReadPolicy: { ParameterName: !Ref P } }]")+storedTemplate)
	if len(app.Unsupported) != 0 {
		t.Errorf("got %v", app.Unsupported)
	}
	want := StoredText{LogicalID: "P", Name: "/app/fault", Type: "String", Value: `{"isEnabled":false}`, Description: "d", Pattern: "^.", Tier: "Standard", Tags: map[string]string{"team": "pay"}, Retain: true, Position: app.StoredTexts[0].Position}
	if diff := cmp.Diff(want, app.StoredTexts[0]); diff != "" {
		t.Error(diff)
	}
	if q := app.StoredTexts[1]; q.Value != "a,b" || q.Type != "StringList" || q.Name == "" {
		t.Errorf("got %+v", q)
	}
	if diff := cmp.Diff(map[string]string{"P1": "/app/fault", "V1": "a,b", "T1": "String"}, app.Functions[0].Env); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAStoredParameterCannotHaveIsRefused(t *testing.T) {
	for property, want := range map[string]string{
		"Type: SecureString, Value: x": "must be one of String, StringList", "Type: String": "missing required property 'Value'",
		"Type: String, Value: x, DataType: 'aws:ec2:image'": "must be one of text", "Type: String, Value: x, Nam: y": "Nam",
	} {
		_, problems := read(t, sam+function("F")+"  P: { Type: AWS::SSM::Parameter, Properties: { "+property+" } }\n", Options{})
		if got := problems.Error(); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", property, got, want)
		}
	}
}

// keeping loads a template beside parameters that are kept: /kept, in two versions.
func keeping(t *testing.T, properties string) (*App, Problems) {
	t.Helper()
	const head = "Parameters: { N: { Type: String, Default: kept }, D: { Type: String, Default: '{{resolve:ssm:/kept:1}}' } }\nConditions: { Never: !Equals [a, b] }\n"
	return read(t, head+sam+function("F", properties)+storedTemplate, Options{Stored: func(name string, version uint64, declared *StoredText) (string, error) {
		switch {
		case declared != nil:
			return "declared " + declared.LogicalID + " " + declared.Value, nil
		case name == "/kept" && version <= 2:
			return []string{"new", "old", "new"}[version], nil
		}
		return "", &daruma.Error{Kind: daruma.KindNotFound, Err: errors.New("there is no parameter " + name), Hint: "declare it"}
	}})
}

func TestDynamicReferencesAreResolved(t *testing.T) {
	for value, want := range map[string]string{
		`'{{resolve:ssm:/kept}}'`:                             "new",
		`'{{resolve:ssm:/kept:1}}'`:                           "old",
		`'a {{resolve:ssm:/kept}} b {{resolve:ssm:/kept:1}}'`: "a new b old",
		`!Sub '{{resolve:ssm:/${N}}}-${AWS::StackName}'`:      "new-app",
		`!Join ['', ['{{resolve:ssm:/', !Ref N, '}}']]`:       "new",
		`!Ref D`:                       "old",
		`'{{resolve:ssm:/app/fault}}'`: `declared P {"isEnabled":false}`,
		`'{{resolve:other:x}}'`:        "{{resolve:other:x}}",
		`!If [Never, '{{resolve:ssm:/nowhere}}', '{{resolve:ssm:/kept}}']`: "new",
	} {
		app, problems := keeping(t, "Environment: { Variables: { V1: "+value+" } }")
		if app == nil || len(app.Unsupported) > 0 || app.Keeps {
			t.Errorf("%s: got %v, %+v", value, problems, app)
			continue
		}
		if got := app.Functions[0].Env["V1"]; got != want {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

func TestADynamicReferenceThatLeadsNowhereIsToldWithItsPlace(t *testing.T) {
	app, _ := keeping(t, "Environment: { Variables: { V1: '{{resolve:ssm:/nowhere}}' } }")
	if app == nil || len(app.Unsupported) != 1 || app.Unsupported[0].Message != "there is no parameter /nowhere" || app.Unsupported[0].Position.Line == 0 || app.Unsupported[0].Property != "Environment.Variables.V1" {
		t.Fatalf("got %+v", app)
	}
	if got := app.Functions[0].Env["V1"]; got != "{{resolve:ssm:/nowhere}}" {
		t.Errorf("in its place stands %q", got)
	}
	for _, value := range []string{"{{resolve:ssm:/kept:0}}", "{{resolve:ssm:/kept:latest}}", "{{resolve:ssm:a b}}", "{{resolve:ssm:}}"} {
		if _, problems := keeping(t, "Environment: { Variables: { V1: '"+value+"' } }"); len(problems) != 1 || problems[0].Message != "Incorrect dynamic reference: "+value || problems[0].Position.Line == 0 {
			t.Errorf("%s: got %v", value, problems)
		}
	}
	_, problems := read(t, sam+function("F")+"  P: { Type: AWS::SSM::Parameter, Properties: { Name: /p, Type: String, Value: 'x {{resolve:ssm:/p}}' } }\n", Options{})
	if got := problems.Error(); !strings.Contains(got, "its value depends on itself") {
		t.Errorf("a value that depends on itself: got %s", got)
	}
}

func TestWhatIsKeptNeedNotBeKnown(t *testing.T) {
	app := loads(t, sam+function("F", "Environment: { Variables: { V1: '{{resolve:ssm:/app/fault}}', V2: '{{resolve:ssm:/kept}}' } }")+storedTemplate)
	if !app.Keeps || len(app.Warnings) != 1 || !strings.Contains(app.Warnings[0].Message, "/kept is read when the app comes up") {
		t.Errorf("got %v, %v", app.Keeps, app.Warnings)
	}
	if diff := cmp.Diff(map[string]string{"V1": `{"isEnabled":false}`, "V2": "{{resolve:ssm:/kept}}"}, app.Functions[0].Env); diff != "" {
		t.Error(diff)
	}
}
