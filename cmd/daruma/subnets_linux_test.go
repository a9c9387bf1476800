package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/fis"
	"github.com/aws/aws-sdk-go-v2/service/fis/types"

	"github.com/daruma-io/daruma/fault"
)

// subnetsTemplate is an app of one function in each of two subnets, which tells
// what it gets of a table, of S3 and of a host outside.
const subnetsTemplate = `Transform: AWS::Serverless-2016-10-31
Parameters: { HostURL: { Type: String } }
Globals:
  Function:
    CodeUri: f/
    Handler: index.handler
    Runtime: python3.12
    Timeout: 10
    Environment: { Variables: { TABLE: !Ref Orders, HOST_URL: !Ref HostURL } }
Resources:
  Orders: { Type: AWS::Serverless::SimpleTable }
  F: { Type: AWS::Serverless::Function, Properties: { VpcConfig: { SubnetIds: [subnet-a, subnet-c], SecurityGroupIds: [sg-1] } } }
  Other: { Type: AWS::Serverless::Function, Properties: { VpcConfig: { SubnetIds: [subnet-b], SecurityGroupIds: [sg-1] } } }
`

// untilIs invokes a function until its answer is as wanted.
func (p *platform) untilIs(t *testing.T, function, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := p.invoke(t.Context(), function, "{}").payload
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: got %s, want %s", function, got, want)
		}
	}
}

func TestFunctionsInASubnetGetNoAnswerWhileItsNetworkIsDisrupted(t *testing.T) {
	dir := t.TempDir()
	code, err := os.ReadFile("testdata/subnets/index.py")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "template.yaml"), subnetsTemplate)
	put(t, filepath.Join(dir, "f", "index.py"), string(code))
	args := []string{"--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--time-scale=60", "--param", "HostURL=" + outside(t)}
	p := startPlatform(t, dir, args...)
	if s := p.status(); s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions lack what faults need here: %s %q", s.Isolation, s.Missing)
	}
	disrupt := func(scope, duration string) *string {
		t.Helper()
		out, err := p.injection().CreateExperimentTemplate(t.Context(), &fis.CreateExperimentTemplateInput{
			Description: aws.String("what a lost network does"), RoleArn: aws.String("arn:aws:iam::000000000000:role/fis"), StopConditions: []types.CreateExperimentTemplateStopConditionInput{{Source: aws.String("none")}},
			Targets: map[string]types.CreateExperimentTemplateTargetInput{"a": {ResourceType: aws.String("aws:ec2:subnet"), ResourceArns: []string{"arn:aws:ec2:us-east-1:000000000000:subnet/subnet-a"}, SelectionMode: aws.String("ALL")}},
			Actions: map[string]types.CreateExperimentTemplateActionInput{"cut": {ActionId: aws.String("aws:network:disrupt-connectivity"), Targets: map[string]string{"Subnets": "a"}, Parameters: map[string]string{"scope": scope, "duration": duration}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p.experiment(out.ExperimentTemplate.Id)
	}
	const fine = `{"table": "200", "table by its name": "200", "s3": "403", "host": "200"}`
	p.untilIs(t, "F", fine)

	// Everything, until it is stopped: nothing but what the platform itself tells the function.
	id := disrupt("all", "PT12H")
	p.untilIs(t, "F", `{"table": "silent", "table by its name": "silent", "s3": "silent", "host": "silent"}`)
	p.untilIs(t, "Other", fine)
	var faults []fault.State
	if err := get(t.Context(), p.address, "/api/faults", &faults); err != nil || len(faults) != 1 || faults[0].Met < 3 || faults[0].Text != "blackhole on all hosts and services from F" || faults[0].Fault.Why != "aws:network:disrupt-connectivity" {
		t.Errorf("got %+v, %v", faults, err)
	}
	if _, err := p.injection().StopExperiment(t.Context(), &fis.StopExperimentInput{Id: id}); err != nil {
		t.Fatal(err)
	}
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusStopped {
		t.Errorf("got %+v", e.State)
	}
	p.untilIs(t, "F", fine)

	if log := p.log(); strings.Contains(log, "does not trust the platform's authority") {
		t.Errorf("clients that gave up are said to distrust: %s", log)
	}

	// One service, until its time is over.
	id = disrupt("dynamodb", "PT5M")
	p.untilIs(t, "F", `{"table": "silent", "table by its name": "silent", "s3": "403", "host": "200"}`)
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusCompleted {
		t.Errorf("got %+v", e.State)
	}
	p.untilIs(t, "F", fine)

	// One that is not here, until the platform is killed.
	id = disrupt("s3", "PT12H")
	p.untilIs(t, "F", `{"table": "200", "table by its name": "200", "s3": "silent", "host": "200"}`)
	p.kill()
	p = startPlatform(t, dir, args...)
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusFailed || !strings.Contains(*e.State.Reason, "the platform ended") {
		t.Errorf("got %+v", e.State)
	}
	p.untilIs(t, "F", fine)
}
