package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/fis"
	"github.com/aws/aws-sdk-go-v2/service/fis/types"

	"github.com/daruma-io/daruma/fault"
)

// injection is the SDK's client for experiments.
func (p *platform) injection() *fis.Client {
	p.t.Helper()
	return fis.New(fis.Options{Region: p.address.Region, BaseEndpoint: aws.String(p.address.AWS), HTTPClient: p.http, RetryMaxAttempts: 1, Credentials: p.credentials()})
}

// awaitExperiment waits until an experiment is over and returns it.
func (p *platform) awaitExperiment(id *string) (e *types.Experiment) {
	p.t.Helper()
	within(p.t, time.Minute, "the end of the experiment", func() (bool, string) {
		out, err := p.injection().GetExperiment(p.t.Context(), &fis.GetExperimentInput{Id: id})
		if err != nil {
			p.t.Fatal(err)
		}
		e = out.Experiment
		over := []types.ExperimentStatus{types.ExperimentStatusCompleted, types.ExperimentStatusFailed, types.ExperimentStatusStopped}
		return slices.Contains(over, e.State.Status), string(e.State.Status)
	})
	return e
}

func (p *platform) experiment(template *string) *string {
	p.t.Helper()
	out, err := p.injection().StartExperiment(p.t.Context(), &fis.StartExperimentInput{ExperimentTemplateId: template})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.Experiment.Id
}

// untilSeen invokes F until its answer has a text.
func (p *platform) untilSeen(want string) {
	p.t.Helper()
	within(p.t, 30*time.Second, want, func() (bool, string) {
		got := p.seen(p.t, "F", "{}")
		return strings.Contains(got, want), got
	})
}

const drillsTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { CodeUri: f/, Handler: index.handler, Runtime: python3.12, Tags: { chaos: ready } } }
`

func TestAnExperimentReallyInjectsAndLeavesNothingBehindHoweverItEnds(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "template.yaml"), drillsTemplate)
	put(t, filepath.Join(dir, "f", "index.py"), "def handler(event, context):\n    return {'statusCode': 200, 'body': 'fine'}\n")
	fast := []string{"--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", "--time-scale=60"}
	p := startPlatform(t, dir, fast...)
	action := func(id, duration string, after ...string) types.CreateExperimentTemplateActionInput {
		a := types.CreateExperimentTemplateActionInput{ActionId: &id, Parameters: map[string]string{"duration": duration}, StartAfter: after}
		if id != "aws:fis:wait" {
			a.Parameters["preventExecution"], a.Targets = "true", map[string]string{"Functions": "ready"}
		}
		return a
	}
	create := func(duration string) *string {
		t.Helper()
		response := action("aws:lambda:invocation-http-integration-response", duration, "error")
		response.Parameters["statusCode"], response.Parameters["contentTypeHeader"] = "503", "text/plain"
		out, err := p.injection().CreateExperimentTemplate(t.Context(), &fis.CreateExperimentTemplateInput{
			Description: aws.String("what callers do"), RoleArn: aws.String("arn:aws:iam::000000000000:role/fis"), StopConditions: []types.CreateExperimentTemplateStopConditionInput{{Source: aws.String("none")}},
			Targets: map[string]types.CreateExperimentTemplateTargetInput{"ready": {ResourceType: aws.String("aws:lambda:function"), ResourceTags: map[string]string{"chaos": "ready"}, SelectionMode: aws.String("ALL")}},
			Actions: map[string]types.CreateExperimentTemplateActionInput{"error": action("aws:lambda:invocation-error", duration), "response": response},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.ExperimentTemplate.Id
	}
	p.untilSeen("fine")

	// One after the other, and gone.
	short := create("PT5M")
	id := p.experiment(short)
	p.untilSeen("InjectedFault")
	p.untilSeen(`"statusCode":503`)
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusCompleted || e.Actions["response"].StartTime.Before(*e.Actions["error"].EndTime) {
		t.Errorf("got %+v with %+v", e.State, e.Actions)
	}
	p.untilSeen("fine")

	// Stopped.
	long := create("PT12H")
	id = p.experiment(long)
	p.untilSeen("InjectedFault")
	if _, err := p.injection().StopExperiment(t.Context(), &fis.StopExperimentInput{Id: id}); err != nil {
		t.Fatal(err)
	}
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusStopped || e.Actions["response"].State.Status != types.ExperimentActionStatusCancelled {
		t.Errorf("got %+v with %+v", e.State, e.Actions)
	}
	p.untilSeen("fine")

	// Killed: templates are there, the experiment has failed, nothing is broken.
	id = p.experiment(long)
	p.untilSeen("InjectedFault")
	p.kill()
	p = startPlatform(t, dir, fast...)
	if e := p.awaitExperiment(id); e.State.Status != types.ExperimentStatusFailed || !strings.Contains(*e.State.Reason, "the platform ended") {
		t.Errorf("got %+v", e.State)
	}
	if got := p.seen(t, "F", "{}"); !strings.Contains(got, "fine") {
		t.Errorf("after the crash: got %s", got)
	}
	var faults []fault.State
	if err := get(t.Context(), p.address, "/api/faults", &faults); err != nil || len(faults) != 0 {
		t.Errorf("after the crash there are %+v, %v", faults, err)
	}
	p.experiment(long) // the template is there
}
