package template

import (
	"encoding/json"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const (
	snsTopic        = "AWS::SNS::Topic"
	snsSubscription = "AWS::SNS::Subscription"
	snsTopicPolicy  = "AWS::SNS::TopicPolicy"
)

// A Topic is a topic that should exist. Its attributes are texts, as the
// service's API has them; who makes the topic checks what they say.
type Topic struct {
	LogicalID  string
	Name       string
	Attributes map[string]string
	Tags       map[string]string
	Position   string
}

// A Subscription is a subscription that should exist. Its attributes are texts, too.
type Subscription struct {
	ID         string // the same at every start
	LogicalID  string // of the resource, or of the one it is written in
	Topic      string // the topic's name
	Protocol   string
	Endpoint   string // an ARN or a URL
	Attributes map[string]string
	Position   string
}

// topic reads an AWS::SNS::Topic, but for its subscriptions.
func (l *loader) topic(r *resource) {
	p := l.properties(r)
	name := l.physicalName(r, r.at)
	p.text("TopicName")
	t := Topic{LogicalID: r.id, Attributes: map[string]string{}, Position: r.at.String()}
	for _, is := range []string{"DisplayName", "KmsMasterKeyId"} {
		if v := p.text(is); v != "" {
			t.Attributes[is] = v
		}
	}
	for _, is := range []string{"FifoTopic", "ContentBasedDeduplication"} {
		if p.has(is) && p.boolean(is) {
			t.Attributes[is] = "true"
		}
	}
	for _, is := range []struct {
		name string
		of   []string
	}{{"SignatureVersion", []string{"1", "2"}}, {"FifoThroughputScope", []string{"Topic", "MessageGroup"}}, {"TracingConfig", []string{"PassThrough", "Active"}}} {
		if v := p.one(is.name, is.of...); v != "" {
			t.Attributes[is.name] = v
		}
	}
	p.unkeep("KmsMasterKeyId", encryption)
	if text := l.jsonProperty(p, "ArchivePolicy"); text != "" {
		t.Attributes["ArchivePolicy"] = text
	}
	t.Tags = l.tagList(p)
	p.refuse("DataProtectionPolicy", "the protection of data: messages are handed on as they are", "")
	p.refuse("DeliveryStatusLogging", "logs of deliveries: what failed is in the record of failures", "")
	p.ask("Subscription")
	p.done()
	if name == nil || name.Kind == tree.Broken {
		return
	}
	t.Name = name.Text
	if fifo := t.Attributes["FifoTopic"] == "true"; fifo != strings.HasSuffix(t.Name, ".fifo") {
		p.fault("TopicName", p.at("TopicName"), "the name of a FIFO topic ends with .fifo, and no other does: "+t.Name, "")
		return
	} else if !fifo && (t.Attributes["ContentBasedDeduplication"] != "" || t.Attributes["FifoThroughputScope"] != "" || t.Attributes["ArchivePolicy"] != "") {
		p.fault("FifoTopic", p.at("FifoTopic"), "ContentBasedDeduplication, FifoThroughputScope and ArchivePolicy are for topics with FifoTopic: true", "")
	}
	if l.topicNamed(t.Name) != nil {
		p.fault("TopicName", p.at("TopicName"), "the topic "+t.Name+" exists already", "the other is "+l.topicNamed(t.Name).LogicalID)
		return
	}
	l.app.Topics = append(l.app.Topics, t)
}

func (l *loader) topicNamed(name string) *Topic {
	for i := range l.app.Topics {
		if l.app.Topics[i].Name == name {
			return &l.app.Topics[i]
		}
	}
	return nil
}

// topicOf returns the topic of this template that has an ARN, or nil.
func (l *loader) topicOf(arn string) *Topic {
	if name, ok := strings.CutPrefix(arn, l.arn("sns", "")); ok {
		return l.topicNamed(name)
	}
	return nil
}

// topicSubscriptions reads the subscriptions written in an AWS::SNS::Topic.
func (l *loader) topicSubscriptions(r *resource) {
	section := r.props.Get("Subscription")
	name := l.physicalName(r, r.at)
	if section == nil || name == nil || l.topicNamed(name.Text) == nil {
		return
	}
	for _, item := range l.properties(r).list("Subscription") {
		if item.Kind != tree.Map {
			l.fault(item.Pos, "a subscription must be a map with Endpoint and Protocol", "")
			continue
		}
		p := l.within("Subscription", item)
		p.require("Endpoint", "Protocol")
		s := Subscription{LogicalID: r.id, Topic: name.Text, Attributes: map[string]string{}, Position: item.Pos.String()}
		known := l.endpoint(p, &s)
		s.ID = uuid(l.app.Name, r.id, s.Endpoint)
		p.done()
		if known {
			l.app.Subscriptions = append(l.app.Subscriptions, s)
		}
	}
}

// endpoint reads the protocol and the endpoint of a subscription.
func (l *loader) endpoint(p *properties, s *Subscription) bool {
	s.Protocol = p.one("Protocol", "sqs", "lambda", "http", "https", "email", "email-json", "sms", "application", "firehose")
	v := p.value("Endpoint")
	s.Endpoint = p.text("Endpoint")
	what := "deliveries of the topic " + s.Topic + " to its endpoint"
	switch {
	case s.Protocol == "" || v == nil || s.Endpoint == "":
		return false
	case len(v.Refs) > 0:
		p.missing("Endpoint", v.Pos, "the endpoint "+s.Endpoint+" is not supported or not known here", what, "")
		return false
	case s.Protocol == "lambda":
		target, ok := l.target(p, "Endpoint", v, what)
		return ok && l.functions[target.Function] != nil
	case s.Protocol == "sqs" || s.Protocol == "http" || s.Protocol == "https":
		return true
	}
	p.missing("Protocol", p.at("Protocol"), "subscriptions with the protocol "+s.Protocol+" are not supported", what, "messages go to queues, functions and URLs")
	return false
}

// subscription reads an AWS::SNS::Subscription.
func (l *loader) subscription(r *resource) {
	p := l.properties(r)
	p.require("TopicArn", "Protocol")
	s := Subscription{ID: uuid(l.app.Name, r.id), LogicalID: r.id, Attributes: map[string]string{}, Position: r.at.String()}
	t := l.topicProperty(p, "TopicArn", "deliveries to the endpoint of "+r.id)
	if t != nil {
		s.Topic = t.Name
	}
	known := l.endpoint(p, &s)
	l.subscriptionAttributes(p, &s)
	if text := l.jsonProperty(p, "DeliveryPolicy"); text != "" {
		s.Attributes["DeliveryPolicy"] = text
	}
	if p.has("RawMessageDelivery") && p.boolean("RawMessageDelivery") {
		s.Attributes["RawMessageDelivery"] = "true"
	}
	p.accept("SubscriptionRoleArn")
	if text := l.jsonProperty(p, "ReplayPolicy"); text != "" {
		s.Attributes["ReplayPolicy"] = text
	}
	p.done()
	if known && t != nil {
		l.app.Subscriptions = append(l.app.Subscriptions, s)
	}
}

// subscriptionAttributes reads what SAM's and CloudFormation's subscriptions have in common.
func (l *loader) subscriptionAttributes(p *properties, s *Subscription) {
	for _, name := range []string{"FilterPolicy", "RedrivePolicy"} {
		if text := l.jsonProperty(p, name); text != "" {
			s.Attributes[name] = text
		}
	}
	if scope := p.one("FilterPolicyScope", "MessageAttributes", "MessageBody"); scope != "" {
		s.Attributes["FilterPolicyScope"] = scope
	}
	if region := p.text("Region"); region != "" && region != l.app.Place.Region {
		p.missing("Region", p.at("Region"), "topics of other regions are not supported", "deliveries from the topic in "+region, "")
	}
}

// topicProperty returns the topic of this template that a property names, or nil, which is reported.
func (l *loader) topicProperty(p *properties, property, what string) *Topic {
	v := p.value(property)
	text := p.text(property)
	if v == nil || text == "" {
		return nil
	}
	t := l.topicOf(text)
	if t == nil || len(v.Refs) > 0 {
		p.missing(property, v.Pos, "the topic "+text+" is not in this template", what, "use Ref of a topic of it")
		return nil
	}
	return t
}

// topicTarget checks that an ARN is that of a topic of the template, and returns it.
func (l *loader) topicTarget(p *properties, property string, v *tree.Node, what string) string {
	if len(v.Refs) > 0 || l.topicOf(v.Text) == nil {
		p.missing(property, v.Pos, "the topic "+v.Text+" is not in this template", what, "use Ref of a topic of it")
		return ""
	}
	if strings.HasSuffix(v.Text, ".fifo") {
		p.fault(property, v.Pos, "The provided target is a FIFO topic, which does not take asynchronous events: "+v.Text, "use a standard topic")
		return ""
	}
	return v.Text
}

// generateTopic adds the topic that SAM makes for a destination without an ARN, and returns its ARN.
func (l *loader) generateTopic(id, position string) string {
	name := l.physical(id)
	l.app.Topics = append(l.app.Topics, Topic{LogicalID: id, Name: name, Attributes: map[string]string{}, Position: position})
	return l.arn("sns", name)
}

// topicPolicy reads an AWS::SNS::TopicPolicy: the policy of the topics it names.
func (l *loader) topicPolicy(r *resource) {
	p := l.properties(r)
	l.unkeep(enforcement, r.at)
	p.require("PolicyDocument", "Topics")
	text := l.jsonProperty(p, "PolicyDocument")
	named := p.list("Topics")
	p.done()
	for _, n := range named {
		if t := l.topicOf(n.Text); n.IsScalar() && t != nil {
			t.Attributes["Policy"] = text
		}
	}
}

// topicEvent reads an SNS event of a SAM function.
func (l *loader) topicEvent(e tree.Field, function, alias string) {
	node := e.Value.Get("Properties")
	if node == nil {
		l.fault(e.Pos, "the event "+e.Name+" must have Properties with a Topic", "")
		return
	}
	p, ok := l.eventProperties(e, node)
	if !ok {
		return
	}
	p.require("Topic")
	s := Subscription{ID: uuid(l.app.Name, l.current.id+e.Name), LogicalID: l.current.id + e.Name, Protocol: "lambda", Endpoint: l.arn("lambda", "function:"+function), Attributes: map[string]string{}, Position: e.Pos.String()}
	if alias != "" {
		s.Endpoint += ":" + alias
	}
	t := l.topicProperty(p, "Topic", "invocations of "+function+" with messages of the topic")
	l.subscriptionAttributes(p, &s)
	m := l.queueBetween(p, &s, daruma.Target{Function: function, Qualifier: alias})
	p.done()
	if t == nil || l.functions[function] == nil || s.Endpoint == "" {
		return
	}
	s.Topic = t.Name
	l.app.Subscriptions = append(l.app.Subscriptions, s)
	if m != nil {
		l.addMapping(p, "SqsSubscription", *m)
	}
}

// queueBetween reads SqsSubscription: a queue that stands between the topic and
// the function, one that is given or one that SAM makes. It returns the mapping
// from that queue to the function, or nil when the function itself subscribes.
func (l *loader) queueBetween(p *properties, s *Subscription, target daruma.Target) *Mapping {
	v := p.value("SqsSubscription")
	if v == nil || v.IsScalar() && v.Text == "false" {
		return nil
	}
	m := &Mapping{LogicalID: s.LogicalID + "EventSourceMapping", Target: target, Position: v.Pos.String()}
	s.Protocol = "sqs"
	switch {
	case v.IsScalar() && v.Text == "true":
		s.Endpoint = l.generateQueue(s.LogicalID+"Queue", v.Pos.String())
	case v.Kind == tree.Map:
		q := l.within(p.full("SqsSubscription"), v)
		q.require("QueueArn", "QueueUrl")
		q.ask("QueueUrl", "QueuePolicyLogicalId")
		s.Endpoint = l.queueTarget(q, "QueueArn", q.value("QueueArn"), "invocations of "+target.Function+" with messages of the topic")
		if n := q.integer("BatchSize", 1, 10_000, -1); n > 0 {
			m.Batch = &n
		}
		if q.has("Enabled") {
			m.Disabled = !q.boolean("Enabled")
		}
		q.done()
	default:
		p.fault("SqsSubscription", v.Pos, "property 'SqsSubscription' must be true, false or a map", "")
		s.Endpoint = ""
	}
	m.Source = s.Endpoint
	return m
}

// subscriptionARN is what Ref of a subscription is.
func (l *loader) subscriptionARN(r *resource) string {
	topic := l.property(r, "TopicArn")
	if topic == nil {
		return l.arn("sns", l.physical(r.id))
	}
	return topic.Text + ":" + uuid(l.app.Name, r.id)
}

// jsonProperty returns a property that is JSON, written as a map or as text, as text.
func (l *loader) jsonProperty(p *properties, name string) string {
	v := p.value(name)
	switch {
	case v == nil:
		return ""
	case v.IsScalar() && json.Valid([]byte(v.Text)) && strings.HasPrefix(strings.TrimSpace(v.Text), "{"):
		return v.Text
	case v.Kind != tree.Map:
		p.fault(name, v.Pos, "property '"+p.full(name)+"' must be a map, not "+v.Kind.String(), "")
		return ""
	}
	if at := unknown(v); at != nil {
		p.missing(name, at.Pos, "what '"+p.full(name)+"' names is not supported or not known here: "+at.Text, "what it asks for", "")
		return ""
	}
	text, err := json.Marshal(v.Value())
	if err != nil {
		p.fault(name, v.Pos, "property '"+p.full(name)+"' is no JSON: "+err.Error(), "")
		return ""
	}
	return string(text)
}

// unknown returns a part of v that rests on something that is not supported, or nil.
func unknown(v *tree.Node) *tree.Node {
	if v == nil {
		return nil
	}
	if len(v.Refs) > 0 && v.IsScalar() {
		return v
	}
	for _, f := range v.Fields {
		if at := unknown(f.Value); at != nil {
			return at
		}
	}
	for _, i := range v.Items {
		if at := unknown(i); at != nil {
			return at
		}
	}
	return nil
}
