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
}

// otherMappings are properties of mappings whose sources are not supported, or
// that are not supported themselves, with what is missing.
var otherMappings = map[string]string{
	"KmsKeyArn":               "encryption of filters with a key of KMS: they are stored as they are",
	"MetricsConfig":           "metrics of the mapping",
	"ProvisionedPollerConfig": "a fixed number of pollers",
	"LoggingConfig":           "logs of the mapping",
}

// queueEvent reads a SAM event of type SQS.
func (l *loader) queueEvent(e tree.Field, id string, target daruma.Target) {
	node := e.Value.Get("Properties")
	if node == nil || node.Kind == tree.Null {
		node = &tree.Node{Pos: e.Pos, Kind: tree.Map}
	}
	var v *tree.Node
	l.scope.At("Events."+e.Name, func() { v = l.scope.Eval(node) })
	if v == nil || v.Kind != tree.Map {
		if v == nil || v.Kind != tree.Broken {
			l.fault(node.Pos, "the Properties of the event "+e.Name+" must be a map", "")
		}
		return
	}
	p := l.within("Events."+e.Name, v)
	p.require("Queue")
	m := Mapping{LogicalID: id, Target: target, Position: e.Pos.String(), Source: p.text("Queue")}
	l.mappingSettings(p, &m)
	p.done()
	l.addMapping(p, "Queue", m)
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
	for _, stream := range []string{"StartingPosition", "StartingPositionTimestamp", "ParallelizationFactor", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds",
		"TumblingWindowInSeconds", "DestinationConfig", "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource", "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig"} {
		if strings.HasPrefix(m.Source, "arn:aws:sqs:") && p.has(stream) {
			p.fault(stream, p.at(stream), "Unsupported "+stream+" parameter for given event source mapping type.", "")
		}
		p.ask(stream)
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
	if s := p.sub("ScalingConfig"); s != nil {
		m.AtOnce = number(s, "MaximumConcurrency", 1000)
		s.done()
	}
	if p.has("Enabled") {
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
	for name, missing := range otherMappings {
		p.refuse(name, missing, "")
	}
}

// addMapping adds a mapping whose source is a queue of this place.
func (l *loader) addMapping(p *properties, property string, m Mapping) {
	switch {
	case m.Source == "" || l.functions[m.Target.Function] == nil:
		return
	case !strings.HasPrefix(m.Source, "arn:aws:sqs:"):
		p.missing(property, p.at(property), "event sources other than queues are not supported", "the invocations of "+m.Target.Function+" from "+m.Source, "")
		return
	case slices.ContainsFunc(l.app.Mappings, func(o Mapping) bool { return o.Source == m.Source && o.Target == m.Target }):
		p.fault(property, p.at(property), "the function "+m.Target.String()+" has an event source mapping of this queue already", "")
		return
	}
	l.app.Mappings = append(l.app.Mappings, m)
}
