package propose

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/template/doctor"
	"github.com/daruma-io/daruma/template/tree"
	"github.com/daruma-io/daruma/template/wiring"
)

const app = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Handler: index.handler, Timeout: 40 } }
Resources:
  Jobs: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 10 } }
  Small: { Type: AWS::Serverless::SimpleTable, Properties: { ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 } } }
  Work:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Environment: { Variables: { BANK: https://bank.example.com/v1, TABLE: !Ref Small, OTHER: !Ref Tell } }
      Events:
        Take: { Type: HttpApi, Properties: { Path: '/work/{id}', Method: post } }
        Job: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } }
  Tell:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Environment: { Variables: { TABLE: !Ref Small } }
      EventInvokeConfig: { MaximumRetryAttempts: 2 }
`

func read(t *testing.T) *wiring.Map {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := template.Load(t.Context(), template.Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := wiring.Read(a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatTheDoctorFindsHasAnExperimentThatProvesIt(t *testing.T) {
	m := read(t)
	var files []string
	for _, p := range All(m, "") {
		files = append(files, p.File)
	}
	found := map[string]bool{}
	for _, f := range doctor.Examine(m, nil) {
		found[f.Rule] = true
		if f.Experiment != "" && !slices.Contains(files, f.Experiment) {
			t.Errorf("%s of %s: nobody proposes %s; there are %q", f.Rule, f.Resource, f.Experiment, files)
		}
		if f.Position == "" || f.Why == "" || f.Fix == "" {
			t.Errorf("a finding without a place, a reason or a fix: %+v", f)
		}
	}
	for _, r := range doctor.Rules() {
		if !found[r.ID] {
			t.Errorf("the rule %s found nothing", r.ID)
		}
	}
}

func TestProposalsAreTheSameForTheSameApp(t *testing.T) {
	m := read(t)
	a, b := All(m, ""), All(m, "")
	if !slices.Equal(a, b) || len(a) < 15 {
		t.Errorf("got %d and %d", len(a), len(b))
	}
	seen := map[string]bool{}
	for _, p := range a {
		if seen[p.File] {
			t.Errorf("%s is proposed twice", p.File)
		}
		seen[p.File] = true
		if _, problems := tree.Read(p.File, []byte(p.Text)); len(problems) > 0 {
			t.Errorf("%s: %v\n%s", p.File, problems, p.Text)
		}
	}
	if only := All(m, "Tell"); len(only) == 0 || len(only) >= len(a) {
		t.Errorf("of one function: got %d of %d", len(only), len(a))
	}
}
