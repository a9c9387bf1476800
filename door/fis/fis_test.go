package fis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/fis"
	"github.com/aws/aws-sdk-go-v2/service/fis/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/door/fis"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/door/wire/wiretest"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
)

var place = catalog.Place{Region: "us-east-1", Account: "000000000000"}

// keys is the tests' one credential.
type keys struct{}

func (keys) Credential(accessKey string) (wire.Credential, bool) {
	return wire.Credential{Secret: "secret", Identity: wire.Identity{ARN: "arn:aws:iam::000000000000:user/operator", UserID: "AIDA", Account: "000000000000"}}, accessKey == "AKID"
}

const alarmARN = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:"

// alarmNamed knows the alarms "failing" and "slow".
func alarmNamed(arn string) string {
	if name, ok := strings.CutPrefix(arn, alarmARN); ok && (name == "failing" || name == "slow") {
		return name
	}
	return ""
}

// A conductor keeps what it is asked to carry out, and carries nothing out.
type conductor struct {
	drills  *drill.Drills
	alarms  []string
	stages  []drill.Stage
	stopped []string
}

func (c *conductor) Start(ctx context.Context, run drill.Run, stages []drill.Stage) (*drill.Run, error) {
	c.stages, c.alarms = stages, run.Alarms
	for _, s := range stages {
		run.Steps = append(run.Steps, drill.Step{Name: s.Name})
	}
	r, _, err := c.drills.Begin(ctx, run)
	return r, err
}

func (c *conductor) Stop(id string) error {
	if slices.Contains(c.stopped, id) {
		return drill.ErrEnded
	}
	c.stopped = append(c.stopped, id)
	return nil
}

// functions are those there are: two with one role, one alone.
func functions() *catalog.View {
	return catalog.NewView(place, []*catalog.Function{
		{Name: "Charge", Version: catalog.Latest, Role: "arn:aws:iam::000000000000:role/pay", Tags: map[string]string{"chaos": "ready"}},
		{Name: "Refund", Version: catalog.Latest, Role: "arn:aws:iam::000000000000:role/pay", Tags: map[string]string{"chaos": "ready", "team": "pay"}, VPC: &catalog.VPC{Subnets: []string{"subnet-a"}, SecurityGroups: []string{"sg-1"}}},
		{Name: "Ship", Version: catalog.Latest, Role: "arn:aws:iam::000000000000:role/ship", VPC: &catalog.VPC{Subnets: []string{"subnet-a", "subnet-b"}, SecurityGroups: []string{"sg-1"}}},
	}, nil, nil, nil)
}

type world struct {
	*sdk.Client
	url       string
	conductor *conductor
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{drill.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	conducts := &conductor{drills: drill.New(c)}
	door, err := fis.New(fis.Config{Drills: conducts.drills, Place: place, View: functions, Services: func() []string { return []string{"dynamodb", "sqs"} }, Alarm: alarmNamed, Conduct: conducts})
	if err != nil {
		t.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	front.Register("fis", door.Service())
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return &world{sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
	})}), server.URL, conducts}
}

const arn = "arn:aws:lambda:us-east-1:000000000000:function:"

// template is one that is right, to be changed by tests.
func template() *sdk.CreateExperimentTemplateInput {
	return &sdk.CreateExperimentTemplateInput{
		Description: aws.String("slow"), RoleArn: aws.String("arn:aws:iam::000000000000:role/fis"), Tags: map[string]string{"team": "pay"},
		StopConditions: []types.CreateExperimentTemplateStopConditionInput{{Source: aws.String("none")}},
		Targets: map[string]types.CreateExperimentTemplateTargetInput{
			"charge":  {ResourceType: aws.String("aws:lambda:function"), ResourceArns: []string{arn + "Charge"}, SelectionMode: aws.String("ALL")},
			"ready":   {ResourceType: aws.String("aws:lambda:function"), ResourceTags: map[string]string{"chaos": "ready"}, SelectionMode: aws.String("ALL"), Parameters: map[string]string{"functionQualifier": "live"}},
			"subnets": {ResourceType: aws.String("aws:ec2:subnet"), ResourceArns: []string{"arn:aws:ec2:us-east-1:000000000000:subnet/subnet-b", "arn:aws:ec2:us-east-1:000000000000:subnet/subnet-none"}, SelectionMode: aws.String("ALL")},
			"role":    {ResourceType: aws.String("aws:iam:role"), ResourceArns: []string{"arn:aws:iam::000000000000:role/pay"}, SelectionMode: aws.String("ALL")},
		},
		Actions: map[string]types.CreateExperimentTemplateActionInput{
			"a-delay":    {ActionId: aws.String("aws:lambda:invocation-add-delay"), Parameters: map[string]string{"duration": "PT5M", "invocationPercentage": "30", "startupDelayMilliseconds": "2500"}, Targets: map[string]string{"Functions": "charge"}},
			"b-error":    {ActionId: aws.String("aws:lambda:invocation-error"), Parameters: map[string]string{"duration": "PT1H30M", "preventExecution": "false"}, Targets: map[string]string{"Functions": "ready"}, StartAfter: []string{"a-delay"}},
			"c-response": {ActionId: aws.String("aws:lambda:invocation-http-integration-response"), Parameters: map[string]string{"duration": "PT60S", "preventExecution": "true", "statusCode": "503", "contentTypeHeader": "text/html"}, Targets: map[string]string{"Functions": "charge"}},
			"d-throttle": {ActionId: aws.String("aws:fis:inject-api-throttle-error"), Parameters: map[string]string{"duration": "PT1M", "service": "dynamodb", "percentage": "50", "operations": "PutItem, Query"}, Targets: map[string]string{"Roles": "role"}},
			"e-wait":     {ActionId: aws.String("aws:fis:wait"), Parameters: map[string]string{"duration": "PT2M"}},
		},
	}
}

func (w *world) create(t *testing.T, in *sdk.CreateExperimentTemplateInput) *types.ExperimentTemplate {
	t.Helper()
	out, err := w.CreateExperimentTemplate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.ExperimentTemplate
}

func (w *world) begin(t *testing.T, in *sdk.StartExperimentInput) *types.Experiment {
	t.Helper()
	out, err := w.StartExperiment(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Experiment
}

func TestATemplateIsKeptChangedListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, template())
	if !strings.HasPrefix(*made.Id, "EXT") || *made.Arn != "arn:aws:fis:us-east-1:000000000000:experiment-template/"+*made.Id || made.CreationTime.IsZero() || made.Tags["team"] != "pay" ||
		made.ExperimentOptions.EmptyTargetResolutionMode != types.EmptyTargetResolutionModeFail || *made.StopConditions[0].Source != "none" {
		t.Errorf("got %+v", made)
	}
	if a := made.Actions["b-error"]; *a.ActionId != "aws:lambda:invocation-error" || a.StartAfter[0] != "a-delay" || a.Targets["Functions"] != "ready" || a.Parameters["duration"] != "PT1H30M" {
		t.Errorf("got %+v", a)
	}
	if _, err := w.UpdateExperimentTemplate(t.Context(), &sdk.UpdateExperimentTemplateInput{Id: made.Id, Description: aws.String("slower"), Actions: map[string]types.UpdateExperimentTemplateActionInputItem{
		"wait": {ActionId: aws.String("aws:fis:wait"), Parameters: map[string]string{"duration": "PT1M"}}}}); err != nil {
		t.Fatal(err)
	}
	got, err := w.GetExperimentTemplate(t.Context(), &sdk.GetExperimentTemplateInput{Id: made.Id})
	if err != nil || *got.ExperimentTemplate.Description != "slower" || len(got.ExperimentTemplate.Actions) != 1 || len(got.ExperimentTemplate.Targets) != 4 || got.ExperimentTemplate.Tags["team"] != "pay" {
		t.Errorf("got %+v, %v", got, err)
	}
	for range 2 {
		w.create(t, template())
	}
	plain := template()
	plain.Tags = nil
	w.create(t, plain)
	seen := 0
	for pages := sdk.NewListExperimentTemplatesPaginator(w, &sdk.ListExperimentTemplatesInput{MaxResults: aws.Int32(2)}); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range out.ExperimentTemplates {
			if seen++; is.Tags == nil {
				t.Errorf("%s is listed without tags, not even none", *is.Id)
			}
		}
	}
	if seen != 4 {
		t.Errorf("%d are listed, want 4", seen)
	}
	if _, err := w.DeleteExperimentTemplate(t.Context(), &sdk.DeleteExperimentTemplateInput{Id: made.Id}); err != nil {
		t.Error(err)
	}
	_, err = w.GetExperimentTemplate(t.Context(), &sdk.GetExperimentTemplateInput{Id: made.Id})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); !missing {
		t.Errorf("got %v", err)
	}
}

func TestEachActionIsTheFaultThatItMeans(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, template())
	e := w.begin(t, &sdk.StartExperimentInput{ExperimentTemplateId: made.Id, Tags: map[string]string{"why": "test"}})
	if !strings.HasPrefix(*e.Id, "EXP") || e.State.Status != types.ExperimentStatusPending || *e.ExperimentTemplateId != *made.Id || e.Tags["why"] != "test" || e.ExperimentOptions.ActionsMode != types.ActionsModeRunAll || len(e.Actions) != 5 {
		t.Errorf("got %+v", e)
	}
	on := func(function string) fault.Target { return fault.Target{Function: function} }
	live := func(function string) fault.Target { return fault.Target{Function: function, Alias: "live"} }
	asks := func(function, operation string) fault.Fault {
		return fault.Fault{Kind: fault.Error, Target: fault.Target{Function: function, Service: "dynamodb", Operation: operation}, Dose: fault.Dose{Rate: 0.5}, With: fault.With{Code: "throttled"}, Why: "aws:fis:inject-api-throttle-error"}
	}
	after := func(function string) fault.Fault {
		return fault.Fault{Kind: fault.Error, Target: live(function), Dose: fault.Dose{Rate: 1}, With: fault.With{When: "after"}, Why: "aws:lambda:invocation-error"}
	}
	want := []drill.Stage{
		{Name: "a-delay", For: 5 * time.Minute, Faults: []fault.Fault{{Kind: fault.Latency, Target: on("Charge"), Dose: fault.Dose{Rate: 0.3}, With: fault.With{Latency: fault.Duration(2500 * time.Millisecond)}, Why: "aws:lambda:invocation-add-delay"}}},
		{Name: "b-error", For: 90 * time.Minute, After: []string{"a-delay"}, Faults: []fault.Fault{after("Charge"), after("Refund")}},
		{Name: "c-response", For: time.Minute, Faults: []fault.Fault{{Kind: fault.Status, Target: on("Charge"), Dose: fault.Dose{Rate: 1}, With: fault.With{Status: 503, ContentType: "text/html", When: "before"}, Why: "aws:lambda:invocation-http-integration-response"}}},
		{Name: "d-throttle", For: time.Minute, Faults: []fault.Fault{asks("Charge", "PutItem"), asks("Charge", "Query"), asks("Refund", "PutItem"), asks("Refund", "Query")}},
		{Name: "e-wait", For: 2 * time.Minute},
	}
	if diff := cmp.Diff(want, w.conductor.stages); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, s := range w.conductor.stages {
		for _, f := range s.Faults {
			if err := f.Validate(); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
	targets, err := w.ListExperimentResolvedTargets(t.Context(), &sdk.ListExperimentResolvedTargetsInput{ExperimentId: e.Id, TargetName: aws.String("ready")})
	if err != nil || len(targets.ResolvedTargets) != 2 || targets.ResolvedTargets[1].TargetInformation["arn"] != arn+"Refund" {
		t.Errorf("got %+v, %v", targets, err)
	}
	list, err := w.ListExperiments(t.Context(), &sdk.ListExperimentsInput{ExperimentTemplateId: made.Id})
	if err != nil || len(list.Experiments) != 1 || *list.Experiments[0].Id != *e.Id || list.Experiments[0].State.Status != types.ExperimentStatusPending {
		t.Errorf("got %+v, %v", list, err)
	}
	stopped, err := w.StopExperiment(t.Context(), &sdk.StopExperimentInput{Id: e.Id})
	if err != nil || stopped.Experiment.State.Status != types.ExperimentStatusStopping || w.conductor.stopped[0] != strings.TrimPrefix(*e.Id, "EXP") {
		t.Errorf("got %+v, %v", stopped, err)
	}
}

func TestADisruptionSilencesWhatItsScopeSaysToTheFunctionsInASubnet(t *testing.T) {
	w := newWorld(t)
	subnet := func(id string) string { return "arn:aws:ec2:us-east-1:000000000000:subnet/" + id }
	for scope, target := range map[string]fault.Target{"all": {Host: "*", Service: "*"}, "dynamodb": {Service: "dynamodb"}, "s3": {Service: "s3"}, "s3express": {Service: "s3express"}} {
		in := template()
		in.Targets = map[string]types.CreateExperimentTemplateTargetInput{"some": {ResourceType: aws.String("aws:ec2:subnet"), ResourceArns: []string{subnet("subnet-a"), subnet("subnet-b"), subnet("subnet-c")}, SelectionMode: aws.String("ALL")}}
		in.Actions = map[string]types.CreateExperimentTemplateActionInput{"a": {ActionId: aws.String("aws:network:disrupt-connectivity"), Parameters: map[string]string{"duration": "PT10M", "scope": scope}, Targets: map[string]string{"Subnets": "some"}}}
		e := w.begin(t, &sdk.StartExperimentInput{ExperimentTemplateId: w.create(t, in).Id})
		var want []fault.Fault
		for _, name := range []string{"Refund", "Ship"} { // Ship is in two of them, and met once
			target.Function = name
			want = append(want, fault.Fault{Kind: fault.Blackhole, Target: target, Why: "aws:network:disrupt-connectivity"})
		}
		if diff := cmp.Diff([]drill.Stage{{Name: "a", For: 10 * time.Minute, Faults: want}}, w.conductor.stages); diff != "" {
			t.Errorf("%s (-want +got)\n%s", scope, diff)
		}
		for _, f := range w.conductor.stages[0].Faults {
			if err := f.Validate(); err != nil {
				t.Errorf("%s: %v", scope, err)
			}
		}
		targets, err := w.ListExperimentResolvedTargets(t.Context(), &sdk.ListExperimentResolvedTargetsInput{ExperimentId: e.Id})
		if err != nil || len(targets.ResolvedTargets) != 2 || targets.ResolvedTargets[1].TargetInformation["arn"] != subnet("subnet-b") || *targets.ResolvedTargets[1].ResourceType != "aws:ec2:subnet" {
			t.Errorf("%s: got %+v, %v", scope, targets, err)
		}
	}
}

func TestTargetsAreThoseThereAreWhenAnExperimentStarts(t *testing.T) {
	w := newWorld(t)
	met := func(change func(*types.CreateExperimentTemplateTargetInput), mode types.EmptyTargetResolutionMode) (functions string, s drill.Stage) {
		t.Helper()
		in := template()
		of := in.Targets["ready"]
		of.Parameters = nil
		change(&of)
		in.Targets = map[string]types.CreateExperimentTemplateTargetInput{"some": of}
		in.Actions = map[string]types.CreateExperimentTemplateActionInput{"a": {ActionId: aws.String("aws:lambda:invocation-error"), Parameters: map[string]string{"duration": "PT1M", "preventExecution": "true"}, Targets: map[string]string{"Functions": "some"}}}
		in.ExperimentOptions = &types.CreateExperimentTemplateExperimentOptionsInput{EmptyTargetResolutionMode: mode}
		in.ClientToken = nil
		w.begin(t, &sdk.StartExperimentInput{ExperimentTemplateId: w.create(t, in).Id})
		var names []string
		for _, f := range w.conductor.stages[0].Faults {
			names = append(names, f.Target.String())
		}
		runs, err := w.conductor.drills.Runs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs { // so that no more than five are active
			if !r.State.Over() {
				r.State = drill.Completed
				if err := w.conductor.drills.Note(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		return strings.Join(names, " "), w.conductor.stages[0]
	}
	arns := func(arns ...string) func(*types.CreateExperimentTemplateTargetInput) {
		return func(in *types.CreateExperimentTemplateTargetInput) { in.ResourceTags, in.ResourceArns = nil, arns }
	}
	if got, _ := met(arns(arn+"Ship", arn+"Charge:7"), ""); got != "Charge:7 Ship" && got != "Charge:7 Ship:7" {
		t.Errorf("got %s", got)
	} else if got != "Charge:7 Ship" {
		t.Errorf("the version of one function narrows another: %s", got)
	}
	if got, _ := met(func(in *types.CreateExperimentTemplateTargetInput) {
		in.ResourceTags = map[string]string{"chaos": "ready", "team": "pay"}
	}, ""); got != "Refund" {
		t.Errorf("got %s", got)
	}
	for mode, want := range map[string]int{"COUNT(1)": 1, "COUNT(5)": 2, "PERCENT(50)": 1, "PERCENT(100)": 2} {
		if got, _ := met(func(in *types.CreateExperimentTemplateTargetInput) { in.SelectionMode = &mode }, ""); len(strings.Fields(got)) != want {
			t.Errorf("%s: got %s, want %d", mode, got, want)
		}
	}
	if _, s := met(arns(arn+"Nobody"), types.EmptyTargetResolutionModeFail); s.Fail == "" || s.Skip != "" {
		t.Errorf("got %+v, want it to fail", s)
	}
	if _, s := met(arns(arn+"Nobody"), types.EmptyTargetResolutionModeSkip); s.Fail != "" || s.Skip == "" {
		t.Errorf("got %+v, want it to be skipped", s)
	}
	made := w.create(t, template())
	w.begin(t, &sdk.StartExperimentInput{ExperimentTemplateId: made.Id, ExperimentOptions: &types.StartExperimentExperimentOptionsInput{ActionsMode: types.ActionsModeSkipAll}})
	for _, s := range w.conductor.stages {
		if s.Skip == "" || len(s.Faults) > 0 {
			t.Errorf("got %+v, want it to be skipped", s)
		}
	}
}

func TestWhatMeansNothingHereIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	type input = sdk.CreateExperimentTemplateInput
	act := func(id string, parameters map[string]string, targets map[string]string) func(*input) {
		return func(in *input) {
			in.Actions = map[string]types.CreateExperimentTemplateActionInput{"a": {ActionId: &id, Parameters: parameters, Targets: targets}}
		}
	}
	lambda := func(parameters ...string) func(*input) {
		given := map[string]string{"duration": "PT1M", "preventExecution": "true"}
		for _, p := range parameters {
			name, value, _ := strings.Cut(p, "=")
			given[name] = value
		}
		return act("aws:lambda:invocation-error", given, map[string]string{"Functions": "charge"})
	}
	network := func(target string, parameters ...string) func(*input) {
		given := map[string]string{"duration": "PT1M"}
		for _, p := range parameters {
			name, value, _ := strings.Cut(p, "=")
			given[name] = value
		}
		return act("aws:network:disrupt-connectivity", given, map[string]string{"Subnets": target})
	}
	cut := func(parameters ...string) func(*input) { return network("subnets", parameters...) }
	in := func(target string) func(*input) { return network(target, "scope=all") }
	subnet := func(change func(*types.CreateExperimentTemplateTargetInput)) func(*input) {
		return func(in *input) {
			is := in.Targets["subnets"]
			change(&is)
			in.Targets["subnets"] = is
		}
	}
	of := func(change func(*types.CreateExperimentTemplateTargetInput)) func(*input) {
		return func(in *input) {
			is := in.Targets["charge"]
			change(&is)
			in.Targets["charge"] = is
		}
	}
	for _, c := range []struct {
		change func(*input)
		want   string
	}{
		{act("aws:dynamodb:global-table-pause-replication", map[string]string{"duration": "PT1M"}, nil), "aws:dynamodb:global-table-pause-replication is not supported here: there are no replicas"},
		{act("aws:kinesis:stream-expired-iterator-exception", nil, nil), "there are no Kinesis streams here"},
		{act("aws:network:transit-gateway-disrupt-cross-region-connectivity", nil, nil), "there are neither routes, gateways nor endpoints here"},
		{cut("scope=availability-zone"), "parameters.scope: availability-zone is not supported here: there are no other zones"},
		{cut("scope=prefix-list", "prefixListIdentifier=pl-1"), "parameters.scope: prefix-list is not supported here: there are no prefix lists"},
		{cut("scope=all", "prefixListIdentifier=pl-1"), "parameters.prefixListIdentifier: it is for the scope prefix-list"},
		{cut("scope=vpc"), "parameters.scope: vpc is not supported here: nobody says here which hosts are in a VPC"},
		{cut("scope=everything"), `parameters.scope: "everything" is none of all, dynamodb, s3, s3express`},
		{cut(), "parameters.scope: aws:network:disrupt-connectivity needs it"},
		{in("charge"), "meets aws:ec2:subnet, not aws:lambda:function"},
		{subnet(func(t *types.CreateExperimentTemplateTargetInput) {
			t.ResourceArns[0] = "arn:aws:ec2:us-east-1:000000000000:vpc/vpc-1"
		}), `targets.subnets.resourceArns: "arn:aws:ec2:us-east-1:000000000000:vpc/vpc-1" is no ARN of a subnet`},
		{subnet(func(t *types.CreateExperimentTemplateTargetInput) {
			t.ResourceArns, t.ResourceTags = nil, map[string]string{"k": "v"}
		}), "targets.subnets.resourceTags: of a subnet nothing is known here"},
		{subnet(func(t *types.CreateExperimentTemplateTargetInput) {
			t.Parameters = map[string]string{"availabilityZoneIdentifier": "us-east-1a"}
		}), "targets.subnets.parameters.availabilityZoneIdentifier: of a subnet nothing is known here"},
		{subnet(func(t *types.CreateExperimentTemplateTargetInput) {
			t.Filters = []types.ExperimentTemplateTargetInputFilter{{Path: aws.String("AvailabilityZone"), Values: []string{"b"}}}
		}), "targets.subnets.filters: of a subnet nothing is known here"},
		{act("aws:ec2:stop-instances", nil, nil), "there are no instances here"},
		{act("aws:lambda:put-function-concurrent-executions", nil, nil), "there is no action aws:lambda:put-function-concurrent-executions here; there are aws:cloudwatch:assert-alarm-state, aws:fis:"},
		{act("aws:fis:wait", map[string]string{"duration": "PT1M"}, map[string]string{"Functions": "charge"}), "aws:fis:wait has none"},
		{act("aws:fis:wait", map[string]string{"duration": "PT30S"}, nil), "PT30S is not from one minute to 12 hours"},
		{act("aws:fis:wait", map[string]string{"duration": "P1D"}, nil), "P1D is not from one minute to 12 hours"},
		{act("aws:fis:wait", map[string]string{"duration": "5m"}, nil), `"5m" is no duration in ISO 8601`},
		{act("aws:fis:wait", nil, nil), "parameters.duration: aws:fis:wait needs it"},
		{lambda("preventExecution=maybe"), `"maybe" is neither true nor false`},
		{lambda("invocationPercentage=0"), "is no whole number from 1 to 100"},
		{lambda("statusCode=500"), "parameters.statusCode: aws:lambda:invocation-error does not take it"},
		{act("aws:lambda:invocation-error", map[string]string{"duration": "PT1M", "preventExecution": "true"}, map[string]string{"Functions": "role"}), "meets aws:lambda:function, not aws:iam:role"},
		{act("aws:lambda:invocation-error", map[string]string{"duration": "PT1M", "preventExecution": "true"}, map[string]string{"Functions": "none"}), "there is no target none"},
		{act("aws:lambda:invocation-error", map[string]string{"duration": "PT1M", "preventExecution": "true"}, nil), "has one, Functions"},
		{act("aws:fis:inject-api-internal-error", map[string]string{"duration": "PT1M", "service": "ec2", "percentage": "1", "operations": "X"}, map[string]string{"Roles": "role"}), `"ec2" is not served here; there are dynamodb, sqs`},
		{of(func(t *types.CreateExperimentTemplateTargetInput) { t.ResourceType = aws.String("aws:ec2:instance") }), `"aws:ec2:instance" is not supported here; there are aws:ec2:subnet, aws:iam:role and aws:lambda:function`},
		{of(func(t *types.CreateExperimentTemplateTargetInput) { t.SelectionMode = aws.String("SOME") }), "selectionMode"},
		{of(func(t *types.CreateExperimentTemplateTargetInput) { t.ResourceArns = nil }), "resourceArns, resourceTags: one of them is needed"},
		{of(func(t *types.CreateExperimentTemplateTargetInput) {
			t.Filters = []types.ExperimentTemplateTargetInputFilter{{Path: aws.String("a"), Values: []string{"b"}}}
		}), "filters: a aws:lambda:function has none"},
		{of(func(t *types.CreateExperimentTemplateTargetInput) { t.Parameters = map[string]string{"x": "y"} }), "parameters.x"},
		{func(in *input) { in.StopConditions[0].Source = aws.String("aws:cloudwatch:alarm") }, "stopConditions: there is no alarm  here"},
		{func(in *input) { in.StopConditions[0] = stopping("none") }, "stopConditions: there is no alarm " + alarmARN + "none here"},
		{func(in *input) { in.StopConditions = append(in.StopConditions, stopping("failing")) }, "stopConditions: none stands alone"},
		{func(in *input) { in.StopConditions[0].Source = aws.String("aws:events") }, `"aws:events" is neither aws:cloudwatch:alarm, whose value is an ARN, nor none`},
		{act("aws:cloudwatch:assert-alarm-state", map[string]string{"alarmArns": alarmARN + "none", "alarmStates": "OK"}, nil), "there is no alarm " + alarmARN + "none here"},
		{act("aws:cloudwatch:assert-alarm-state", map[string]string{"alarmArns": alarmARN + "slow", "alarmStates": "FINE"}, nil), `"FINE" is none of OK, ALARM, INSUFFICIENT_DATA`},
		{act("aws:cloudwatch:assert-alarm-state", map[string]string{"alarmArns": alarmARN + "slow"}, nil), "aws:cloudwatch:assert-alarm-state needs it"},
		{func(in *input) { in.StopConditions = []types.CreateExperimentTemplateStopConditionInput{} }, "stopConditions: there are 1 to 5"},
		{func(in *input) {
			in.LogConfiguration = &types.CreateExperimentTemplateLogConfigurationInput{LogSchemaVersion: aws.Int32(2), CloudWatchLogsConfiguration: &types.ExperimentTemplateCloudWatchLogsLogConfigurationInput{LogGroupArn: aws.String("arn:x")}}
		}, "logConfiguration: it is not supported here"},
		{func(in *input) {
			in.ExperimentOptions = &types.CreateExperimentTemplateExperimentOptionsInput{AccountTargeting: types.AccountTargetingMultiAccount}
		}, "there is one account"},
		{func(in *input) {
			a := in.Actions["a-delay"]
			a.StartAfter = []string{"b-error"}
			in.Actions["a-delay"] = a
		}, "go in a circle"},
		{func(in *input) {
			a := in.Actions["a-delay"]
			a.StartAfter = []string{"z"}
			in.Actions["a-delay"] = a
		}, "there is no other action z"},
		{func(in *input) { in.RoleArn = aws.String("me") }, "roleArn"},
	} {
		in := template()
		c.change(in)
		_, err := w.CreateExperimentTemplate(t.Context(), in)
		if e, ok := errors.AsType[*types.ValidationException](err); !ok || !strings.Contains(e.ErrorMessage(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if list, err := w.ListExperimentTemplates(t.Context(), &sdk.ListExperimentTemplatesInput{}); err != nil || len(list.ExperimentTemplates) != 0 {
		t.Errorf("then there are %+v, %v", list, err)
	}
	_, levers := w.GetSafetyLever(t.Context(), &sdk.GetSafetyLeverInput{Id: aws.String("default")})
	if e, ok := errors.AsType[smithy.APIError](levers); !ok || e.ErrorCode() != "UnsupportedOperationException" {
		t.Errorf("got %v", levers)
	}
}

// stopping is a stop condition that is an alarm.
func stopping(name string) types.CreateExperimentTemplateStopConditionInput {
	return types.CreateExperimentTemplateStopConditionInput{Source: aws.String("aws:cloudwatch:alarm"), Value: aws.String(alarmARN + name)}
}

func TestAlarmsStopExperimentsAndAreExpectedToBeInStates(t *testing.T) {
	w := newWorld(t)
	in := template()
	in.StopConditions = []types.CreateExperimentTemplateStopConditionInput{stopping("failing"), stopping("slow")}
	in.Actions = map[string]types.CreateExperimentTemplateActionInput{"assert": {ActionId: aws.String("aws:cloudwatch:assert-alarm-state"), Parameters: map[string]string{"alarmArns": alarmARN + "slow, " + alarmARN + "failing", "alarmStates": "OK,INSUFFICIENT_DATA"}}}
	in.Targets = nil
	made := w.create(t, in)
	if len(made.StopConditions) != 2 || *made.StopConditions[0].Value != alarmARN+"failing" {
		t.Errorf("got %+v", made.StopConditions)
	}
	out, err := w.StartExperiment(t.Context(), &sdk.StartExperimentInput{ExperimentTemplateId: made.Id})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"failing", "slow"}, w.conductor.alarms); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&drill.Expectation{Alarms: []string{"slow", "failing"}, States: []string{"OK", "INSUFFICIENT_DATA"}}, w.conductor.stages[0].Expect); diff != "" {
		t.Error(diff)
	}
	run, err := w.conductor.drills.Run(t.Context(), strings.TrimPrefix(*out.Experiment.Id, "EXP"))
	if err != nil {
		t.Fatal(err)
	}
	run.State, run.Reason, run.Halted = drill.Stopped, "the alarm failing went off", "failing"
	if err := w.conductor.drills.Note(t.Context(), *run); err != nil {
		t.Fatal(err)
	}
	got, err := w.GetExperiment(t.Context(), &sdk.GetExperimentInput{Id: out.Experiment.Id})
	if err != nil || got.Experiment.State.Status != types.ExperimentStatusStopped || *got.Experiment.State.Reason != "Experiment halted by stop condition." {
		t.Errorf("got %+v, %v", got.Experiment.State, err)
	}
}

func TestATemplateDeclaredElsewhereIsCheckedByTheSameRules(t *testing.T) {
	request := func(actionID, service, alarm string) []byte {
		return fmt.Appendf(nil, `{"description":"d","roleArn":"arn:x","tags":{"k":"v"},"stopConditions":[{"source":"aws:cloudwatch:alarm","value":%q}],
			"targets":{"r":{"resourceType":"aws:iam:role","resourceArns":["arn:x"],"selectionMode":"ALL"}},
			"actions":{"a":{"actionId":%q,"parameters":{"duration":"PT1M","service":%q,"percentage":"50","operations":"Put"},"targets":{"Roles":"r"}}}}`, alarmARN+alarm, actionID, service)
	}
	const throttle = "aws:fis:inject-api-throttle-error"
	w, err := fis.Declared("EXTabc", request(throttle, "sqs", "slow"), []string{"sqs"}, alarmNamed)
	if err != nil || w.ID != "abc" || w.Description != "d" || w.Tags["k"] != "v" || !strings.Contains(string(w.Document), `"emptyTargetResolutionMode":"fail"`) {
		t.Errorf("got %+v, %v", w, err)
	}
	if _, err := fis.Declared("EXTabc", request(throttle, "kinesis", "none"), nil, nil); err != nil {
		t.Errorf("while nothing is known: %v", err)
	}
	for _, c := range []struct {
		id      string
		request []byte
		kind    daruma.Kind
		want    string
	}{
		{"EXTa", request(throttle, "kinesis", "slow"), daruma.KindUnsupported, `parameters.service: "kinesis" is not served here; there are sqs`},
		{"EXTa", request("aws:ec2:stop-instances", "sqs", "slow"), daruma.KindUnsupported, "there are no instances here"},
		{"EXTa", request(throttle, "sqs", "none"), daruma.KindInvalid, "there is no alarm"},
		{"a", request(throttle, "sqs", "slow"), daruma.KindInvalid, `"a" is no ID`},
		{"EXTa", []byte(`[]`), daruma.KindInvalid, "cannot be read"},
		{"EXTa", append([]byte(`{"logConfiguration":{"a":1},`), request(throttle, "sqs", "slow")[1:]...), daruma.KindUnsupported, "logConfiguration"},
	} {
		if _, err := fis.Declared(c.id, c.request, []string{"sqs"}, alarmNamed); daruma.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v (%v), want %s (%v)", err, daruma.KindOf(err), c.want, c.kind)
		}
	}
}

func TestTokensTagsAndActionsAreThoseOfTheService(t *testing.T) {
	w := newWorld(t)
	in := template()
	in.ClientToken = aws.String("once")
	first, again := w.create(t, in), w.create(t, in)
	if *first.Id != *again.Id {
		t.Errorf("got %s and %s", *first.Id, *again.Id)
	}
	in.Description = aws.String("another")
	_, err := w.CreateExperimentTemplate(t.Context(), in)
	if _, conflict := errors.AsType[*types.ConflictException](err); !conflict {
		t.Errorf("got %v", err)
	}
	if _, err := w.TagResource(t.Context(), &sdk.TagResourceInput{ResourceArn: first.Arn, Tags: map[string]string{"k": "v"}}); err != nil {
		t.Error(err)
	}
	if _, err := w.UntagResource(t.Context(), &sdk.UntagResourceInput{ResourceArn: first.Arn, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	tags, err := w.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceArn: first.Arn})
	if diff := cmp.Diff(map[string]string{"k": "v"}, tags.Tags); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	actions, err := w.ListActions(t.Context(), &sdk.ListActionsInput{})
	if err != nil || len(actions.Actions) != 9 {
		t.Fatalf("got %+v, %v", actions, err)
	}
	for _, a := range actions.Actions {
		got, err := w.GetAction(t.Context(), &sdk.GetActionInput{Id: a.Id})
		needs := "duration"
		if strings.HasPrefix(*a.Id, "aws:cloudwatch:") {
			needs = "alarmArns"
		}
		if err != nil || !*got.Action.Parameters[needs].Required || len(got.Action.Targets) != len(a.Targets) {
			t.Errorf("%s: got %+v, %v", *a.Id, got, err)
		}
	}
	kinds, err := w.ListTargetResourceTypes(t.Context(), &sdk.ListTargetResourceTypesInput{})
	if err != nil || len(kinds.TargetResourceTypes) != 3 {
		t.Errorf("got %+v, %v", kinds, err)
	}
	kind, err := w.GetTargetResourceType(t.Context(), &sdk.GetTargetResourceTypeInput{ResourceType: aws.String("aws:lambda:function")})
	if _, there := kind.TargetResourceType.Parameters["functionQualifier"]; err != nil || !there {
		t.Errorf("got %+v, %v", kind, err)
	}
}

func TestTheCLIGetsWhatItExpects(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, template())
	wiretest.CLI(t, w.url, "fis", []wiretest.Step{
		{Args: []string{"list-actions"}, Want: `"id": "aws:lambda:invocation-error"`},
		{Args: []string{"get-experiment-template", "--id", *made.Id}, Want: `"duration": "PT1H30M"`},
		{Args: []string{"start-experiment", "--experiment-template-id", *made.Id}, Want: `"status": "pending"`},
		{Args: []string{"list-experiments"}, Want: `"experimentTemplateId": "` + *made.Id + `"`},
		{Args: []string{"get-experiment", "--id", "EXPnone"}, Want: "An error occurred (ResourceNotFoundException) when calling the GetExperiment operation: Experiment does not exist.", Fail: true},
		{Args: []string{"get-action", "--id", "aws:ec2:stop-instances"}, Want: "there are no instances here", Fail: true},
	})
}

// FuzzWhateverIsAskedIsAnswered sends what is no request of an SDK's.
func FuzzWhateverIsAskedIsAnswered(f *testing.F) {
	whole, err := json.Marshal(map[string]any{"description": "d", "roleArn": "arn:x", "stopConditions": []any{map[string]any{"source": "none"}}, "actions": map[string]any{"a": map[string]any{"actionId": "aws:fis:wait", "parameters": map[string]any{"duration": "PT1M"}}}})
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{`{}`, `[`, string(whole), `{"actions":{"a":{"startAfter":["a"]}}}`, `{"experimentTemplateId":"EXTx"}`, `{"tags":{"":""}}`} {
		f.Add("EXTx", body)
	}
	c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{drill.Machine{}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	conducts := &conductor{drills: drill.New(c)}
	door, err := fis.New(fis.Config{Drills: conducts.drills, Place: place, View: functions, Services: func() []string { return []string{"sqs"} }, Alarm: alarmNamed, Conduct: conducts})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, body string) {
		for _, at := range []string{"POST /experimentTemplates", "PATCH /experimentTemplates/" + id, "GET /experimentTemplates/" + id, "POST /experiments", "DELETE /experiments/" + id, "GET /actions/" + id, "POST /tags/" + id, "GET /tags/" + id} {
			method, path, _ := strings.Cut(at, " ")
			r, w := httptest.NewRequest(method, "/", nil), httptest.NewRecorder()
			door.ServeAWS(w, &wire.Request{HTTP: r, Path: path, Body: []byte(body), Service: "fis"})
			var is map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &is); err != nil || w.Code >= 500 {
				t.Fatalf("%s %q: got %d %q, %v", at, body, w.Code, w.Body, err)
			}
		}
	})
}
