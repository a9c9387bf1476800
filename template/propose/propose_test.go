package propose

import (
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/template/doctor"
	"github.com/daruma-io/daruma/template/tree"
	"github.com/daruma-io/daruma/template/wiring/wiringtest"
)

const app = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs20.x, Handler: index.handler, Timeout: 40 } }
Resources:
  Jobs: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 10 } }
  Few: { Type: AWS::SQS::Queue, Properties: { RedrivePolicy: { deadLetterTargetArn: !GetAtt Jobs.Arn, maxReceiveCount: 1 } } }
  Small: { Type: AWS::Serverless::SimpleTable, Properties: { ProvisionedThroughput: { ReadCapacityUnits: 1, WriteCapacityUnits: 1 } } }
  Work:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Environment: { Variables: { BANK: https://bank.example.com/v1, TABLE: !Ref Small, OTHER: !Ref Tell } }
      Events:
        Take: { Type: HttpApi, Properties: { Path: '/work/{id}', Method: post } }
        Job: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } }
        Rare: { Type: SQS, Properties: { Queue: !GetAtt Few.Arn } }
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }, { AttributeName: at, AttributeType: N }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }, { AttributeName: at, KeyType: RANGE }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  Blobs:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: B }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  Sum:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Environment: { Variables: { TABLE: !Ref Small } }
      Events: { Change: { Type: DynamoDB, Properties: { Stream: !GetAtt Orders.StreamArn, StartingPosition: LATEST } } }
  Pack:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Events: { Change: { Type: DynamoDB, Properties: { Stream: !GetAtt Blobs.StreamArn, StartingPosition: LATEST } } }
  Tell:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: "exports.handler = async () => {}"
      Environment: { Variables: { TABLE: !Ref Small } }
      EventInvokeConfig: { MaximumRetryAttempts: 2 }
`

func TestWhatTheDoctorFindsHasAnExperimentThatProvesIt(t *testing.T) {
	m := wiringtest.Read(t, app)
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
		if f.Rule == "few-receives" && f.Experiment != "work-few-timed-out.yaml" {
			t.Errorf("what is given up after one receive is proved by %q", f.Experiment)
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

func TestHowOftenMessagesMayBeReceivedIsCompared(t *testing.T) {
	for policy, want := range map[string]string{
		"maxReceiveCount: 1":   "when Work was handed them once",
		"maxReceiveCount: '1'": "when Work was handed them once",
		"maxReceiveCount: 2":   "when Work was handed them 2 times; at least 5 are wanted",
		"maxReceiveCount: 4":   "when Work was handed them 4 times; at least 5 are wanted",
		"maxReceiveCount: 5":   "",
		"maxReceiveCount: 100": "",
	} {
		got := ""
		for _, f := range doctor.Examine(wiringtest.Read(t, strings.Replace(app, "maxReceiveCount: 1", policy, 1)), nil) {
			if f.Rule != "few-receives" {
				continue
			}
			got = f.Message
			if f.Resource != "Few" || f.Severity != doctor.Warning || !strings.HasPrefix(f.Position, "template.yaml:6:") || f.Fix != "maxReceiveCount: 5" || (f.Experiment != "") != strings.HasSuffix(want, "once") {
				t.Errorf("%s: got %+v", policy, f)
			}
		}
		if !strings.HasSuffix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: got %q, want %q", policy, got, want)
		}
	}
}

func TestLoadsAreNoMoreThanTablesAreProvisionedFor(t *testing.T) {
	for units, want := range map[string]string{
		"ReadCapacityUnits: 1, WriteCapacityUnits: 1":   "rate: 1 # a second, for the 1 WriteCapacityUnits of Small",
		"ReadCapacityUnits: 1, WriteCapacityUnits: 9":   "rate: 4 # a second, for the 9 WriteCapacityUnits of Small",
		"ReadCapacityUnits: 1, WriteCapacityUnits: 100": "rate: 20 # a second\n",
	} {
		m := wiringtest.Read(t, strings.Replace(app, "ReadCapacityUnits: 1, WriteCapacityUnits: 1", units, 1))
		if all := All(m, "Work"); len(all) == 0 || !strings.Contains(all[0].Text, want) {
			t.Errorf("%s: got %+v, want %q", units, all, want)
		}
	}
}

func TestASlowConsumerIsThrottledForLongerThanItsTimeout(t *testing.T) {
	m := wiringtest.Read(t, strings.Replace(app, "Timeout: 40", "Timeout: 10", 1))
	for _, p := range All(m, "Work") {
		if p.File != "work-jobs-slow.yaml" {
			continue
		}
		for _, want := range []string{"semantics: strict, time-scale: 1", "during: 20s", "kind: latency, target: { function: \"Work\" }, with: { latency: 6s }", "kind: throttle, target: { function: \"Work\" }, dose: { for: 15s }"} {
			if !strings.Contains(p.Text, want) {
				t.Errorf("got\n%s\nwant %s", p.Text, want)
			}
		}
		return
	}
	t.Error("got no experiment with a slow consumer")
}

func TestProposalsAreTheSameForTheSameApp(t *testing.T) {
	m := wiringtest.Read(t, app)
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

func TestChangesOfTablesHaveExperimentsThatWriteIntoThem(t *testing.T) {
	m := wiringtest.Read(t, app)
	all := map[string]string{}
	for _, p := range All(m, "Sum") {
		all[p.File] = p.Text
		if !strings.Contains(p.Text, `put: { table: "Orders", item: { "id": { S: "${id}" }, "at": { N: "${n}" } } }`) {
			t.Errorf("%s: nobody writes into Orders:\n%s", p.File, p.Text)
		}
	}
	for file, want := range map[string][]string{
		"sum-orders-poison.yaml": {`{ kind: poison-record, target: { table: "Orders", function: "Sum" }, dose: { max: 1 } }`, `{ type: metric, metric: age, of: "Orders" }`},
		"sum-orders-stuck.yaml":  {`{ kind: stuck-shard, target: { table: "Orders", function: "Sum" } }`, `metric: items-per-request, of: "Small", over: run`},
		"sum-small-down.yaml":    {"changes wait, and afterwards they are done"},
		"sum-killed.yaml":        {"every change is done in the end"},
	} {
		for _, text := range want {
			if !strings.Contains(all[file], text) {
				t.Errorf("%s has no %s:\n%s", file, text, all[file])
			}
		}
	}
	if got := All(m, "Pack"); len(got) > 0 {
		t.Errorf("nobody knows how to write into a table with such a key, and there is %s", got[0].Text)
	}
}

func TestTheLastExperimentKillsThePlatformWhereThereIsWorkThatOutlivesIt(t *testing.T) {
	const orders = `
  Orders:
    Type: AWS::DynamoDB::Table
    Properties: { BillingMode: PAY_PER_REQUEST, AttributeDefinitions: [{ AttributeName: id, AttributeType: S }], KeySchema: [{ AttributeName: id, KeyType: HASH }], StreamSpecification: { StreamViewType: NEW_IMAGE } }
`
	function := func(others string, properties ...string) string {
		return "Transform: AWS::Serverless-2016-10-31\nResources:" + others + "\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: nodejs20.x\n      Handler: index.handler\n      InlineCode: x\n      " + strings.Join(properties, "\n      ") + "\n"
	}
	for _, c := range []struct {
		name, app string
		want      []string // none: nothing is proposed
	}{
		{"a queue", app, []string{`queue: { queue: "Jobs"`, `metric: failed, of: "Jobs", over: run`, "metric: in-progress", "metric: lost", "metric: platform-down", "provider: { type: platform-killed }", "pauses: { after: 30s }", "node: { time-scale: 60 }"}},
		{"events", function("", "EventInvokeConfig: { MaximumRetryAttempts: 2 }"), []string{`invoke: { function: "F", async: true`, `metric: failed, of: "F"`}},
		{"changes", function(orders, "Events: { Change: { Type: DynamoDB, Properties: { Stream: !GetAtt Orders.StreamArn, StartingPosition: LATEST } } }"), []string{`put: { table: "Orders"`, `metric: age, of: "Orders"`}},
		{"a table behind requests", function(orders, "Events: { Ask: { Type: HttpApi } }", "Environment: { Variables: { TABLE: !Ref Orders } }"), []string{"http: { url:", "when: [before, after]\n      tolerance: [0, 0.01]\n      provider: { type: metric, metric: error-share }"}},
		{"requests alone", function("", "Events: { Ask: { Type: HttpApi } }"), nil},
	} {
		m := wiringtest.Read(t, c.app)
		all := All(m, "")
		last := all[len(all)-1]
		if (last.File == "platform-killed.yaml") != (c.want != nil) {
			t.Errorf("%s: the last is %s", c.name, last.File)
			continue
		}
		for _, text := range c.want {
			if !strings.Contains(last.Text, text) {
				t.Errorf("%s: there is no %s in\n%s", c.name, text, last.Text)
			}
		}
		if strings.Contains(last.Text, "when: [during]\n      tolerance: \n") {
			t.Errorf("%s: who asks while it is down is judged:\n%s", c.name, last.Text)
		}
		if of := All(m, m.Functions[0].ID); len(of) > 0 && of[len(of)-1].File == "platform-killed.yaml" {
			t.Errorf("%s: it is proposed for one function", c.name)
		}
	}
}
