package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const lambdaMapping = "AWS::Lambda::EventSourceMapping"

// A Mapping is an event source mapping that should exist. Who makes it knows what its
// source may have; numbers that are not given are nil.
type Mapping struct {
	LogicalID string
	Target    daruma.Target
	Source    string // its ARN
	Batch     *int
	Window    *int // seconds
	AtOnce    *int
	Partial   bool
	Disabled  bool
	Filters   []string
	Tags      map[string]string
	Position  string
	Stream    *StreamMapping // of a stream
}

// otherMappings are properties of mappings whose sources are not supported, or
// that are not supported themselves, with what is missing.
var otherMappings = map[string]string{
	"MetricsConfig":           "metrics of the mapping",
	"ProvisionedPollerConfig": "a fixed number of pollers",
	"LoggingConfig":           "logs of the mapping",
}

// mappingEvent reads a SAM event that is a mapping; property names its source.
func (l *loader) mappingEvent(e tree.Field, id string, target daruma.Target, property string) {
	node := e.Value.Get("Properties")
	if node == nil || node.Kind == tree.Null {
		node = &tree.Node{Pos: e.Pos, Kind: tree.Map}
	}
	p, ok := l.eventProperties(e, node)
	if !ok {
		return
	}
	p.require(property)
	m := Mapping{LogicalID: id, Target: target, Position: e.Pos.String(), Source: p.text(property)}
	l.mappingSettings(p, &m)
	if property == "Stream" {
		l.streamSettings(p, &m, true)
	}
	p.done()
	l.addMapping(p, property, m)
}

// lambdaMapping reads an AWS::Lambda::EventSourceMapping.
func (l *loader) lambdaMapping(r *resource) {
	p := l.properties(r)
	p.require("FunctionName", "EventSourceArn")
	m := Mapping{LogicalID: r.id, Position: r.at.String(), Source: p.text("EventSourceArn")}
	name := p.value("FunctionName")
	known := name != nil && name.IsScalar()
	if known {
		m.Target, known = l.target(p, "FunctionName", name, "the invocations from its source")
	} else {
		p.text("FunctionName")
	}
	m.Tags = l.tagList(p)
	l.mappingSettings(p, &m)
	if isStream(m.Source) {
		l.streamSettings(p, &m, false)
	}
	for _, foreign := range foreignMappings {
		if asked := slices.Contains(p.asked, foreign); p.given(foreign) && (strings.HasPrefix(m.Source, "arn:aws:sqs:") || isStream(m.Source) && !asked) {
			p.fault(foreign, p.at(foreign), "Unsupported "+foreign+" parameter for given event source mapping type.", "")
		}
	}
	p.done()
	if known {
		l.addMapping(p, "EventSourceArn", m)
	}
}

// mappingSettings reads what SAM's and CloudFormation's mappings have in common.
func (l *loader) mappingSettings(p *properties, m *Mapping) {
	number := func(p *properties, name string, most int) *int {
		if n := p.integer(name, 0, most, -1); n >= 0 {
			return &n
		}
		return nil
	}
	m.Batch = number(p, "BatchSize", 10_000)
	m.Window = number(p, "MaximumBatchingWindowInSeconds", 300)
	if s := p.sub("ScalingConfig"); s != nil && isStream(m.Source) {
		p.fault("ScalingConfig", p.at("ScalingConfig"), "Unsupported ScalingConfig parameter for given event source mapping type.", "use ParallelizationFactor")
	} else if s != nil {
		m.AtOnce = number(s, "MaximumConcurrency", 1000)
		s.done()
	}
	if p.given("Enabled") {
		m.Disabled = !p.boolean("Enabled")
	}
	for _, t := range p.texts("FunctionResponseTypes") {
		if t != "ReportBatchItemFailures" {
			p.fault("FunctionResponseTypes", p.at("FunctionResponseTypes"), "there is no function response type "+t, "it is ReportBatchItemFailures")
			continue
		}
		m.Partial = true
	}
	if c := p.sub("FilterCriteria"); c != nil {
		for _, item := range c.list("Filters") {
			if item.Kind != tree.Map {
				c.fault("Filters", item.Pos, "a filter must be a map with a Pattern", "")
				continue
			}
			f := l.within(c.full("Filters"), item)
			f.require("Pattern")
			if text := l.jsonProperty(f, "Pattern"); text != "" {
				m.Filters = append(m.Filters, text)
			}
			f.done()
		}
		c.done()
	}
	p.unkeep("KmsKeyArn", encryption)
	for name, missing := range otherMappings {
		p.refuse(name, missing, "")
	}
}

// addMapping adds a mapping whose source is a queue or a stream of this place.
func (l *loader) addMapping(p *properties, property string, m Mapping) {
	switch {
	case m.Source == "" || l.functions[m.Target.Function] == nil:
		return
	case !strings.HasPrefix(m.Source, "arn:aws:sqs:") && !isStream(m.Source):
		p.missing(property, p.at(property), "event sources other than queues and streams of tables are not supported", "the invocations of "+m.Target.Function+" from "+m.Source, "")
		return
	case slices.ContainsFunc(l.app.Mappings, func(o Mapping) bool { return o.Source == m.Source && o.Target == m.Target }):
		p.fault(property, p.at(property), "the function "+m.Target.String()+" has an event source mapping of this source already", "")
		return
	}
	l.app.Mappings = append(l.app.Mappings, m)
}
