package fis

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
)

// start answers StartExperiment. What is wrong with the targets is the
// experiment's to say, as on AWS: it is failed then.
func (d *Door) start(c *call, in *struct {
	TemplateID        string            `json:"experimentTemplateId"`
	ClientToken       string            `json:"clientToken"`
	Tags              map[string]string `json:"tags"`
	ExperimentOptions options           `json:"experimentOptions"`
}) (any, *wire.Error) {
	if in.TemplateID == "" {
		return nil, validation("experimentTemplateId: it is needed")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, validation(err.Error())
	}
	p, t, refused := d.template(c, in.TemplateID)
	if refused != nil {
		return nil, refused
	}
	switch t.ExperimentOptions.ActionsMode = in.ExperimentOptions.ActionsMode; t.ExperimentOptions.ActionsMode {
	case "":
		t.ExperimentOptions.ActionsMode = "run-all"
	case "run-all", "skip-all":
	default:
		return nil, validation("experimentOptions.actionsMode: " + t.ExperimentOptions.ActionsMode + " is none of run-all, skip-all")
	}
	if err := t.check(d.here()); err != nil { // what is here may be less than when it was made
		return nil, validation(err.Error())
	}
	stages, resolved := d.stages(t)
	run := drill.Run{Plan: p.ID, Tags: in.Tags, Token: in.ClientToken}
	for _, c := range t.StopConditions {
		if c.Source == alarmSource {
			run.Alarms = append(run.Alarms, d.cfg.Alarm(c.Value))
		}
	}
	var err error
	if run.Document, err = json.Marshal(t); err == nil {
		run.Targets, err = json.Marshal(resolved)
	}
	if err != nil {
		return nil, failed(err)
	}
	run.Sum = sumOf([]byte(in.TemplateID+t.ExperimentOptions.ActionsMode), in.Tags)
	begun, err := d.cfg.Conduct.Start(c.ctx, run, stages)
	if err != nil {
		return nil, failed(err)
	}
	return d.answerExperiment(begun)
}

// experiment reads an experiment by its ID.
func (d *Door) experiment(c *call) (*drill.Run, *wire.Error) {
	plain, ok := strings.CutPrefix(c.id, experimentPrefix)
	if !ok {
		return nil, failed(drill.ErrRun)
	}
	r, err := d.cfg.Drills.Run(c.ctx, plain)
	if err != nil {
		return nil, failed(err)
	}
	return r, nil
}

// getExperiment answers GetExperiment.
func (d *Door) getExperiment(c *call) (any, *wire.Error) {
	r, refused := d.experiment(c)
	if refused != nil {
		return nil, refused
	}
	return d.answerExperiment(r)
}

// stop answers StopExperiment: its faults end at once, and it says so.
func (d *Door) stop(c *call) (any, *wire.Error) {
	r, refused := d.experiment(c)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Conduct.Stop(r.ID); err != nil {
		return nil, failed(err)
	}
	r.State, r.Reason = drill.Stopping, "it was stopped"
	return d.answerExperiment(r)
}

// listExperiments answers ListExperiments.
func (d *Door) listExperiments(c *call) (any, *wire.Error) {
	all, err := d.cfg.Drills.Runs(c.ctx)
	if err != nil {
		return nil, failed(err)
	}
	summaries := make([]summary, 0, len(all))
	for i := range all {
		r := &all[i]
		t, refused := decode[template](r.Document)
		if refused != nil {
			return nil, refused
		}
		if of := c.query.Get("experimentTemplateId"); of == "" || of == templatePrefix+r.Plan {
			summaries = append(summaries, summary{ID: experimentPrefix + r.ID, ARN: d.experimentARN(r.ID), Template: templatePrefix + r.Plan, State: stateOf(r), Options: &t.ExperimentOptions, Created: epoch(r.Created), Tags: tagsOf(r.Tags)})
		}
	}
	some, next, refused := page(c, summaries, func(s *summary) string { return s.ID })
	return struct {
		Experiments []summary `json:"experiments"`
		Next        string    `json:"nextToken,omitempty"`
	}{some, next}, refused
}

// A found is a resource that a target was resolved to.
type found struct {
	ResourceType string            `json:"resourceType"`
	TargetName   string            `json:"targetName"`
	Information  map[string]string `json:"targetInformation"`
}

// resolved answers ListExperimentResolvedTargets.
func (d *Door) resolved(c *call) (any, *wire.Error) {
	r, refused := d.experiment(c)
	if refused != nil {
		return nil, refused
	}
	all, refused := decode[[]found](r.Targets)
	if refused != nil {
		return nil, refused
	}
	list := slices.DeleteFunc(*all, func(f found) bool {
		of := c.query.Get("targetName")
		return of != "" && of != f.TargetName
	})
	some, next, refused := page(c, list, func(f *found) string { return f.TargetName + " " + f.Information["arn"] })
	return struct {
		Targets []found `json:"resolvedTargets"`
		Next    string  `json:"nextToken,omitempty"`
	}{some, next}, refused
}

// stages makes a stage of each action, with the targets there are now.
func (d *Door) stages(t *template) ([]drill.Stage, []found) {
	met := map[string][]string{} // ARNs, by target
	all := []found{}
	for _, name := range slices.Sorted(maps.Keys(t.Targets)) {
		is := t.Targets[name]
		met[name] = chosen(d.resources(&is), is.SelectionMode)
		for _, arn := range met[name] {
			all = append(all, found{is.ResourceType, name, map[string]string{"arn": arn}})
		}
	}
	var stages []drill.Stage
	for _, name := range slices.Sorted(maps.Keys(t.Actions)) {
		a := t.Actions[name]
		k, err := actionOf(a.ActionID)
		if err != nil {
			continue // the template was checked
		}
		lasts, _ := duration(a.Parameters["duration"]) // so was this
		s := drill.Stage{Name: name, After: a.StartAfter, For: lasts}
		if k.id == assertion {
			s.Expect, _ = expectation(a.Parameters, d.here()) // and this
		}
		if k.target != "" {
			of := t.Targets[a.Targets[k.target]]
			s.Faults = d.faults(k, a, &of, met[a.Targets[k.target]])
			const empty = "target resolution returned an empty set"
			switch {
			case len(s.Faults) > 0:
			case t.ExperimentOptions.EmptyTargetResolutionMode == "skip":
				s.Skip = empty
			default:
				s.Fail = empty
			}
		}
		if t.ExperimentOptions.ActionsMode == "skip-all" {
			s.Skip, s.Faults, s.Expect = "the experiment skips all actions", nil, nil
		}
		stages = append(stages, s)
	}
	return stages, all
}

// resources returns the ARNs of what there is of a target, in order.
func (d *Door) resources(t *target) (arns []string) {
	for _, f := range d.cfg.View().Functions() {
		for _, arn := range d.resourcesOf(t.ResourceType, f) {
			named := slices.ContainsFunc(t.ResourceARNs, func(given string) bool {
				return given == arn || t.ResourceType == functions && strings.HasPrefix(given, arn+":")
			})
			if (named || len(t.ResourceTags) > 0 && hasTags(f, t.ResourceTags)) && !slices.Contains(arns, arn) {
				arns = append(arns, arn)
			}
		}
	}
	slices.Sort(arns)
	return arns
}

// resourcesOf returns the ARNs, of one type, by which a function is met.
func (d *Door) resourcesOf(resourceType string, f *catalog.Function) (arns []string) {
	switch {
	case resourceType == functions:
		return []string{d.cfg.Place.FunctionARN(daruma.Target{Function: f.Name})}
	case resourceType == roles && f.Role != "":
		return []string{f.Role}
	case resourceType == subnets && f.VPC != nil:
		for _, id := range f.VPC.Subnets {
			arns = append(arns, "arn:aws:ec2:"+d.cfg.Place.Region+":"+d.cfg.Place.Account+":subnet/"+id)
		}
	}
	return arns
}

func hasTags(f *catalog.Function, tags map[string]string) bool {
	for key, value := range tags {
		if is, there := f.Tags[key]; !there || is != value {
			return false
		}
	}
	return true
}

// chosen returns so many of what there is, by chance, as a selection mode says.
func chosen(arns []string, mode string) []string {
	m := selection.FindStringSubmatch(mode)
	if m == nil || m[1] == "ALL" {
		return arns
	}
	n, _ := strconv.Atoi(m[2]) // the expression bounds the digits
	if m[3] != "" {
		percent, _ := strconv.Atoi(m[3])
		n = len(arns) * percent / 100
	}
	some := slices.Clone(arns)
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	some = some[:min(n, len(some))]
	slices.Sort(some)
	return some
}

// faults are what an action does to what it meets.
func (d *Door) faults(k *kind, a action, t *target, arns []string) (all []fault.Fault) {
	for _, f := range d.cfg.View().Functions() {
		of := d.resourcesOf(k.on, f)
		if !slices.ContainsFunc(of, func(arn string) bool { return slices.Contains(arns, arn) }) {
			continue
		}
		made, err := k.fault(a.Parameters, d.here())
		if err != nil {
			return nil // the template was checked
		}
		made.Target.Function, made.Why = f.Name, a.ActionID
		switch k.on {
		case functions:
			arn := of[0]
			for _, given := range t.ResourceARNs {
				if q, ok := strings.CutPrefix(given, arn+":"); ok {
					qualify(&made.Target, q)
				}
			}
			qualify(&made.Target, t.Parameters[qualifier])
			all = append(all, made)
		case subnets:
			all = append(all, made)
		case roles:
			for _, operation := range operationsOf(a.Parameters) {
				one := made
				one.Target.Operation = operation
				all = append(all, one)
			}
		}
	}
	return all
}

// qualify narrows a target to a version or an alias.
func qualify(t *fault.Target, q string) {
	switch {
	case q == "":
	case q == "$LATEST" || strings.Trim(q, "0123456789") == "":
		t.Version = q
	default:
		t.Alias = q
	}
}
