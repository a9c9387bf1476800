package fis

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
)

func milliseconds(n int) fault.Duration { return fault.Duration(time.Duration(n) * time.Millisecond) }

// A template is what an experiment template says: the document of a plan.
type template struct {
	Description       string            `json:"description"`
	RoleARN           string            `json:"roleArn"`
	Actions           map[string]action `json:"actions"`
	Targets           map[string]target `json:"targets,omitempty"`
	StopConditions    []stopCondition   `json:"stopConditions"`
	ExperimentOptions options           `json:"experimentOptions"`
}

type action struct {
	ActionID    string            `json:"actionId"`
	Description string            `json:"description,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Targets     map[string]string `json:"targets,omitempty"`
	StartAfter  []string          `json:"startAfter,omitempty"`
}

type target struct {
	ResourceType  string            `json:"resourceType"`
	ResourceARNs  []string          `json:"resourceArns,omitempty"`
	ResourceTags  map[string]string `json:"resourceTags,omitempty"`
	Filters       []json.RawMessage `json:"filters,omitempty"`
	SelectionMode string            `json:"selectionMode"`
	Parameters    map[string]string `json:"parameters,omitempty"`
}

type stopCondition struct {
	Source string `json:"source"`
	Value  string `json:"value,omitempty"`
}

type options struct {
	AccountTargeting          string `json:"accountTargeting,omitempty"`
	EmptyTargetResolutionMode string `json:"emptyTargetResolutionMode,omitempty"`
	ActionsMode               string `json:"actionsMode,omitempty"` // of an experiment
}

// Limits of templates (User Guide, "Quotas").
const (
	descriptionBytesMax = 512
	nameBytesMax        = 64
	arnsMax             = 5
	stopConditionsMax   = 5
)

// selection is the form of a target's selectionMode.
var selection = regexp.MustCompile(`^(ALL|COUNT\(([1-9][0-9]{0,4})\)|PERCENT\(([1-9][0-9]?|100)\))$`)

// alarmSource is the source of a stop condition that is an alarm.
const alarmSource = "aws:cloudwatch:alarm"

// here is what templates may speak of: the services that are served, and alarms by
// their ARN. What is nil is not known yet, and whatever is said of it is taken.
type here struct {
	services []string
	alarm    func(arn string) string
}

// serves says whether a service is, or may be, served.
func (h here) serves(name string) bool {
	return h.services == nil || slices.Contains(h.services, name)
}

// named returns the name of the alarm that an ARN names, "" when there is none.
func (h here) named(arn string) string {
	if h.alarm == nil {
		return arn
	}
	return h.alarm(arn)
}

// check says what is wrong with a template, and fills in defaults.
func (t *template) check(h here) error {
	o := &t.ExperimentOptions
	switch {
	case t.Description == "" || len(t.Description) > descriptionBytesMax:
		return fmt.Errorf("description: it has 1 to %d characters", descriptionBytesMax)
	case !strings.HasPrefix(t.RoleARN, "arn:"):
		return fmt.Errorf("roleArn: %q is no ARN", t.RoleARN)
	case len(t.Actions) == 0 || len(t.Actions) > drill.StagesMax:
		return fmt.Errorf("actions: there are 1 to %d", drill.StagesMax)
	case len(t.StopConditions) == 0 || len(t.StopConditions) > stopConditionsMax:
		return fmt.Errorf("stopConditions: there are 1 to %d; {\"source\": \"none\"} is one", stopConditionsMax)
	case !slices.Contains([]string{"", "single-account"}, o.AccountTargeting):
		return lacking("experimentOptions.accountTargeting: %q is not supported here: there is one account", o.AccountTargeting)
	case !slices.Contains([]string{"", "fail", "skip"}, o.EmptyTargetResolutionMode):
		return fmt.Errorf("experimentOptions.emptyTargetResolutionMode: %q is none of fail, skip", o.EmptyTargetResolutionMode)
	}
	o.AccountTargeting = "single-account"
	if o.EmptyTargetResolutionMode == "" {
		o.EmptyTargetResolutionMode = "fail"
	}
	for _, c := range t.StopConditions {
		switch {
		case c.Source == alarmSource && h.named(c.Value) == "":
			return fmt.Errorf("stopConditions: there is no alarm %s here", c.Value)
		case c.Source == alarmSource:
		case c.Source != "none" || c.Value != "":
			return fmt.Errorf("stopConditions: %q is neither %s, whose value is an ARN, nor none", c.Source, alarmSource)
		case len(t.StopConditions) > 1:
			return fmt.Errorf("stopConditions: none stands alone")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Targets)) {
		is := t.Targets[name]
		if err := is.check(); err != nil {
			return fmt.Errorf("targets.%s.%w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Actions)) {
		if len(name) > nameBytesMax {
			return fmt.Errorf("actions: a name has at most %d characters", nameBytesMax)
		}
		if err := t.checkAction(name, h); err != nil {
			return fmt.Errorf("actions.%s.%w", name, err)
		}
	}
	return t.ordered()
}

func (t *target) check() error {
	switch {
	case !slices.ContainsFunc(types, func(is shownType) bool { return is.ResourceType == t.ResourceType }):
		return lacking("resourceType: %q is not supported here; there are %s, %s and %s", t.ResourceType, subnets, roles, functions)
	case !selection.MatchString(t.SelectionMode):
		return fmt.Errorf("selectionMode: %q is none of ALL, COUNT(n), PERCENT(n)", t.SelectionMode)
	case len(t.Filters) > 0 && t.ResourceType == subnets:
		return fmt.Errorf("filters: %w", errSubnets)
	case len(t.Filters) > 0:
		return lacking("filters: a %s has none", t.ResourceType)
	case t.ResourceType == subnets && len(t.ResourceTags) > 0:
		return fmt.Errorf("resourceTags: %w", errSubnets)
	case t.ResourceType == subnets && len(t.Parameters) > 0:
		return fmt.Errorf("parameters.%s: %w", slices.Sorted(maps.Keys(t.Parameters))[0], errSubnets)
	case (len(t.ResourceARNs) == 0) == (len(t.ResourceTags) == 0):
		return fmt.Errorf("resourceArns, resourceTags: one of them is needed, and not both")
	case len(t.ResourceARNs) > arnsMax:
		return fmt.Errorf("resourceArns: there are at most %d", arnsMax)
	case t.ResourceType == roles && len(t.ResourceTags) > 0:
		return lacking("resourceTags: roles have no tags here; name their ARNs")
	}
	for _, arn := range t.ResourceARNs {
		if t.ResourceType == subnets && !subnetARN.MatchString(arn) {
			return fmt.Errorf("resourceArns: %q is no ARN of a subnet", arn)
		}
	}
	for name := range t.Parameters {
		if t.ResourceType != functions || name != qualifier {
			return fmt.Errorf("parameters.%s: a %s does not take it", name, t.ResourceType)
		}
	}
	return nil
}

// subnetARN is the form of a subnet's ARN (Service Authorization Reference, "Amazon EC2").
var subnetARN = regexp.MustCompile(`^arn:[a-z-]+:ec2:[a-z0-9-]+:[0-9]{12}:subnet/[^/]+$`)

// errSubnets refuses all but a subnet's ARN.
var errSubnets = lacking("of a subnet nothing is known here but that functions are in it: name it in resourceArns")

// qualifier is the parameter of a target that says which version or alias is met.
const qualifier = "functionQualifier"

func (t *template) checkAction(name string, h here) error {
	a := t.Actions[name]
	k, err := actionOf(a.ActionID)
	if err != nil {
		return fmt.Errorf("actionId: %w", err)
	}
	if err := k.check(a.Parameters, h); err != nil {
		return err
	}
	if k.id == assertion {
		if _, err := expectation(a.Parameters, h); err != nil {
			return err
		}
	}
	if k.target == "" && len(a.Targets) > 0 {
		return fmt.Errorf("targets: %s has none", k.id)
	}
	if k.target != "" {
		of, given := t.Targets[a.Targets[k.target]]
		switch {
		case len(a.Targets) != 1 || a.Targets[k.target] == "":
			return fmt.Errorf("targets: %s has one, %s", k.id, k.target)
		case !given:
			return fmt.Errorf("targets.%s: there is no target %s in the template", k.target, a.Targets[k.target])
		case of.ResourceType != k.on:
			return fmt.Errorf("targets.%s: %s meets %s, not %s", k.target, k.id, k.on, of.ResourceType)
		}
	}
	for _, before := range a.StartAfter {
		if _, there := t.Actions[before]; !there || before == name {
			return fmt.Errorf("startAfter: there is no other action %s", before)
		}
	}
	return nil
}

// ordered says whether every action's turn comes.
func (t *template) ordered() error {
	done := map[string]bool{}
	for len(done) < len(t.Actions) {
		before := len(done)
		for name, a := range t.Actions {
			if !slices.ContainsFunc(a.StartAfter, func(s string) bool { return !done[s] }) {
				done[name] = true
			}
		}
		if len(done) == before {
			return fmt.Errorf("actions: those that start after one another go in a circle")
		}
	}
	return nil
}

// creating is what makes a template.
type creating struct {
	template
	ClientToken                   string            `json:"clientToken"`
	Tags                          map[string]string `json:"tags"`
	LogConfiguration              json.RawMessage   `json:"logConfiguration"`
	ExperimentReportConfiguration json.RawMessage   `json:"experimentReportConfiguration"`
}

// told refuses what would be told elsewhere.
func told(logs, report json.RawMessage) error {
	given := func(b json.RawMessage) bool { return len(b) > 0 && string(b) != "null" && string(b) != "{}" }
	switch {
	case given(logs):
		return lacking("logConfiguration: it is not supported here: there are neither buckets nor log groups to write to. What an experiment breaks is marked in daruma logs, trace and failures.")
	case given(report):
		return lacking("experimentReportConfiguration: it is not supported here. daruma experiment run writes reports.")
	}
	return nil
}

// lacking is the error of what the service has and what is not here.
func lacking(format string, args ...any) error {
	return &daruma.Error{Kind: daruma.KindUnsupported, Err: fmt.Errorf(format, args...)}
}

// plan checks a request for a template and makes a plan of it.
func (c *creating) plan(h here) (p drill.Plan, err error) {
	if err := told(c.LogConfiguration, c.ExperimentReportConfiguration); err != nil {
		return p, err
	}
	if err := checkTags(c.Tags); err != nil {
		return p, err
	}
	if p, err = c.template.plan(h); err != nil {
		return p, err
	}
	p.Tags, p.Token, p.Sum = c.Tags, c.ClientToken, sumOf(p.Document, c.Tags)
	return p, nil
}

// plan checks a template and makes a plan of it, without tags.
func (t *template) plan(h here) (p drill.Plan, err error) {
	if err := t.check(h); err != nil {
		return p, err
	}
	p.Description = t.Description
	p.Document, err = json.Marshal(t)
	return p, err
}

// Declared makes a plan of a template that is declared elsewhere: the body of a
// request for one, under an ID of the API. services are those that are served, alarm
// knows alarms by their ARN, as in [Config]; what is nil is not known yet, and
// whatever is said of it is taken.
//
// Errors: KindUnsupported when something is not here that the service has, and KindInvalid.
func Declared(id string, request []byte, services []string, alarm func(arn string) string) (w drill.Wish, err error) {
	var in creating
	if err := json.Unmarshal(request, &in); err != nil {
		return w, daruma.Invalidf("the request cannot be read: %w", err)
	}
	plain, ours := strings.CutPrefix(id, templatePrefix)
	if !ours {
		return w, daruma.Invalidf("%q is no ID of an experiment template", id)
	}
	p, err := in.plan(here{services, alarm})
	if err != nil && daruma.KindOf(err) != daruma.KindUnsupported {
		err = daruma.Invalidf("%w", err)
	}
	return drill.Wish{ID: plain, Description: p.Description, Document: p.Document, Tags: p.Tags}, err
}

// createTemplate answers CreateExperimentTemplate.
func (d *Door) createTemplate(c *call, in *creating) (any, *wire.Error) {
	p, err := in.plan(d.here())
	if err != nil {
		return nil, validation(err.Error())
	}
	return d.keep(c, p)
}

// here is what there is for templates now.
func (d *Door) here() here { return here{d.cfg.Services(), d.cfg.Alarm} }

// keep keeps a plan.
func (d *Door) keep(c *call, p drill.Plan) (any, *wire.Error) {
	kept, err := d.cfg.Drills.Put(c.ctx, p)
	if err != nil {
		return nil, failed(err)
	}
	return d.answerTemplate(kept)
}

// updateTemplate answers UpdateExperimentTemplate: what is given replaces what was.
func (d *Door) updateTemplate(c *call, in *struct {
	Description                   *string           `json:"description"`
	RoleARN                       *string           `json:"roleArn"`
	Actions                       map[string]action `json:"actions"`
	Targets                       map[string]target `json:"targets"`
	StopConditions                []stopCondition   `json:"stopConditions"`
	ExperimentOptions             *options          `json:"experimentOptions"`
	LogConfiguration              json.RawMessage   `json:"logConfiguration"`
	ExperimentReportConfiguration json.RawMessage   `json:"experimentReportConfiguration"`
}) (any, *wire.Error) {
	if err := told(in.LogConfiguration, in.ExperimentReportConfiguration); err != nil {
		return nil, validation(err.Error())
	}
	_, t, refused := d.template(c, c.id)
	if refused != nil {
		return nil, refused
	}
	if in.Description != nil {
		t.Description = *in.Description
	}
	if in.RoleARN != nil {
		t.RoleARN = *in.RoleARN
	}
	if in.Actions != nil {
		t.Actions = in.Actions
	}
	if in.Targets != nil {
		t.Targets = in.Targets
	}
	if in.StopConditions != nil {
		t.StopConditions = in.StopConditions
	}
	if in.ExperimentOptions != nil {
		t.ExperimentOptions.EmptyTargetResolutionMode = in.ExperimentOptions.EmptyTargetResolutionMode
	}
	p, err := t.plan(d.here())
	if err != nil {
		return nil, validation(err.Error())
	}
	p.ID = strings.TrimPrefix(c.id, templatePrefix)
	return d.keep(c, p)
}

// template reads a template by its ID.
func (d *Door) template(c *call, id string) (*drill.Plan, *template, *wire.Error) {
	plain, ok := strings.CutPrefix(id, templatePrefix)
	if !ok {
		return nil, nil, failed(drill.ErrPlan)
	}
	p, err := d.cfg.Drills.Plan(c.ctx, plain)
	if err != nil {
		return nil, nil, failed(err)
	}
	t, refused := decode[template](p.Document)
	return p, t, refused
}

func decode[T any](document json.RawMessage) (*T, *wire.Error) {
	var t T
	if err := json.Unmarshal(document, &t); err != nil {
		return nil, failed(err)
	}
	return &t, nil
}

// getTemplate answers GetExperimentTemplate.
func (d *Door) getTemplate(c *call) (any, *wire.Error) {
	p, _, refused := d.template(c, c.id)
	if refused != nil {
		return nil, refused
	}
	return d.answerTemplate(p)
}

// deleteTemplate answers DeleteExperimentTemplate, with what there was.
func (d *Door) deleteTemplate(c *call) (any, *wire.Error) {
	p, _, refused := d.template(c, c.id)
	if refused != nil {
		return nil, refused
	}
	p, err := d.cfg.Drills.Remove(c.ctx, p.ID)
	if err != nil {
		return nil, failed(err)
	}
	return d.answerTemplate(p)
}

// listTemplates answers ListExperimentTemplates.
func (d *Door) listTemplates(c *call) (any, *wire.Error) {
	all, err := d.cfg.Drills.Plans(c.ctx)
	if err != nil {
		return nil, failed(err)
	}
	summaries := make([]summary, 0, len(all))
	for i := range all {
		p := &all[i]
		summaries = append(summaries, summary{ID: templatePrefix + p.ID, ARN: d.templateARN(p.ID), Description: p.Description, Created: epoch(p.Created), Updated: epoch(p.Updated), Tags: tagsOf(p.Tags)})
	}
	some, next, refused := page(c, summaries, func(s *summary) string { return s.ID })
	return struct {
		Templates []summary `json:"experimentTemplates"`
		Next      string    `json:"nextToken,omitempty"`
	}{some, next}, refused
}
