package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/daruma-io/daruma/door/wire/wiretest"
)

// store is the SDK's client for the platform's parameters.
func (p *platform) store() *ssm.Client {
	p.t.Helper()
	return ssm.New(ssm.Options{Region: p.address.Region, BaseEndpoint: aws.String(p.address.AWS), HTTPClient: p.http, RetryMaxAttempts: 1, Credentials: p.credentials()})
}

func (p *platform) put(name, value string) {
	p.t.Helper()
	if _, err := p.store().PutParameter(p.t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Overwrite: aws.Bool(true)}); err != nil {
		p.t.Fatal(err)
	}
}

// parameter is the value of a parameter, "" when there is none.
func (p *platform) parameter(name string) string {
	p.t.Helper()
	out, err := p.store().GetParameter(p.t.Context(), &ssm.GetParameterInput{Name: &name})
	if _, missing := errors.AsType[*types.ParameterNotFound](err); missing {
		return ""
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return *out.Parameter.Value
}

const parametersTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  Setting: { Type: AWS::SSM::Parameter, Properties: { Name: /app/setting, Type: String, Value: one } }
  F: { Type: AWS::Serverless::Function, Properties: { CodeUri: f/, Handler: index.handler, Runtime: python3.12, Environment: { Variables: { SETTING: !Ref Setting, VALUE: 'v{{resolve:ssm:/app/setting}}' } } } }
`

func TestWhatIsPutIntoAParameterOutlivesThePlatformUntilTheTemplateSaysSomethingElse(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "f", "index.py"), "import os\ndef handler(event, context):\n    return os.environ['SETTING'] + ' ' + os.environ['VALUE']\n")
	put(t, filepath.Join(dir, "template.yaml"), parametersTemplate)
	p := startPlatform(t, dir)
	if got := p.parameter("/app/setting"); got != "one" {
		t.Errorf("the template's parameter is %q", got)
	}
	told := func(want string) {
		t.Helper()
		if a := p.invoke(t.Context(), "F", "{}"); a.payload != `"/app/setting `+want+`"` {
			t.Errorf("the function is told %s, %v, want %s", a.payload, a.err, want)
		}
	}
	told("vone")
	p.put("/app/setting", "two")
	p.kill()
	p = startPlatform(t, dir)
	if got := p.parameter("/app/setting"); got != "two" {
		t.Errorf("after a crash it is %q", got)
	}
	told("vtwo")
	p.kill()
	put(t, filepath.Join(dir, "template.yaml"), strings.Replace(parametersTemplate, "Value: one", "Value: three", 1))
	p = startPlatform(t, dir)
	if got := p.parameter("/app/setting"); got != "three" {
		t.Errorf("with another template it is %q", got)
	}
	told("vthree")
}

// The stock libraries, as their registries have them, read their documents in
// the store by themselves and inject within the function.
func TestLibrariesThatInjectFaultsRunAsTheyAre(t *testing.T) {
	wiretest.Fetchable(t, "failure-lambda", "chaos-lambda")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/libraries")); err != nil {
		t.Fatal(err)
	}
	p := startPlatform(t, dir)
	says := func(function, event, want string) {
		t.Helper()
		if got := p.seen(t, function, event); !strings.HasPrefix(strings.ReplaceAll(got, `": `, `":`), want) {
			t.Errorf("%s answers %s, want %s", function, got, want)
		}
	}
	for _, function := range []string{"Node", "Python", "Flags"} {
		p.seen(t, function, `{}`) // starts it, which takes longer
	}
	says("Node", `{}`, `{"statusCode":200`)
	for document, want := range map[string]string{
		`{"isEnabled":true,"failureMode":"statuscode","rate":1,"statusCode":418}`:                  `{"statusCode":418}`,
		`{"isEnabled":true,"failureMode":"exception","rate":1,"exceptionMsg":"boom"}`:              `{"errorType":"Error","errorMessage":"boom"`,
		`{"isEnabled":true,"failureMode":"latency","rate":1,"minLatency":400,"maxLatency":500}`:    `late {"statusCode":200`,
		`{"isEnabled":true,"failureMode":"denylist","rate":1,"denylist":["s3\\..*amazonaws.com"]}`: `{"statusCode":200,"body":"no answer: socket hang up"`,
		`{"isEnabled":true,"failureMode":"latency","rate":0,"minLatency":400,"maxLatency":500}`:    `{"statusCode":200,"body":"answered"`,
	} {
		p.put("/app/node", document)
		says("Node", `{"url":"http://s3.us-east-1.amazonaws.com/"}`, want)
	}
	p.put("/app/node", `{"isEnabled":true,"failureMode":"diskspace","rate":1,"diskSpace":5}`)
	says("Node", `{}`, `{"statusCode":200,"body":"fine","filled":1}`)

	says("Python", `{}`, `{"statusCode":200`)
	p.put("/app/python", `{"fault_type":"status_code","is_enabled":true,"error_code":404,"rate":1}`)
	says("Python", `{}`, `{"statusCode":404`)
	p.put("/app/python", `{"fault_type":"exception","is_enabled":true,"exception_msg":"boom","rate":1}`)
	says("Python", `{}`, `{"errorMessage":"boom"`)
	p.put("/app/python", `{"fault_type":"latency","is_enabled":true,"delay":400,"rate":1}`)
	says("Python", `{}`, `late {"statusCode":200`)

	says("Flags", `{}`, `{"active":false`)
	f := p.breaks(t, `{"kind":"flag","target":{"function":"Flags","match":[{"path":"card","value":"visa"}]},"with":{"name":"pay","effect":{"exception":{"message":"no money"}}}}`)
	says("Flags", `{"card":"other"}`, `{"active":false`)
	says("Flags", `{"card":"visa"}`, `{"errorMessage":"no money"`)
	if s := p.mends(t, f.ID); s.Met != 1 {
		t.Errorf("the flag's fault met %d of %d, want 1", s.Met, s.Seen)
	}
	says("Flags", `{"card":"visa"}`, `{"active":false`)
}
