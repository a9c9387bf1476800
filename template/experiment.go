package template

import (
	"encoding/json"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const experimentTemplate = "AWS::FIS::ExperimentTemplate"

// An ExperimentTemplate is a template of experiments that should exist. Who makes it
// says what of it is wrong, or not supported ([Options].ExperimentTemplate).
type ExperimentTemplate struct {
	LogicalID string
	ID        string // as the API has it
	Request   string // the body of a CreateExperimentTemplate request
	Retain    bool   // it stays when the template says nothing of it any more
	Position  string
}

// experimentLost is what is missing without one.
const experimentLost = "the experiment template"

// experimentTemplate reads an AWS::FIS::ExperimentTemplate into the words of the API,
// whose names begin with small letters and are the same otherwise.
func (l *loader) experimentTemplate(r *resource) {
	p := l.properties(r)
	p.require("Description", "RoleArn", "StopConditions")
	known := true
	request := map[string]any{"description": p.text("Description"), "roleArn": p.text("RoleArn"), "tags": p.textMap("Tags"),
		"targets": mapsOf(p, "Targets", l.experimentTarget), "actions": mapsOf(p, "Actions", experimentAction)}
	var stops []any
	for _, item := range p.list("StopConditions") {
		if item.Kind != tree.Map {
			p.fault("StopConditions", item.Pos, "a stop condition must be a map with Source and Value", "")
			continue
		}
		s := l.within("StopConditions", item)
		s.require("Source")
		if v := s.value("Value"); v != nil && len(v.Refs) > 0 {
			s.missing("Value", v.Pos, "what stops the experiment is not supported or not known here: "+v.Text, experimentLost, "")
			known = false
		}
		stops = append(stops, map[string]any{"source": s.text("Source"), "value": s.text("Value")})
		s.done()
	}
	request["stopConditions"] = stops
	if o := p.sub("ExperimentOptions"); o != nil {
		request["experimentOptions"] = map[string]any{"accountTargeting": o.text("AccountTargeting"), "emptyTargetResolutionMode": o.text("EmptyTargetResolutionMode")}
		o.done()
	}
	p.refuse("LogConfiguration", "the log of the experiment: what it breaks is marked in daruma logs, trace and failures", "")
	p.refuse("ExperimentReportConfiguration", "the report of the experiment", "daruma experiment run writes reports")
	p.done()
	e := ExperimentTemplate{LogicalID: r.id, Retain: l.retained(r), Position: r.at.String()}
	if name := l.physicalName(r, r.at); name != nil {
		e.ID = name.Text
	}
	text, _ := json.Marshal(request) // texts, lists and maps of them can be written
	e.Request = string(text)
	if !known || l.faulty(r.id) {
		return
	}
	if l.checkDrill != nil {
		if err := l.checkDrill(&e); err != nil {
			lost := ""
			if daruma.KindOf(err) == daruma.KindUnsupported {
				lost = experimentLost
			}
			l.report(Problem{Position: r.at, Message: err.Error(), Missing: lost, Unsupported: lost != ""})
			return
		}
	}
	l.app.Experiments = append(l.app.Experiments, e)
}

// mapsOf reads a map of maps.
func mapsOf(p *properties, name string, read func(*properties) map[string]any) map[string]any {
	s := p.sub(name)
	if s == nil {
		return nil
	}
	all := map[string]any{}
	for _, f := range s.node.Fields {
		if one := s.sub(f.Name); one != nil {
			all[f.Name] = read(one)
			one.done()
		}
	}
	return all
}

func experimentAction(p *properties) map[string]any {
	p.require("ActionId")
	return map[string]any{"actionId": p.text("ActionId"), "description": p.text("Description"), "parameters": p.textMap("Parameters"), "targets": p.textMap("Targets"), "startAfter": p.texts("StartAfter")}
}

// experimentTarget reads a target. An ARN of what is not supported is told, and
// finds nothing unless functions name the same.
func (l *loader) experimentTarget(p *properties) map[string]any {
	p.require("ResourceType", "SelectionMode")
	for _, item := range p.list("ResourceArns") {
		l.tell(item, l.current.id+" ("+p.full("ResourceArns")+")")
	}
	var filters []any
	for _, item := range p.list("Filters") {
		if item.Kind != tree.Map {
			p.fault("Filters", item.Pos, "a filter must be a map with Path and Values", "")
			continue
		}
		f := l.within(p.full("Filters"), item)
		filters = append(filters, map[string]any{"path": f.text("Path"), "values": f.texts("Values")})
		f.done()
	}
	return map[string]any{"resourceType": p.text("ResourceType"), "resourceArns": p.texts("ResourceArns"), "resourceTags": p.textMap("ResourceTags"), "selectionMode": p.text("SelectionMode"),
		"parameters": p.textMap("Parameters"), "filters": filters}
}

// faulty says whether something was found to be wrong with a resource.
func (l *loader) faulty(id string) bool {
	for _, p := range l.problems {
		if p.Resource == id && !p.Unsupported {
			return true
		}
	}
	return false
}
