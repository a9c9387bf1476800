package fis

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
)

// What IDs of this API begin with.
const (
	templatePrefix   = "EXT"
	experimentPrefix = "EXP"
)

func (d *Door) arn(rest string) string {
	return "arn:aws:fis:" + d.cfg.Place.Region + ":" + d.cfg.Place.Account + ":" + rest
}

func (d *Door) templateARN(id string) string {
	return d.arn("experiment-template/" + templatePrefix + id)
}
func (d *Door) experimentARN(id string) string { return d.arn("experiment/" + experimentPrefix + id) }

// epoch is a time as it is answered: seconds, nil for the zero time.
func epoch(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	s := float64(t.UnixMilli()) / 1e3
	return &s
}

// sumOf is what a client token stands for.
func sumOf(document []byte, tags map[string]string) string {
	h := sha256.New()
	h.Write(document)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		h.Write([]byte("\x00" + name + "\x00" + tags[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A summary is a template, or an experiment, in a list.
type summary struct {
	ID          string            `json:"id"`
	ARN         string            `json:"arn"`
	Description string            `json:"description,omitempty"`
	Template    string            `json:"experimentTemplateId,omitempty"`
	State       *state            `json:"state,omitempty"`
	Options     *options          `json:"experimentOptions,omitempty"`
	Created     *float64          `json:"creationTime,omitempty"`
	Updated     *float64          `json:"lastUpdateTime,omitempty"`
	Tags        map[string]string `json:"tags"` // {} when there are none: the Chaos Toolkit looks
}

type state struct {
	Status drill.State `json:"status"`
	Reason string      `json:"reason,omitempty"`
}

// stateOf is the state of an experiment. One that an alarm ended says so in the service's words.
func stateOf(r *drill.Run) *state {
	if r.Halted != "" {
		return &state{r.State, "Experiment halted by stop condition."}
	}
	return &state{r.State, r.Reason}
}

// page cuts the page out of a list that a request asks for.
func page[T any](c *call, all []T, id func(*T) string) (some []T, next string, refused *wire.Error) {
	n := 100
	if text := c.query.Get("maxResults"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 100 {
			return nil, "", validation("maxResults: " + text + " is not from 1 to 100")
		}
	}
	some = []T{}
	for i := range all {
		if id(&all[i]) <= c.query.Get("nextToken") {
			continue
		}
		if len(some) == n {
			return some, id(&some[n-1]), nil
		}
		some = append(some, all[i])
	}
	return some, "", nil
}

// answerTemplate is a template as it is answered.
func (d *Door) answerTemplate(p *drill.Plan) (any, *wire.Error) {
	t, refused := decode[template](p.Document)
	if refused != nil {
		return nil, refused
	}
	type shown struct {
		ID      string            `json:"id"`
		ARN     string            `json:"arn"`
		Created *float64          `json:"creationTime,omitempty"`
		Updated *float64          `json:"lastUpdateTime,omitempty"`
		Tags    map[string]string `json:"tags"`
		template
	}
	return struct {
		Template shown `json:"experimentTemplate"`
	}{shown{templatePrefix + p.ID, d.templateARN(p.ID), epoch(p.Created), epoch(p.Updated), tagsOf(p.Tags), *t}}, nil
}

func tagsOf(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// A performed is an action of an experiment.
type performed struct {
	action
	State   state    `json:"state"`
	Started *float64 `json:"startTime,omitempty"`
	Ended   *float64 `json:"endTime,omitempty"`
}

// answerExperiment is an experiment as it is answered.
func (d *Door) answerExperiment(r *drill.Run) (any, *wire.Error) {
	t, refused := decode[template](r.Document)
	if refused != nil {
		return nil, refused
	}
	type shown struct {
		ID             string               `json:"id"`
		ARN            string               `json:"arn"`
		Template       string               `json:"experimentTemplateId"`
		RoleARN        string               `json:"roleArn"`
		State          state                `json:"state"`
		Targets        map[string]target    `json:"targets,omitempty"`
		Actions        map[string]performed `json:"actions"`
		StopConditions []stopCondition      `json:"stopConditions"`
		Created        *float64             `json:"creationTime,omitempty"`
		Started        *float64             `json:"startTime,omitempty"`
		Ended          *float64             `json:"endTime,omitempty"`
		Tags           map[string]string    `json:"tags"`
		Options        options              `json:"experimentOptions"`
	}
	e := shown{ID: experimentPrefix + r.ID, ARN: d.experimentARN(r.ID), Template: templatePrefix + r.Plan, RoleARN: t.RoleARN, State: *stateOf(r), Targets: t.Targets,
		Actions: map[string]performed{}, StopConditions: t.StopConditions, Created: epoch(r.Created), Started: epoch(r.Started), Ended: epoch(r.Ended), Tags: tagsOf(r.Tags), Options: t.ExperimentOptions}
	for _, s := range r.Steps {
		e.Actions[s.Name] = performed{t.Actions[s.Name], state{s.State, s.Reason}, epoch(s.Started), epoch(s.Ended)}
	}
	return struct {
		Experiment shown `json:"experiment"`
	}{e}, nil
}

// listActions answers ListActions: those that mean something here.
func (d *Door) listActions(c *call) (any, *wire.Error) {
	all := make([]any, 0, len(actions))
	for i := range actions {
		all = append(all, d.answerAction(&actions[i], false))
	}
	some, next, refused := page(c, all, func(a *any) string { return (*a).(shownAction).ID })
	return struct {
		Actions []any  `json:"actions"`
		Next    string `json:"nextToken,omitempty"`
	}{some, next}, refused
}

type shownAction struct {
	ID          string                    `json:"id"`
	ARN         string                    `json:"arn"`
	Description string                    `json:"description"`
	Parameters  map[string]shownParameter `json:"parameters,omitempty"`
	Targets     map[string]shownTarget    `json:"targets,omitempty"`
	Tags        map[string]string         `json:"tags"`
}

type shownParameter struct {
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

type shownTarget struct {
	ResourceType string `json:"resourceType"`
}

func (d *Door) answerAction(k *kind, whole bool) shownAction {
	a := shownAction{ID: k.id, ARN: d.arn("action/" + k.id), Description: k.text, Targets: map[string]shownTarget{}, Tags: map[string]string{}}
	if k.target != "" {
		a.Targets[k.target] = shownTarget{k.on}
	}
	if whole {
		a.Parameters = map[string]shownParameter{}
		for _, p := range k.parameters {
			a.Parameters[p.name] = shownParameter{p.text, p.required}
		}
	}
	return a
}

// getAction answers GetAction.
func (d *Door) getAction(c *call) (any, *wire.Error) {
	k, err := actionOf(c.id)
	if err != nil {
		return nil, notFound(err.Error())
	}
	return struct {
		Action shownAction `json:"action"`
	}{d.answerAction(k, true)}, nil
}

type shownType struct {
	ResourceType string                    `json:"resourceType"`
	Description  string                    `json:"description"`
	Parameters   map[string]shownParameter `json:"parameters,omitempty"`
}

// types are the types of what actions meet.
var types = []shownType{
	{subnets, "The functions whose VpcConfig names a subnet.", nil},
	{roles, "The functions that have a role.", nil},
	{functions, "A function.", map[string]shownParameter{qualifier: {"The version or alias that is met; every invocation when it is not given.", false}}},
}

// listTypes answers ListTargetResourceTypes.
func (d *Door) listTypes(c *call) (any, *wire.Error) {
	short := slices.Clone(types)
	for i := range short {
		short[i].Parameters = nil
	}
	some, next, refused := page(c, short, func(t *shownType) string { return t.ResourceType })
	return struct {
		Types []shownType `json:"targetResourceTypes"`
		Next  string      `json:"nextToken,omitempty"`
	}{some, next}, refused
}

// getType answers GetTargetResourceType.
func (d *Door) getType(c *call) (any, *wire.Error) {
	for _, t := range types {
		if t.ResourceType == c.id {
			return struct {
				Type shownType `json:"targetResourceType"`
			}{t}, nil
		}
	}
	return nil, notFound("There is no target resource type " + c.id + " here.")
}

func checkTags(tags map[string]string) error {
	if len(tags) > drill.TagsMax {
		return fmt.Errorf("tags: there are at most %d", drill.TagsMax)
	}
	for key, value := range tags {
		if key == "" || len(key) > 128 || len(value) > 256 {
			return errors.New("tags: a key has 1 to 128 characters, a value up to 256")
		}
	}
	return nil
}

// tagged finds what an ARN names.
func (d *Door) tagged(c *call) (plan, run string, tags map[string]string, refused *wire.Error) {
	rest, ours := strings.CutPrefix(c.id, d.arn(""))
	kind, id, _ := strings.Cut(rest, "/")
	if plain, ok := strings.CutPrefix(id, templatePrefix); ours && ok && kind == "experiment-template" {
		p, err := d.cfg.Drills.Plan(c.ctx, plain)
		if err != nil {
			return "", "", nil, failed(err)
		}
		return plain, "", tagsOf(p.Tags), nil
	}
	if plain, ok := strings.CutPrefix(id, experimentPrefix); ours && ok && kind == "experiment" {
		r, err := d.cfg.Drills.Run(c.ctx, plain)
		if err != nil {
			return "", "", nil, failed(err)
		}
		return "", plain, tagsOf(r.Tags), nil
	}
	return "", "", nil, notFound(c.id + " does not exist here.")
}

// listTags answers ListTagsForResource.
func (d *Door) listTags(c *call) (any, *wire.Error) {
	_, _, tags, refused := d.tagged(c)
	return map[string]any{"tags": tags}, refused
}

// change sets and removes tags.
func (d *Door) change(c *call, set map[string]string, remove []string) (any, *wire.Error) {
	plan, run, _, refused := d.tagged(c)
	if refused != nil {
		return nil, refused
	}
	var err error
	if plan != "" {
		err = d.cfg.Drills.TagPlan(c.ctx, plan, set, remove)
	} else {
		err = d.cfg.Drills.TagRun(c.ctx, run, set, remove)
	}
	if err != nil {
		return nil, failed(err)
	}
	return struct{}{}, nil
}

// tag answers TagResource.
func (d *Door) tag(c *call, in *struct {
	Tags map[string]string `json:"tags"`
}) (any, *wire.Error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, validation(err.Error())
	}
	return d.change(c, in.Tags, nil)
}

// untag answers UntagResource.
func (d *Door) untag(c *call) (any, *wire.Error) {
	keys := c.query["tagKeys"]
	if len(keys) == 0 {
		return nil, validation("tagKeys: at least one is needed")
	}
	return d.change(c, nil, keys)
}
