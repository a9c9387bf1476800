package template

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// An EventInvoke is how asynchronous invocations of a function through one
// qualifier are treated.
type EventInvoke struct {
	catalog.EventInvokeConfig
	LogicalID string // of the resource it comes from
	VersionID string // the logical ID of the Version that Qualifier is a guess of, or ""
	Position  string
}

// Destinations that cannot be sent to, by the service in their ARN and by
// SAM's name for their type.
var (
	destinationNames = map[string]string{"events": "event buses", "s3": "buckets"}
	destinationTypes = map[string]string{"SQS": "sqs", "SNS": "sns", "EventBridge": "events", "S3Bucket": "s3", "Lambda": "lambda"}
)

// eventInvokeConfig reads the EventInvokeConfig of a SAM function, once all
// functions are known. It is that of the alias when there is one.
func (l *loader) eventInvokeConfig(r *resource, f *catalog.Function, p *properties, alias string) {
	c := p.sub("EventInvokeConfig")
	if c == nil {
		return
	}
	if alias == "" {
		alias = catalog.Latest
	}
	l.later = append(l.later, event{r, func() {
		e := EventInvoke{EventInvokeConfig: catalog.EventInvokeConfig{Function: f.Name, Qualifier: alias}, LogicalID: r.id + "EventInvokeConfig", Position: p.at("EventInvokeConfig").String()}
		l.eventInvokeSettings(c, &e.EventInvokeConfig, true)
		if l.functions[f.Name] != nil {
			l.addEventInvoke(p, "EventInvokeConfig", e)
		}
	}})
}

// lambdaEventInvokeConfig reads an AWS::Lambda::EventInvokeConfig.
func (l *loader) lambdaEventInvokeConfig(r *resource) {
	p := l.properties(r)
	p.require("FunctionName", "Qualifier")
	e := EventInvoke{LogicalID: r.id, Position: r.at.String()}
	name, qualifier := p.value("FunctionName"), p.text("Qualifier")
	known := true
	if name == nil || !name.IsScalar() {
		p.text("FunctionName")
		known = false
	} else if target, ok := l.target(p, "FunctionName", name, "how its asynchronous invocations are treated"); !ok || l.functions[target.Function] == nil {
		known = false
	} else {
		e.Function = target.Function
	}
	l.eventInvokeSettings(p, &e.EventInvokeConfig, false)
	p.done()
	if known && qualifier != "" && l.qualifier(p, qualifier, &e) {
		l.addEventInvoke(p, "Qualifier", e)
	}
}

// qualifier reads what Qualifier names: $LATEST, an alias or a version of e's function.
func (l *loader) qualifier(p *properties, q string, e *EventInvoke) bool {
	v := p.value("Qualifier")
	e.Qualifier = q
	alias := slices.ContainsFunc(l.app.Publish, func(o Publish) bool { return o.Function == e.Function && o.Alias == q }) ||
		slices.ContainsFunc(l.app.Aliases, func(o Alias) bool { return o.Function == e.Function && o.Name == q })
	switch {
	case len(v.Refs) == 1 && l.resources[v.Refs[0].ID] != nil && l.resources[v.Refs[0].ID].typ == lambdaVersion:
		e.VersionID = v.Refs[0].ID
		return true
	case len(v.Refs) > 0:
		p.missing("Qualifier", v.Pos, "the version that 'Qualifier' names cannot be known here", "how asynchronous invocations of it are treated", "name the alias")
		return false
	case q == catalog.Latest, alias, strings.Trim(q, "0123456789") == "":
		return true
	}
	p.fault("Qualifier", v.Pos, "the function "+e.Function+" has no alias "+q+" in this template", "it is $LATEST, an alias or a version")
	return false
}

// eventInvokeSettings reads what SAM's and CloudFormation's configuration have in common.
func (l *loader) eventInvokeSettings(c *properties, e *catalog.EventInvokeConfig, sam bool) {
	if c.value("MaximumRetryAttempts") != nil {
		if n := c.integer("MaximumRetryAttempts", 0, catalog.RetriesMax, -1); n >= 0 {
			e.Retries = &n
		}
	}
	e.MaxAge = time.Duration(c.integer("MaximumEventAgeInSeconds", int(catalog.EventAgeMin/time.Second), int(catalog.EventAgeMax/time.Second), 0)) * time.Second
	d := c.sub("DestinationConfig")
	if d != nil {
		e.OnSuccess = l.destination(d, "OnSuccess", e.Function, "the records of events that ended well", sam)
		e.OnFailure = l.destination(d, "OnFailure", e.Function, "the records of events that failed for good", sam)
		d.done()
	}
	if !c.has("DestinationConfig") && !c.has("MaximumRetryAttempts") && !c.has("MaximumEventAgeInSeconds") {
		c.fault("", c.node.Pos, "You must specify at least one of error handling or destination setting.", "")
	}
	if sam {
		c.done()
	}
}

// destination reads OnSuccess or OnFailure, and returns the ARN of the
// function it leads to. Other destinations are not supported.
func (l *loader) destination(d *properties, which, function, records string, sam bool) string {
	c := d.sub(which)
	if c == nil {
		return ""
	}
	types := []string{"SQS", "SNS", "EventBridge", "Lambda", "S3Bucket"}
	typ := ""
	if sam {
		if typ = c.one("Type", types...); !c.has("Type") {
			c.fault("Type", c.node.Pos, fmt.Sprintf("'Type' must be one of %s", strings.Join(types, ", ")), "")
		}
	} else {
		c.require("Destination")
	}
	v := c.value("Destination")
	text := c.text("Destination")
	c.done()
	service := destinationTypes[typ]
	if v == nil && service != "" && service != "sqs" && service != "sns" {
		c.fault("Destination", c.node.Pos, "Destination is required if Type is not SQS or SNS", "")
		return ""
	}
	at := c.at("Destination")
	if parts := strings.SplitN(text, ":", 4); len(parts) == 4 && parts[0] == "arn" {
		service = parts[2]
	} else if v != nil && len(v.Refs) > 0 {
		c.missing("Destination", at, "the destination "+text+" cannot be known here", records+" of "+function, "use Fn::GetAtt Arn of a function")
		return ""
	} else if v != nil && v.IsScalar() && text != "" {
		c.fault("Destination", at, "a destination is an ARN, not "+text, "use Fn::GetAtt Arn")
		return ""
	}
	switch name := destinationNames[service]; {
	case name != "":
		c.missing("Destination", at, "destinations that are "+name+" are not supported", records+" of "+function, "send them to a function")
	case service == "lambda":
		return l.destinationFunction(c, v, function, records)
	case service == "sqs" && v == nil && sam:
		return l.generateQueue(l.current.id+"EventInvokeConfig"+which+"Queue", c.node.Pos.String())
	case service == "sqs":
		return l.queueTarget(c, "Destination", v, records+" of "+function)
	case service == "sns" && v == nil && sam:
		return l.generateTopic(l.current.id+"EventInvokeConfig"+which+"Topic", c.node.Pos.String())
	case service == "sns" && v != nil:
		return l.topicTarget(c, "Destination", v, records+" of "+function)
	case service != "":
		c.fault("Destination", at, "The provided destination config is invalid: "+text+" is no function, queue, topic, event bus or bucket", "")
	}
	return ""
}

// destinationFunction checks that a destination is another function of the template.
func (l *loader) destinationFunction(c *properties, v *tree.Node, function, records string) string {
	target, ok := l.target(c, "Destination", v, records+" of "+function)
	switch {
	case !ok || l.functions[target.Function] == nil:
		return ""
	case target.Function == function:
		c.fault("Destination", v.Pos, "You can't specify the function as a destination for itself.", "")
		return ""
	case len(v.Refs) > 0:
		c.missing("Destination", v.Pos, "the version that 'Destination' names cannot be known here", records+" of "+function, "name the function or an alias of it")
		return ""
	}
	return v.Text
}

// addEventInvoke takes a configuration in; there is one for each qualifier.
func (l *loader) addEventInvoke(p *properties, property string, e EventInvoke) {
	for _, o := range l.app.EventInvoke {
		if o.Function == e.Function && o.Qualifier == e.Qualifier {
			p.fault(property, p.at(property), "asynchronous invocations of "+e.Function+":"+e.Qualifier+" are configured already", "the other is "+o.LogicalID)
			return
		}
	}
	l.app.EventInvoke = append(l.app.EventInvoke, e)
}

// queueTarget checks that an ARN is that of a standard queue of the template, and returns it.
func (l *loader) queueTarget(p *properties, property string, v *tree.Node, what string) string {
	switch {
	case v == nil || !v.IsScalar():
		return ""
	case len(v.Refs) > 0 || !l.queueARN(v.Text):
		p.missing(property, v.Pos, "the queue "+v.Text+" is not in this template", what, "use Fn::GetAtt Arn of a queue of it")
		return ""
	case strings.HasSuffix(v.Text, ".fifo"):
		p.fault(property, v.Pos, "The provided target is a FIFO queue, which does not take asynchronous events: "+v.Text, "use a standard queue")
		return ""
	}
	return v.Text
}

// deadLetterQueue reads the DeadLetterQueue of a SAM function.
func (l *loader) deadLetterQueue(f *catalog.Function, p *properties) {
	c := p.sub("DeadLetterQueue")
	if c == nil {
		return
	}
	typ := c.one("Type", "SQS", "SNS")
	c.text("TargetArn")
	switch {
	case !c.has("Type") || !c.has("TargetArn"):
		p.fault("DeadLetterQueue", p.at("DeadLetterQueue"), "'DeadLetterQueue' requires Type and TargetArn properties to be specified.", "")
	case typ != "":
		f.DeadLetter = l.deadLetter(c, "DeadLetterQueue", f.Name)
	}
	c.done()
}

// deadLetterConfig reads the DeadLetterConfig of a function.
func (l *loader) deadLetterConfig(f *catalog.Function, p *properties) {
	c := p.sub("DeadLetterConfig")
	if c == nil {
		return
	}
	if c.text("TargetArn") != "" {
		f.DeadLetter = l.deadLetter(c, "DeadLetterConfig", f.Name)
	}
	c.done()
}

// deadLetter returns the ARN of where a function's events go that fail for good.
func (l *loader) deadLetter(c *properties, property, function string) string {
	v := c.value("TargetArn")
	if v == nil || !v.IsScalar() {
		return ""
	}
	what := "the dead-letter queue: events of " + function + " that fail for good are only in the record of failures"
	switch parts := strings.SplitN(v.Text, ":", 4); {
	case len(parts) == 4 && parts[2] == "sns":
		return l.topicTarget(c, "TargetArn", v, what)
	case len(parts) < 4 || parts[2] != "sqs":
		c.missing("TargetArn", v.Pos, property+" that is no queue and no topic is not supported", what, "send them to a queue or a topic")
		return ""
	}
	return l.queueTarget(c, "TargetArn", v, what)
}
